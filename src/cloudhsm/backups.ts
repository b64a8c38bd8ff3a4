/** The operations on backups (reference: cloudhsm-v2 §2, §6); CreateCluster restores one, see backup-restore.ts. */
import { follow } from "../core/machine.ts";
import type { Facts, Operation, Request, Service } from "../core/operation.ts";
import { boolean, optional, type Input, type Members, type Shape } from "../core/shape.ts";
import { backupStructure, listBackups, requireBackup, updateBackup, type BackupRow } from "./backup-book.ts";
import { copyTo } from "./backup-copy.ts";
import { invalidRequest, onAccount, type CloudHsmContext } from "./context.ts";
import { BACKUP } from "./machines.ts";
import { page } from "./paging.ts";
import * as shapes from "./shapes.ts";
import { checkTags } from "./tags.ts";

/** A deleted backup can be restored for this long. */
const WAITING_MS = 7 * 86_400_000;
const FILTERS = ["backupIds", "sourceBackupIds", "clusterIds", "states", "neverExpires"] as const;

export const backupOperations: Service<CloudHsmContext> = {
  DescribeBackups: onAccount(
    { coverage: { kind: "partial", note: "Shared has no effect: no backup is shared by another account." } },
    {
      NextToken: optional(shapes.nextToken),
      MaxResults: optional(shapes.atMost(50)),
      Filters: optional(shapes.filters),
      Shared: optional(boolean()),
      SortAscending: optional(boolean()),
    },
    async (input, { cloudhsm }) => {
      const matching = selectBackups(await listBackups(cloudhsm.store.db), input.Filters ?? new Map());
      // Which order AWS has by default is unconfirmed; the newest first is what one looks for.
      const sorted = input.SortAscending === true ? matching : matching.toReversed();
      const { items, ...rest } = page("DescribeBackups", sorted, input);
      for (const { BackupId } of items) cloudhsm.transitions.observe(BackupId);
      return { Backups: items.map((backup) => backupStructure(cloudhsm, backup)), ...rest };
    },
  ),

  DeleteBackup: onBackup({}, { BackupId: shapes.backupId }, async (_input, { cloudhsm, backup }) => {
    const State = follow(BACKUP, backup.State, "DeleteBackup", backup.BackupId);
    const change = { State, DeleteTimestamp: cloudhsm.clock.now() + WAITING_MS };
    await updateBackup(cloudhsm.store.db, backup, change);
    return { Backup: backupStructure(cloudhsm, { ...backup, ...change }) };
  }),

  RestoreBackup: onBackup({}, { BackupId: shapes.backupId }, async (_input, { cloudhsm, backup }) => {
    const State = follow(BACKUP, backup.State, "RestoreBackup", backup.BackupId);
    const change = { State, DeleteTimestamp: null };
    await updateBackup(cloudhsm.store.db, backup, change);
    return { Backup: backupStructure(cloudhsm, { ...backup, ...change }) };
  }),

  ModifyBackupAttributes: onBackup(
    {},
    { BackupId: shapes.backupId, NeverExpires: boolean() },
    async (input, { cloudhsm, backup }) => {
      const State = follow(BACKUP, backup.State, "ModifyBackupAttributes", backup.BackupId);
      const change = { State, NeverExpires: input.NeverExpires ? 1 : 0 };
      await updateBackup(cloudhsm.store.db, backup, change);
      return { Backup: backupStructure(cloudhsm, { ...backup, ...change }) };
    },
  ),

  CopyBackupToRegion: onBackup(
    {},
    {
      DestinationRegion: shapes.regionName,
      BackupId: shapes.backupId,
      TagList: optional(shapes.tagList),
    },
    async ({ DestinationRegion, TagList = [] }, { cloudhsm, backup }) => {
      checkTags(TagList);
      follow(BACKUP, backup.State, "CopyBackupToRegion", backup.BackupId);
      if (DestinationRegion === cloudhsm.region)
        throw invalidRequest(
          `The backup ${backup.BackupId} is in ${DestinationRegion} already; name another Region.`,
        );
      return { DestinationBackup: await copyTo(cloudhsm, backup, DestinationRegion, TagList) };
    },
  ),
};

type Context = CloudHsmContext & Request;

/**
 * An operation on the backup that its `BackupId` names, alone on that backup.
 * @throws AwsError CloudHsmResourceNotFoundException for an unknown backup
 */
function onBackup<const M extends Members & { readonly BackupId: Shape<string> }>(
  facts: Facts,
  members: M,
  run: (input: Input<M>, context: Context & { readonly backup: BackupRow }) => Promise<object>,
): Operation<CloudHsmContext> {
  return onAccount(facts, members, async (input, context) => {
    // M has the member, but the compiler cannot look into a generic Input<M>.
    const { BackupId } = input as unknown as { readonly BackupId: string };
    const { cloudhsm } = context;
    await requireBackup(cloudhsm, BackupId);
    return cloudhsm.mutexes.run(BackupId, async () =>
      run(input, { ...context, backup: await requireBackup(cloudhsm, BackupId) }),
    );
  });
}

/** Values of one filter are alternatives, different filters must all match. */
function selectBackups(
  backups: readonly BackupRow[],
  filters: ReadonlyMap<string, readonly string[]>,
): BackupRow[] {
  for (const name of filters.keys())
    if (!(FILTERS as readonly string[]).includes(name))
      throw invalidRequest(`The filter ${name} is not one of ${FILTERS.join(", ")}.`);
  const allowed = (name: (typeof FILTERS)[number], value: string | null): boolean => {
    const values = filters.get(name);
    return values === undefined || (value !== null && values.includes(value));
  };
  return backups.filter(
    (backup) =>
      allowed("backupIds", backup.BackupId) &&
      allowed("sourceBackupIds", backup.SourceBackup) &&
      allowed("clusterIds", backup.ClusterId) &&
      allowed("states", backup.State) &&
      allowed("neverExpires", String(backup.NeverExpires === 1)),
  );
}
