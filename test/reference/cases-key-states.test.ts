/** Every operation on a key in every key state (reference: kms-keys §3): one server, one test per cell. */
import { beforeAll, describe, expect, test } from "vitest";
import { connectedStore, createKey, disconnectStore, type Keystead } from "../api/harness.ts";
import { base64, covers, expectSaid, sharedServer, type Call } from "./harness.ts";
import { expandIds } from "./rows.ts";

const STATES = ["Enabled", "Disabled", "PendingDeletion", "Unavailable"] as const;
type State = (typeof STATES)[number];

/** A key in a state, with what the operations need of it. */
interface Subject {
  readonly KeyId: string;
  readonly arn: string;
  readonly blob: string;
  readonly alias: string;
  /** Two of each, one to end. */
  readonly grants: readonly { readonly GrantId: string; readonly GrantToken: string }[];
  /** Keys of the same state for the operations that change it. */
  readonly spare: ReadonlyMap<string, string>;
  readonly policy: string;
}

/** These leave another state, so each gets a key of its own. */
const CHANGING = ["ScheduleKeyDeletion", "CancelKeyDeletion", "EnableKey", "DisableKey"] as const;
const GRANTEE = "arn:aws:iam::000000000000:role/worker";

const DISABLED = "DisabledException: <ARN> is disabled.";
const PENDING = "KMSInvalidStateException: <ARN> is pending deletion.";
const NOT_PENDING = "KMSInvalidStateException: <ARN> is not pending deletion.";
const UNAVAILABLE = "KMSInvalidStateException: <ARN> is unavailable.";
const ORIGIN =
  "UnsupportedOperationException: <ARN> origin is AWS_CLOUDHSM which is not valid for this operation.";
const PRIMARY = "UnsupportedOperationException: <ARN> is not a multi-region primary key.";
const NO_PUBLIC_KEY = "UnsupportedOperationException";
const usage = (operation: string): string =>
  `InvalidKeyUsageException: <ARN> key usage is ENCRYPT_DECRYPT which is not valid for ${operation}.`;

type Cells = readonly [enabled: string, disabled: string, pending: string, unavailable: string];
const OK = "ok";
const ALWAYS: Cells = [OK, OK, OK, OK];
const CRYPTOGRAPHY: Cells = [OK, DISABLED, PENDING, UNAVAILABLE];
const CHANGE: Cells = [OK, OK, PENDING, OK];
const NEVER: Cells = [ORIGIN, ORIGIN, ORIGIN, ORIGIN];
const same = (answer: string): Cells => [answer, answer, answer, answer];

const bytes = base64("hi");
const signing = { Message: bytes, SigningAlgorithm: "ECDSA_SHA_256" };
const mac = { Message: bytes, MacAlgorithm: "HMAC_SHA_256" };

type Row = readonly [ids: string, operation: string, input: (key: Subject) => object, cells: Cells];

const TABLE: readonly Row[] = [
  ["kms-3-Encrypt-*", "Encrypt", () => ({ Plaintext: bytes }), CRYPTOGRAPHY],
  ["kms-3-Decrypt-*", "Decrypt", ({ blob }) => ({ CiphertextBlob: blob }), CRYPTOGRAPHY],
  [
    "kms-3-ReEncrypt-*",
    "ReEncrypt",
    ({ blob, KeyId }) => ({ CiphertextBlob: blob, DestinationKeyId: KeyId }),
    CRYPTOGRAPHY,
  ],
  ["kms-3-GenerateDataKey-*", "GenerateDataKey", () => ({ KeySpec: "AES_256" }), CRYPTOGRAPHY],
  [
    "kms-3-GenerateDataKeyWithoutPlaintext-*",
    "GenerateDataKeyWithoutPlaintext",
    () => ({ KeySpec: "AES_256" }),
    CRYPTOGRAPHY,
  ],
  ["kms-3-GenerateDataKeyPair-*", "GenerateDataKeyPair", () => ({ KeyPairSpec: "RSA_2048" }), NEVER],
  [
    "kms-3-GenerateDataKeyPairWithoutPlaintext-*",
    "GenerateDataKeyPairWithoutPlaintext",
    () => ({ KeyPairSpec: "RSA_2048" }),
    NEVER,
  ],
  ["kms-3-CancelKeyDeletion-*", "CancelKeyDeletion", () => ({}), [NOT_PENDING, NOT_PENDING, OK, NOT_PENDING]],
  ["kms-3-ScheduleKeyDeletion-*", "ScheduleKeyDeletion", () => ({}), CHANGE],
  ["kms-3-EnableKey-*", "EnableKey", () => ({}), CHANGE],
  ["kms-3-DisableKey-*", "DisableKey", () => ({}), CHANGE],
  [
    "kms-3-CreateAlias-*",
    "CreateAlias",
    ({ KeyId, alias }) => ({ AliasName: `${alias}-new`, TargetKeyId: KeyId }),
    CHANGE,
  ],
  // The key as the new target; that the present one may be pending deletion has a test of its own.
  [
    "kms-3-UpdateAlias-{Enabled,Disabled,Unavailable}",
    "UpdateAlias",
    ({ KeyId, alias }) => ({ AliasName: alias, TargetKeyId: KeyId }),
    CHANGE,
  ],
  ["kms-3-ListAliases-*", "ListAliases", () => ({}), ALWAYS],
  ["kms-3-DeleteAlias-*", "DeleteAlias", ({ alias }) => ({ AliasName: alias }), ALWAYS],
  [
    "kms-3-CreateGrant-*",
    "CreateGrant",
    () => ({ GranteePrincipal: GRANTEE, Operations: ["Decrypt"] }),
    [OK, DISABLED, PENDING, OK],
  ],
  ["kms-3-ListGrants-*", "ListGrants", () => ({}), ALWAYS],
  [
    "kms-3-RetireGrant-*",
    "RetireGrant",
    ({ grants }) => ({ KeyId: undefined, GrantToken: grants[0]?.GrantToken }),
    ALWAYS,
  ],
  ["kms-3-RevokeGrant-*", "RevokeGrant", ({ grants }) => ({ GrantId: grants[1]?.GrantId }), ALWAYS],
  ["kms-3-DescribeKey-*", "DescribeKey", () => ({}), ALWAYS],
  ["kms-3-GetKeyPolicy-*", "GetKeyPolicy", () => ({}), ALWAYS],
  ["kms-3-PutKeyPolicy-*", "PutKeyPolicy", ({ policy }) => ({ Policy: policy }), ALWAYS],
  ["kms-3-ListKeyPolicies-*", "ListKeyPolicies", () => ({}), ALWAYS],
  ["kms-3-ListResourceTags-*", "ListResourceTags", () => ({}), ALWAYS],
  ["kms-3-TagResource-*", "TagResource", () => ({ Tags: [{ TagKey: "a", TagValue: "b" }] }), CHANGE],
  ["kms-3-UntagResource-*", "UntagResource", () => ({ TagKeys: ["a"] }), CHANGE],
  ["kms-3-UpdateKeyDescription-*", "UpdateKeyDescription", () => ({ Description: "d" }), CHANGE],
  ["kms-3-EnableKeyRotation-*", "EnableKeyRotation", () => ({}), NEVER],
  ["kms-3-DisableKeyRotation-*", "DisableKeyRotation", () => ({}), NEVER],
  ["kms-3-RotateKeyOnDemand-*", "RotateKeyOnDemand", () => ({}), NEVER],
  ["kms-3-GetKeyRotationStatus-*", "GetKeyRotationStatus", () => ({}), NEVER],
  ["kms-3-ListKeyRotations-*", "ListKeyRotations", () => ({}), NEVER],
  [
    "kms-3-GetParametersForImport-*",
    "GetParametersForImport",
    () => ({ WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_2048" }),
    NEVER,
  ],
  [
    "kms-3-ImportKeyMaterial-*",
    "ImportKeyMaterial",
    () => ({ ImportToken: bytes, EncryptedKeyMaterial: bytes }),
    NEVER,
  ],
  ["kms-3-DeleteImportedKeyMaterial-*", "DeleteImportedKeyMaterial", () => ({}), NEVER],
  ["kms-3-Sign-*", "Sign", () => signing, same(usage("Sign"))],
  ["kms-3-Verify-*", "Verify", () => ({ ...signing, Signature: bytes }), same(usage("Verify"))],
  ["kms-3-GenerateMac-*", "GenerateMac", () => mac, same(usage("GenerateMac"))],
  ["kms-3-VerifyMac-*", "VerifyMac", () => ({ ...mac, Mac: bytes }), same(usage("VerifyMac"))],
  [
    "kms-3-DeriveSharedSecret-*",
    "DeriveSharedSecret",
    () => ({ KeyAgreementAlgorithm: "ECDH", PublicKey: bytes }),
    same(usage("DeriveSharedSecret")),
  ],
  ["kms-3-GetPublicKey-*", "GetPublicKey", () => ({}), same(NO_PUBLIC_KEY)],
  [
    "kms-3-ReplicateKey-*",
    "ReplicateKey",
    () => ({ ReplicaRegion: "eu-west-1" }),
    [PRIMARY, DISABLED, PENDING, PRIMARY],
  ],
  [
    "kms-3-UpdatePrimaryRegion-*",
    "UpdatePrimaryRegion",
    () => ({ PrimaryRegion: "eu-west-1" }),
    [PRIMARY, DISABLED, PENDING, PRIMARY],
  ],
];

async function text(call: Call, operation: string, input: object, member: string): Promise<string> {
  const { body } = await call(operation, input);
  return String(body[member]);
}

/** Keys are made while they can be; `bring` then takes each into the state. */
async function subject(keystead: Keystead, call: Call, storeId: string, state: State): Promise<Subject> {
  const arn = await createKey(keystead, storeId);
  const KeyId = arn.slice(arn.indexOf("/") + 1);
  const alias = `alias/${state}`;
  for (const AliasName of [alias, `${alias}-kept`])
    await call("CreateAlias", { AliasName, TargetKeyId: KeyId });
  const grant = { KeyId, GranteePrincipal: GRANTEE, Operations: ["Encrypt"] };
  const grants = [await call("CreateGrant", grant), await call("CreateGrant", grant)].map(
    ({ body }) => body as { GrantId: string; GrantToken: string },
  );
  const spare = new Map<string, string>();
  for (const operation of CHANGING) spare.set(operation, await createKey(keystead, storeId));
  const blob = await text(call, "Encrypt", { KeyId, Plaintext: bytes }, "CiphertextBlob");
  const policy = await text(call, "GetKeyPolicy", { KeyId }, "Policy");
  const bring = { Disabled: "DisableKey", PendingDeletion: "ScheduleKeyDeletion" } as const;
  if (state === "Disabled" || state === "PendingDeletion")
    for (const key of [KeyId, ...spare.values()]) await call(bring[state], { KeyId: key });
  return { KeyId, arn, blob, alias, grants, spare, policy };
}

const shared = sharedServer(async (keystead, call) => {
  const { storeId } = await connectedStore(keystead);
  const subjects = new Map<State, Subject>();
  for (const state of STATES) subjects.set(state, await subject(keystead, call, storeId, state));
  return { storeId, subjects };
});

function subjectOf(state: State): Subject {
  const found = shared.subjects.get(state);
  if (found === undefined) throw new Error(`no key for ${state}`);
  return found;
}

describe.each([...STATES.entries()])("%i: %s", (column, state) => {
  // The last state: what comes before it needs the store.
  if (state === "Unavailable") beforeAll(() => disconnectStore(shared.keystead, shared.storeId));

  for (const [ids, operation, input, cells] of TABLE) {
    const id = expandIds(ids).find((one) => one.endsWith(`-${state}`));
    if (id === undefined) continue;
    test(covers(id, cells[column] ?? ""), async () => {
      const key = subjectOf(state);
      const arn = key.spare.get(operation) ?? key.arn;
      const { body } = await shared.call("DescribeKey", { KeyId: arn });
      expect(body["KeyMetadata"]).toMatchObject({ KeyState: state });
      const answer = await shared.call(operation, { KeyId: arn, ...input(key) });
      expectSaid(answer, (cells[column] ?? "").replace("<ARN>", arn));
    });
  }
});

test(
  covers("kms-3-UpdateAlias-PendingDeletion", "the present target may be, the new one may not"),
  async () => {
    const { KeyId, arn, alias } = subjectOf("PendingDeletion");
    const other = subjectOf("Enabled").KeyId;
    await shared.call("CreateAlias", { AliasName: "alias/moving", TargetKeyId: other });
    const update = (AliasName: string, TargetKeyId: string) =>
      shared.call("UpdateAlias", { AliasName, TargetKeyId });
    expectSaid(await update("alias/moving", KeyId), PENDING.replace("<ARN>", arn));
    expectSaid(await update(`${alias}-kept`, other), OK);
  },
);
