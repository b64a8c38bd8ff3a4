/**
 * Making a backup: the token's files, copied under its header lock, and in the row what the
 * token does not hold: users, the sealed SO PIN, certificates and trust anchor. A connected
 * key store goes on working. The row comes first, so that no files are ever without one; a
 * row without files is what an interrupted run left, and is forgotten.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { newBackupId } from "../core/ids.ts";
import { follow } from "../core/machine.ts";
import { removeCopy } from "../hsm/token-copy.ts";
import {
  filesOf,
  findBackup,
  forgetBackup,
  insertBackup,
  updateBackup,
  type BackedUpUser,
  type BackupRow,
} from "./backup-book.ts";
import type { ClusterRow } from "./clusters.ts";
import type { CloudHsm } from "./context.ts";
import { BACKUP } from "./machines.ts";
import { currentSoPin, sealSoPin } from "./so-pin.ts";

/** A cluster has something to back up from its initialisation on, once its token is there. */
export function canBeBackedUp(cluster: ClusterRow): boolean {
  return (cluster.State === "ACTIVE" || cluster.State === "INITIALIZED") && cluster.SoPinSealed !== null;
}

/**
 * Back a cluster up; the caller holds its mutex.
 * @throws Pkcs11Error when there is no token to copy, or no whole one; nothing is left behind then
 */
export async function makeBackup(cloudhsm: CloudHsm, cluster: ClusterRow): Promise<string> {
  const { db } = cloudhsm.store;
  const { ClusterId } = cluster;
  const BackupId = newBackupId();
  // Settles a change of the SO PIN that a crash interrupted: the copy must have one that is known.
  const soPin = await currentSoPin(cloudhsm, cluster);
  await insertBackup(db, {
    ...NO_COPY,
    BackupId,
    ClusterId,
    State: "CREATE_IN_PROGRESS",
    CreateTimestamp: cloudhsm.clock.now(),
    DeleteTimestamp: null,
    NeverExpires: 0,
    HsmType: cluster.HsmType,
    Mode: cluster.Mode,
    ClusterState: cluster.State,
    Certificates: cluster.Certificates,
    TrustAnchor: cluster.TrustAnchor,
    TokenSerial: cluster.TokenSerial,
    SoPinSealed: sealSoPin(cloudhsm, BackupId, soPin),
    Users: await usersOf(cloudhsm, ClusterId),
    TagList: [],
    ResourcePolicy: null,
  });
  try {
    await mkdir(cloudhsm.backupDirectory, { recursive: true, mode: 0o700 });
    await cloudhsm.tokens.of(ClusterId).backup(filesOf(cloudhsm, BackupId));
  } catch (error) {
    await forgetBackup(db, BackupId);
    throw error;
  }
  cloudhsm.reconciler.wake(BackupId);
  return BackupId;
}

const NO_COPY = { CopyTimestamp: null, SourceRegion: null, SourceBackup: null, SourceCluster: null } as const;

function usersOf(cloudhsm: CloudHsm, clusterId: string): Promise<BackedUpUser[]> {
  return cloudhsm.store.db
    .selectFrom("hsm_users")
    .select(["Username", "Role", "PasswordHash", "FailedLogins", "Deleted"])
    .where("ClusterId", "=", clusterId)
    .execute();
}

/** The reconciler's driver of ids that start with `backup-`: CREATE_IN_PROGRESS → READY. */
export async function driveBackup(cloudhsm: CloudHsm, id: string, signal: AbortSignal): Promise<void> {
  const { db } = cloudhsm.store;
  const before = await findBackup(db, id);
  if (before === undefined || !existsSync(filesOf(cloudhsm, id)))
    return removeBackup(cloudhsm, { BackupId: id });
  if (before.State !== "CREATE_IN_PROGRESS") return;
  await cloudhsm.transitions.pass("cloudhsmv2::backup", id, signal);
  await cloudhsm.mutexes.run(id, async () => {
    const backup = await findBackup(db, id);
    if (signal.aborted || backup?.State !== "CREATE_IN_PROGRESS") return;
    await updateBackup(db, backup, { State: follow(BACKUP, backup.State, "created", id) });
  });
}

/** Files first: what an interruption leaves is a row that is due, and removed next time. */
export async function removeBackup(cloudhsm: CloudHsm, backup: Pick<BackupRow, "BackupId">): Promise<void> {
  await removeCopy(filesOf(cloudhsm, backup.BackupId));
  await forgetBackup(cloudhsm.store.db, backup.BackupId);
}
