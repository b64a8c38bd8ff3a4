/** Backup rows: reading, compare-and-set, their files, and their projection to the API's Backup structure. */
import type { Selectable } from "kysely";
import { join } from "node:path";
import { AwsError } from "../core/errors.ts";
import { arn } from "../core/ids.ts";
import type { Db } from "../store/database.ts";
import type { BackupTable, HsmUserTable } from "../store/schema.ts";
import type { Certificates, Tag } from "./clusters.ts";
import { notFound, type CloudHsm } from "./context.ts";
import type { BackupState, ClusterState } from "./machines.ts";

/** A user as of the backup, deleted ones included: their record tells that the token's PIN is nobody's. */
export type BackedUpUser = Omit<Selectable<HsmUserTable>, "ClusterId">;
type JsonColumns = "Certificates" | "Users" | "TagList";
export type BackupRow = Omit<Selectable<BackupTable>, JsonColumns | "State" | "ClusterState"> & {
  readonly State: BackupState;
  readonly ClusterState: ClusterState;
  readonly Certificates: Certificates;
  readonly Users: readonly BackedUpUser[];
  readonly TagList: readonly Tag[];
};

function parse(row: Selectable<BackupTable>): BackupRow {
  return {
    ...row,
    State: row.State as BackupState,
    ClusterState: row.ClusterState as ClusterState,
    Certificates: JSON.parse(row.Certificates) as Certificates,
    Users: JSON.parse(row.Users) as BackedUpUser[],
    TagList: JSON.parse(row.TagList) as Tag[],
  };
}

/** Where a backup's copy of the token is. */
export function filesOf(cloudhsm: CloudHsm, backupId: string): string {
  return join(cloudhsm.backupDirectory, backupId);
}

export async function findBackup(db: Db, backupId: string): Promise<BackupRow | undefined> {
  const row = await db.selectFrom("backups").selectAll().where("BackupId", "=", backupId).executeTakeFirst();
  return row === undefined ? undefined : parse(row);
}

/** @throws AwsError CloudHsmResourceNotFoundException */
export async function requireBackup(cloudhsm: CloudHsm, backupId: string): Promise<BackupRow> {
  const backup = await findBackup(cloudhsm.store.db, backupId);
  if (backup === undefined) throw notFound(`The backup ${backupId} does not exist.`);
  return backup;
}

/** All backups, oldest first. */
export async function listBackups(db: Db): Promise<BackupRow[]> {
  const rows = await db
    .selectFrom("backups")
    .selectAll()
    .orderBy("CreateTimestamp")
    .orderBy("BackupId")
    .execute();
  return rows.map(parse);
}

export async function insertBackup(db: Db, row: BackupRow): Promise<void> {
  const { Certificates, Users, TagList } = row;
  const printed = {
    Certificates: JSON.stringify(Certificates),
    Users: JSON.stringify(Users),
    TagList: JSON.stringify(TagList),
  };
  await db
    .insertInto("backups")
    .values({ ...row, ...printed })
    .execute();
}

/**
 * Change a backup that is still in the state it was read in.
 * @throws AwsError CloudHsmServiceException when somebody else has moved it on: a programming error behind the mutex
 */
export async function updateBackup(
  db: Db,
  backup: Pick<BackupRow, "BackupId" | "State">,
  change: Partial<
    Pick<BackupRow, "State" | "DeleteTimestamp" | "NeverExpires" | "TagList" | "ResourcePolicy">
  >,
): Promise<void> {
  const { TagList, ...plain } = change;
  const { numUpdatedRows } = await db
    .updateTable("backups")
    .set({ ...plain, ...(TagList === undefined ? {} : { TagList: JSON.stringify(TagList) }) })
    .where("BackupId", "=", backup.BackupId)
    .where("State", "=", backup.State)
    .executeTakeFirstOrThrow();
  if (numUpdatedRows !== 1n)
    throw new AwsError(
      "CloudHsmServiceException",
      `The backup ${backup.BackupId} changed meanwhile; try again.`,
    );
}

export async function forgetBackup(db: Db, backupId: string): Promise<void> {
  await db.deleteFrom("backups").where("BackupId", "=", backupId).execute();
}

function backupArn({ region, account }: CloudHsm, backupId: string): string {
  return arn("cloudhsm", region, account, `backup/${backupId}`);
}

/**
 * The id in an id or ARN of a backup.
 * @throws AwsError CloudHsmResourceNotFoundException for an ARN of another account or Region
 */
export function backupIdOf(cloudhsm: CloudHsm, idOrArn: string): string {
  const id = idOrArn.slice(idOrArn.lastIndexOf("/") + 1);
  if (idOrArn !== id && idOrArn !== backupArn(cloudhsm, id))
    throw notFound(`The backup ${idOrArn} does not exist in this account and Region.`);
  return id;
}

/** The API's Backup structure. */
export function backupStructure(cloudhsm: CloudHsm, row: BackupRow): object {
  return {
    BackupId: row.BackupId,
    BackupArn: backupArn(cloudhsm, row.BackupId),
    BackupState: row.State,
    ClusterId: row.ClusterId,
    CreateTimestamp: row.CreateTimestamp / 1000,
    ...(row.CopyTimestamp === null ? {} : { CopyTimestamp: row.CopyTimestamp / 1000 }),
    NeverExpires: row.NeverExpires === 1,
    ...(row.SourceRegion === null ? {} : { SourceRegion: row.SourceRegion }),
    ...(row.SourceBackup === null ? {} : { SourceBackup: row.SourceBackup }),
    ...(row.SourceCluster === null ? {} : { SourceCluster: row.SourceCluster }),
    ...(row.DeleteTimestamp === null ? {} : { DeleteTimestamp: row.DeleteTimestamp / 1000 }),
    TagList: row.TagList,
    HsmType: row.HsmType,
    Mode: row.Mode,
  };
}
