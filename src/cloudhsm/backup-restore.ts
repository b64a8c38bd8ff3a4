/**
 * A cluster from a backup: it has the certificates, and thereby the relation to every other
 * cluster of that backup history, from the start; the token with its keys, and the users with
 * their passwords as of the backup, come with the first HSM (reference: cloudhsm-v2 §3, §6).
 */
import { follow } from "../core/machine.ts";
import type { Trx } from "../store/database.ts";
import { backupIdOf, filesOf, findBackup, requireBackup, type BackupRow } from "./backup-book.ts";
import { updateCluster, type ClusterRow } from "./clusters.ts";
import { invalidRequest, type CloudHsm } from "./context.ts";
import { BACKUP, type ClusterEvent } from "./machines.ts";
import { openSoPin, sealSoPin } from "./so-pin.ts";

/**
 * The backup that CreateCluster names.
 * @throws AwsError unknown, not READY, or of the other mode
 */
export async function restorableBackup(
  cloudhsm: CloudHsm,
  idOrArn: string,
  mode: string | undefined,
): Promise<BackupRow> {
  const backup = await requireBackup(cloudhsm, backupIdOf(cloudhsm, idOrArn));
  follow(BACKUP, backup.State, "CreateCluster", backup.BackupId);
  if (mode !== undefined && mode !== backup.Mode)
    throw invalidRequest(
      `The backup ${backup.BackupId} is of a cluster in the mode ${backup.Mode}; a cluster restored from it cannot be ${mode}.`,
    );
  return backup;
}

/** The cluster was made from a backup, and no HSM has brought its token yet. */
export function awaitsRestore(
  cluster: ClusterRow,
): cluster is ClusterRow & { readonly SourceBackupId: string } {
  return cluster.SourceBackupId !== null && cluster.SoPinSealed === null;
}

/** What the end of CreateCluster leads to: a cluster that was not activated comes back not activated. */
export async function creationOf(
  cloudhsm: CloudHsm,
  cluster: ClusterRow,
): Promise<Extract<ClusterEvent, "created" | "restored" | "restored unactivated">> {
  if (!awaitsRestore(cluster)) return "created";
  const backup = await findBackup(cloudhsm.store.db, cluster.SourceBackupId);
  return backup?.ClusterState === "INITIALIZED" ? "restored unactivated" : "restored";
}

/**
 * Put the backup's token into the cluster's place.
 * @returns what records it, in the transaction that makes the HSM ACTIVE
 * @throws Pkcs11Error when the backup's files are missing or damaged
 */
export async function restoreToken(
  cloudhsm: CloudHsm,
  cluster: ClusterRow & { readonly SourceBackupId: string },
): Promise<(trx: Trx) => Promise<void>> {
  const { ClusterId } = cluster;
  const backup = await requireBackup(cloudhsm, cluster.SourceBackupId);
  await cloudhsm.tokens.of(ClusterId).restore(filesOf(cloudhsm, backup.BackupId));
  const soPin = openSoPin(cloudhsm, backup.BackupId, backup.SoPinSealed);
  return async (trx) => {
    const SoPinSealed = sealSoPin(cloudhsm, ClusterId, soPin);
    await updateCluster(trx, cluster, { SoPinSealed, TokenSerial: backup.TokenSerial });
    // Lock-out counters come back as they were: they are part of what the HSM had.
    for (const user of backup.Users)
      await trx
        .insertInto("hsm_users")
        .values({ ClusterId, ...user })
        .execute();
  };
}

/** Clusters that still need this backup's files for their first HSM. */
export async function isAwaited(cloudhsm: CloudHsm, backupId: string): Promise<boolean> {
  const waiting = await cloudhsm.store.db
    .selectFrom("clusters")
    .select("ClusterId")
    .where("SourceBackupId", "=", backupId)
    .where("SoPinSealed", "is", null)
    .where("State", "not in", ["DELETE_IN_PROGRESS", "DELETED"])
    .executeTakeFirst();
  return waiting !== undefined;
}
