/** Resource policies share backups between accounts: kept and given back, never evaluated. */
import type { Facts, Service } from "../core/operation.ts";
import { follow } from "../core/machine.ts";
import { optional } from "../core/shape.ts";
import { backupIdOf, requireBackup, updateBackup, type BackupRow } from "./backup-book.ts";
import { invalidRequest, onAccount, type CloudHsm, type CloudHsmContext } from "./context.ts";
import { BACKUP } from "./machines.ts";
import * as shapes from "./shapes.ts";

const kept: Facts = {
  coverage: { kind: "partial", note: "The policy is kept but shares nothing with other accounts." },
};

export const resourcePolicyOperations: Service<CloudHsmContext> = {
  GetResourcePolicy: onAccount(
    kept,
    { ResourceArn: optional(shapes.cloudHsmArn) },
    async ({ ResourceArn }, { cloudhsm }) => {
      const { ResourcePolicy } = await requireBackup(cloudhsm, backupIn(cloudhsm, ResourceArn));
      return ResourcePolicy === null ? {} : { Policy: ResourcePolicy };
    },
  ),

  PutResourcePolicy: onAccount(
    kept,
    { ResourceArn: optional(shapes.cloudHsmArn), Policy: optional(shapes.resourcePolicy) },
    async ({ ResourceArn, Policy }, { cloudhsm }) => {
      const id = backupIn(cloudhsm, ResourceArn);
      if (Policy === undefined) throw invalidRequest("Name a Policy to put.");
      requireDocument(Policy);
      await changePolicy(cloudhsm, id, (backup) => {
        // AWS shares only backups in the state READY.
        follow(BACKUP, backup.State, "PutResourcePolicy", id);
        return Policy;
      });
      return { ResourceArn, Policy };
    },
  ),

  DeleteResourcePolicy: onAccount(
    kept,
    { ResourceArn: optional(shapes.cloudHsmArn) },
    async ({ ResourceArn }, { cloudhsm }) => {
      const before = await changePolicy(cloudhsm, backupIn(cloudhsm, ResourceArn), () => null);
      return { ResourceArn, ...(before === null ? {} : { Policy: before }) };
    },
  ),
};

/** @throws AwsError for a missing ARN, or one that is not a backup's */
function backupIn(cloudhsm: CloudHsm, resourceArn: string | undefined): string {
  if (resourceArn === undefined) throw invalidRequest("Name the ResourceArn of a backup.");
  if (!resourceArn.includes(":backup/"))
    throw invalidRequest(`Only backups have resource policies; ${resourceArn} is not a backup.`);
  return backupIdOf(cloudhsm, resourceArn);
}

function requireDocument(policy: string): void {
  let document: unknown;
  try {
    document = JSON.parse(policy);
  } catch {
    throw invalidRequest("The Policy is not valid JSON.");
  }
  if (typeof document !== "object" || document === null || !("Statement" in document))
    throw invalidRequest("The Policy must be a JSON object with a Statement.");
}

/** @returns the policy that was there before */
async function changePolicy(
  cloudhsm: CloudHsm,
  backupId: string,
  change: (backup: BackupRow) => string | null,
): Promise<string | null> {
  await requireBackup(cloudhsm, backupId);
  return cloudhsm.mutexes.run(backupId, async () => {
    const backup = await requireBackup(cloudhsm, backupId);
    await updateBackup(cloudhsm.store.db, backup, { ResourcePolicy: change(backup) });
    return backup.ResourcePolicy;
  });
}
