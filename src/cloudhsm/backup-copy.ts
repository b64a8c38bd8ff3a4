/** CopyBackupToRegion's work: a backup of its own in the same account's CloudHSM of another Region. */
import { copyBackupFiles } from "../hsm/token-copy.ts";
import { newBackupId } from "../core/ids.ts";
import { filesOf, forgetBackup, insertBackup, type BackupRow } from "./backup-book.ts";
import type { Tag } from "./clusters.ts";
import { invalidRequest, type CloudHsm } from "./context.ts";
import { openSoPin, sealSoPin } from "./so-pin.ts";

/**
 * Copy a backup to another Region; the caller holds the backup's mutex.
 * @returns the API's DestinationBackup structure
 * @throws AwsError CloudHsmInvalidRequestException when there is no such Region
 */
export async function copyTo(
  here: CloudHsm,
  backup: BackupRow,
  region: string,
  tags: readonly Tag[],
): Promise<object> {
  const there = await here.inRegion(region);
  if (there === undefined) throw invalidRequest(`The Region ${region} does not exist.`);
  const BackupId = newBackupId();
  const soPin = openSoPin(here, backup.BackupId, backup.SoPinSealed);
  const copied = {
    ...backup,
    BackupId,
    State: "CREATE_IN_PROGRESS",
    NeverExpires: 0,
    CopyTimestamp: there.clock.now(),
    SourceRegion: here.region,
    SourceBackup: backup.BackupId,
    SourceCluster: backup.ClusterId,
    SoPinSealed: sealSoPin(there, BackupId, soPin),
    TagList: tags,
    ResourcePolicy: null,
  } as const;
  await insertBackup(there.store.db, copied);
  try {
    await copyBackupFiles(filesOf(here, backup.BackupId), filesOf(there, BackupId));
  } catch (error) {
    await forgetBackup(there.store.db, BackupId);
    throw error;
  }
  there.reconciler.wake(BackupId);
  return {
    CreateTimestamp: backup.CreateTimestamp / 1000,
    SourceRegion: copied.SourceRegion,
    SourceBackup: copied.SourceBackup,
    SourceCluster: copied.SourceCluster,
  };
}
