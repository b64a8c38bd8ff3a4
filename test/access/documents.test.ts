/** Identity policies and credentials of the configuration: what is taken, and one sentence for what is not. */
import { expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";

const STATEMENT = { Effect: "Allow", Action: "kms:*", Resource: "*" };

function credentialsOf(...given: readonly object[]) {
  const credentials = given.map((one, index) => ({
    accessKeyId: `AKID${index}`,
    secretAccessKey: "secret",
    ...one,
  }));
  return loadConfig({ temporary: true, auth: "iam", account: "111122223333", credentials }, {}).credentials;
}

function policies(...documents: readonly unknown[]): unknown {
  return credentialsOf({ policies: documents })[0]?.policies;
}

test.each([
  ["one statement", { Version: "2012-10-17", Statement: STATEMENT }],
  ["several", { Version: "2008-10-17", Id: "x", Statement: [STATEMENT, { ...STATEMENT, Sid: "y" }] }],
  ["JSON text", JSON.stringify({ Statement: [STATEMENT] })],
  ["no statement", { Version: "2012-10-17", Statement: [] }],
])("a policy: %s", (_name, document) => {
  expect(policies(document)).toHaveLength(1);
});

test.each([
  ["{", "The policy is not valid JSON."],
  [7, "A policy must be a mapping, or JSON text of one."],
  [{ Version: "2012-10-17" }, "A policy must have a Statement."],
  [{ Version: 2012, Statement: [] }, "Version must be 2012-10-17 or 2008-10-17, in quotes."],
  [{ Statements: [] }, "A policy has no element Statements."],
  [{ Statement: "x" }, "Statement 1 must be a mapping."],
  [{ Statement: { ...STATEMENT, Effect: "allow" } }, "Statement 1 must have an Effect of Allow or Deny."],
  [
    { Statement: [STATEMENT, { ...STATEMENT, Conditions: {} }] },
    "Statement 2 has the unknown element Conditions.",
  ],
  [{ Statement: { Effect: "Allow", Resource: "*" } }, "Statement 1 must have either Action or NotAction."],
  [{ Statement: { ...STATEMENT, NotAction: "kms:*" } }, "Statement 1 must have either Action or NotAction."],
  [
    { Statement: { ...STATEMENT, Action: "Encrypt" } },
    "Statement 1: Encrypt is not an action such as kms:Decrypt.",
  ],
  [{ Statement: { ...STATEMENT, Action: { a: 1 } } }, "Statement 1.Action must be text, or a list of texts."],
  [{ Statement: { Effect: "Allow", Action: "*" } }, "Statement 1 must have either Resource or NotResource."],
  [{ Statement: { ...STATEMENT, Resource: "key/1" } }, 'Statement 1: key/1 is not an ARN or "*".'],
  [
    { Statement: { ...STATEMENT, Principal: "*" } },
    "Statement 1 must not have a Principal: the policy is the credential's own.",
  ],
  [
    { Statement: { ...STATEMENT, Condition: { Equals: { a: "b" } } } },
    "Statement 1.Condition: there is no condition operator Equals.",
  ],
  [
    { Statement: { ...STATEMENT, Condition: [] } },
    "Statement 1.Condition must be a mapping of condition operators.",
  ],
])("refused: %j", (document, sentence) => {
  expect(() => policies(document)).toThrow(`Configuration: credentials.0.policies.0: ${sentence}`);
});

test("account and ARN follow from each other and from the name", () => {
  const session = "arn:aws:sts::444455556666:assumed-role/App/build-7";
  const found = credentialsOf(
    {},
    { name: "ann" },
    { name: "ann", account: "444455556666" },
    { arn: session },
    { account: "444455556666" },
  );
  expect(found.map(({ arn, account }) => [arn, account])).toEqual([
    ["arn:aws:iam::111122223333:root", "111122223333"],
    ["arn:aws:iam::111122223333:user/ann", "111122223333"],
    ["arn:aws:iam::444455556666:user/ann", "444455556666"],
    [session, "444455556666"],
    ["arn:aws:iam::444455556666:root", "444455556666"],
  ]);
});

test.each([
  [
    { arn: "arn:aws:s3:::bucket" },
    "credentials.0.arn: must be the ARN of an account's root, a user, a role, or a session of a role",
  ],
  [
    { arn: "arn:aws:iam::444455556666:root", account: "111122223333" },
    "credentials.0.arn: names the account 444455556666, but account is 111122223333.",
  ],
  [{ account: "1" }, "credentials.0.account: must be 12 digits, in quotes"],
  [{ name: "a b" }, "credentials.0.name: must be the name of an IAM user"],
  [{ policy: {} }, 'credentials.0: Unrecognized key: "policy"'],
])("a credential with %j is refused", (wrong, sentence) => {
  expect(() => credentialsOf(wrong)).toThrow(`Configuration: ${sentence}`);
});

test("an access key id is given once", () => {
  expect(() => credentialsOf({ accessKeyId: "A" }, { accessKeyId: "A" })).toThrow(
    "Configuration: credentials: two of them have the access key id A.",
  );
});

test("--auth is one of three", () => {
  expect(() => loadConfig({ temporary: true, auth: "none" }, {})).toThrow("Configuration: auth:");
});
