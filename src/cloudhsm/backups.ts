/**
 * Backups and their sharing policies are not built yet: the operations are recognised,
 * validated and refused by name. CloudHSM's model has no "unsupported" exception, so it is
 * CloudHsmServiceException, which clients do not retry.
 */
import { AwsError } from "../core/errors.ts";
import type { Operation, Service } from "../core/operation.ts";
import { boolean, optional, type Members } from "../core/shape.ts";
import { onAccount, type CloudHsmContext } from "./context.ts";
import * as shapes from "./shapes.ts";

export const backupOperations: Service<CloudHsmContext> = {
  DescribeBackups: later("DescribeBackups", {
    NextToken: optional(shapes.nextToken),
    MaxResults: optional(shapes.atMost(50)),
    Filters: optional(shapes.filters),
    Shared: optional(boolean()),
    SortAscending: optional(boolean()),
  }),
  DeleteBackup: later("DeleteBackup", { BackupId: shapes.backupId }),
  RestoreBackup: later("RestoreBackup", { BackupId: shapes.backupId }),
  ModifyBackupAttributes: later("ModifyBackupAttributes", {
    BackupId: shapes.backupId,
    NeverExpires: boolean(),
  }),
  CopyBackupToRegion: later("CopyBackupToRegion", {
    DestinationRegion: shapes.regionName,
    BackupId: shapes.backupId,
    TagList: optional(shapes.tagList),
  }),
  GetResourcePolicy: later("GetResourcePolicy", { ResourceArn: optional(shapes.cloudHsmArn) }),
  PutResourcePolicy: later("PutResourcePolicy", {
    ResourceArn: optional(shapes.cloudHsmArn),
    Policy: optional(shapes.resourcePolicy),
  }),
  DeleteResourcePolicy: later("DeleteResourcePolicy", { ResourceArn: optional(shapes.cloudHsmArn) }),
};

function later(name: string, members: Members): Operation<CloudHsmContext> {
  return onAccount({ coverage: { kind: "later", note: "Backups are not built yet." } }, members, () =>
    Promise.reject(new AwsError("CloudHsmServiceException", `keystead does not implement ${name} yet.`)),
  );
}
