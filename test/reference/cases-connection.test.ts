/** A store's connection over its life, with what depends on it (reference: custom-key-stores §2, §4, §5, §6, §9). */
import { DeleteHsmCommand, DescribeClustersCommand } from "@aws-sdk/client-cloudhsm-v2";
import { expect, test, vi } from "vitest";
import {
  connectedStore,
  connectStore,
  createKey,
  createStore,
  disconnectStore,
  readyCluster,
  waitForStore,
  type Keystead,
} from "../api/harness.ts";
import { adminSetsPassword, givePassword } from "../api/connection-story.ts";
import { base64, covers, expectSaid, said, sharedServer, type Answer } from "./harness.ts";

const WAIT = { timeout: 20_000, interval: 50 };
const KMSUSER = { username: "kmsuser", role: "crypto-user" };

const shared = sharedServer((keystead) => connectedStore(keystead));
const call = (operation: string, input?: unknown): Promise<Answer> => shared.call(operation, input);
const onStore = (operation: string, more: object = {}): Promise<Answer> =>
  call(operation, { CustomKeyStoreId: shared.storeId, ...more });
const encrypt = (KeyId: string): Promise<Answer> => call("Encrypt", { KeyId, Plaintext: base64("x") });

async function stateOf(KeyId: string): Promise<unknown> {
  const { body } = await call("DescribeKey", { KeyId });
  return (body["KeyMetadata"] as { KeyState: string } | undefined)?.KeyState;
}

async function described(): Promise<Record<string, unknown>> {
  const { body } = await onStore("DescribeCustomKeyStores");
  return (body["CustomKeyStores"] as Record<string, unknown>[])[0] ?? {};
}

test(covers("cks-5-kmsuser-taken", "while CONNECTED nobody else is kmsuser"), async () => {
  const { keystead, cluster } = shared;
  const login = { ...KMSUSER, password: "whatever1" };
  expect(await keystead.operator(cluster.clusterId, "login", login, null)).toMatchObject({
    error_code: 1,
    data: expect.stringContaining("logged in by AWS KMS") as string,
  });
  expect(await keystead.operator(cluster.clusterId, "user change-password", login)).toMatchObject({
    error_code: 1,
  });
});

test(
  covers("cks-6-2 cks-6-3 cks-6-6 cks-2.5-empty cks-9-unavailable wire-5-InvalidState", "Disconnect"),
  async () => {
    const pending = await createKey(shared.keystead, shared.storeId);
    await call("ScheduleKeyDeletion", { KeyId: pending });
    const answer = await onStore("DisconnectCustomKeyStore");
    expect([answer.status, answer.text]).toEqual([200, "{}"]);
    expect([await stateOf(shared.keyArn), await stateOf(pending)]).toEqual([
      "Unavailable",
      "PendingDeletion",
    ]);
    expectSaid(await encrypt(shared.keyArn), `KMSInvalidStateException: ${shared.keyArn} is unavailable.`);
    expectSaid(await encrypt(pending), `KMSInvalidStateException: ${pending} is pending deletion.`);
    const cancel = await call("CancelKeyDeletion", { KeyId: shared.keyArn });
    expectSaid(cancel, `KMSInvalidStateException: ${shared.keyArn} is not pending deletion.`);
    const entry = await waitForStore(shared.keystead, shared.storeId, "DISCONNECTED");
    expect(entry.ConnectionErrorCode).toBeUndefined();
    await adminSetsPassword(shared.keystead, shared.cluster.clusterId, "logOut123");
    await givePassword(shared.keystead, shared.storeId, "logOut123");
    // A key that falls due while disconnected leaves its material: this one is to go properly.
    await call("CancelKeyDeletion", { KeyId: pending });
  },
);

test(covers("cks-4-failed", "a failed connect"), async () => {
  await givePassword(shared.keystead, shared.storeId, "wrong1234");
  expect(await connectStore(shared.keystead, shared.storeId)).toBe("INVALID_CREDENTIALS");
  expect(await described()).toMatchObject({ ConnectionState: "FAILED" });
  expect(await stateOf(shared.keyArn)).toBe("Unavailable");
  await disconnectStore(shared.keystead, shared.storeId);
  await givePassword(shared.keystead, shared.storeId, "logOut123");
});

test(covers("cks-2.4-at-once", "Connect answers before it is done"), async () => {
  const hold = { progression: "manual", times: 3 };
  await shared.keystead.manage("PUT", "transitions/kms::custom-key-store", hold);
  const answer = await onStore("ConnectCustomKeyStore");
  expect([answer.status, answer.text]).toEqual([200, "{}"]);
  expect(await described()).toMatchObject({ ConnectionState: "CONNECTING" });
  await waitForStore(shared.keystead, shared.storeId, "CONNECTED");
  await shared.keystead.manage("DELETE", "transitions/kms::custom-key-store");
});

test(
  covers("kms-2-check-value kms-2-class kms-3.1-key-deleted", "a key deleted in the HSM stays Enabled"),
  async () => {
    const { keystead, storeId, cluster } = shared;
    const keyArn = await createKey(keystead, storeId);
    const { body } = await encrypt(keyArn);
    await disconnectStore(keystead, storeId);
    await adminSetsPassword(keystead, cluster.clusterId, "byHand123");
    const credentials = { ...KMSUSER, password: "byHand123" };
    const filter = `attr.label=${keyArn}`;
    const verbose = { filter, verbose: "true" };
    const { data } = await keystead.operator(cluster.clusterId, "key list", verbose, credentials);
    const [listed] = (data as { matched_keys: { attributes: object }[] }).matched_keys;
    expect(listed?.attributes).toMatchObject({
      "key-type": "aes",
      label: keyArn,
      "check-value": expect.stringMatching(/^0x[0-9a-f]{6}$/) as string,
      class: "secret-key",
      "key-length-bytes": 32,
    });
    expect(await keystead.operator(cluster.clusterId, "key delete", { filter }, credentials)).toMatchObject({
      error_code: 0,
    });
    await givePassword(keystead, storeId, "byHand123");
    expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
    const decrypted = await call("Decrypt", { CiphertextBlob: body["CiphertextBlob"] });
    expectSaid(decrypted, /^KMSInvalidStateException: /);
    expect(await stateOf(keyArn)).toBe("Enabled");
    await call("ScheduleKeyDeletion", { KeyId: keyArn, PendingWindowInDays: 7 });
  },
);

/** The cluster's backups, the newest first. */
async function backupsOf(clusterId: string): Promise<readonly { readonly BackupId: string }[]> {
  const Filters = { clusterIds: [clusterId], states: ["READY"] };
  return (await call("BaldrApiService.DescribeBackups", { Filters })).body["Backups"] as {
    BackupId: string;
  }[];
}

type Backups = Awaited<ReturnType<typeof backupsOf>>;

/** A cluster restored from the first of these backups, over the management API. */
async function restored(keystead: Keystead, [backup]: Backups, hsms: number): Promise<string> {
  const answer = await keystead.manage("POST", `backups/${backup?.BackupId}/restore`, { hsms });
  expect(answer.status).toBe(201);
  return (answer.body as { clusterId: string }).clusterId;
}

test(
  covers(
    "cks-2.3-{ClusterNotActive,InvalidConfiguration,keys-follow} hsm-4-added-has-all",
    "related clusters",
  ),
  async () => {
    const { keystead, storeId, cluster, keyArn } = shared;
    await disconnectStore(keystead, storeId);
    const backups = await backupsOf(cluster.clusterId);
    const one = await restored(keystead, backups, 1);
    const two = await restored(keystead, backups, 2);
    const move = (CloudHsmClusterId: string): Promise<Answer> =>
      onStore("UpdateCustomKeyStore", { CloudHsmClusterId });
    expectSaid(await move(one), "CloudHsmClusterInvalidConfigurationException");
    const { body } = await call("BaldrApiService.DescribeClusters", { Filters: { clusterIds: [two] } });
    const [like] = body["Clusters"] as { SubnetMapping: object; SourceBackupId: string }[];
    await keystead.manage("PUT", "transitions/cloudhsmv2::cluster", {
      progression: "manual",
      times: 100_000,
    });
    const made = await call("BaldrApiService.CreateCluster", {
      HsmType: "hsm2m.medium",
      SubnetIds: Object.values(like?.SubnetMapping ?? {}),
      SourceBackupId: like?.SourceBackupId,
    });
    const { ClusterId } = made.body["Cluster"] as { ClusterId: string };
    expectSaid(await move(ClusterId), "CloudHsmClusterNotActiveException");
    await keystead.manage("DELETE", "transitions/cloudhsmv2::cluster");
    expectSaid(await move(two), "ok");
    const key = await call("DescribeKey", { KeyId: keyArn });
    expect(key.body["KeyMetadata"]).toMatchObject({ CloudHsmClusterId: two });
    expectSaid(await move(cluster.clusterId), "ok");
    // Both HSMs show what one token holds: users and keys are the same on each.
    const users = await keystead.operator(two, "user list");
    expect(JSON.stringify(users)).toContain('"username":"kmsuser"');
  },
);

test(
  covers(
    "kms-4-aliases-and-grants-go kms-4-store-after-keys kms-4-disconnected cks-2.6-{HasCMKs-pending,no-link}",
    "the last keys of a store",
  ),
  async () => {
    const { keystead, storeId, cluster } = shared;
    const second = await call("ListKeys");
    const KeyId = shared.keyArn;
    await call("CreateAlias", { AliasName: "alias/last", TargetKeyId: KeyId });
    const grant = { KeyId, GranteePrincipal: "arn:aws:iam::000000000000:root", Operations: ["Decrypt"] };
    const { GrantToken } = (await call("CreateGrant", grant)).body;
    for (const key of second.body["Keys"] as { KeyArn: string }[])
      await call("ScheduleKeyDeletion", { KeyId: key.KeyArn, PendingWindowInDays: 7 });
    expect(await stateOf(KeyId)).toBe("PendingDeletion");
    expectSaid(await onStore("DeleteCustomKeyStore"), "CustomKeyStoreHasCMKsException");
    keystead.server.clock.advance(8 * 86_400_000);
    await vi.waitFor(async () => expect((await call("ListKeys")).body["Keys"]).toEqual([]), WAIT);
    expect((await call("ListAliases")).body["Aliases"]).toEqual([]);
    expectSaid(await call("RetireGrant", { GrantToken }), "InvalidGrantTokenException");
    expectSaid(await onStore("DeleteCustomKeyStore"), "ok");
    await adminSetsPassword(keystead, cluster.clusterId, "again1234");
    const again = await call("CreateCustomKeyStore", {
      CustomKeyStoreName: "Again",
      CloudHsmClusterId: cluster.clusterId,
      TrustAnchorCertificate: cluster.customerCaPem,
      KeyStorePassword: "again1234",
    });
    const CustomKeyStoreId = String(again.body["CustomKeyStoreId"]);
    expect(CustomKeyStoreId).not.toBe(storeId);
    expect(await connectStore(keystead, CustomKeyStoreId)).toBe("CONNECTED");
    // Nothing of the former store's keys: this one could be deleted at once.
    await disconnectStore(keystead, CustomKeyStoreId);
    expectSaid(await call("DeleteCustomKeyStore", { CustomKeyStoreId }), "ok");
  },
);

test(covers("kms-4-backups-untouched", "a deleted key is in the backups still"), async () => {
  const { keystead } = shared;
  const cluster = await readyCluster(keystead);
  const storeId = await createStore(keystead, cluster, "BackedUp");
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  const KeyId = await createKey(keystead, storeId);
  const { length } = await backupsOf(cluster.clusterId);
  keystead.server.clock.advance(86_400_000);
  const backups = await vi.waitFor(async () => {
    const found = await backupsOf(cluster.clusterId);
    expect(found.length).toBeGreaterThan(length);
    return found;
  }, WAIT);
  await call("ScheduleKeyDeletion", { KeyId, PendingWindowInDays: 7 });
  keystead.server.clock.advance(8 * 86_400_000);
  await vi.waitFor(async () => expect(await stateOf(KeyId)).toBeUndefined(), WAIT);
  const before = await restored(keystead, backups, 1);
  await adminSetsPassword(keystead, before, "lookInto1");
  const credentials = { ...KMSUSER, password: "lookInto1" };
  const { data } = await keystead.operator(before, "key list", {}, credentials);
  expect(data).toMatchObject({ matched_keys: [{ attributes: { label: KeyId } }] });
});

const UNREACHABLE =
  "KMSInvalidStateException: KMS cannot communicate with your CloudHSM cluster. This might be a transient network issue. If you see this error repeatedly, verify that the Network ACLs and the security group rules for the VPC of your AWS CloudHSM cluster are correct.";

test(
  covers("cks-4-cluster-lost cks-8-no-hsm-crypto cks-9-unreachable", "all HSMs gone while CONNECTED"),
  async () => {
    const { keystead } = shared;
    const { storeId, cluster, keyArn } = await connectedStore(keystead);
    const { body } = await encrypt(keyArn);
    const hsms = async (): Promise<{ HsmId?: string | undefined }[]> => {
      const filter = { Filters: { clusterIds: [cluster.clusterId] } };
      return (await keystead.cloudhsm.send(new DescribeClustersCommand(filter))).Clusters?.[0]?.Hsms ?? [];
    };
    for (const { HsmId } of await hsms())
      await keystead.cloudhsm.send(
        new DeleteHsmCommand({ ClusterId: cluster.clusterId, HsmId: HsmId ?? "" }),
      );
    await vi.waitFor(async () => expect(await hsms()).toEqual([]), WAIT);
    for (const answer of [
      await encrypt(keyArn),
      await call("Decrypt", { CiphertextBlob: body["CiphertextBlob"] }),
      await call("GenerateDataKey", { KeyId: keyArn, KeySpec: "AES_256" }),
    ]) {
      expect(answer.status).toBe(400);
      expect(said(answer)).toBe(UNREACHABLE);
    }
    const entry = await waitForStore(keystead, storeId, "CONNECTED");
    expect(entry.ConnectionErrorCode).toBeUndefined();
    expect(await stateOf(keyArn)).toBe("Enabled");
  },
);
