/**
 * What time does to backups, found by a scan and never by a timer per cluster: the daily
 * backup of ACTIVE clusters, the end of the waiting period of deleted ones, and the retention
 * policy (reference: cloudhsm-v2 §6). All time is virtual time.
 */
import { reason } from "../core/errors.ts";
import { canBeBackedUp, makeBackup, removeBackup } from "./backup-making.ts";
import { findBackup, listBackups, type BackupRow } from "./backup-book.ts";
import { isAwaited } from "./backup-restore.ts";
import { activeHsms, findCluster, listClusters, type ClusterRow } from "./clusters.ts";
import type { CloudHsm } from "./context.ts";

const DAY_MS = 86_400_000;

/** A cluster that could not be backed up is tried again after this time. */
const RETRY_MS = 3_600_000;

/** The scan. A cluster that cannot be backed up is logged, and does not keep the others from it. */
export function backupKeeper(cloudhsm: CloudHsm): () => Promise<void> {
  const failed = new Map<string, number>();
  const daily = async (id: string): Promise<void> => {
    const now = cloudhsm.clock.now();
    const last = failed.get(id);
    if (last !== undefined && last <= now && now - last < RETRY_MS) return;
    failed.delete(id);
    try {
      await cloudhsm.mutexes.run(id, () => backUpDaily(cloudhsm, id));
    } catch (error) {
      failed.set(id, now);
      cloudhsm.log.error({ id, reason: reason(error) }, "the daily backup failed");
    }
  };
  return async () => {
    for (const { ClusterId } of await listClusters(cloudhsm.store.db)) await daily(ClusterId);
    await purge(cloudhsm);
  };
}

async function backUpDaily(cloudhsm: CloudHsm, clusterId: string): Promise<void> {
  const cluster = await findCluster(cloudhsm.store.db, clusterId);
  if (cluster?.State !== "ACTIVE" || !canBeBackedUp(cluster)) return;
  if ((await activeHsms(cloudhsm.store.db, clusterId)).length === 0) return;
  if (cloudhsm.clock.now() - (await lastBackedUp(cloudhsm, cluster)) >= DAY_MS)
    await makeBackup(cloudhsm, cluster);
}

/** Backups of a future that a reset of the clock has taken back do not count. */
async function lastBackedUp(cloudhsm: CloudHsm, cluster: ClusterRow): Promise<number> {
  const last = await cloudhsm.store.db
    .selectFrom("backups")
    .select((eb) => eb.fn.max("CreateTimestamp").as("at"))
    .where("ClusterId", "=", cluster.ClusterId)
    .where("CreateTimestamp", "<=", cloudhsm.clock.now())
    .executeTakeFirst();
  return last?.at ?? cluster.CreateTimestamp;
}

/** Remove what is due: deleted backups after their waiting period, and what the retention policies end. */
async function purge(cloudhsm: CloudHsm): Promise<void> {
  const { db } = cloudhsm.store;
  const now = cloudhsm.clock.now();
  const retentions = await retentionsOf(cloudhsm);
  const newest = new Map<string, string>();
  const backups = await listBackups(db);
  for (const backup of backups) if (backup.State === "READY") newest.set(backup.ClusterId, backup.BackupId);
  const isDue = (backup: BackupRow | undefined): boolean => {
    if (backup?.State === "PENDING_DELETION") return (backup.DeleteTimestamp ?? now) <= now;
    const days = retentions.get(backup?.ClusterId ?? "");
    if (backup?.State !== "READY" || days === undefined) return false;
    const spared = backup.NeverExpires === 1 || newest.get(backup.ClusterId) === backup.BackupId;
    return !spared && now - backup.CreateTimestamp >= days * DAY_MS;
  };
  for (const { BackupId } of backups.filter(isDue))
    await cloudhsm.mutexes.run(BackupId, async () => {
      // A client may have restored it, or a cluster may have been made of it, meanwhile.
      const due = isDue(await findBackup(db, BackupId)) && !(await isAwaited(cloudhsm, BackupId));
      if (due) await removeBackup(cloudhsm, { BackupId });
    });
}

/** Days by cluster; the policy of a deleted cluster goes on. Copies have no policy: their cluster is in another Region. */
async function retentionsOf(cloudhsm: CloudHsm): Promise<ReadonlyMap<string, number>> {
  const rows = await cloudhsm.store.db
    .selectFrom("clusters")
    .select(["ClusterId", "BackupRetentionValue"])
    .execute();
  return new Map(rows.map((row) => [row.ClusterId, Number(row.BackupRetentionValue)]));
}
