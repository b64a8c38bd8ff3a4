import {
  CancelKeyDeletionCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EncryptCommand,
  ListKeysCommand,
  ScheduleKeyDeletionCommand,
  type CreateKeyCommandInput,
} from "@aws-sdk/client-kms";
import { DeleteHsmCommand, DescribeClustersCommand } from "@aws-sdk/client-cloudhsm-v2";
import { expect, test } from "vitest";
import {
  connectedStore,
  connectStore,
  createKey,
  createStore,
  disconnectStore,
  KMSUSER_PASSWORD,
  readyCluster,
  refusal,
  startKeystead,
  type Keystead,
} from "./harness.ts";

const DAY_MS = 86_400_000;

async function keyState(keystead: Keystead, KeyId: string): Promise<string> {
  const { KeyMetadata } = await keystead.kms.send(new DescribeKeyCommand({ KeyId }));
  return String(KeyMetadata?.KeyState);
}

function encrypt(keystead: Keystead, KeyId: string): Promise<unknown> {
  return keystead.kms.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from("x") }));
}

/** Bring a connected store's key into a state, and say how it is shown. */
const STATES = {
  Enabled: () => Promise.resolve(),
  Disabled: (keystead: Keystead, KeyId: string) => keystead.kms.send(new DisableKeyCommand({ KeyId })),
  PendingDeletion: (keystead: Keystead, KeyId: string) =>
    keystead.kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 })),
  Unavailable: (keystead: Keystead, _key: string, storeId: string) => disconnectStore(keystead, storeId),
} as const;

/** reference: kms-keys §3, the rows of what keystead has; "ok" or the exception, in the order of STATES. */
const USES: Readonly<Record<string, readonly [string, string, string, string]>> = {
  Encrypt: ["ok", "DisabledException", "KMSInvalidStateException", "KMSInvalidStateException"],
  CancelKeyDeletion: [
    "KMSInvalidStateException",
    "KMSInvalidStateException",
    "ok",
    "KMSInvalidStateException",
  ],
  ScheduleKeyDeletion: ["ok", "ok", "KMSInvalidStateException", "ok"],
  EnableKey: ["ok", "ok", "KMSInvalidStateException", "ok"],
  DisableKey: ["ok", "ok", "KMSInvalidStateException", "ok"],
  DescribeKey: ["ok", "ok", "ok", "ok"],
};

function use(keystead: Keystead, name: string, KeyId: string): Promise<unknown> {
  switch (name) {
    case "Encrypt":
      return encrypt(keystead, KeyId);
    case "CancelKeyDeletion":
      return keystead.kms.send(new CancelKeyDeletionCommand({ KeyId }));
    case "ScheduleKeyDeletion":
      return keystead.kms.send(new ScheduleKeyDeletionCommand({ KeyId }));
    case "EnableKey":
      return keystead.kms.send(new EnableKeyCommand({ KeyId }));
    case "DisableKey":
      return keystead.kms.send(new DisableKeyCommand({ KeyId }));
    default:
      return keystead.kms.send(new DescribeKeyCommand({ KeyId }));
  }
}

test("every use in every key state answers as the key state table says", async () => {
  const keystead = await startKeystead();
  const { storeId } = await connectedStore(keystead);
  for (const [column, [state, bring]] of Object.entries(STATES).entries()) {
    const names = Object.keys(USES);
    const keys: string[] = [];
    for (const _ of names) keys.push(await createKey(keystead, storeId));
    for (const key of keys) if (state !== "Unavailable") await bring(keystead, key, storeId);
    if (state === "Unavailable") await bring(keystead, "", storeId);
    for (const [row, name] of names.entries()) {
      const key = keys[row] ?? "";
      expect(await keyState(keystead, key), `${name} in ${state}`).toBe(state);
      const expected = USES[name]?.[column];
      const got = await refusal(use(keystead, name, key));
      expect(got === "none" ? "ok" : got, `${name} in ${state}`).toBe(expected);
    }
  }
});

test("EnableKey and DisableKey while disconnected apply when the store is connected again", async () => {
  const keystead = await startKeystead();
  const { storeId, keyArn } = await connectedStore(keystead);
  await disconnectStore(keystead, storeId);
  await keystead.kms.send(new DisableKeyCommand({ KeyId: keyArn }));
  expect(await keyState(keystead, keyArn)).toBe("Unavailable");
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  expect(await keyState(keystead, keyArn)).toBe("Disabled");
  await keystead.kms.send(new EnableKeyCommand({ KeyId: keyArn }));
  expect(await refusal(encrypt(keystead, keyArn))).toBe("none");
});

test("PendingDeletion survives a disconnect, and a cancelled deletion leaves a disabled key", async () => {
  const keystead = await startKeystead();
  const { storeId, keyArn } = await connectedStore(keystead);
  const answer = await keystead.kms.send(
    new ScheduleKeyDeletionCommand({ KeyId: keyArn, PendingWindowInDays: 8 }),
  );
  expect(answer).toMatchObject({ KeyId: keyArn, KeyState: "PendingDeletion", PendingWindowInDays: 8 });
  await disconnectStore(keystead, storeId);
  expect(await keyState(keystead, keyArn)).toBe("PendingDeletion");
  await keystead.kms.send(new CancelKeyDeletionCommand({ KeyId: keyArn }));
  expect(await keyState(keystead, keyArn)).toBe("Unavailable");
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  expect(await keyState(keystead, keyArn)).toBe("Disabled");
});

/** What the token itself holds, asked as kmsuser; the store must be disconnected and the password reset. */
async function labelsOnToken(keystead: Keystead, clusterId: string): Promise<string[]> {
  const kmsuser = { role: "crypto-user", username: "kmsuser", password: KMSUSER_PASSWORD };
  const reset = await keystead.operator(clusterId, "user change-password", {
    username: "kmsuser",
    role: "crypto-user",
    password: KMSUSER_PASSWORD,
  });
  expect(reset.error_code).toBe(0);
  const { data } = await keystead.operator(clusterId, "key list", { verbose: "true" }, kmsuser);
  const { matched_keys: keys } = data as { matched_keys: { attributes: { label: string } }[] };
  return keys.map((key) => key.attributes.label);
}

test("after the waiting period the key and its material are gone", async () => {
  const keystead = await startKeystead();
  const { cluster, storeId, keyArn } = await connectedStore(keystead);
  const kept = await createKey(keystead, storeId);
  await keystead.kms.send(new ScheduleKeyDeletionCommand({ KeyId: keyArn, PendingWindowInDays: 7 }));
  keystead.server.clock.advance(7 * DAY_MS + 1000);
  await expect
    .poll(() => refusal(keystead.kms.send(new DescribeKeyCommand({ KeyId: keyArn }))), { timeout: 10_000 })
    .toBe("NotFoundException");
  await disconnectStore(keystead, storeId);
  expect(await labelsOnToken(keystead, cluster.clusterId)).toEqual([kept]);
});

test("key material whose key falls due while disconnected is orphaned, and reported", async () => {
  const keystead = await startKeystead();
  const { cluster, storeId, keyArn } = await connectedStore(keystead);
  await keystead.kms.send(new ScheduleKeyDeletionCommand({ KeyId: keyArn, PendingWindowInDays: 7 }));
  await disconnectStore(keystead, storeId);
  keystead.server.clock.advance(7 * DAY_MS + 1000);
  await expect
    .poll(() => refusal(keystead.kms.send(new DescribeKeyCommand({ KeyId: keyArn }))), { timeout: 10_000 })
    .toBe("NotFoundException");
  expect(await labelsOnToken(keystead, cluster.clusterId)).toEqual([keyArn]);
  const { body } = await keystead.manage("GET", "health");
  expect(body).toMatchObject({ orphanedKeyMaterial: [{ keyArn, clusterId: cluster.clusterId }] });
});

const REFUSED_CREATIONS: readonly [string, CreateKeyCommandInput, string][] = [
  ["without Origin", {}, "UnsupportedOperationException"],
  ["of AWS_KMS in a store", { CustomKeyStoreId: "STORE" }, "ValidationException"],
  ["without a store", { Origin: "AWS_CLOUDHSM" }, "ValidationException"],
  [
    "in an unknown store",
    { Origin: "AWS_CLOUDHSM", CustomKeyStoreId: "cks-0" },
    "CustomKeyStoreNotFoundException",
  ],
  [
    "both spec members",
    { KeySpec: "SYMMETRIC_DEFAULT", CustomerMasterKeySpec: "SYMMETRIC_DEFAULT" },
    "ValidationException",
  ],
  ["asymmetric without usage", { KeySpec: "RSA_2048" }, "ValidationException"],
  [
    "asymmetric in a store",
    { Origin: "AWS_CLOUDHSM", CustomKeyStoreId: "STORE", KeySpec: "RSA_2048", KeyUsage: "SIGN_VERIFY" },
    "UnsupportedOperationException",
  ],
  [
    "multi-Region in a store",
    { Origin: "AWS_CLOUDHSM", CustomKeyStoreId: "STORE", MultiRegion: true },
    "UnsupportedOperationException",
  ],
  [
    "duplicate tags",
    {
      Origin: "AWS_CLOUDHSM",
      CustomKeyStoreId: "STORE",
      Tags: [
        { TagKey: "a", TagValue: "1" },
        { TagKey: "a", TagValue: "2" },
      ],
    },
    "TagException",
  ],
];

test("CreateKey refuses what custom key stores do not support", async () => {
  const keystead = await startKeystead();
  const { storeId } = await connectedStore(keystead);
  for (const [name, wish, code] of REFUSED_CREATIONS) {
    const input = wish.CustomKeyStoreId === "STORE" ? { ...wish, CustomKeyStoreId: storeId } : wish;
    expect(await refusal(keystead.kms.send(new CreateKeyCommand(input))), name).toBe(code);
  }
});

test("CreateKey needs two active HSMs in different Availability Zones, cryptography only one", async () => {
  const keystead = await startKeystead();
  const { cluster, storeId, keyArn } = await connectedStore(keystead);
  const { Clusters } = await keystead.cloudhsm.send(new DescribeClustersCommand({}));
  const hsms = Clusters?.find((one) => one.ClusterId === cluster.clusterId)?.Hsms ?? [];
  const remove = (index: number): Promise<unknown> =>
    keystead.cloudhsm.send(
      new DeleteHsmCommand({ ClusterId: cluster.clusterId, HsmId: hsms[index]?.HsmId ?? "" }),
    );
  await remove(0);
  const create = new CreateKeyCommand({ Origin: "AWS_CLOUDHSM", CustomKeyStoreId: storeId });
  await expect
    .poll(() => refusal(keystead.kms.send(create)), { timeout: 10_000 })
    .toBe("CloudHsmClusterInvalidConfigurationException");
  expect(await refusal(encrypt(keystead, keyArn))).toBe("none");
  await remove(1);
  await expect
    .poll(() => refusal(encrypt(keystead, keyArn)), { timeout: 10_000 })
    .toBe("KMSInvalidStateException");
  expect(await keyState(keystead, keyArn)).toBe("Enabled");
});

test("ListKeys pages through all keys with opaque markers, and refuses foreign ones", async () => {
  const keystead = await startKeystead();
  const { storeId, keyArn } = await connectedStore(keystead);
  const made = [keyArn];
  for (let count = 0; count < 4; count += 1) made.push(await createKey(keystead, storeId));
  const seen: string[] = [];
  let Marker: string | undefined;
  do {
    const page = await keystead.kms.send(
      new ListKeysCommand({ Limit: 2, ...(Marker === undefined ? {} : { Marker }) }),
    );
    expect(page.Keys?.length).toBeLessThanOrEqual(2);
    seen.push(...(page.Keys ?? []).map((key) => String(key.KeyArn)));
    Marker = page.NextMarker;
    expect(page.Truncated).toBe(Marker !== undefined);
  } while (Marker !== undefined);
  expect(seen.toSorted()).toEqual(made.toSorted());
  expect(await refusal(keystead.kms.send(new ListKeysCommand({ Marker: "not a marker" })))).toBe(
    "InvalidMarkerException",
  );
});

test("a key id that names nothing is refused in AWS's words", async () => {
  const keystead = await startKeystead();
  const cases: readonly [string, string][] = [
    [
      "00000000-0000-4000-8000-000000000000",
      "Key 'arn:aws:kms:us-east-1:000000000000:key/00000000-0000-4000-8000-000000000000' does not exist",
    ],
    ["no-such-key", "Invalid keyId 'no-such-key'"],
    ["arn:aws:kms:eu-west-1:000000000000:key/00000000-0000-4000-8000-000000000000", "Invalid arn eu-west-1"],
    ["alias/none", "Alias arn:aws:kms:us-east-1:000000000000:alias/none is not found."],
  ];
  for (const [KeyId, message] of cases)
    await expect(keystead.kms.send(new DescribeKeyCommand({ KeyId }))).rejects.toMatchObject({
      name: "NotFoundException",
      message,
    });
});

test("a store of a cluster without two HSMs is refused", async () => {
  const keystead = await startKeystead();
  const cluster = await readyCluster(keystead, 1);
  expect(await refusal(createStore(keystead, cluster))).toBe("CloudHsmClusterInvalidConfigurationException");
});
