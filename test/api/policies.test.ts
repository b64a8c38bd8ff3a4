/** Key policies through the AWS SDK: what is a policy, what locks the caller out (reference: kms-keys §1.2, §6). */
import {
  CreateKeyCommand,
  GetKeyPolicyCommand,
  ListKeyPoliciesCommand,
  PutKeyPolicyCommand,
  ScheduleKeyDeletionCommand,
} from "@aws-sdk/client-kms";
import { expect, test } from "vitest";
import { createKey, refusal } from "./harness.ts";
import { sharedStore } from "./shared.ts";

const shared = sharedStore();
const ACCOUNT = "000000000000";
const ROOT = `arn:aws:iam::${ACCOUNT}:root`;
const OTHER = "arn:aws:iam::111122223333:role/other";

const statement = (wish: object = {}): Record<string, unknown> => ({
  Effect: "Allow",
  Principal: { AWS: ROOT },
  Action: "kms:*",
  Resource: "*",
  ...wish,
});
const policy = (...statements: unknown[]): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: statements });
/** A statement without one of its elements. */
const without = (name: string): object =>
  Object.fromEntries(Object.entries(statement()).filter(([element]) => element !== name));

function put(Policy: string, wish: object = {}): Promise<unknown> {
  return shared.keystead.kms.send(new PutKeyPolicyCommand({ KeyId: shared.keyArn, Policy, ...wish }));
}

function make(Policy: string): Promise<unknown> {
  return shared.keystead.kms.send(
    new CreateKeyCommand({ Origin: "AWS_CLOUDHSM", CustomKeyStoreId: shared.storeId, Policy }),
  );
}

async function policyOf(KeyId: string): Promise<string> {
  const answer = await shared.keystead.kms.send(new GetKeyPolicyCommand({ KeyId }));
  expect(answer.PolicyName).toBe("default");
  return String(answer.Policy);
}

test("a key has AWS's default policy until another one is put", async () => {
  const key = await createKey(shared.keystead, shared.storeId);
  expect(JSON.parse(await policyOf(key))).toEqual({
    Version: "2012-10-17",
    Id: "key-default-1",
    Statement: [statement({ Sid: "Enable IAM User Permissions" })],
  });
  const given = `${policy(statement())}\n`;
  await put(given, { KeyId: key, PolicyName: "default" });
  expect(await policyOf(key)).toBe(given);
});

const LEGAL: readonly [name: string, text: string][] = [
  ["without Version", JSON.stringify({ Statement: [statement()] })],
  [
    "one statement, not in a list",
    JSON.stringify({ Version: "2008-10-17", Id: "x", Statement: statement() }),
  ],
  ["the account by number", policy(statement({ Principal: { AWS: ACCOUNT } }))],
  [
    "everybody",
    policy(statement({ Principal: "*" }), statement({ Principal: { AWS: "*" }, Action: ["kms:Encrypt"] })),
  ],
  [
    "several principals",
    policy(statement({ Principal: { AWS: [OTHER, ROOT], Service: "s3.amazonaws.com" } })),
  ],
  [
    "a session",
    policy(statement(), statement({ Principal: { AWS: "arn:aws:sts::111122223333:assumed-role/r/s" } })),
  ],
  ["an action by wildcard", policy(statement({ Action: ["kms:Decrypt", "KMS:put*y"] }))],
  ["all actions but", policy(statement({ Action: undefined, NotAction: "kms:Encrypt" }))],
  ["under a condition", policy(statement({ Condition: { StringEquals: { "kms:CallerAccount": ACCOUNT } } }))],
  [
    "conditions of all kinds",
    policy(
      statement(),
      statement({
        Effect: "Deny",
        Principal: "*",
        Condition: {
          "ForAnyValue:StringLikeIfExists": { "kms:EncryptionContextKeys": ["a*", "b"] },
          NumericLessThan: { "kms:ScheduleKeyDeletionPendingWindowInDays": 8 },
          Bool: { "aws:SecureTransport": false },
          Null: { "kms:ViaService": "true" },
        },
      }),
    ),
  ],
  ["a denial of something else", policy(statement(), statement({ Effect: "Deny", Action: "kms:Encrypt" }))],
  ["a denial to others", policy(statement(), statement({ Effect: "Deny", Principal: { AWS: OTHER } }))],
];

test.each(LEGAL)("legal: %s", async (_name, text) => {
  await put(text);
  expect(await policyOf(shared.keyArn)).toBe(text);
});

const PRINCIPALS = /^Policy contains a statement with one or more invalid principals\.$/;
const LOCKED_OUT = /^The new key policy will not allow you to update the key policy in the future\.$/;
const principal = (Principal: unknown): string => policy(statement({ Principal }));

const MALFORMED: readonly [name: string, text: string, message: RegExp][] = [
  ["no JSON", "{", /not valid JSON/],
  ["no object", "[]", /JSON object/],
  ["of null", "null", /JSON object/],
  ["without statements", policy(), /at least one statement/],
  ["without Statement", '{"Version":"2012-10-17"}', /at least one statement/],
  ["of an unknown version", JSON.stringify({ Version: "2020-01-01", Statement: [statement()] }), /Version/],
  [
    "with an unknown element",
    JSON.stringify({ Statement: [statement()], Extra: 1 }),
    /unknown element Extra/,
  ],
  ["with __proto__", `{"__proto__":{},"Statement":[]}`, /unknown element __proto__/],
  ["a statement of text", policy("x"), /JSON object/],
  ["an unknown statement element", policy(statement({ Foo: 1 })), /unknown element Foo/],
  ["an Effect of its own", policy(statement({ Effect: "allow" })), /Effect/],
  ["a numeric Sid", policy(statement({ Sid: 1 })), /Sid/],
  ["without Principal", policy(without("Principal")), /Principal and NotPrincipal/],
  ["without Action", policy(without("Action")), /Action and NotAction/],
  ["without Resource", policy(without("Resource")), /Resource and NotResource/],
  ["with Action and NotAction", policy(statement({ NotAction: "kms:Encrypt" })), /Action and NotAction/],
  ["an empty list of actions", policy(statement({ Action: [] })), /Action/],
  ["an action without service", policy(statement({ Action: "Encrypt" })), /invalid action Encrypt/],
  ["a numeric resource", policy(statement({ Resource: 1 })), /Resource/],
  ["no principals", principal({}), PRINCIPALS],
  ["an empty list of principals", principal({ AWS: [] }), PRINCIPALS],
  ["a name for principal", principal({ AWS: "alice" }), PRINCIPALS],
  ["a number for principal", principal({ AWS: 111122223333 }), PRINCIPALS],
  ["eleven digits", principal({ AWS: "11112222333" }), PRINCIPALS],
  ["a group", principal({ AWS: "arn:aws:iam::111122223333:group/g" }), PRINCIPALS],
  ["an ARN of something else", principal({ AWS: "arn:aws:s3:::bucket" }), PRINCIPALS],
  ["a service of no one", principal({ Service: "example.com" }), PRINCIPALS],
  ["an unknown kind of principal", principal({ Person: "*" }), PRINCIPALS],
  ["text for principal", principal("everybody"), PRINCIPALS],
  ["a condition of text", policy(statement({ Condition: "x" })), /Condition/],
  ["an unknown operator", policy(statement({ Condition: { Like: { a: "b" } } })), /invalid condition: Like/],
  ["a condition value object", policy(statement({ Condition: { Bool: { a: {} } } })), /condition key a/],
  ["for others only", principal({ AWS: OTHER }), LOCKED_OUT],
  ["for services only", principal({ Service: "s3.amazonaws.com" }), LOCKED_OUT],
  ["without PutKeyPolicy", policy(statement({ Action: ["kms:Get*", "kms:Encrypt"] })), LOCKED_OUT],
  ["with PutKeyPolicy excepted", policy(statement({ Action: undefined, NotAction: "kms:Put*" })), LOCKED_OUT],
  ["that denies all", policy(statement(), statement({ Effect: "Deny" })), LOCKED_OUT],
  [
    "that denies by *",
    policy(statement(), statement({ Effect: "Deny", Principal: "*", Action: "*" })),
    LOCKED_OUT,
  ],
  [
    "of stars that a backtracking matcher would not survive",
    policy(statement({ Action: `kms:${"*a".repeat(200)}*` })),
    LOCKED_OUT,
  ],
];

test.each(MALFORMED)("refused: a policy %s", async (_name, text, message) => {
  const refused = {
    name: "MalformedPolicyDocumentException",
    message: expect.stringMatching(message) as string,
  };
  await expect(put(text)).rejects.toMatchObject(refused);
  await expect(make(text)).rejects.toMatchObject(refused);
});

test("the lock-out check can be waived, the rules cannot", async () => {
  const KeyId = await createKey(shared.keystead, shared.storeId);
  const waived = { KeyId, BypassPolicyLockoutSafetyCheck: true };
  await put(principal({ AWS: OTHER }), waived);
  expect(await policyOf(KeyId)).toBe(principal({ AWS: OTHER }));
  expect(await refusal(put(principal({ AWS: "x" }), waived))).toBe("MalformedPolicyDocumentException");
});

test("a policy has 32 KiB at most", async () => {
  const padded = (bytes: number): string => policy(statement()).padEnd(bytes, " ");
  await put(padded(32_768));
  expect(await refusal(put(padded(32_769)))).toBe("LimitExceededException");
  expect(await refusal(make(padded(32_769)))).toBe("LimitExceededException");
  expect(await refusal(put("x".repeat(131_073)))).toBe("ValidationException");
});

test("the one policy is named default, whatever the key's state", async () => {
  const { kms } = shared.keystead;
  const KeyId = await createKey(shared.keystead, shared.storeId);
  await kms.send(new ScheduleKeyDeletionCommand({ KeyId }));
  const listed = await kms.send(new ListKeyPoliciesCommand({ KeyId }));
  expect(listed).toMatchObject({ PolicyNames: ["default"], Truncated: false });
  await put(policy(statement()), { KeyId });
  expect(await refusal(kms.send(new GetKeyPolicyCommand({ KeyId, PolicyName: "other" })))).toBe(
    "NotFoundException",
  );
  expect(await refusal(put(policy(statement()), { PolicyName: "other" }))).toBe("NotFoundException");
  expect(await refusal(put(policy(statement()), { KeyId: "alias/x" }))).toBe("NotFoundException");
});

test("a policy survives a restart", async () => {
  const text = policy(statement({ Sid: "kept" }));
  await put(text);
  await shared.restart();
  expect(await policyOf(shared.keyArn)).toBe(text);
});
