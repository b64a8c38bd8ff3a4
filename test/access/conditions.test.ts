/** Every condition operator, what an absent key means, set operators, wildcards and variables. */
import { expect, test } from "vitest";
import { conditions, type Reading } from "../../src/access/conditions.ts";
import { conditionKeys } from "../../src/core/condition-keys.ts";

const STRICT: Reading = { variables: true, strict: true };
const ADMIN = "arn:aws:iam::111122223333:role/Admin";

const REQUEST = conditionKeys([
  ["kms:EncryptionContext:Stage", "Prod"],
  ["kms:EncryptionContextKeys", ["Stage", "Team"]],
  ["aws:PrincipalArn", ADMIN],
  ["aws:username", "ann"],
  ["aws:star", "a*"],
  ["aws:SourceIp", "203.0.113.7"],
  ["aws:six", "2001:db8::7"],
  ["aws:SecureTransport", false],
  ["aws:CurrentTime", "2026-06-15T12:00:00.000Z"],
  ["aws:EpochTime", 1_781_524_800],
  ["kms:ScheduleKeyDeletionPendingWindowInDays", 14],
]);

function holds(block: object, reading = STRICT): boolean {
  return conditions(block, reading, "Condition").every((condition) => condition(REQUEST));
}

/** operator, key, value of the policy, whether it holds */
const SINGLE: readonly [string, string, unknown, boolean][] = [
  ["StringEquals", "kms:EncryptionContext:Stage", "Prod", true],
  ["StringEquals", "KMS:encryptioncontext:STAGE", "Prod", true],
  ["StringEquals", "kms:EncryptionContext:Stage", "prod", false],
  ["StringEquals", "kms:EncryptionContext:Stage", ["Test", "Prod"], true],
  ["StringEquals", "kms:EncryptionContext:Stage", "Pro*", false],
  ["StringEquals", "absent", "Prod", false],
  ["StringNotEquals", "kms:EncryptionContext:Stage", "Test", true],
  ["StringNotEquals", "kms:EncryptionContext:Stage", ["Test", "Prod"], false],
  ["StringNotEquals", "absent", "Prod", true],
  ["StringEqualsIgnoreCase", "kms:EncryptionContext:Stage", "PROD", true],
  ["StringEqualsIgnoreCase", "kms:EncryptionContext:Stage", "PRO", false],
  ["StringNotEqualsIgnoreCase", "kms:EncryptionContext:Stage", "PROD", false],
  ["StringNotEqualsIgnoreCase", "absent", "PROD", true],
  ["StringLike", "kms:EncryptionContext:Stage", "P?o*", true],
  ["StringLike", "kms:EncryptionContext:Stage", "*", true],
  ["StringLike", "kms:EncryptionContext:Stage", "?", false],
  ["StringLike", "kms:EncryptionContext:Stage", "p*", false],
  ["StringLike", "absent", "*", false],
  ["StringNotLike", "kms:EncryptionContext:Stage", "Q*", true],
  ["StringNotLike", "kms:EncryptionContext:Stage", "P*", false],
  ["StringNotLike", "absent", "*", true],
  ["ArnEquals", "aws:PrincipalArn", ADMIN, true],
  ["ArnEquals", "aws:PrincipalArn", "arn:aws:iam::111122223333:role/*", true],
  ["ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/A*", true],
  ["ArnLike", "aws:PrincipalArn", "arn:aws:*:role/Admin", false],
  ["ArnLike", "aws:PrincipalArn", "*", false],
  ["ArnLike", "aws:username", "*:*:*:*:*:*", false],
  ["ArnLike", "absent", "*:*:*:*:*:*", false],
  ["ArnNotEquals", "aws:PrincipalArn", ADMIN, false],
  ["ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::444455556666:*", true],
  ["ArnNotLike", "absent", "arn:aws:iam::444455556666:*", true],
  ["Bool", "aws:SecureTransport", "false", true],
  ["Bool", "aws:SecureTransport", true, false],
  ["Bool", "absent", "false", false],
  ["Null", "absent", "true", true],
  ["Null", "absent", false, false],
  ["Null", "aws:username", "false", true],
  ["Null", "aws:username", true, false],
  ["NumericEquals", "kms:ScheduleKeyDeletionPendingWindowInDays", "14", true],
  ["NumericNotEquals", "kms:ScheduleKeyDeletionPendingWindowInDays", 14, false],
  ["NumericLessThan", "kms:ScheduleKeyDeletionPendingWindowInDays", 14, false],
  ["NumericLessThanEquals", "kms:ScheduleKeyDeletionPendingWindowInDays", 14, true],
  ["NumericGreaterThan", "kms:ScheduleKeyDeletionPendingWindowInDays", 7, true],
  ["NumericGreaterThanEquals", "kms:ScheduleKeyDeletionPendingWindowInDays", 15, false],
  ["NumericEquals", "aws:username", 14, false],
  ["NumericNotEquals", "absent", 14, true],
  ["DateEquals", "aws:CurrentTime", "2026-06-15T12:00:00Z", true],
  ["DateNotEquals", "aws:CurrentTime", "2026-06-15", true],
  ["DateLessThan", "aws:CurrentTime", "2026-07-01", true],
  ["DateLessThanEquals", "aws:CurrentTime", "2026-06-15", false],
  ["DateGreaterThan", "aws:CurrentTime", "1781000000", true],
  ["DateGreaterThanEquals", "aws:EpochTime", "2026-06-15T12:00:00Z", true],
  ["DateLessThan", "absent", "2026-07-01", false],
  ["IpAddress", "aws:SourceIp", "203.0.113.0/24", true],
  ["IpAddress", "aws:SourceIp", "203.0.113.7", true],
  ["IpAddress", "aws:SourceIp", ["10.0.0.0/8", "192.168.0.0/16"], false],
  ["IpAddress", "aws:six", "2001:db8::/32", true],
  ["IpAddress", "aws:SourceIp", "2001:db8::/32", false],
  ["IpAddress", "absent", "0.0.0.0/0", false],
  ["NotIpAddress", "aws:SourceIp", "10.0.0.0/8", true],
  ["NotIpAddress", "aws:SourceIp", "0.0.0.0/0", false],
  ["NotIpAddress", "absent", "0.0.0.0/0", true],
  ["StringEqualsIfExists", "absent", "x", true],
  ["StringEqualsIfExists", "aws:username", "x", false],
  ["BoolIfExists", "absent", "true", true],
  ["IpAddressIfExists", "aws:SourceIp", "10.0.0.0/8", false],
  ["ForAnyValue:StringEquals", "kms:EncryptionContextKeys", ["Team"], true],
  ["ForAnyValue:StringEquals", "kms:EncryptionContextKeys", ["team"], false],
  ["ForAnyValue:StringEquals", "absent", ["Team"], false],
  ["ForAnyValue:StringNotEquals", "kms:EncryptionContextKeys", ["Team"], true],
  ["ForAnyValue:StringNotEquals", "kms:EncryptionContextKeys", ["Team", "Stage"], false],
  ["ForAllValues:StringEquals", "kms:EncryptionContextKeys", ["Team", "Stage", "More"], true],
  ["ForAllValues:StringEquals", "kms:EncryptionContextKeys", ["Team"], false],
  ["ForAllValues:StringEquals", "absent", ["Team"], true],
  ["ForAllValues:StringNotEquals", "kms:EncryptionContextKeys", ["Team"], false],
  ["ForAllValues:StringLike", "kms:EncryptionContextKeys", "*a*", true],
  ["StringEquals", "aws:username", "${aws:username}", true],
  ["StringLike", "aws:username", "${aws:UserName}*", true],
  ["StringEquals", "aws:username", "${absent}", false],
  ["StringEquals", "aws:username", "${absent, 'ann'}", true],
  ["StringEquals", "aws:star", "a${*}", true],
  ["StringLike", "aws:username", "${aws:star}", false],
  ["ArnEquals", "aws:PrincipalArn", "${aws:PrincipalArn}", true],
  ["StringEquals", "aws:username", "${kms:EncryptionContextKeys}", false],
];

test.each(SINGLE)("%s %s %j: %s", (operator, key, value, expected) => {
  expect(holds({ [operator]: { [key]: value } })).toBe(expected);
});

test("all keys under all operators must hold", () => {
  const name = { "aws:username": "ann" };
  const stage = { "kms:EncryptionContext:Stage": "Prod" };
  expect(holds({ StringEquals: { ...name, ...stage }, Bool: { "aws:SecureTransport": false } })).toBe(true);
  expect(holds({ StringEquals: { ...name, ...stage }, Bool: { "aws:SecureTransport": true } })).toBe(false);
  expect(holds({ StringEquals: { ...name, "kms:EncryptionContext:Stage": "Test" } })).toBe(false);
  expect(holds({})).toBe(true);
});

test("policies before version 2012-10-17 have no variables", () => {
  const block = { StringEquals: { "aws:username": "${aws:username}" } };
  expect(holds(block, { variables: false, strict: true })).toBe(false);
});

test.each([
  [{ StringEqual: { a: "b" } }, "Condition: there is no condition operator StringEqual."],
  [{ NullIfExists: { a: "true" } }, "Condition: there is no condition operator NullIfExists."],
  [{ StringEquals: "b" }, "Condition.StringEquals must be a mapping of condition keys."],
  [{ StringEquals: { a: { b: "c" } } }, "Condition.StringEquals.a must be text, or a list of texts."],
  [{ NumericEquals: { a: "many" } }, "Condition.NumericEquals.a: many does not suit NumericEquals."],
  [{ DateLessThan: { a: "soon" } }, "Condition.DateLessThan.a: soon does not suit DateLessThan."],
  [{ Bool: { a: "yes" } }, "Condition.Bool.a: yes does not suit Bool."],
  [{ IpAddress: { a: "10.0.0.0/33" } }, "Condition.IpAddress.a: 10.0.0.0/33 does not suit IpAddress."],
])("%j is refused", (block, sentence) => {
  expect(() => holds(block)).toThrow(sentence);
});

test("in a key policy a value that an operator cannot have fits nothing", () => {
  const lenient = { variables: true, strict: false };
  expect(holds({ NumericEquals: { "kms:ScheduleKeyDeletionPendingWindowInDays": "x" } }, lenient)).toBe(
    false,
  );
});

test("no pattern makes matching slow", () => {
  const long = conditionKeys([["a", "a".repeat(20_000)]]);
  const [condition] = conditions({ StringLike: { a: `${"*a".repeat(500)}b` } }, STRICT, "");
  const started = performance.now();
  expect(condition?.(long)).toBe(false);
  expect(performance.now() - started).toBeLessThan(2_000);
});
