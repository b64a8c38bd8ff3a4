/** CreateCluster, DescribeClusters, ModifyCluster and DeleteCluster (reference: cloudhsm-v2 §2, §3). */
import { newClusterId } from "../core/ids.ts";
import { follow } from "../core/machine.ts";
import { list, optional } from "../core/shape.ts";
import type { Service } from "../core/operation.ts";
import type { SecurityGroupRule } from "../network/network.ts";
import { restorableBackup } from "./backup-restore.ts";
import {
  clusterStructure,
  hsmsOf,
  insertCluster,
  listClusters,
  updateCluster,
  type ClusterRow,
} from "./clusters.ts";
import {
  invalidRequest,
  notFound,
  onAccount,
  onCluster,
  type CloudHsm,
  type CloudHsmContext,
} from "./context.ts";
import { CLUSTER } from "./machines.ts";
import { page } from "./paging.ts";
import * as shapes from "./shapes.ts";
import { checkTags } from "./tags.ts";

/** hsm1.medium ended on 2026-03-31. */
const SUPPORTED_HSM_TYPE = "hsm2m.medium";
const DEFAULT_RETENTION_DAYS = "90";
const RETENTION_DAYS = { min: 7, max: 379 };
/** The ports between CloudHSM clients and HSMs. */
const CLIENT_PORTS = { Protocol: "tcp", FromPort: 2223, ToPort: 2225 } as const;
const FILTERS = ["clusterIds", "vpcIds", "states"] as const;

export const clusterOperations: Service<CloudHsmContext> = {
  CreateCluster: onAccount(
    {
      coverage: {
        kind: "partial",
        note: "DUALSTACK is recorded, but no IPv6 addresses are given. No quota of clusters.",
      },
    },
    {
      HsmType: shapes.hsmType,
      SubnetIds: list(shapes.subnetId, { min: 1, max: 10 }),
      BackupRetentionPolicy: optional(shapes.backupRetentionPolicy),
      SourceBackupId: optional(shapes.backupArn),
      NetworkType: optional(shapes.networkType),
      TagList: optional(shapes.tagList),
      Mode: optional(shapes.mode),
    },
    async (input, { cloudhsm }) => {
      checkHsmType(input.HsmType);
      checkTags(input.TagList ?? []);
      const place = await placeIn(cloudhsm, input.SubnetIds);
      const cluster = await fromSource(cloudhsm, input, (source) =>
        makeCluster(cloudhsm, {
          ...place,
          ...source,
          HsmType: input.HsmType,
          BackupRetentionValue: retention(input.BackupRetentionPolicy) ?? DEFAULT_RETENTION_DAYS,
          NetworkType: input.NetworkType ?? "IPV4",
          TagList: input.TagList ?? [],
        }),
      );
      cloudhsm.reconciler.wake(cluster.ClusterId);
      return { Cluster: clusterStructure(cluster, []) };
    },
  ),

  DescribeClusters: onAccount(
    {},
    {
      Filters: optional(shapes.filters),
      NextToken: optional(shapes.nextToken),
      MaxResults: optional(shapes.atMost(25)),
    },
    async (input, { cloudhsm }) => {
      const matching = selectClusters(await listClusters(cloudhsm.store.db), input.Filters ?? new Map());
      const { items, ...rest } = page("DescribeClusters", matching, input);
      const Clusters = await Promise.all(items.map((cluster) => describe(cloudhsm, cluster)));
      return { Clusters, ...rest };
    },
  ),

  ModifyCluster: onCluster(
    { coverage: { kind: "partial", note: "The HSM type cannot be changed: there is one supported type." } },
    {
      ClusterId: shapes.clusterId,
      HsmType: optional(shapes.hsmType),
      BackupRetentionPolicy: optional(shapes.backupRetentionPolicy),
    },
    async (input, { cloudhsm, cluster }) => {
      const { HsmType, BackupRetentionPolicy } = input;
      if (HsmType === undefined && BackupRetentionPolicy === undefined)
        throw invalidRequest("Name a BackupRetentionPolicy or an HsmType to change.");
      if (HsmType !== undefined) checkHsmType(HsmType);
      const State = follow(CLUSTER, cluster.State, "ModifyCluster", cluster.ClusterId);
      const BackupRetentionValue = retention(BackupRetentionPolicy) ?? cluster.BackupRetentionValue;
      const changed = { ...cluster, State, BackupRetentionValue };
      await updateCluster(cloudhsm.store.db, cluster, { State, BackupRetentionValue });
      return { Cluster: clusterStructure(changed, await hsmsOf(cloudhsm.store.db, cluster.ClusterId)) };
    },
  ),

  DeleteCluster: onCluster({}, { ClusterId: shapes.clusterId }, async (_input, { cloudhsm, cluster }) => {
    const State = follow(CLUSTER, cluster.State, "DeleteCluster", cluster.ClusterId);
    const hsms = await hsmsOf(cloudhsm.store.db, cluster.ClusterId);
    if (hsms.length > 0)
      throw invalidRequest(
        `The cluster ${cluster.ClusterId} still contains HSMs; delete them before the cluster.`,
      );
    const change = { State, StateMessage: "The cluster is being deleted." };
    await updateCluster(cloudhsm.store.db, cluster, change);
    cloudhsm.reconciler.wake(cluster.ClusterId);
    return { Cluster: clusterStructure({ ...cluster, ...change }, []) };
  }),
};

function checkHsmType(type: string): void {
  if (type !== SUPPORTED_HSM_TYPE) throw invalidRequest("Provided HsmType is not supported.");
}

/** The policy's days. @throws AwsError for a policy without days, or days out of range */
function retention(policy: { readonly Value?: string } | undefined): string | undefined {
  if (policy === undefined) return undefined;
  const days = Number(policy.Value);
  if (!(days >= RETENTION_DAYS.min && days <= RETENTION_DAYS.max))
    throw invalidRequest(`The backup retention must be ${RETENTION_DAYS.min} to ${RETENTION_DAYS.max} days.`);
  return String(days);
}

interface Place {
  readonly VpcId: string;
  readonly SubnetMapping: Readonly<Record<string, string>>;
}

/** All subnets exist, in one VPC, at most one per Availability Zone. */
async function placeIn(cloudhsm: CloudHsm, subnetIds: readonly string[]): Promise<Place> {
  const known = new Map((await cloudhsm.network.subnets()).map((subnet) => [subnet.SubnetId, subnet]));
  const SubnetMapping: Record<string, string> = {};
  const vpcs = new Set<string>();
  for (const id of subnetIds) {
    const subnet = known.get(id);
    if (subnet === undefined) throw notFound(`The subnet ${id} does not exist.`);
    if (SubnetMapping[subnet.AvailabilityZone] !== undefined)
      throw invalidRequest(
        `More than one subnet is in the Availability Zone ${subnet.AvailabilityZone}; name one per zone.`,
      );
    SubnetMapping[subnet.AvailabilityZone] = id;
    vpcs.add(subnet.VpcId);
  }
  const [VpcId] = vpcs;
  if (VpcId === undefined || vpcs.size > 1) throw invalidRequest("All subnets must be in the same VPC.");
  return { VpcId, SubnetMapping };
}

type Source = Pick<ClusterRow, "SourceBackupId" | "Certificates" | "TrustAnchor" | "Mode">;

/** What a cluster has from the start: nothing, or its backup's certificates. The purge leaves that backup alone meanwhile. */
async function fromSource(
  cloudhsm: CloudHsm,
  { SourceBackupId: named, Mode: mode }: { readonly SourceBackupId?: string; readonly Mode?: string },
  make: (source: Source) => Promise<ClusterRow>,
): Promise<ClusterRow> {
  if (named === undefined)
    return make({ SourceBackupId: null, Certificates: {}, TrustAnchor: null, Mode: mode ?? "FIPS" });
  const { BackupId } = await restorableBackup(cloudhsm, named, mode);
  return cloudhsm.mutexes.run(BackupId, async () => {
    const { Certificates, TrustAnchor, Mode } = await restorableBackup(cloudhsm, BackupId, mode);
    return make({ SourceBackupId: BackupId, Certificates, TrustAnchor, Mode });
  });
}

type Wish = Place & Source & Pick<ClusterRow, "HsmType" | "BackupRetentionValue" | "NetworkType" | "TagList">;

/** Security group and row in one transaction. AWS's quota of clusters is left out: tests need many clusters. */
async function makeCluster(cloudhsm: CloudHsm, wish: Wish): Promise<ClusterRow> {
  const ClusterId = newClusterId();
  return cloudhsm.store.transaction(async (trx) => {
    const group = {
      VpcId: wish.VpcId,
      GroupName: `cloudhsm-cluster-${ClusterId}-sg`,
      Description: `Security group for CloudHSM cluster ${ClusterId}`,
      Rules: (["inbound", "outbound"] as const).map((Direction): SecurityGroupRule => ({
        Direction,
        ...CLIENT_PORTS,
        Peer: "self",
      })),
    };
    const row: ClusterRow = {
      ...wish,
      ClusterId,
      State: "CREATE_IN_PROGRESS",
      StateMessage: null,
      SecurityGroup: await cloudhsm.network.createSecurityGroup(group, trx),
      CreateTimestamp: cloudhsm.clock.now(),
      TokenSerial: null,
      SoPinSealed: null,
      PendingPinSealed: null,
      PendingPinRole: null,
    };
    await insertCluster(trx, row);
    return row;
  });
}

/** Values of one filter are alternatives, different filters must all match. */
function selectClusters(
  clusters: readonly ClusterRow[],
  filters: ReadonlyMap<string, readonly string[]>,
): ClusterRow[] {
  for (const name of filters.keys())
    if (!(FILTERS as readonly string[]).includes(name))
      throw invalidRequest(`The filter ${name} is not one of ${FILTERS.join(", ")}.`);
  const allowed = (name: (typeof FILTERS)[number], value: string): boolean =>
    filters.get(name)?.includes(value) ?? true;
  return clusters.filter(
    (cluster) =>
      allowed("clusterIds", cluster.ClusterId) &&
      allowed("vpcIds", cluster.VpcId) &&
      allowed("states", cluster.State),
  );
}

/** The structure as it is now; being described is what moves a `manual` progression on. */
async function describe(cloudhsm: CloudHsm, cluster: ClusterRow): Promise<object> {
  const hsms = await hsmsOf(cloudhsm.store.db, cluster.ClusterId);
  for (const id of [cluster.ClusterId, ...hsms.map((hsm) => hsm.HsmId)]) cloudhsm.transitions.observe(id);
  return clusterStructure(cluster, hsms);
}
