/**
 * What the reconciler does for clusters and HSMs: wait as the transition model says, then
 * make the recorded state true. Every act holds the cluster's mutex; a run that throws is
 * tried again by the reconciler, and a restart runs the same drivers.
 */
import { reason } from "../core/errors.ts";
import { follow } from "../core/machine.ts";
import { CKR, isCkr, Pkcs11Error } from "../hsm/errors.ts";
import type { Db, Trx } from "../store/database.ts";
import { canBeBackedUp, driveBackup, makeBackup } from "./backup-making.ts";
import { awaitsRestore, creationOf, restoreToken } from "./backup-restore.ts";
import { firstHsmCertificates } from "./certificates.ts";
import { findCluster, findHsm, hsmsOf, updateCluster, type ClusterRow, type HsmRow } from "./clusters.ts";
import { requireCluster, type CloudHsm } from "./context.ts";
import { CLUSTER, HSM, type ClusterState, type HsmEvent, type HsmState } from "./machines.ts";
import { currentSoPin } from "./so-pin.ts";

const CLUSTER_ACTS: Readonly<
  Partial<Record<ClusterState, (cloudhsm: CloudHsm, row: ClusterRow) => Promise<void>>>
> = {
  CREATE_IN_PROGRESS: finishCreation,
  INITIALIZE_IN_PROGRESS: initializeToken,
  DELETE_IN_PROGRESS: finishDeletion,
};
const HSM_ACTS: Readonly<Partial<Record<HsmState, (cloudhsm: CloudHsm, row: HsmRow) => Promise<void>>>> = {
  CREATE_IN_PROGRESS: finishHsmCreation,
  DELETE_IN_PROGRESS: finishHsmDeletion,
};

/** Register the reconciler's drivers of `cluster-…`, `hsm-…` and `backup-…`. */
export function registerClusterDrivers(cloudhsm: CloudHsm): void {
  const { db } = cloudhsm.store;
  cloudhsm.reconciler.drive("cluster-", async (id, signal) => {
    const before = await findCluster(db, id);
    const act = before === undefined ? undefined : CLUSTER_ACTS[before.State];
    if (act === undefined) return;
    await cloudhsm.transitions.pass("cloudhsmv2::cluster", id, signal);
    await cloudhsm.mutexes.run(id, async () => {
      const cluster = await findCluster(db, id);
      if (!signal.aborted && cluster?.State === before?.State && cluster !== undefined)
        await act(cloudhsm, cluster);
    });
  });
  cloudhsm.reconciler.drive("backup-", (id, signal) => driveBackup(cloudhsm, id, signal));
  cloudhsm.reconciler.drive("hsm-", async (id, signal) => {
    const before = await findHsm(db, id);
    const act = before === undefined ? undefined : HSM_ACTS[before.State];
    if (act === undefined || before === undefined) return;
    await cloudhsm.transitions.pass("cloudhsmv2::hsm", id, signal);
    await cloudhsm.mutexes.run(before.ClusterId, async () => {
      const hsm = await findHsm(db, id);
      if (!signal.aborted && hsm?.State === before.State) await act(cloudhsm, hsm);
    });
  });
}

/** Wake what a stop of the server left unfinished. */
export async function resumeClusters(cloudhsm: CloudHsm): Promise<void> {
  const { db } = cloudhsm.store;
  const clusters = await db
    .selectFrom("clusters")
    .select("ClusterId")
    .where("State", "like", "%_IN_PROGRESS")
    .execute();
  const hsms = await db.selectFrom("hsms").select("HsmId").where("State", "like", "%_IN_PROGRESS").execute();
  const backups = await db
    .selectFrom("backups")
    .select("BackupId")
    .where("State", "=", "CREATE_IN_PROGRESS")
    .execute();
  for (const row of clusters) cloudhsm.reconciler.wake(row.ClusterId);
  for (const row of hsms) cloudhsm.reconciler.wake(row.HsmId);
  for (const row of backups) cloudhsm.reconciler.wake(row.BackupId);
}

async function finishCreation(cloudhsm: CloudHsm, cluster: ClusterRow): Promise<void> {
  const State = follow(CLUSTER, cluster.State, await creationOf(cloudhsm, cluster), cluster.ClusterId);
  await updateCluster(cloudhsm.store.db, cluster, { State });
}

/**
 * C_InitToken with the sealed SO PIN. A token that is there already is the work of a run
 * that was interrupted after C_InitToken (which is atomic: staging and rename), so it is
 * verified, never initialised again.
 */
async function initializeToken(cloudhsm: CloudHsm, cluster: ClusterRow): Promise<void> {
  const token = cloudhsm.tokens.of(cluster.ClusterId);
  try {
    const soPin = await currentSoPin(cloudhsm, cluster);
    const present = token.present();
    if (present) await token.verify("so", soPin);
    const TokenSerial = present ? cluster.TokenSerial : await token.initialize(soPin);
    const State = follow(CLUSTER, cluster.State, "initialized", cluster.ClusterId);
    await updateCluster(cloudhsm.store.db, cluster, { State, StateMessage: null, TokenSerial });
  } catch (error) {
    const StateMessage = `Initialization is delayed (${reason(error)}); keystead tries again.`;
    await updateCluster(cloudhsm.store.db, cluster, { StateMessage });
    throw error;
  }
}

/** Only backups outlive a cluster. Its row stays as DELETED: its retention policy goes on for them. */
async function finishDeletion(cloudhsm: CloudHsm, cluster: ClusterRow): Promise<void> {
  await cloudhsm.tokens.of(cluster.ClusterId).remove();
  await cloudhsm.store.transaction(async (trx) => {
    await trx.deleteFrom("operator_sessions").where("ClusterId", "=", cluster.ClusterId).execute();
    await trx.deleteFrom("hsm_users").where("ClusterId", "=", cluster.ClusterId).execute();
    await trx.deleteFrom("orphans").where("ClusterId", "=", cluster.ClusterId).execute();
    await cloudhsm.network.deleteSecurityGroup(cluster.SecurityGroup, trx);
    const State = follow(CLUSTER, cluster.State, "deleted", cluster.ClusterId);
    const forgotten = { SoPinSealed: null, PendingPinSealed: null, PendingPinRole: null };
    await updateCluster(trx, cluster, { State, StateMessage: null, ...forgotten });
  });
}

/**
 * The first HSM of an uninitialised cluster brings the CSR and the hardware certificates; the
 * first of a restored one brings the backup's token and users. A cluster whose HSMs were all
 * removed has kept its token: that is the same as AWS's restoring of its last backup, which
 * was made when the last HSM went.
 */
async function finishHsmCreation(cloudhsm: CloudHsm, hsm: HsmRow): Promise<void> {
  const cluster = await requireCluster(cloudhsm, hsm.ClusterId);
  const first = cluster.State === "UNINITIALIZED" && cluster.Certificates.ClusterCsr === undefined;
  const Certificates = first ? await firstHsmCertificates(cloudhsm, hsm.HsmId) : cluster.Certificates;
  const restored = awaitsRestore(cluster) ? await restoreOnto(cloudhsm, cluster, hsm) : NOTHING_TO_RECORD;
  if (restored === undefined) return;
  // The new HSM is a record over the same token: it needs no backup to become one.
  await backUp(cloudhsm, cluster);
  await cloudhsm.store.transaction(async (trx) => {
    await setHsm(trx, hsm, "created", "HSM created.");
    if (first) await updateCluster(trx, cluster, { Certificates });
    await restored(trx);
  });
}

const NOTHING_TO_RECORD = (): Promise<void> => Promise.resolve();

/** @returns undefined when it failed: the HSM is DEGRADED then, and never heals, as at AWS */
async function restoreOnto(
  cloudhsm: CloudHsm,
  cluster: ClusterRow & { readonly SourceBackupId: string },
  hsm: HsmRow,
): Promise<((trx: Trx) => Promise<void>) | undefined> {
  try {
    return await restoreToken(cloudhsm, cluster);
  } catch (error) {
    cloudhsm.log.error({ id: hsm.HsmId, reason: reason(error) }, "the backup cannot be restored");
    const message = "HSM creation failed. Please delete this HSM and try again.";
    await setHsm(cloudhsm.store.db, hsm, "failed", message);
    return undefined;
  }
}

async function setHsm(db: Db, hsm: HsmRow, event: HsmEvent, StateMessage: string): Promise<void> {
  const State = follow(HSM, hsm.State, event, hsm.HsmId);
  await db.updateTable("hsms").set({ State, StateMessage }).where("HsmId", "=", hsm.HsmId).execute();
}

/** @returns why there is no backup now, of a cluster that should have one */
async function backUp(cloudhsm: CloudHsm, cluster: ClusterRow): Promise<unknown> {
  if (!canBeBackedUp(cluster)) return undefined;
  try {
    await makeBackup(cloudhsm, cluster);
    return undefined;
  } catch (error) {
    cloudhsm.log.error({ id: cluster.ClusterId, reason: reason(error) }, "the backup failed");
    return error;
  }
}

/** A token that is missing or damaged must not keep its HSMs from being deleted; a full disk may. */
function hasNothingToBackUp(error: unknown): boolean {
  return error instanceof Pkcs11Error && !isCkr(error, CKR.DEVICE_MEMORY);
}

async function finishHsmDeletion(cloudhsm: CloudHsm, hsm: HsmRow): Promise<void> {
  const cluster = await requireCluster(cloudhsm, hsm.ClusterId);
  follow(HSM, hsm.State, "deleted", hsm.HsmId);
  const failure = await backUp(cloudhsm, cluster);
  if (failure !== undefined && !hasNothingToBackUp(failure)) {
    const StateMessage = `Deletion is delayed, because the backup failed (${reason(failure)}); keystead tries again.`;
    await cloudhsm.store.db
      .updateTable("hsms")
      .set({ StateMessage })
      .where("HsmId", "=", hsm.HsmId)
      .execute();
    throw failure;
  }
  await cloudhsm.store.transaction(async (trx) => {
    await trx.deleteFrom("hsms").where("HsmId", "=", hsm.HsmId).execute();
    await cloudhsm.network.deleteNetworkInterface(hsm.EniId, trx);
    // The CSR was that HSM's own: the next first HSM brings another.
    const gone = cluster.State === "UNINITIALIZED" && (await hsmsOf(trx, cluster.ClusterId)).length === 0;
    if (gone) await updateCluster(trx, cluster, { Certificates: {} });
  });
}
