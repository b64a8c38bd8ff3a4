/** CreateHsm and DeleteHsm (reference: cloudhsm-v2 §4). */
import { newHsmId } from "../core/ids.ts";
import { follow } from "../core/machine.ts";
import type { Service } from "../core/operation.ts";
import { optional } from "../core/shape.ts";
import { NetworkError } from "../network/errors.ts";
import type { Db } from "../store/database.ts";
import { hsmsOf, hsmStructure, type ClusterRow, type HsmRow } from "./clusters.ts";
import { invalidRequest, notFound, onCluster, type CloudHsm, type CloudHsmContext } from "./context.ts";
import { CLUSTER, HSM } from "./machines.ts";
import * as shapes from "./shapes.ts";

/** AWS's limit per cluster. The account's quota of 6 HSMs is adjustable, and left out. */
const MOST_HSMS = 28;

export const hsmOperations: Service<CloudHsmContext> = {
  CreateHsm: onCluster(
    {},
    {
      ClusterId: shapes.clusterId,
      AvailabilityZone: shapes.availabilityZone,
      IpAddress: optional(shapes.ipAddress),
    },
    async ({ AvailabilityZone, IpAddress }, { cloudhsm, cluster }) => {
      follow(CLUSTER, cluster.State, "CreateHsm", cluster.ClusterId);
      await checkRoom(cloudhsm, cluster);
      const SubnetId = cluster.SubnetMapping[AvailabilityZone];
      if (SubnetId === undefined)
        throw invalidRequest(
          `The cluster ${cluster.ClusterId} has no subnet in the Availability Zone ${AvailabilityZone}.`,
        );
      const wish = { AvailabilityZone, SubnetId, ...(IpAddress === undefined ? {} : { IpAddress }) };
      const hsm = await cloudhsm.store.transaction((trx) => makeHsm(cloudhsm, trx, cluster, wish));
      cloudhsm.reconciler.wake(hsm.HsmId);
      return { Hsm: hsmStructure(hsm) };
    },
  ),

  DeleteHsm: onCluster(
    {},
    {
      ClusterId: shapes.clusterId,
      HsmId: optional(shapes.hsmId),
      EniId: optional(shapes.eniId),
      EniIp: optional(shapes.ipAddress),
    },
    async ({ HsmId, EniId, EniIp }, { cloudhsm, cluster }) => {
      const named = [HsmId, EniId, EniIp].filter((name) => name !== undefined);
      if (named.length !== 1) throw invalidRequest("Name the HSM by exactly one of HsmId, EniId and EniIp.");
      const hsm = (await hsmsOf(cloudhsm.store.db, cluster.ClusterId)).find(
        (one) => one.HsmId === HsmId || one.EniId === EniId || one.EniIp === EniIp,
      );
      if (hsm === undefined) throw notFound(`The cluster ${cluster.ClusterId} has no HSM ${named[0] ?? ""}.`);
      follow(CLUSTER, cluster.State, "DeleteHsm", cluster.ClusterId);
      await cloudhsm.store.db
        .updateTable("hsms")
        .set({
          State: follow(HSM, hsm.State, "DeleteHsm", hsm.HsmId),
          StateMessage: "The HSM is being deleted.",
        })
        .where("HsmId", "=", hsm.HsmId)
        .where("State", "=", hsm.State)
        .execute();
      cloudhsm.reconciler.wake(hsm.HsmId);
      return { HsmId: hsm.HsmId };
    },
  ),
};

async function checkRoom(cloudhsm: CloudHsm, cluster: ClusterRow): Promise<void> {
  const { length } = await hsmsOf(cloudhsm.store.db, cluster.ClusterId);
  if (cluster.State !== "ACTIVE" && length > 0)
    throw invalidRequest(
      `Cluster '${cluster.ClusterId}' already contains an HSM but has not yet been fully activated`,
    );
  if (length >= MOST_HSMS)
    throw invalidRequest(
      `The cluster ${cluster.ClusterId} has ${MOST_HSMS} HSMs, the most a cluster can have.`,
    );
}

async function makeHsm(
  cloudhsm: CloudHsm,
  db: Db,
  cluster: ClusterRow,
  wish: { readonly AvailabilityZone: string; readonly SubnetId: string; readonly IpAddress?: string },
): Promise<HsmRow> {
  const { AvailabilityZone, SubnetId, IpAddress } = wish;
  const HsmId = newHsmId();
  const eni = await cloudhsm.network
    .createNetworkInterface(
      {
        SubnetId,
        Description: `CloudHSM managed ENI for HSM ${HsmId}`,
        Groups: [cluster.SecurityGroup],
        ...(IpAddress === undefined ? {} : { PrivateIpAddress: IpAddress }),
      },
      db,
    )
    .catch((error: unknown) => {
      throw error instanceof NetworkError ? invalidRequest(error.message) : error;
    });
  const row: HsmRow = {
    HsmId,
    ClusterId: cluster.ClusterId,
    AvailabilityZone,
    SubnetId,
    EniId: eni.NetworkInterfaceId,
    EniIp: eni.PrivateIpAddress,
    HsmType: cluster.HsmType,
    State: "CREATE_IN_PROGRESS",
    StateMessage: null,
    CreateTimestamp: cloudhsm.clock.now(),
  };
  await db.insertInto("hsms").values(row).execute();
  return row;
}
