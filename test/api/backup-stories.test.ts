/** The stories of the AWS guides that end in a backup: clusters, passwords and keys that are lost, and come back (reference: custom-key-stores §7, cloudhsm-v2 §6). */
import {
  CopyBackupToRegionCommand,
  CreateClusterCommand,
  CreateHsmCommand,
  CloudHSMV2Client,
  DeleteClusterCommand,
  DeleteHsmCommand,
  DescribeBackupsCommand,
  DescribeClustersCommand,
  type Backup,
  type Cluster,
} from "@aws-sdk/client-cloudhsm-v2";
import {
  DecryptCommand,
  EncryptCommand,
  ScheduleKeyDeletionCommand,
  UpdateCustomKeyStoreCommand,
} from "@aws-sdk/client-kms";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import {
  connectedStore,
  connectStore,
  createKey,
  createStore,
  disconnectStore,
  readyCluster,
  refusal,
  startKeystead,
  type Keystead,
} from "./harness.ts";
import {
  adminSetsPassword,
  disconnectFailed,
  expectFailedConnect,
  givePassword,
  tokenFiles,
} from "./connection-story.ts";

const PATIENCE = { timeout: 20_000, interval: 50 };

async function clusterOf(keystead: Keystead, clusterId: string): Promise<Cluster | undefined> {
  const { Clusters } = await keystead.cloudhsm.send(
    new DescribeClustersCommand({ Filters: { clusterIds: [clusterId] } }),
  );
  return Clusters?.[0];
}

/** The READY backups of a cluster, the newest first. */
async function backupsOf(keystead: Keystead, clusterId: string): Promise<Backup[]> {
  const { Backups = [] } = await keystead.cloudhsm.send(
    new DescribeBackupsCommand({ Filters: { clusterIds: [clusterId], states: ["READY"] } }),
  );
  return Backups;
}

/** Every HSM and then the cluster, as an operator deletes them. */
async function deleteCluster(keystead: Keystead, clusterId: string): Promise<void> {
  for (const { HsmId } of (await clusterOf(keystead, clusterId))?.Hsms ?? [])
    await keystead.cloudhsm.send(new DeleteHsmCommand({ ClusterId: clusterId, HsmId: HsmId ?? "" }));
  await vi.waitFor(
    () => keystead.cloudhsm.send(new DeleteClusterCommand({ ClusterId: clusterId })),
    PATIENCE,
  );
  await vi.waitFor(async () => {
    expect(await clusterOf(keystead, clusterId)).toBeUndefined();
  }, PATIENCE);
}

/** CreateCluster from a backup, then an HSM in two zones, by the public API alone. */
async function restore(keystead: Keystead, backup: Backup | undefined, like: Cluster): Promise<string> {
  const { Cluster } = await keystead.cloudhsm.send(
    new CreateClusterCommand({
      HsmType: "hsm2m.medium",
      SubnetIds: Object.values(like.SubnetMapping ?? {}),
      SourceBackupId: backup?.BackupId ?? "",
    }),
  );
  const clusterId = Cluster?.ClusterId ?? "";
  expect(Cluster).toMatchObject({ SourceBackupId: backup?.BackupId, Hsms: [] });
  expect(Cluster?.Certificates?.ClusterCertificate).toBe(like.Certificates?.ClusterCertificate);
  await vi.waitFor(async () => {
    expect(await clusterOf(keystead, clusterId)).toMatchObject({ State: "ACTIVE", Hsms: [] });
  }, PATIENCE);
  for (const AvailabilityZone of ["us-east-1a", "us-east-1b"])
    await keystead.cloudhsm.send(new CreateHsmCommand({ ClusterId: clusterId, AvailabilityZone }));
  await vi.waitFor(async () => {
    const { Hsms } = (await clusterOf(keystead, clusterId)) ?? {};
    expect(Hsms?.map((hsm) => hsm.State)).toEqual(["ACTIVE", "ACTIVE"]);
  }, PATIENCE);
  return clusterId;
}

async function useCluster(keystead: Keystead, storeId: string, clusterId: string): Promise<void> {
  await keystead.kms.send(
    new UpdateCustomKeyStoreCommand({ CustomKeyStoreId: storeId, CloudHsmClusterId: clusterId }),
  );
}

async function encrypt(keystead: Keystead, keyArn: string, text: string): Promise<Uint8Array> {
  const input = { KeyId: keyArn, Plaintext: Buffer.from(text) };
  const { CiphertextBlob } = await keystead.kms.send(new EncryptCommand(input));
  if (CiphertextBlob === undefined) throw new Error("no ciphertext");
  return CiphertextBlob;
}

async function decrypt(keystead: Keystead, CiphertextBlob: Uint8Array): Promise<string> {
  const { Plaintext } = await keystead.kms.send(new DecryptCommand({ CiphertextBlob }));
  return Buffer.from(Plaintext ?? []).toString();
}

/** A day passes, and with it the daily backup of a cluster. */
async function passADay(keystead: Keystead, clusterId: string): Promise<Backup> {
  const before = (await backupsOf(keystead, clusterId)).length;
  keystead.server.clock.advance(86_400_000);
  return vi.waitFor(async () => {
    const [newest, ...older] = await backupsOf(keystead, clusterId);
    if (newest === undefined || older.length < before) throw new Error("no daily backup yet");
    return newest;
  }, PATIENCE);
}

async function described(keystead: Keystead, clusterId: string): Promise<Cluster> {
  const cluster = await clusterOf(keystead, clusterId);
  if (cluster === undefined) throw new Error(`no cluster ${clusterId}`);
  return cluster;
}

test("a deleted cluster comes back from its newest backup, and yesterday's ciphertext decrypts", async () => {
  const keystead = await startKeystead();
  const { cluster, storeId, keyArn } = await connectedStore(keystead);
  const { clusterId } = cluster;
  const like = await described(keystead, clusterId);
  const ciphertext = await encrypt(keystead, keyArn, "yesterday");
  // The store is connected all the while; nothing tells it that its cluster has gone.
  await deleteCluster(keystead, clusterId);
  expect(await refusal(decrypt(keystead, ciphertext))).toBe("KMSInvalidStateException");
  await disconnectStore(keystead, storeId);
  await expectFailedConnect(keystead, { storeId, cluster }, "CLUSTER_NOT_FOUND");
  await disconnectFailed(keystead, storeId);
  const [newest] = await backupsOf(keystead, clusterId);
  const restored = await restore(keystead, newest, like);
  await useCluster(keystead, storeId, restored);
  // The last HSM's backup was made after the last rotation: KMS knows that kmsuser's password.
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  expect(await decrypt(keystead, ciphertext)).toBe("yesterday");
  expect(await decrypt(keystead, await encrypt(keystead, keyArn, "today"))).toBe("today");
  const another = await createKey(keystead, storeId);
  expect(await decrypt(keystead, await encrypt(keystead, another, "new"))).toBe("new");
  // And over a restart of the connection, with one more rotation.
  await disconnectStore(keystead, storeId);
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  expect(await decrypt(keystead, ciphertext)).toBe("yesterday");
});

test("a backup from before a rotation: INVALID_CREDENTIALS until an admin resets kmsuser", async () => {
  const keystead = await startKeystead();
  const { cluster, storeId, keyArn } = await connectedStore(keystead);
  const like = await described(keystead, cluster.clusterId);
  const ciphertext = await encrypt(keystead, keyArn, "older");
  const older = await passADay(keystead, cluster.clusterId);
  // Made beside a connected store, which did not notice.
  expect(await decrypt(keystead, ciphertext)).toBe("older");
  await disconnectStore(keystead, storeId);
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  await disconnectStore(keystead, storeId);

  const restored = await restore(keystead, older, like);
  await useCluster(keystead, storeId, restored);
  const moved = { storeId, cluster: { ...cluster, clusterId: restored } };
  await expectFailedConnect(keystead, moved, "INVALID_CREDENTIALS");
  await disconnectFailed(keystead, storeId);
  await adminSetsPassword(keystead, restored, "afterBackup1");
  await givePassword(keystead, storeId, "afterBackup1");
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  expect(await decrypt(keystead, ciphertext)).toBe("older");
});

/** Log in as kmsuser on a disconnected store's cluster, which needs an admin's new password for it first. */
async function asKmsuser(keystead: Keystead, clusterId: string, password: string) {
  await adminSetsPassword(keystead, clusterId, password);
  const credentials = { role: "crypto-user", username: "kmsuser", password };
  return (command: string, args: Readonly<Record<string, string>> = {}) =>
    keystead.operator(clusterId, command, args, credentials);
}

test("a key deleted on the HSM by hand is recovered from a backup that has it", async () => {
  const keystead = await startKeystead();
  const { cluster, storeId, keyArn } = await connectedStore(keystead);
  const { clusterId } = cluster;
  const like = await described(keystead, clusterId);
  const ciphertext = await encrypt(keystead, keyArn, "deleted by hand");
  const backup = await passADay(keystead, clusterId);
  await disconnectStore(keystead, storeId);
  const operate = await asKmsuser(keystead, clusterId, "byHand123");
  expect(await operate("key delete", { filter: `attr.label=${keyArn}` })).toMatchObject({ error_code: 0 });
  await givePassword(keystead, storeId, "byHand123");
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  expect(await refusal(decrypt(keystead, ciphertext))).toBe("KMSInvalidStateException");

  await disconnectStore(keystead, storeId);
  const restored = await restore(keystead, backup, like);
  await useCluster(keystead, storeId, restored);
  await adminSetsPassword(keystead, restored, "recovered1");
  await givePassword(keystead, storeId, "recovered1");
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  expect(await decrypt(keystead, ciphertext)).toBe("deleted by hand");
});

test("related clusters serve one key store together; others are not related", async () => {
  const keystead = await startKeystead();
  const cluster = await readyCluster(keystead);
  const storeId = await createStore(keystead, cluster);
  const like = await described(keystead, cluster.clusterId);
  const backup = await passADay(keystead, cluster.clusterId);
  const related = { ...cluster, clusterId: await restore(keystead, backup, like) };
  expect(await refusal(createStore(keystead, cluster, "TheSameCluster"))).toBe(
    "CloudHsmClusterInUseException",
  );
  expect(await refusal(createStore(keystead, related, "TheRelatedCluster"))).toBe(
    "CloudHsmClusterInUseException",
  );
  const stranger = await readyCluster(keystead);
  expect(await refusal(useCluster(keystead, storeId, stranger.clusterId))).toBe(
    "CloudHsmClusterNotRelatedException",
  );
  await useCluster(keystead, storeId, related.clusterId);
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  // Its trust anchor is the original one's: a store on the stranger needs another.
  expect(
    await refusal(createStore(keystead, { ...stranger, customerCaPem: cluster.customerCaPem }, "x")),
  ).toBe("IncorrectTrustAnchorException");
});

interface HealthAnswer {
  readonly orphanedKeyMaterial: readonly { readonly keyArn: string; readonly clusterId: string }[];
}

test("key material orphaned by a deletion while disconnected is found, and deleted as kmsuser", async () => {
  const keystead = await startKeystead();
  const { cluster, storeId, keyArn } = await connectedStore(keystead);
  const { clusterId } = cluster;
  const kept = await createKey(keystead, storeId);
  await disconnectStore(keystead, storeId);
  await keystead.kms.send(new ScheduleKeyDeletionCommand({ KeyId: keyArn, PendingWindowInDays: 7 }));
  keystead.server.clock.advance(8 * 86_400_000);
  const orphans = async (): Promise<HealthAnswer["orphanedKeyMaterial"]> =>
    ((await keystead.manage("GET", "health")).body as HealthAnswer).orphanedKeyMaterial;
  await vi.waitFor(async () => {
    expect(await orphans()).toMatchObject([{ keyArn, clusterId }]);
  }, PATIENCE);

  const operate = await asKmsuser(keystead, clusterId, "cleanUp12");
  const labels = async (): Promise<string[]> => {
    const { data } = await operate("key list");
    const keys = (data as { matched_keys: { attributes: { label: string } }[] }).matched_keys;
    return keys.map((key) => key.attributes.label).toSorted();
  };
  expect(await labels()).toEqual([keyArn, kept].toSorted());
  expect(await operate("key delete", { filter: `attr.label=${keyArn}` })).toMatchObject({ error_code: 0 });
  expect(await labels()).toEqual([kept]);
  expect(await orphans()).toEqual([]);
  await givePassword(keystead, storeId, "cleanUp12");
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  expect(await decrypt(keystead, await encrypt(keystead, kept, "kept"))).toBe("kept");
});

test("a copy in another Region restores a cluster there, with the same keys on the token", async () => {
  const keystead = await startKeystead();
  const { cluster, storeId } = await connectedStore(keystead);
  const backup = await passADay(keystead, cluster.clusterId);
  await disconnectStore(keystead, storeId);
  const west = new CloudHSMV2Client({
    endpoint: keystead.server.endpoint,
    region: "us-west-2",
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
  });
  const { DestinationBackup } = await keystead.cloudhsm.send(
    new CopyBackupToRegionCommand({ BackupId: backup.BackupId, DestinationRegion: "us-west-2" }),
  );
  expect(DestinationBackup).toMatchObject({ SourceRegion: "us-east-1", SourceBackup: backup.BackupId });
  const copy = await vi.waitFor(async () => {
    const Filters = { sourceBackupIds: [backup.BackupId ?? ""], states: ["READY"] };
    const { Backups } = await west.send(new DescribeBackupsCommand({ Filters }));
    const [only] = Backups ?? [];
    if (only === undefined) throw new Error("no copy yet");
    return only;
  }, PATIENCE);
  const world = "worlds/000000000000/us-west-2";
  const answer = await keystead.manage("POST", `${world}/backups/${copy.BackupId}/restore`, { hsms: 1 });
  expect(answer.status).toBe(201);
  const { clusterId } = answer.body as { clusterId: string };
  const credentials = { role: "admin", username: "admin", password: "Adm1nTest" };
  const { body } = await keystead.manage("POST", `${world}/clusters/${clusterId}/hsm`, {
    command: "user change-password",
    args: { username: "kmsuser", role: "crypto-user", password: "westward1" },
    credentials,
  });
  expect(body).toMatchObject({ error_code: 0 });
  const { body: listed } = await keystead.manage("POST", `${world}/clusters/${clusterId}/hsm`, {
    command: "key list",
    credentials: { role: "crypto-user", username: "kmsuser", password: "westward1" },
  });
  expect(listed).toMatchObject({ data: { total_key_count: 1 } });
});

test("a backup's files are the owner's alone, survive a restart, and a restored token keeps its label", async () => {
  const keystead = await startKeystead();
  const cluster = await readyCluster(keystead);
  const like = await described(keystead, cluster.clusterId);
  const [backup] = await backupsOf(keystead, cluster.clusterId);
  const directory = join(keystead.directory, "backups", backup?.BackupId ?? "");
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  const [home = "", ...others] = readdirSync(directory);
  expect(others).toEqual([]);
  for (const file of readdirSync(join(directory, home)))
    expect(statSync(join(directory, home, file)).mode & 0o777).toBe(0o600);
  await keystead.server.close();
  const again = await startKeystead({ dataDir: keystead.directory });
  const restored = await restore(again, backup, like);
  expect(tokenFiles(again, restored).home.endsWith(home)).toBe(true);
  const { body } = await again.manage("GET", "pkcs11");
  const { clusters } = body as { clusters: { clusterId: string; tokenLabel: string }[] };
  expect(clusters.find((one) => one.clusterId === restored)?.tokenLabel).toBe(cluster.clusterId);
  await adminSetsPassword(again, restored, "onItsOwn1");
  const storeId = await createStore(again, { ...cluster, clusterId: restored }, "Restored", "onItsOwn1");
  expect(await connectStore(again, storeId)).toBe("CONNECTED");
});
