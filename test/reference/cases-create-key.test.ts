/** CreateKey's members, its refusals in order, and the metadata of what it makes (reference: kms-keys §1, §4). */
import { expect, test } from "vitest";
import { createKey } from "../api/harness.ts";
import { base64, covers, expectSaid, invalid, runCases, sharedConnected, type Case } from "./harness.ts";

const shared = sharedConnected();

/** Members of a CreateKey that succeeds, with `more`. */
const inStore =
  (more: object = {}): (() => object) =>
  () => ({ Origin: "AWS_CLOUDHSM", CustomKeyStoreId: shared.storeId, ...more });
const root = { AWS: "arn:aws:iam::000000000000:root" };
const policy = JSON.stringify({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Principal: root, Action: "kms:*", Resource: "*" }],
});
const tag = (TagKey: string, TagValue = ""): object => ({ Tags: [{ TagKey, TagValue }] });
const NO_STORE = "cks-00000000000000000";
const long = (length: number): string => "x".repeat(length);
const LATIN = String.raw`[\u0009\u000A\u000D\u0020-\u00FF]+`;

const MEMBERS: readonly Case[] = [
  ["kms-1.1-Origin", "CreateKey", [{ Origin: "MINE" }, invalid.oneOf("origin", "MINE")]],
  ["kms-1.1-Origin-default", "CreateKey", [{}, "UnsupportedOperationException"]],
  [
    "kms-1.1-CustomKeyStoreId-length",
    "CreateKey",
    [{ CustomKeyStoreId: "" }, invalid.shorter("customKeyStoreId", 1, "")],
    [{ CustomKeyStoreId: long(65) }, invalid.longer("customKeyStoreId", 64, long(65))],
  ],
  [
    "kms-1.1-KeySpec",
    "CreateKey",
    [{ KeySpec: "AES_256" }, invalid.oneOf("keySpec", "AES_256")],
    [inStore({ KeySpec: "ML_DSA_44", KeyUsage: "SIGN_VERIFY" }), "UnsupportedOperationException"],
  ],
  [
    "kms-1.1-CustomerMasterKeySpec",
    "CreateKey",
    [{ CustomerMasterKeySpec: "ML_DSA_44" }, invalid.oneOf("customerMasterKeySpec", "ML_DSA_44")],
  ],
  [
    "kms-1.1-spec-and-usage-explicit",
    "CreateKey",
    [inStore({ KeySpec: "SYMMETRIC_DEFAULT", KeyUsage: "ENCRYPT_DECRYPT" }), "ok"],
  ],
  ["kms-1.1-old-spec-alone", "CreateKey", [inStore({ CustomerMasterKeySpec: "SYMMETRIC_DEFAULT" }), "ok"]],
  ["kms-1.1-KeyUsage", "CreateKey", [{ KeyUsage: "RANDOM" }, invalid.oneOf("keyUsage", "RANDOM")]],
  ["kms-1.1-MultiRegion-false", "CreateKey", [inStore({ MultiRegion: false }), "ok"]],
  [
    "kms-1.1-XksKeyId-pattern",
    "CreateKey",
    [{ XksKeyId: "a b" }, invalid.pattern("xksKeyId", "^[a-zA-Z0-9-_.]+$", "a b")],
    [{ XksKeyId: long(129) }, invalid.longer("xksKeyId", 128, long(129))],
  ],
  [
    "kms-1.1-Policy-length",
    "CreateKey",
    [
      { Policy: "" },
      /at 'policy' failed to satisfy constraint: Member must have length greater than or equal to 1/,
    ],
    [{ Policy: long(131_073) }, /Member must have length less than or equal to 131072$/],
  ],
  ["kms-1.1-Policy-characters", "CreateKey", [{ Policy: "€" }, invalid.pattern("policy", LATIN, "€")]],
  [
    "kms-1.1-TagKey-length",
    "CreateKey",
    [inStore(tag("")), invalid.shorter("tags.1.member.tagKey", 1, "")],
    [inStore(tag(long(129))), invalid.longer("tags.1.member.tagKey", 128, long(129))],
  ],
  [
    "kms-1.1-TagValue-length",
    "CreateKey",
    [inStore(tag("k", long(257))), invalid.longer("tags.1.member.tagValue", 256, long(257))],
    [inStore(tag("k", long(256))), "ok"],
  ],
];

const NO_USAGE =
  "ValidationException: You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.";
const BOTH_SPECS =
  "ValidationException: You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.";
const incompatible = (usage: string, spec: string): string =>
  `ValidationException: KeyUsage ${usage} is not compatible with KeySpec ${spec}`;

const REFUSALS: readonly Case[] = [
  [
    "kms-1.2-1",
    "CreateKey",
    // Also wrong by meaning, which is not looked at yet.
    [{ KeySpec: "RSA_2048", Description: long(8193) }, invalid.longer("description", 8192, long(8193))],
  ],
  [
    "kms-1.2-2",
    "CreateKey",
    [{ KeySpec: "SYMMETRIC_DEFAULT", CustomerMasterKeySpec: "SYMMETRIC_DEFAULT" }, BOTH_SPECS],
  ],
  ["kms-1.2-3", "CreateKey", [{ KeySpec: "RSA_2048" }, NO_USAGE], [{ KeySpec: "HMAC_256" }, NO_USAGE]],
  [
    "kms-1.2-4 wire-5-Validation",
    "CreateKey",
    [{ KeyUsage: "SIGN_VERIFY" }, incompatible("SIGN_VERIFY", "SYMMETRIC_DEFAULT")],
    [{ KeySpec: "RSA_2048", KeyUsage: "KEY_AGREEMENT" }, incompatible("KEY_AGREEMENT", "RSA_2048")],
    [inStore({ KeySpec: "HMAC_256", KeyUsage: "SIGN_VERIFY" }), incompatible("SIGN_VERIFY", "HMAC_256")],
    [
      inStore({ KeySpec: "ECC_SECG_P256K1", KeyUsage: "ENCRYPT_DECRYPT" }),
      incompatible("ENCRYPT_DECRYPT", "ECC_SECG_P256K1"),
    ],
  ],
  ["kms-1.2-5-no-store", "CreateKey", [{ Origin: "AWS_CLOUDHSM" }, "ValidationException"]],
  [
    "kms-1.2-5-wrong-origin",
    "CreateKey",
    [inStore({ Origin: undefined }), "ValidationException"],
    [inStore({ Origin: "EXTERNAL" }), "ValidationException"],
  ],
  ["kms-1.2-5-xks-key", "CreateKey", [inStore({ XksKeyId: "k" }), "ValidationException"]],
  [
    "kms-1.2-6-asymmetric",
    "CreateKey",
    [inStore({ KeySpec: "RSA_2048", KeyUsage: "SIGN_VERIFY" }), "UnsupportedOperationException"],
    [inStore({ KeySpec: "ECC_NIST_P256", KeyUsage: "KEY_AGREEMENT" }), "UnsupportedOperationException"],
  ],
  [
    "kms-1.2-6-hmac",
    "CreateKey",
    [inStore({ KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC" }), "UnsupportedOperationException"],
  ],
  ["kms-1.2-6-multi-region", "CreateKey", [inStore({ MultiRegion: true }), "UnsupportedOperationException"]],
  ["kms-1.2-7", "CreateKey", [inStore({ CustomKeyStoreId: NO_STORE }), "CustomKeyStoreNotFoundException"]],
  [
    "kms-1.2-order",
    "CreateKey",
    [inStore({ CustomKeyStoreId: NO_STORE, MultiRegion: true }), "UnsupportedOperationException"],
    [inStore({ CustomKeyStoreId: NO_STORE, Policy: "{" }), "CustomKeyStoreNotFoundException"],
    [inStore({ Policy: "{", ...tag("aws:x") }), "MalformedPolicyDocumentException"],
    [inStore(tag("aws:x")), "TagException"],
  ],
  ["kms-1.2-8", "CreateKey", [inStore({ Origin: "EXTERNAL_KEY_STORE" }), "UnsupportedOperationException"]],
];

runCases((operation, input) => shared.call(operation, input), [...MEMBERS, ...REFUSALS]);

/** The members that the guide's example has. */
const EXAMPLE = [
  "AWSAccountId",
  "Arn",
  "CloudHsmClusterId",
  "CreationDate",
  "CustomKeyStoreId",
  "CustomerMasterKeySpec",
  "Description",
  "Enabled",
  "EncryptionAlgorithms",
  "KeyId",
  "KeyManager",
  "KeySpec",
  "KeyState",
  "KeyUsage",
  "MultiRegion",
  "Origin",
];

async function metadata(KeyId: string): Promise<Record<string, unknown>> {
  const { body } = await shared.call("DescribeKey", { KeyId });
  return body["KeyMetadata"] as Record<string, unknown>;
}

test(
  covers(
    "kms-1.3-{identity,CreationDate,KeyUsage,Origin,store-and-cluster,KeyManager,spec,EncryptionAlgorithms,MultiRegion,exact-members} kms-1.1-Description-default wire-3-timestamp wire-3-boolean wire-6-{key-id,key-arn}",
    "KeyMetadata of CreateKey and DescribeKey",
  ),
  async () => {
    const { body } = await shared.call("CreateKey", inStore({ Policy: policy })());
    const made = body["KeyMetadata"] as Record<string, unknown>;
    expect(Object.keys(made).toSorted()).toEqual(EXAMPLE);
    const KeyId = String(made["KeyId"]);
    expect(KeyId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const Arn = `arn:aws:kms:us-east-1:000000000000:key/${KeyId}`;
    expect(Arn).toHaveLength(75);
    expect(made).toEqual({
      AWSAccountId: "000000000000",
      Arn,
      CloudHsmClusterId: shared.cluster.clusterId,
      CreationDate: expect.closeTo(shared.keystead.server.clock.now() / 1000, -2) as number,
      CustomKeyStoreId: shared.storeId,
      CustomerMasterKeySpec: "SYMMETRIC_DEFAULT",
      Description: "",
      Enabled: true,
      EncryptionAlgorithms: ["SYMMETRIC_DEFAULT"],
      KeyId,
      KeyManager: "CUSTOMER",
      KeySpec: "SYMMETRIC_DEFAULT",
      KeyState: "Enabled",
      KeyUsage: "ENCRYPT_DECRYPT",
      MultiRegion: false,
      Origin: "AWS_CLOUDHSM",
    });
    expect(await metadata(KeyId)).toEqual(made);
  },
);

test(
  covers("kms-1.3-Enabled kms-1.3-DeletionDate kms-3.1-cancel kms-6-Cancel-response", "over a key's life"),
  async () => {
    const KeyId = await createKey(shared.keystead, shared.storeId);
    await shared.call("DisableKey", { KeyId });
    expect(await metadata(KeyId)).toMatchObject({ Enabled: false, KeyState: "Disabled" });
    await shared.call("EnableKey", { KeyId });
    await shared.call("ScheduleKeyDeletion", { KeyId });
    const pending = await metadata(KeyId);
    expect(pending).toMatchObject({ Enabled: false, DeletionDate: expect.any(Number) as number });
    expect((await shared.call("CancelKeyDeletion", { KeyId })).body).toEqual({ KeyId });
    const cancelled = await metadata(KeyId);
    expect(cancelled).toMatchObject({ Enabled: false, KeyState: "Disabled" });
    expect(cancelled).not.toHaveProperty("DeletionDate");
  },
);

test(covers("kms-2.1-keys-of-store kms-6-ListKeys", "keys of all states, with id and ARN"), async () => {
  const KeyId = await createKey(shared.keystead, shared.storeId);
  await shared.call("ScheduleKeyDeletion", { KeyId });
  const { body } = await shared.call("ListKeys", { Limit: 1000 });
  const keys = body["Keys"] as { KeyId: string; KeyArn: string }[];
  expect(keys).toContainEqual({ KeyId: KeyId.slice(KeyId.indexOf("/") + 1), KeyArn: KeyId });
  for (const key of keys) {
    expect(key.KeyArn.endsWith(`/${key.KeyId}`)).toBe(true);
    expect((await metadata(key.KeyId))["CustomKeyStoreId"]).toBe(shared.storeId);
  }
});

const days =
  (PendingWindowInDays: number): (() => object) =>
  () => ({ KeyId: shared.keyArn, PendingWindowInDays });

runCases(
  (operation, input) => shared.call(operation, input),
  [
    [
      "kms-4-window-model",
      "ScheduleKeyDeletion",
      [days(0), invalid.less("pendingWindowInDays", 1, 0)],
      [days(366), invalid.more("pendingWindowInDays", 365, 366)],
    ],
    [
      "kms-4-window-semantic",
      "ScheduleKeyDeletion",
      [days(6), /^ValidationException: PendingWindowInDays/],
      [days(31), /^ValidationException: PendingWindowInDays/],
    ],
  ],
);

test(covers("kms-4-window-default kms-4-response", "ScheduleKeyDeletion"), async () => {
  shared.keystead.server.clock.freeze();
  const KeyId = await createKey(shared.keystead, shared.storeId);
  const { body } = await shared.call("ScheduleKeyDeletion", { KeyId: KeyId.slice(KeyId.indexOf("/") + 1) });
  expect(body).toEqual({
    KeyId,
    DeletionDate: shared.keystead.server.clock.now() / 1000 + 30 * 86_400,
    KeyState: "PendingDeletion",
    PendingWindowInDays: 30,
  });
  shared.keystead.server.clock.reset();
});

test(covers("kms-6-ListKeys-default", "a hundred a page"), async () => {
  const making = Array.from({ length: 101 }, () => createKey(shared.keystead, shared.storeId));
  await Promise.all(making);
  const { body } = await shared.call("ListKeys");
  expect(body).toMatchObject({ Truncated: true, NextMarker: expect.any(String) as string });
  expect(body["Keys"]).toHaveLength(100);
});

test(covers("kms-5.3-blob-size", "4096 bytes of plaintext"), async () => {
  const answer = await shared.call("Encrypt", { KeyId: shared.keyArn, Plaintext: base64(4096) });
  expectSaid(answer, "ok");
  expect(Buffer.from(String(answer.body["CiphertextBlob"]), "base64").length).toBeLessThanOrEqual(6144);
});
