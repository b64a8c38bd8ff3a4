/**
 * The SO PIN of a cluster's token, that is the password of the user `admin`, sealed in the
 * cluster's row. A change is written ahead: the pending value is durable before the token
 * is touched and becomes current only after C_SetPIN, so a crash in between loses nothing.
 */
import { CKR, isCkr } from "../hsm/errors.ts";
import type { CloudHsm } from "./context.ts";
import { updateCluster, type ClusterRow } from "./clusters.ts";
import { OperatorRefusal } from "./refusal.ts";

/** @param owner id of the cluster or backup in whose row it is kept */
export function sealSoPin(cloudhsm: CloudHsm, owner: string, pin: string): Buffer {
  return cloudhsm.vault.seal(pin, owner, "so");
}

export function openSoPin(cloudhsm: CloudHsm, owner: string, sealed: Uint8Array): string {
  return cloudhsm.vault.open(sealed, owner, "so");
}

/**
 * The SO PIN that the token accepts, after settling a change that a crash interrupted.
 * @throws Pkcs11Error when the token cannot be asked, or accepts neither; both values are kept then
 */
export async function currentSoPin(cloudhsm: CloudHsm, cluster: ClusterRow): Promise<string> {
  if (cluster.SoPinSealed === null)
    throw new OperatorRefusal(
      `The cluster ${cluster.ClusterId} has no admin yet; initialize and activate it first.`,
    );
  const current = openSoPin(cloudhsm, cluster.ClusterId, cluster.SoPinSealed);
  const { PendingPinSealed } = cluster;
  if (PendingPinSealed === null) return current;
  const token = cloudhsm.tokens.of(cluster.ClusterId);
  const pending = openSoPin(cloudhsm, cluster.ClusterId, PendingPinSealed);
  try {
    await token.verify("so", pending);
  } catch (error) {
    if (!isCkr(error, CKR.PIN_INCORRECT)) throw error;
    await token.verify("so", current);
    await updateCluster(cloudhsm.store.db, cluster, NO_PENDING);
    return current;
  }
  await updateCluster(cloudhsm.store.db, cluster, { ...NO_PENDING, SoPinSealed: PendingPinSealed });
  return pending;
}

const NO_PENDING = { PendingPinSealed: null, PendingPinRole: null };

/**
 * C_SetPIN as SO. @param commit further changes of the row that must become true together with the new PIN
 * @throws Pkcs11Error with the pending value kept, for the next use to settle
 */
export async function changeSoPin(
  cloudhsm: CloudHsm,
  cluster: ClusterRow,
  next: string,
  commit: Partial<Pick<ClusterRow, "State" | "StateMessage">> = {},
): Promise<void> {
  const current = await currentSoPin(cloudhsm, cluster);
  const sealed = sealSoPin(cloudhsm, cluster.ClusterId, next);
  await updateCluster(cloudhsm.store.db, cluster, { PendingPinSealed: sealed, PendingPinRole: "so" });
  await cloudhsm.tokens.of(cluster.ClusterId).changePin("so", current, next);
  await updateCluster(cloudhsm.store.db, cluster, { ...NO_PENDING, SoPinSealed: sealed, ...commit });
}

/** The token accepted a password of `admin` that the row does not have: it was changed from outside. */
export async function adoptSoPin(cloudhsm: CloudHsm, cluster: ClusterRow, proven: string): Promise<void> {
  if (cluster.SoPinSealed !== null && openSoPin(cloudhsm, cluster.ClusterId, cluster.SoPinSealed) === proven)
    return;
  const SoPinSealed = sealSoPin(cloudhsm, cluster.ClusterId, proven);
  await updateCluster(cloudhsm.store.db, cluster, { ...NO_PENDING, SoPinSealed });
}
