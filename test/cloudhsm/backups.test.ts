/** Backups: when they are made, their operations, what time does to them, and clusters made of them. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { backupKeeper } from "../../src/cloudhsm/backup-scan.ts";
import { resumeClusters } from "../../src/cloudhsm/drivers.ts";
import { restoreCluster } from "../../src/cloudhsm/quick-cluster.ts";
import { CKR, Pkcs11Error } from "../../src/hsm/errors.ts";
import { ADMIN, ADMIN_PASSWORD, bench, KMSUSER, type BackupView, type Bench } from "./harness.ts";

const DAY_MS = 86_400_000;
const INVALID = "CloudHsmInvalidRequestException";
const NOT_FOUND = "CloudHsmResourceNotFoundException";

async function backupsOf(b: Bench, clusterId: string): Promise<readonly BackupView[]> {
  return (await b.call("DescribeBackups", { Filters: { clusterIds: [clusterId] } })).Backups;
}

async function addHsm(b: Bench, clusterId: string, zone = "us-east-1b"): Promise<string> {
  const { Hsm } = await b.call("CreateHsm", { ClusterId: clusterId, AvailabilityZone: zone });
  await b.idle(Hsm.HsmId);
  await settleBackups(b);
  return Hsm.HsmId;
}

async function removeHsms(b: Bench, clusterId: string): Promise<void> {
  for (const { HsmId } of (await b.show(clusterId)).Hsms) {
    await b.call("DeleteHsm", { ClusterId: clusterId, HsmId });
    await b.idle(HsmId);
  }
  await settleBackups(b);
}

async function settleBackups(b: Bench): Promise<void> {
  for (const { BackupId } of (await b.call("DescribeBackups", {})).Backups) await b.idle(BackupId);
}

/** A frozen clock, so that days are whole. */
async function frozenBench(options: Parameters<typeof bench>[0] = {}): Promise<Bench> {
  const b = await bench(options);
  b.clock.freeze();
  return b;
}

/** A cluster with one READY backup, made when its second HSM was added. */
async function backedUp(b: Bench): Promise<{ clusterId: string; backup: BackupView }> {
  const clusterId = await b.ready();
  await addHsm(b, clusterId);
  const [backup, ...rest] = await backupsOf(b, clusterId);
  if (backup === undefined || rest.length > 0) throw new Error("expected one backup");
  return { clusterId, backup };
}

async function passDays(b: Bench, days: number, keep: () => Promise<void>): Promise<void> {
  for (let day = 0; day < days; day += 1) {
    b.clock.advance(DAY_MS);
    await keep();
    await settleBackups(b);
  }
}

describe("are made", () => {
  test("when an HSM is added to a cluster that has one, and before each is removed, the last one too", async () => {
    const b = await frozenBench();
    const clusterId = await b.ready();
    expect(await backupsOf(b, clusterId)).toEqual([]);
    const { HsmType, Mode } = (await b.call("DescribeClusters", {})).Clusters[0] as unknown as Record<
      string,
      string
    >;
    await addHsm(b, clusterId);
    const [made] = await backupsOf(b, clusterId);
    expect(made).toEqual({
      BackupId: expect.stringMatching(/^backup-[a-z2-7]{11}$/),
      BackupArn: `arn:aws:cloudhsm:us-east-1:000000000000:backup/${made?.BackupId}`,
      BackupState: "READY",
      ClusterId: clusterId,
      CreateTimestamp: b.clock.seconds(),
      NeverExpires: false,
      TagList: [],
      HsmType,
      Mode,
    });
    await removeHsms(b, clusterId);
    expect(await backupsOf(b, clusterId)).toHaveLength(3);
  });

  test("not of a cluster that was never initialised", async () => {
    const b = await bench();
    const SubnetIds = (await b.cloudhsm.network.subnets()).map((subnet) => subnet.SubnetId);
    const { Cluster } = await b.call("CreateCluster", { HsmType: "hsm2m.medium", SubnetIds });
    await b.idle(Cluster.ClusterId);
    await addHsm(b, Cluster.ClusterId);
    await removeHsms(b, Cluster.ClusterId);
    expect((await b.show(Cluster.ClusterId)).Hsms).toEqual([]);
    expect((await b.call("DescribeBackups", {})).Backups).toEqual([]);
  });

  test("once a day of ACTIVE clusters with an HSM, also when the clock was set back", async () => {
    const b = await frozenBench();
    const clusterId = await b.ready();
    const keep = backupKeeper(b.cloudhsm);
    await keep();
    b.clock.advance(DAY_MS - 1);
    await keep();
    expect(await backupsOf(b, clusterId)).toEqual([]);
    b.clock.advance(1);
    await keep();
    await keep();
    expect(await backupsOf(b, clusterId)).toHaveLength(1);
    // Days that nobody saw go by bring one backup, as nothing was there to be backed up in between.
    b.clock.advance(5 * DAY_MS);
    await keep();
    expect(await backupsOf(b, clusterId)).toHaveLength(2);
    b.clock.reset();
    b.clock.freeze();
    await keep();
    expect(await backupsOf(b, clusterId)).toHaveLength(2);
    b.clock.advance(2 * DAY_MS);
    await keep();
    expect(await backupsOf(b, clusterId)).toHaveLength(3);
    await removeHsms(b, clusterId);
    const last = (await backupsOf(b, clusterId)).length;
    await passDays(b, 3, keep);
    expect(await backupsOf(b, clusterId)).toHaveLength(last);
  });

  test("a cluster that cannot be backed up keeps neither its HSMs nor other clusters from anything", async () => {
    const b = await frozenBench();
    const [broken, sound] = [await b.ready(), await b.ready()];
    b.tokens.of(broken).fault = {
      verb: "backup",
      when: "before",
      error: new Pkcs11Error("token", CKR.TOKEN_NOT_PRESENT, "token directory"),
    };
    const keep = backupKeeper(b.cloudhsm);
    b.clock.advance(DAY_MS);
    await keep();
    // The next try is an hour later.
    await keep();
    expect(await backupsOf(b, broken)).toEqual([]);
    expect(await backupsOf(b, sound)).toHaveLength(1);
    b.clock.advance(3_600_000);
    await keep();
    expect(await backupsOf(b, broken)).toHaveLength(1);
    await b.tokens.of(broken).remove();
    await removeHsms(b, broken);
    expect((await b.show(broken)).Hsms).toEqual([]);
    expect(await backupsOf(b, broken)).toHaveLength(1);
  });

  test("a full disk delays the removal of an HSM until there is a backup", async () => {
    const b = await bench();
    const clusterId = await b.ready();
    const [hsm] = (await b.show(clusterId)).Hsms;
    const error = Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    b.tokens.of(clusterId).fault = { verb: "backup", when: "before", error };
    await b.call("DeleteHsm", { ClusterId: clusterId, HsmId: hsm?.HsmId });
    await b.idle(hsm?.HsmId ?? "");
    expect((await b.show(clusterId)).Hsms).toMatchObject([
      { State: "DELETE_IN_PROGRESS", StateMessage: expect.stringContaining("ENOSPC") },
    ]);
    expect(await backupsOf(b, clusterId)).toEqual([]);
    // No restart and no wake: the reconciler tries again by itself.
    const hsms = async (): Promise<unknown> => (await b.show(clusterId)).Hsms;
    await expect.poll(hsms, { timeout: 20_000 }).toEqual([]);
    expect(await backupsOf(b, clusterId)).toHaveLength(1);
  });

  test("CREATE_IN_PROGRESS until the lifecycle says so, over a restart too; without files it is forgotten", async () => {
    const directory = mkdtempSync(join(tmpdir(), "keystead-backups-"));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const b = await bench({ directory });
    b.cloudhsm.transitions.set("cloudhsmv2::backup", { progression: "manual", times: 3 });
    const clusterId = await b.ready();
    for (const zone of ["us-east-1b", "us-east-1c"]) {
      const { Hsm } = await b.call("CreateHsm", { ClusterId: clusterId, AvailabilityZone: zone });
      await b.idle(Hsm.HsmId);
    }
    const [second, first] = await backupsOf(b, clusterId);
    expect([first, second]).toMatchObject([
      { BackupState: "CREATE_IN_PROGRESS" },
      { BackupState: "CREATE_IN_PROGRESS" },
    ]);
    const input = { BackupId: first?.BackupId };
    for (const name of ["DeleteBackup", "RestoreBackup"])
      expect((await b.refused(name, input)).code).toBe(INVALID);
    await b.cloudhsm.reconciler.close();
    await b.cloudhsm.store.close();
    rmSync(join(directory, "backups", second?.BackupId ?? ""), { recursive: true });

    const after = await bench({ directory, fake: b.tokens });
    await resumeClusters(after.cloudhsm);
    await after.idle(first?.BackupId ?? "");
    await after.idle(second?.BackupId ?? "");
    expect(await backupsOf(after, clusterId)).toMatchObject([
      { BackupId: first?.BackupId, BackupState: "READY" },
    ]);
  });
});

describe("operations", () => {
  test("DescribeBackups filters, sorts and pages", async () => {
    const b = await frozenBench();
    const { clusterId, backup: oldest } = await backedUp(b);
    b.clock.advance(1000);
    await addHsm(b, clusterId, "us-east-1c");
    b.clock.advance(1000);
    const other = await backedUp(b);
    const ids = async (input: object): Promise<string[]> =>
      (await b.call("DescribeBackups", input)).Backups.map((backup) => backup.BackupId);
    const newestFirst = await ids({});
    expect(newestFirst).toHaveLength(3);
    expect([newestFirst[0], newestFirst[2]]).toEqual([other.backup.BackupId, oldest.BackupId]);
    expect(await ids({ SortAscending: true, Shared: true })).toEqual(newestFirst.toReversed());
    await b.call("ModifyBackupAttributes", { BackupId: oldest.BackupId, NeverExpires: true });
    await b.call("DeleteBackup", { BackupId: other.backup.BackupId });
    const filtered = (Filters: object): Promise<string[]> => ids({ Filters });
    expect(await filtered({ neverExpires: ["true"] })).toEqual([oldest.BackupId]);
    expect(await filtered({ states: ["PENDING_DELETION"] })).toEqual([other.backup.BackupId]);
    expect(await filtered({ backupIds: [oldest.BackupId, "backup-unknown2222"] })).toEqual([oldest.BackupId]);
    expect(await filtered({ clusterIds: [clusterId], states: ["READY"] })).toHaveLength(2);
    expect(await filtered({ clusterIds: [other.clusterId], neverExpires: ["true"] })).toEqual([]);
    expect(await filtered({ sourceBackupIds: [oldest.BackupId] })).toEqual([]);
    expect(await b.refused("DescribeBackups", { Filters: { vpcIds: ["vpc-1"] } })).toMatchObject({
      code: INVALID,
    });
    const first = await b.call("DescribeBackups", { MaxResults: 2 });
    const rest = await b.call("DescribeBackups", { MaxResults: 2, NextToken: first.NextToken });
    expect([...first.Backups, ...rest.Backups].map((backup) => backup.BackupId)).toEqual(newestFirst);
    expect(rest.NextToken).toBeUndefined();
  });

  test("DeleteBackup waits seven days, in which RestoreBackup brings it back; then files and row are gone", async () => {
    const b = await frozenBench();
    const { clusterId, backup } = await backedUp(b);
    const { BackupId } = backup;
    const keep = backupKeeper(b.cloudhsm);
    const deleted = await b.call("DeleteBackup", { BackupId });
    expect(deleted.Backup).toMatchObject({
      BackupState: "PENDING_DELETION",
      DeleteTimestamp: b.clock.seconds() + 7 * 86_400,
    });
    for (const name of ["DeleteBackup", "ModifyBackupAttributes", "CopyBackupToRegion"])
      expect(
        await b.refused(name, { BackupId, NeverExpires: true, DestinationRegion: "us-west-2" }),
      ).toMatchObject({ code: INVALID, message: expect.stringContaining("PENDING_DELETION") });
    const restored = await b.call("RestoreBackup", { BackupId });
    expect(restored.Backup).toMatchObject({ BackupState: "READY" });
    expect(restored.Backup).not.toHaveProperty("DeleteTimestamp");
    expect(await b.refused("RestoreBackup", { BackupId })).toMatchObject({ code: INVALID });
    await b.call("DeleteBackup", { BackupId });
    const files = join(b.directory, "backups", BackupId);
    await passDays(b, 6, keep);
    expect(existsSync(files)).toBe(true);
    await passDays(b, 1, keep);
    expect(existsSync(files)).toBe(false);
    expect((await backupsOf(b, clusterId)).map((one) => one.BackupId)).not.toContain(BackupId);
    for (const name of ["DeleteBackup", "RestoreBackup"])
      expect(await b.refused(name, { BackupId })).toMatchObject({ code: NOT_FOUND });
  });

  test("tags, as of clusters", async () => {
    const b = await bench();
    const { BackupId } = (await backedUp(b)).backup;
    const TagList = [{ Key: "a", Value: "1" }];
    await b.call("TagResource", { ResourceId: BackupId, TagList });
    expect((await b.call("ListTags", { ResourceId: BackupId })).TagList).toEqual(TagList);
    expect((await b.call("DescribeBackups", {})).Backups[0]?.TagList).toEqual(TagList);
    await b.call("UntagResource", { ResourceId: BackupId, TagKeyList: ["a"] });
    expect((await b.call("ListTags", { ResourceId: BackupId })).TagList).toEqual([]);
    expect((await b.refused("ListTags", { ResourceId: "backup-aaaaaaaaaaa" })).code).toBe(NOT_FOUND);
  });

  test("resource policies are kept as they were given", async () => {
    const b = await bench();
    const { clusterId, backup } = await backedUp(b);
    const ResourceArn = backup.BackupArn;
    const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [] });
    expect(await b.call("GetResourcePolicy", { ResourceArn })).toEqual({});
    expect(await b.call("PutResourcePolicy", { ResourceArn, Policy })).toEqual({ ResourceArn, Policy });
    expect(await b.call("GetResourcePolicy", { ResourceArn })).toEqual({ Policy });
    for (const wrong of ["{", "[]", "null", "1", "{}"])
      expect(await b.refused("PutResourcePolicy", { ResourceArn, Policy: wrong })).toMatchObject({
        code: INVALID,
      });
    for (const input of [{}, { Policy }, { ResourceArn }])
      expect(await b.refused("PutResourcePolicy", input)).toMatchObject({ code: INVALID });
    const elsewhere = ResourceArn.replace("us-east-1", "us-east-2");
    const cluster = ResourceArn.replace(/backup\/.*/, `cluster/${clusterId}`);
    expect(await b.refused("GetResourcePolicy", { ResourceArn: elsewhere })).toMatchObject({
      code: NOT_FOUND,
    });
    expect(await b.refused("GetResourcePolicy", { ResourceArn: cluster })).toMatchObject({ code: INVALID });
    expect(await b.call("DeleteResourcePolicy", { ResourceArn })).toEqual({ ResourceArn, Policy });
    expect(await b.call("DeleteResourcePolicy", { ResourceArn })).toEqual({ ResourceArn });
    await b.call("DeleteBackup", { BackupId: backup.BackupId });
    expect(await b.refused("PutResourcePolicy", { ResourceArn, Policy })).toMatchObject({ code: INVALID });
  });

  test("CopyBackupToRegion makes a backup in the other Region, from which a cluster can be restored there", async () => {
    const there = await bench({ region: "us-west-2" });
    const b = await bench({
      inRegion: (region) => Promise.resolve(region === "us-west-2" ? there.cloudhsm : undefined),
    });
    const { clusterId, backup } = await backedUp(b);
    const { BackupId } = backup;
    const TagList = [{ Key: "copied", Value: "" }];
    const input = { BackupId, DestinationRegion: "us-west-2", TagList };
    const source = { SourceRegion: "us-east-1", SourceBackup: BackupId, SourceCluster: clusterId };
    expect(await b.call("CopyBackupToRegion", input)).toEqual({
      DestinationBackup: { CreateTimestamp: backup.CreateTimestamp, ...source },
    });
    expect((await b.call("DescribeBackups", {})).Backups).toHaveLength(1);
    await settleBackups(there);
    const filter = { Filters: { sourceBackupIds: [BackupId] } };
    const [copy] = (await there.call("DescribeBackups", filter)).Backups;
    expect(copy).toMatchObject({
      ...source,
      BackupState: "READY",
      TagList,
      CopyTimestamp: expect.any(Number),
    });
    expect(copy?.BackupId).not.toBe(BackupId);
    const made = await restoreCluster(there.cloudhsm, { backupId: copy?.BackupId ?? "", hsms: 1 });
    expect((await there.hsm(made.clusterId, "login", ADMIN)).error_code).toBe(0);
    for (const DestinationRegion of ["us-east-1", "xx-east-9"])
      expect(await b.refused("CopyBackupToRegion", { BackupId, DestinationRegion })).toMatchObject({
        code: INVALID,
        message: expect.stringContaining(DestinationRegion),
      });
  });
});

describe("retention", () => {
  test("ends backups after the cluster's days, but spares its last one and those that never expire", async () => {
    const b = await frozenBench();
    const { clusterId, backup: first } = await backedUp(b);
    const keep = backupKeeper(b.cloudhsm);
    await b.call("ModifyCluster", {
      ClusterId: clusterId,
      BackupRetentionPolicy: { Type: "DAYS", Value: "7" },
    });
    await passDays(b, 2, keep);
    const [, forEver] = await backupsOf(b, clusterId);
    await b.call("ModifyBackupAttributes", { BackupId: forEver?.BackupId, NeverExpires: true });
    await passDays(b, 8, keep);
    const kept = (await backupsOf(b, clusterId)).map((backup) => backup.BackupId);
    expect(kept).not.toContain(first.BackupId);
    expect(kept).toContain(forEver?.BackupId);
    // Seven of the last seven days, and the one for ever.
    expect(kept).toHaveLength(8);
    // The policy goes on after the cluster's end; its last backup stays.
    await removeHsms(b, clusterId);
    const [last] = await backupsOf(b, clusterId);
    await b.call("DeleteCluster", { ClusterId: clusterId });
    await b.idle(clusterId);
    await passDays(b, 30, keep);
    expect((await backupsOf(b, clusterId)).map((backup) => backup.BackupId)).toEqual([
      last?.BackupId,
      forEver?.BackupId,
    ]);
    expect(new Set(readdirSync(join(b.directory, "backups")))).toEqual(
      new Set([last?.BackupId, forEver?.BackupId]),
    );
    // By hand even the last one can go.
    await b.call("DeleteBackup", { BackupId: last?.BackupId });
    await passDays(b, 7, keep);
    expect(await backupsOf(b, clusterId)).toHaveLength(1);
  });

  test("a backup that a cluster still waits for is not removed before its first HSM", async () => {
    const b = await frozenBench();
    const { backup } = await backedUp(b);
    const keep = backupKeeper(b.cloudhsm);
    const restored = await createFrom(b, backup.BackupId);
    await b.call("DeleteBackup", { BackupId: backup.BackupId });
    await passDays(b, 8, keep);
    await addHsm(b, restored.ClusterId, "us-east-1a");
    expect((await b.hsm(restored.ClusterId, "login", KMSUSER)).error_code).toBe(0);
    await keep();
    expect(existsSync(join(b.directory, "backups", backup.BackupId))).toBe(false);
  });
});

async function createFrom(
  b: Bench,
  SourceBackupId: string,
  more: object = {},
): Promise<Awaited<ReturnType<Bench["call"]>>["Cluster"]> {
  const SubnetIds = (await b.cloudhsm.network.subnets()).map((subnet) => subnet.SubnetId);
  const { Cluster } = await b.call("CreateCluster", {
    HsmType: "hsm2m.medium",
    SubnetIds,
    SourceBackupId,
    ...more,
  });
  await b.idle(Cluster.ClusterId);
  return Cluster;
}

describe("CreateCluster with SourceBackupId", () => {
  test.each(["id", "ARN"])(
    "by %s: certificate at once, ACTIVE without HSMs, users with the first HSM",
    async (by) => {
      const b = await bench();
      const { clusterId, backup } = await backedUp(b);
      const answered = await createFrom(b, by === "id" ? backup.BackupId : backup.BackupArn);
      const { Certificates } = await b.show(clusterId);
      expect(answered).toMatchObject({
        State: "CREATE_IN_PROGRESS",
        SourceBackupId: backup.BackupId,
        Certificates,
        Hsms: [],
      });
      const id = answered.ClusterId;
      expect(await b.show(id)).toMatchObject({ State: "ACTIVE", Hsms: [], Certificates });
      expect(await b.hsm(id, "user list")).toMatchObject({
        error_code: 1,
        data: expect.stringMatching(/no active HSM/),
      });
      await addHsm(b, id, "us-east-1a");
      // Nothing was backed up: there was no HSM to copy.
      expect(await backupsOf(b, id)).toEqual([]);
      const { data } = await b.hsm(id, "user list");
      expect(data.users.map((user) => user.username)).toEqual(["admin", "kmsuser", "app_user"]);
      await addHsm(b, id, "us-east-1b");
      expect(await backupsOf(b, id)).toHaveLength(1);
      const change = { username: "kmsuser", role: "crypto-user", password: "0therPsw" };
      expect((await b.hsm(id, "user change-password", change, { credentials: ADMIN })).error_code).toBe(0);
      // Two clusters from here on: the first one's user is as it was.
      expect((await b.hsm(clusterId, "login", KMSUSER)).error_code).toBe(0);
      expect((await b.hsm(id, "login", KMSUSER)).error_code).toBe(1);
    },
  );

  test("passwords, locks and deleted users come back as of the backup, whatever was done since", async () => {
    const b = await bench();
    const clusterId = await b.ready();
    const asAdmin = { credentials: ADMIN };
    const auditor = { username: "auditor", role: "crypto-user", password: "aud1tPsw" };
    await b.hsm(clusterId, "user create", auditor, asAdmin);
    for (let attempt = 0; attempt < 5; attempt += 1)
      await b.hsm(clusterId, "login", { ...auditor, password: "wrong123" });
    await b.hsm(clusterId, "user delete", { username: "kmsuser", role: "crypto-user" }, asAdmin);
    await addHsm(b, clusterId);
    const [backup] = await backupsOf(b, clusterId);
    const next = { username: "admin", role: "admin", password: "N3wAdm1n" };
    expect((await b.hsm(clusterId, "user change-password", next, asAdmin)).error_code).toBe(0);
    await b.hsm(
      clusterId,
      "user delete",
      { username: "auditor", role: "crypto-user" },
      { credentials: next },
    );

    const made = await restoreCluster(b.cloudhsm, { backupId: backup?.BackupId ?? "", hsms: 2 });
    const { data } = await b.hsm(made.clusterId, "user list");
    expect(data.users).toMatchObject([
      { username: "admin", locked: "false" },
      { username: "auditor", locked: "true" },
      { username: "app_user" },
    ]);
    expect((await b.hsm(made.clusterId, "login", ADMIN)).error_code).toBe(0);
    expect((await b.hsm(made.clusterId, "login", { ...next })).error_code).toBe(1);
  });

  test("a cluster that was not activated comes back not activated", async () => {
    const b = await bench();
    const id = await b.ready();
    // As it was before its activation: no users yet.
    await b.cloudhsm.store.db.updateTable("clusters").set({ State: "INITIALIZED" }).execute();
    await b.cloudhsm.store.db.deleteFrom("hsm_users").execute();
    await removeHsms(b, id);
    const [backup] = await backupsOf(b, id);
    const restored = await createFrom(b, backup?.BackupId ?? "");
    expect((await b.show(restored.ClusterId)).State).toBe("INITIALIZED");
    await addHsm(b, restored.ClusterId, "us-east-1a");
    expect(await b.hsm(restored.ClusterId, "cluster activate", { password: ADMIN_PASSWORD })).toMatchObject({
      error_code: 0,
    });
    expect((await b.show(restored.ClusterId)).State).toBe("ACTIVE");
  });

  test("a backup whose files are gone makes a DEGRADED HSM, which can only be deleted", async () => {
    const b = await bench();
    const { backup } = await backedUp(b);
    const { ClusterId } = await createFrom(b, backup.BackupId);
    rmSync(join(b.directory, "backups", backup.BackupId), { recursive: true });
    const hsmId = await addHsm(b, ClusterId, "us-east-1a");
    expect((await b.show(ClusterId)).Hsms).toMatchObject([
      { State: "DEGRADED", StateMessage: "HSM creation failed. Please delete this HSM and try again." },
    ]);
    await b.call("DeleteHsm", { ClusterId, HsmId: hsmId });
    await b.idle(hsmId);
    expect((await b.show(ClusterId)).Hsms).toEqual([]);
  });

  test("is refused for a backup that is deleted, elsewhere, or of the other mode", async () => {
    const b = await bench();
    const { backup } = await backedUp(b);
    const SubnetIds = (await b.cloudhsm.network.subnets()).map((subnet) => subnet.SubnetId);
    const input = { HsmType: "hsm2m.medium", SubnetIds, SourceBackupId: backup.BackupId };
    expect(await b.refused("CreateCluster", { ...input, Mode: "NON_FIPS" })).toMatchObject({ code: INVALID });
    const elsewhere = backup.BackupArn.replace("000000000000", "111122223333");
    expect(await b.refused("CreateCluster", { ...input, SourceBackupId: elsewhere })).toMatchObject({
      code: NOT_FOUND,
    });
    await b.call("DeleteBackup", { BackupId: backup.BackupId });
    expect(await b.refused("CreateCluster", input)).toMatchObject({ code: INVALID });
  });

  test("a cluster whose HSMs were all removed goes on with its own token", async () => {
    const b = await bench();
    const clusterId = await b.ready();
    await removeHsms(b, clusterId);
    await addHsm(b, clusterId, "us-east-1a");
    expect((await b.hsm(clusterId, "login", KMSUSER)).error_code).toBe(0);
    expect(b.tokens.of(clusterId).calls).not.toContain("restore");
  });
});
