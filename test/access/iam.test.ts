/**
 * Who may do what: each case names the principal, its identity policies, the key policy,
 * grants, the action and its context, and the answer with AWS's reason.
 * https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
 */
import { expect, test } from "vitest";
import { PolicyAuthorizer } from "../../src/access/authorizer.ts";
import { identityPolicy } from "../../src/access/policy.ts";
import type { GrantFacts, Principal } from "../../src/core/access.ts";
import { conditionKeys } from "../../src/core/condition-keys.ts";
import { AwsError } from "../../src/core/errors.ts";

const ACCOUNT = "111122223333";
const OTHER = "444455556666";
const KEY = `arn:aws:kms:us-east-1:${ACCOUNT}:key/12345678-1234-1234-1234-123456789012`;
const ALIAS = `arn:aws:kms:us-east-1:${ACCOUNT}:alias/orders`;
const CLUSTER = `arn:aws:cloudhsm:us-east-1:${ACCOUNT}:cluster/cluster-aaaaaaaaaaa`;
const ROOT_ARN = `arn:aws:iam::${ACCOUNT}:root`;
const ANN_ARN = `arn:aws:iam::${ACCOUNT}:user/ann`;
const ROLE_ARN = `arn:aws:iam::${ACCOUNT}:role/team/App`;

function principal(arn: string, account = ACCOUNT): Principal {
  return { arn, account, accessKeyId: "AKIDEXAMPLE" };
}

const ROOT = principal(ROOT_ARN);
const ANN = principal(ANN_ARN);
const BOB = principal(`arn:aws:iam::${ACCOUNT}:user/bob`);
const ROLE = principal(ROLE_ARN);
const SESSION = principal(`arn:aws:sts::${ACCOUNT}:assumed-role/App/build-7`);
const STRANGER = principal(`arn:aws:iam::${OTHER}:user/ann`, OTHER);
const STRANGE_ROOT = principal(`arn:aws:iam::${OTHER}:root`, OTHER);

type Statement = Readonly<Record<string, unknown>>;
const allow = (Action: unknown, more: Statement = {}): Statement => ({
  Effect: "Allow",
  Action,
  Resource: "*",
  ...more,
});
const deny = (Action: unknown, more: Statement = {}): Statement => ({
  ...allow(Action, more),
  Effect: "Deny",
});
const to = (AWS: unknown): Statement => ({ Principal: { AWS } });
const when = (operator: string, key: string, value: unknown): Statement => ({
  Condition: { [operator]: { [key]: value } },
});

/** The policy every key has when none is given: identity policies decide. */
const DEFAULT = [allow("kms:*", to(ROOT_ARN))];
const ADMIN = [allow("kms:*")];

function grant(Operations: readonly string[], more: Partial<GrantFacts> = {}): GrantFacts {
  return { GrantId: "g", GranteePrincipal: ANN_ARN, Operations, ...more };
}
const subset = (pairs: Record<string, string>): Partial<GrantFacts> => ({
  Constraints: { EncryptionContextSubset: new Map(Object.entries(pairs)) },
});
const equals = (pairs: Record<string, string>): Partial<GrantFacts> => ({
  Constraints: { EncryptionContextEquals: new Map(Object.entries(pairs)) },
});

interface Case {
  readonly who: Principal;
  readonly identity?: readonly Statement[];
  /** Key policy; absent: the action is about no key. */
  readonly key?: readonly Statement[];
  readonly grants?: readonly GrantFacts[];
  readonly action: string;
  readonly resource?: string;
  readonly context?: Parameters<typeof conditionKeys>[0];
  readonly encryptionContext?: Readonly<Record<string, string>>;
  readonly answer: keyof typeof REASONS;
}

/** The end of AWS's sentence; wire-protocol §4.5. */
const REASONS = {
  allowed: "",
  identity: "because no identity-based policy allows the <action> action",
  resource: "because no resource-based policy allows the <action> action",
  "denied by key": "with an explicit deny in a resource-based policy",
  "denied by identity": "with an explicit deny in an identity-based policy",
} as const;

const ENCRYPT = "kms:Encrypt";
const DECRYPT = "kms:Decrypt";
const CREATE_GRANT = "kms:CreateGrant";
const STAGE = "kms:EncryptionContext:stage";
const inStage = (value: string): Pick<Case, "context" | "encryptionContext"> => ({
  context: [
    [STAGE, value],
    ["kms:EncryptionContextKeys", ["stage"]],
  ],
  encryptionContext: { stage: value },
});

const CASES: Readonly<Record<string, Case>> = {
  // The account's root.
  "root, default key policy": { who: ROOT, key: DEFAULT, action: ENCRYPT, answer: "allowed" },
  "root, key policy without the root": {
    who: ROOT,
    key: [allow("kms:*", to(ANN_ARN))],
    action: ENCRYPT,
    answer: "resource",
  },
  "root, account number as principal": {
    who: ROOT,
    key: [allow("kms:*", to(ACCOUNT))],
    action: ENCRYPT,
    answer: "allowed",
  },
  "root denied by the key policy": {
    who: ROOT,
    key: [...DEFAULT, deny(DECRYPT, to(ROOT_ARN))],
    action: DECRYPT,
    answer: "denied by key",
  },
  "root, no key": { who: ROOT, action: "kms:CreateKey", answer: "allowed" },
  "root, a cluster": { who: ROOT, action: "cloudhsm:DeleteCluster", resource: CLUSTER, answer: "allowed" },
  "root of another account, default key policy": {
    who: STRANGE_ROOT,
    key: DEFAULT,
    action: ENCRYPT,
    answer: "resource",
  },

  // Key policy and identity policies.
  "user without policies, default key policy": {
    who: ANN,
    key: DEFAULT,
    action: ENCRYPT,
    answer: "identity",
  },
  "user with an allowing policy, default key policy": {
    who: ANN,
    identity: ADMIN,
    key: DEFAULT,
    action: ENCRYPT,
    answer: "allowed",
  },
  "user with an allowing policy, key policy without the root": {
    who: ANN,
    identity: ADMIN,
    key: [allow("kms:*", to(BOB.arn))],
    action: ENCRYPT,
    answer: "resource",
  },
  "user named in the key policy, no identity policy": {
    who: ANN,
    key: [allow("kms:*", to(ANN_ARN))],
    action: ENCRYPT,
    answer: "allowed",
  },
  "one of several principals": {
    who: ANN,
    key: [allow("kms:*", to([BOB.arn, ANN_ARN]))],
    action: ENCRYPT,
    answer: "allowed",
  },
  "user named for another action": {
    who: ANN,
    key: [allow(DECRYPT, to(ANN_ARN))],
    action: ENCRYPT,
    answer: "resource",
  },
  "another user is named": {
    who: BOB,
    key: [allow("kms:*", to(ANN_ARN))],
    action: ENCRYPT,
    answer: "resource",
  },
  "everybody is named": {
    who: BOB,
    key: [allow("kms:*", { Principal: "*" })],
    action: ENCRYPT,
    answer: "allowed",
  },
  "every AWS principal is named": {
    who: BOB,
    key: [allow("kms:*", to("*"))],
    action: ENCRYPT,
    answer: "allowed",
  },
  "a service is named": {
    who: ANN,
    key: [allow("kms:*", { Principal: { Service: "rds.amazonaws.com" } })],
    action: ENCRYPT,
    answer: "resource",
  },
  "the root for some actions only": {
    who: ANN,
    identity: ADMIN,
    key: [allow("kms:Describe*", to(ROOT_ARN))],
    action: ENCRYPT,
    answer: "resource",
  },
  "the key policy decides when both allow": {
    who: ANN,
    identity: [allow(ENCRYPT)],
    key: [...DEFAULT, allow(ENCRYPT, to(ANN_ARN))],
    action: ENCRYPT,
    answer: "allowed",
  },
  "an empty key policy": { who: ANN, identity: ADMIN, key: [], action: ENCRYPT, answer: "resource" },

  // Deny wins.
  "denied by identity, allowed by key": {
    who: ANN,
    identity: [deny(ENCRYPT)],
    key: [allow("kms:*", to(ANN_ARN))],
    action: ENCRYPT,
    answer: "denied by identity",
  },
  "denied by key, allowed by identity": {
    who: ANN,
    identity: ADMIN,
    key: [...DEFAULT, deny(ENCRYPT, to(ANN_ARN))],
    action: ENCRYPT,
    answer: "denied by key",
  },
  "a deny for the account is for its users": {
    who: ANN,
    identity: ADMIN,
    key: [allow("kms:*", to(ANN_ARN)), deny(ENCRYPT, to(ROOT_ARN))],
    action: ENCRYPT,
    answer: "denied by key",
  },
  "a deny for everybody": {
    who: ANN,
    key: [allow("kms:*", to(ANN_ARN)), deny(ENCRYPT, { Principal: "*" })],
    action: ENCRYPT,
    answer: "denied by key",
  },
  "a deny of another action": {
    who: ANN,
    key: [allow("kms:*", to(ANN_ARN)), deny(DECRYPT, to(ANN_ARN))],
    action: ENCRYPT,
    answer: "allowed",
  },
  "a deny of another user": {
    who: ANN,
    key: [allow("kms:*", to(ANN_ARN)), deny("*", to(BOB.arn))],
    action: ENCRYPT,
    answer: "allowed",
  },
  "denied by identity without a key": {
    who: ANN,
    identity: [allow("*"), deny("kms:CreateKey")],
    action: "kms:CreateKey",
    answer: "denied by identity",
  },
  "a deny beats a grant": {
    who: ANN,
    key: [...DEFAULT, deny(DECRYPT, to(ANN_ARN))],
    grants: [grant(["Decrypt"])],
    action: DECRYPT,
    answer: "denied by key",
  },
  "all but one: the one": {
    who: ANN,
    key: [
      ...DEFAULT,
      allow("kms:*", to(ANN_ARN)),
      deny("kms:*", { NotPrincipal: { AWS: [ANN_ARN, ROOT_ARN] } }),
    ],
    action: ENCRYPT,
    answer: "allowed",
  },
  "all but one: another": {
    who: BOB,
    identity: ADMIN,
    key: [...DEFAULT, deny("kms:*", { NotPrincipal: { AWS: [ANN_ARN, ROOT_ARN] } })],
    action: ENCRYPT,
    answer: "denied by key",
  },
  "all but one, whose account is not named": {
    who: ANN,
    key: [allow("kms:*", to(ANN_ARN)), deny("kms:*", { NotPrincipal: { AWS: ANN_ARN } })],
    action: ENCRYPT,
    answer: "denied by key",
  },

  // Roles and their sessions.
  "a session of the role named": {
    who: SESSION,
    key: [allow("kms:*", to(ROLE_ARN))],
    action: ENCRYPT,
    answer: "allowed",
  },
  "the session itself named": {
    who: SESSION,
    key: [allow("kms:*", to(SESSION.arn))],
    action: ENCRYPT,
    answer: "allowed",
  },
  "another session named": {
    who: SESSION,
    key: [allow("kms:*", to(`arn:aws:sts::${ACCOUNT}:assumed-role/App/build-8`))],
    action: ENCRYPT,
    answer: "resource",
  },
  "another role named": {
    who: SESSION,
    key: [allow("kms:*", to(`arn:aws:iam::${ACCOUNT}:role/Apps`))],
    action: ENCRYPT,
    answer: "resource",
  },
  "a role of the same name elsewhere": {
    who: SESSION,
    key: [allow("kms:*", to(`arn:aws:iam::${OTHER}:role/App`))],
    action: ENCRYPT,
    answer: "resource",
  },
  "the role as configured": {
    who: ROLE,
    key: [allow("kms:*", to(ROLE_ARN))],
    action: ENCRYPT,
    answer: "allowed",
  },
  "a session, by aws:PrincipalArn": {
    who: SESSION,
    key: [
      allow("kms:*", {
        ...to("*"),
        ...when("ArnLike", "aws:PrincipalArn", `arn:aws:iam::${ACCOUNT}:role/App`),
      }),
    ],
    action: ENCRYPT,
    answer: "allowed",
  },
  "the role's identity policy": {
    who: SESSION,
    identity: [allow(ENCRYPT)],
    key: DEFAULT,
    action: ENCRYPT,
    answer: "allowed",
  },

  // Actions and resources.
  "a wildcard in the action": {
    who: ANN,
    identity: [allow("kms:Gen*")],
    key: DEFAULT,
    action: "kms:GenerateDataKey",
    answer: "allowed",
  },
  "a wildcard that does not fit": {
    who: ANN,
    identity: [allow("kms:Gen*")],
    key: DEFAULT,
    action: ENCRYPT,
    answer: "identity",
  },
  "one character": {
    who: ANN,
    identity: [allow("kms:?ncrypt")],
    key: DEFAULT,
    action: ENCRYPT,
    answer: "allowed",
  },
  "actions have no case": {
    who: ANN,
    identity: [allow("KMS:encrypt")],
    key: DEFAULT,
    action: ENCRYPT,
    answer: "allowed",
  },
  "NotAction: another": {
    who: ANN,
    identity: [allow(undefined, { NotAction: "kms:Decrypt" })],
    key: DEFAULT,
    action: ENCRYPT,
    answer: "allowed",
  },
  "NotAction: the one": {
    who: ANN,
    identity: [allow(undefined, { NotAction: "kms:Decrypt" })],
    key: DEFAULT,
    action: DECRYPT,
    answer: "identity",
  },
  "the key's ARN": {
    who: ANN,
    identity: [allow(ENCRYPT, { Resource: KEY })],
    key: DEFAULT,
    action: ENCRYPT,
    answer: "allowed",
  },
  "all keys of the account": {
    who: ANN,
    identity: [allow(ENCRYPT, { Resource: `arn:aws:kms:*:${ACCOUNT}:key/*` })],
    key: DEFAULT,
    action: ENCRYPT,
    answer: "allowed",
  },
  "keys of another Region": {
    who: ANN,
    identity: [allow(ENCRYPT, { Resource: "arn:aws:kms:eu-west-1:*:key/*" })],
    key: DEFAULT,
    action: ENCRYPT,
    answer: "identity",
  },
  "an alias as resource does not reach its key": {
    who: ANN,
    identity: [allow(ENCRYPT, { Resource: ALIAS })],
    key: DEFAULT,
    action: ENCRYPT,
    answer: "identity",
  },
  "NotResource: the key": {
    who: ANN,
    identity: [allow(ENCRYPT, { Resource: undefined, NotResource: KEY })],
    key: DEFAULT,
    action: ENCRYPT,
    answer: "identity",
  },
  "NotResource: another": {
    who: ANN,
    identity: [allow(ENCRYPT, { Resource: undefined, NotResource: ALIAS })],
    key: DEFAULT,
    action: ENCRYPT,
    answer: "allowed",
  },
  "a variable in the resource": {
    who: ANN,
    identity: [allow("kms:CreateAlias", { Resource: "arn:aws:kms:*:*:alias/${aws:username}-*" })],
    action: "kms:CreateAlias",
    resource: `arn:aws:kms:us-east-1:${ACCOUNT}:alias/ann-1`,
    answer: "allowed",
  },
  "a variable of somebody else": {
    who: BOB,
    identity: [allow("kms:CreateAlias", { Resource: "arn:aws:kms:*:*:alias/${aws:username}-*" })],
    action: "kms:CreateAlias",
    resource: `arn:aws:kms:us-east-1:${ACCOUNT}:alias/ann-1`,
    answer: "identity",
  },
  "a variable without a value": {
    who: ROLE,
    identity: [allow("kms:CreateAlias", { Resource: "arn:aws:kms:*:*:alias/${aws:username}-*" })],
    action: "kms:CreateAlias",
    resource: `arn:aws:kms:us-east-1:${ACCOUNT}:alias/-1`,
    answer: "identity",
  },

  "NotResource with a variable without a value": {
    who: ROLE,
    identity: [
      allow("kms:CreateAlias", { Resource: undefined, NotResource: "arn:aws:kms:*:*:alias/${aws:username}" }),
    ],
    action: "kms:CreateAlias",
    resource: ALIAS,
    answer: "identity",
  },

  // Without a key, identity policies alone.
  "an alias": {
    who: ANN,
    identity: [allow("kms:DeleteAlias", { Resource: ALIAS })],
    action: "kms:DeleteAlias",
    resource: ALIAS,
    answer: "allowed",
  },
  CreateKey: { who: ANN, identity: [allow("kms:CreateKey")], action: "kms:CreateKey", answer: "allowed" },
  "CreateKey without permission": {
    who: ANN,
    identity: [allow("kms:Encrypt")],
    action: "kms:CreateKey",
    answer: "identity",
  },
  "CreateKey cannot be allowed on a key": {
    who: ANN,
    identity: [allow("kms:CreateKey", { Resource: KEY })],
    action: "kms:CreateKey",
    answer: "identity",
  },
  "CreateKey for CloudHSM key stores only": {
    who: ANN,
    identity: [allow("kms:CreateKey", when("StringEquals", "kms:KeyOrigin", "AWS_CLOUDHSM"))],
    action: "kms:CreateKey",
    context: [["kms:KeyOrigin", "AWS_KMS"]],
    answer: "identity",
  },
  "a key store": {
    who: ANN,
    identity: [allow("kms:*CustomKeyStore*")],
    action: "kms:ConnectCustomKeyStore",
    answer: "allowed",
  },
  "a key store without permission": { who: ANN, action: "kms:ConnectCustomKeyStore", answer: "identity" },
  "a cluster": {
    who: ANN,
    identity: [allow("cloudhsm:*", { Resource: "arn:aws:cloudhsm:*:*:cluster/*" })],
    action: "cloudhsm:DeleteCluster",
    resource: CLUSTER,
    answer: "allowed",
  },
  "KMS permissions are none for clusters": {
    who: ANN,
    identity: ADMIN,
    action: "cloudhsm:DescribeClusters",
    answer: "identity",
  },
  "a tagged cluster": {
    who: ANN,
    identity: [allow("cloudhsm:DeleteCluster", when("StringEquals", "aws:ResourceTag/stage", "test"))],
    action: "cloudhsm:DeleteCluster",
    resource: CLUSTER,
    context: [["aws:ResourceTag/stage", "prod"]],
    answer: "identity",
  },

  // Conditions of requests and keys.
  "the encryption context fits": {
    who: ANN,
    key: [allow(DECRYPT, { ...to(ANN_ARN), ...when("StringEquals", STAGE, "prod") })],
    action: DECRYPT,
    ...inStage("prod"),
    answer: "allowed",
  },
  "the encryption context differs": {
    who: ANN,
    key: [allow(DECRYPT, { ...to(ANN_ARN), ...when("StringEquals", STAGE, "prod") })],
    action: DECRYPT,
    ...inStage("test"),
    answer: "resource",
  },
  "the encryption context is missing": {
    who: ANN,
    key: [allow(DECRYPT, { ...to(ANN_ARN), ...when("StringEquals", STAGE, "prod") })],
    action: DECRYPT,
    answer: "resource",
  },
  "an encryption context is demanded by a deny": {
    who: ANN,
    identity: ADMIN,
    key: [...DEFAULT, deny(ENCRYPT, { Principal: "*", ...when("Null", STAGE, "true") })],
    action: ENCRYPT,
    answer: "denied by key",
  },
  "the context's keys": {
    who: ANN,
    identity: [allow(DECRYPT, when("ForAllValues:StringEquals", "kms:EncryptionContextKeys", ["stage"]))],
    key: DEFAULT,
    action: DECRYPT,
    ...inStage("x"),
    answer: "allowed",
  },
  "the caller's account": {
    who: ANN,
    key: [allow("kms:*", { ...to("*"), ...when("StringEquals", "kms:CallerAccount", ACCOUNT) })],
    action: ENCRYPT,
    context: [["kms:CallerAccount", ACCOUNT]],
    answer: "allowed",
  },
  "only through a service": {
    who: ANN,
    key: [
      allow("kms:*", { ...to("*"), ...when("StringEquals", "kms:ViaService", "s3.us-east-1.amazonaws.com") }),
    ],
    action: ENCRYPT,
    answer: "resource",
  },
  "a deny outside a network: inside": {
    who: ANN,
    identity: [...ADMIN, deny("*", when("NotIpAddress", "aws:SourceIp", "10.0.0.0/8"))],
    key: DEFAULT,
    action: ENCRYPT,
    context: [["aws:SourceIp", "10.1.2.3"]],
    answer: "allowed",
  },
  "a deny outside a network: outside": {
    who: ANN,
    identity: [...ADMIN, deny("*", when("NotIpAddress", "aws:SourceIp", "10.0.0.0/8"))],
    key: DEFAULT,
    action: ENCRYPT,
    context: [["aws:SourceIp", "203.0.113.7"]],
    answer: "denied by identity",
  },
  "another Region": {
    who: ANN,
    identity: [allow("*", when("StringEquals", "aws:RequestedRegion", "eu-west-1"))],
    key: DEFAULT,
    action: ENCRYPT,
    context: [["aws:RequestedRegion", "us-east-1"]],
    answer: "identity",
  },
  "through an alias": {
    who: ANN,
    identity: [allow(ENCRYPT, when("StringLike", "kms:RequestAlias", "alias/or*"))],
    key: DEFAULT,
    action: ENCRYPT,
    context: [["kms:RequestAlias", "alias/orders"]],
    answer: "allowed",
  },
  "a key that has an alias": {
    who: ANN,
    identity: [allow(ENCRYPT, when("ForAnyValue:StringEquals", "kms:ResourceAliases", "alias/orders"))],
    key: DEFAULT,
    action: ENCRYPT,
    context: [["kms:ResourceAliases", ["alias/a", "alias/orders"]]],
    answer: "allowed",
  },
  "a key with a tag": {
    who: ANN,
    identity: [allow(ENCRYPT, when("StringEquals", "aws:ResourceTag/team", "blue"))],
    key: DEFAULT,
    action: ENCRYPT,
    context: [["aws:ResourceTag/team", "red"]],
    answer: "identity",
  },
  "a short waiting period is denied": {
    who: ANN,
    identity: [
      ...ADMIN,
      deny(
        "kms:ScheduleKeyDeletion",
        when("NumericLessThan", "kms:ScheduleKeyDeletionPendingWindowInDays", 30),
      ),
    ],
    key: DEFAULT,
    action: "kms:ScheduleKeyDeletion",
    context: [["kms:ScheduleKeyDeletionPendingWindowInDays", 7]],
    answer: "denied by identity",
  },

  // Grants.
  "a grant": { who: ANN, key: DEFAULT, grants: [grant(["Decrypt"])], action: DECRYPT, answer: "allowed" },
  "a grant of another operation": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["Encrypt"])],
    action: DECRYPT,
    answer: "identity",
  },
  "a grant of somebody else": {
    who: BOB,
    key: DEFAULT,
    grants: [grant(["Decrypt"])],
    action: DECRYPT,
    answer: "identity",
  },
  "a grant where the key policy allows nobody": {
    who: ANN,
    key: [],
    grants: [grant(["Decrypt"])],
    action: DECRYPT,
    answer: "allowed",
  },
  "a grant to the session's role": {
    who: SESSION,
    key: DEFAULT,
    grants: [grant(["Decrypt"], { GranteePrincipal: ROLE_ARN })],
    action: DECRYPT,
    answer: "allowed",
  },
  "ReEncrypt is two operations": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["ReEncryptFrom"])],
    action: "kms:ReEncryptTo",
    answer: "identity",
  },
  "a subset constraint, met": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["Decrypt"], subset({ stage: "prod" }))],
    action: DECRYPT,
    encryptionContext: { stage: "prod", more: "x" },
    answer: "allowed",
  },
  "a subset constraint, not met": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["Decrypt"], subset({ stage: "prod" }))],
    action: DECRYPT,
    encryptionContext: { stage: "Prod" },
    answer: "identity",
  },
  "a subset constraint without a context": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["Decrypt"], subset({ stage: "prod" }))],
    action: DECRYPT,
    answer: "identity",
  },
  "an equals constraint, met": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["Decrypt"], equals({ stage: "prod" }))],
    action: DECRYPT,
    encryptionContext: { stage: "prod" },
    answer: "allowed",
  },
  "an equals constraint, one pair too many": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["Decrypt"], equals({ stage: "prod" }))],
    action: DECRYPT,
    encryptionContext: { stage: "prod", more: "x" },
    answer: "identity",
  },
  "one grant of several fits": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["Decrypt"], equals({ a: "b" })), grant(["Encrypt"]), grant(["Decrypt"])],
    action: DECRYPT,
    answer: "allowed",
  },
  "DescribeKey is not constrained": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["DescribeKey"], equals({ stage: "prod" }))],
    action: "kms:DescribeKey",
    answer: "allowed",
  },
  "a grant passed on": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["CreateGrant", "Decrypt"])],
    action: CREATE_GRANT,
    context: [["kms:GrantOperations", ["Decrypt"]]],
    answer: "allowed",
  },
  "a grant passed on with more": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["CreateGrant", "Decrypt"])],
    action: CREATE_GRANT,
    context: [["kms:GrantOperations", ["Decrypt", "Encrypt"]]],
    answer: "identity",
  },
  "a constrained grant passed on without constraint": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["CreateGrant", "Decrypt"], subset({ stage: "prod" }))],
    action: CREATE_GRANT,
    context: [["kms:GrantOperations", ["Decrypt"]]],
    answer: "identity",
  },
  "an exact grant passed on as a subset": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["CreateGrant", "Decrypt"], equals({ stage: "prod" }))],
    action: CREATE_GRANT,
    context: [
      ["kms:GrantOperations", ["Decrypt"]],
      ["kms:GrantConstraintType", ["EncryptionContextSubset"]],
    ],
    encryptionContext: { stage: "prod" },
    answer: "identity",
  },
  "CreateGrant for AWS resources only": {
    who: ANN,
    key: [allow(CREATE_GRANT, { ...to(ANN_ARN), ...when("Bool", "kms:GrantIsForAWSResource", true) })],
    action: CREATE_GRANT,
    context: [["kms:GrantIsForAWSResource", false]],
    answer: "resource",
  },
  "CreateGrant of some operations": {
    who: ANN,
    key: [
      allow(CREATE_GRANT, {
        ...to(ANN_ARN),
        ...when("ForAllValues:StringEquals", "kms:GrantOperations", ["Encrypt"]),
      }),
    ],
    action: CREATE_GRANT,
    context: [["kms:GrantOperations", ["Encrypt", "Decrypt"]]],
    answer: "resource",
  },
  "CreateGrant to one grantee": {
    who: ANN,
    key: [allow(CREATE_GRANT, { ...to(ANN_ARN), ...when("StringEquals", "kms:GranteePrincipal", ROLE_ARN) })],
    action: CREATE_GRANT,
    context: [["kms:GranteePrincipal", ROLE_ARN]],
    answer: "allowed",
  },
  "the retiring principal": {
    who: BOB,
    key: DEFAULT,
    grants: [grant(["Decrypt"], { RetiringPrincipal: BOB.arn })],
    action: "kms:RetireGrant",
    answer: "allowed",
  },
  "a retiring principal may not use the grant": {
    who: BOB,
    key: DEFAULT,
    grants: [grant(["Decrypt"], { RetiringPrincipal: BOB.arn })],
    action: DECRYPT,
    answer: "identity",
  },
  "a grantee that may retire": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["Decrypt", "RetireGrant"])],
    action: "kms:RetireGrant",
    answer: "allowed",
  },
  "a grantee that may not": {
    who: ANN,
    key: DEFAULT,
    grants: [grant(["Decrypt"])],
    action: "kms:RetireGrant",
    answer: "identity",
  },

  // Another account's key: both sides must allow.
  "both sides": {
    who: STRANGER,
    identity: [allow(ENCRYPT)],
    key: [allow("kms:*", to(`arn:aws:iam::${OTHER}:root`))],
    action: ENCRYPT,
    answer: "allowed",
  },
  "the key's side only": {
    who: STRANGER,
    key: [allow("kms:*", to(STRANGER.arn))],
    action: ENCRYPT,
    answer: "identity",
  },
  "the caller's side only": {
    who: STRANGER,
    identity: ADMIN,
    key: DEFAULT,
    action: ENCRYPT,
    answer: "resource",
  },
  "a grant to another account": {
    who: STRANGER,
    identity: [allow(DECRYPT)],
    key: DEFAULT,
    grants: [grant(["Decrypt"], { GranteePrincipal: STRANGER.arn })],
    action: DECRYPT,
    answer: "allowed",
  },
};

function document(statements: readonly Statement[]): object {
  return { Version: "2012-10-17", Statement: statements };
}

/** The sentence of the refusal, "" when there is none. */
function ask(asked: Case): string {
  const policies = asked.identity === undefined ? [] : [identityPolicy(document(asked.identity))];
  const authorizer = new PolicyAuthorizer(new Map([["AKIDEXAMPLE", policies]]));
  try {
    authorizer.check({
      caller: asked.who,
      action: asked.action,
      resource: asked.resource ?? (asked.key === undefined ? "*" : KEY),
      context: conditionKeys(asked.context ?? []),
      encryptionContext: new Map(Object.entries(asked.encryptionContext ?? {})),
      ...(asked.key === undefined ? {} : { keyPolicy: JSON.stringify(document(asked.key)) }),
      grants: asked.grants ?? [],
    });
    return "";
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    expect(error.code).toBe("AccessDeniedException");
    return error.message;
  }
}

test.each(Object.entries(CASES))("%s", (_name, one) => {
  const resource = one.resource ?? (one.key === undefined ? "*" : KEY);
  const reason = REASONS[one.answer].replace("<action>", one.action);
  const sentence = `User: ${one.who.arn} is not authorized to perform: ${one.action} on resource: ${resource} ${reason}`;
  expect(ask(one)).toBe(one.answer === "allowed" ? "" : sentence);
});

test("the table has at least 60 cases", () => {
  expect(Object.keys(CASES).length).toBeGreaterThanOrEqual(60);
});

test("a key policy that cannot be read allows nobody, not even the root", () => {
  const authorizer = new PolicyAuthorizer(new Map());
  const question = { caller: ROOT, action: ENCRYPT, resource: KEY, context: conditionKeys([]) };
  for (const keyPolicy of ["", "{", "[]", '{"Statement":{"Effect":"Maybe"}}'])
    expect(() => authorizer.check({ ...question, keyPolicy })).toThrow("no resource-based policy allows");
});
