/** Cluster and HSM rows: reading, compare-and-set, and their projection to the API's structures. */
import type { Selectable } from "kysely";
import type { ClusterTable, HsmTable } from "../store/schema.ts";
import type { Db } from "../store/database.ts";
import { AwsError } from "../core/errors.ts";
import type { ClusterState, HsmState } from "./machines.ts";

/** PEM texts, as the API returns them. */
export interface Certificates {
  readonly ClusterCsr?: string;
  readonly HsmCertificate?: string;
  readonly AwsHardwareCertificate?: string;
  readonly ManufacturerHardwareCertificate?: string;
  readonly ClusterCertificate?: string;
}

export interface Tag {
  readonly Key: string;
  readonly Value: string;
}

type JsonColumns = "SubnetMapping" | "Certificates" | "TagList";
export type ClusterRow = Omit<Selectable<ClusterTable>, JsonColumns | "State"> & {
  readonly State: ClusterState;
  /** Availability Zone → subnet id. */
  readonly SubnetMapping: Readonly<Record<string, string>>;
  readonly Certificates: Certificates;
  readonly TagList: readonly Tag[];
};
export type HsmRow = Omit<Selectable<HsmTable>, "State"> & { readonly State: HsmState };

function parse(row: Selectable<ClusterTable>): ClusterRow {
  return {
    ...row,
    State: row.State as ClusterState,
    SubnetMapping: JSON.parse(row.SubnetMapping) as Record<string, string>,
    Certificates: JSON.parse(row.Certificates) as Certificates,
    TagList: JSON.parse(row.TagList) as Tag[],
  };
}

/** A cluster by id; deleted ones are absent. */
export async function findCluster(db: Db, clusterId: string): Promise<ClusterRow | undefined> {
  const row = await db
    .selectFrom("clusters")
    .selectAll()
    .where("ClusterId", "=", clusterId)
    .where("State", "!=", "DELETED")
    .executeTakeFirst();
  return row === undefined ? undefined : parse(row);
}

/** All clusters but the deleted ones, oldest first. */
export async function listClusters(db: Db): Promise<ClusterRow[]> {
  const rows = await db
    .selectFrom("clusters")
    .selectAll()
    .where("State", "!=", "DELETED")
    .orderBy("CreateTimestamp")
    .orderBy("ClusterId")
    .execute();
  return rows.map(parse);
}

export async function insertCluster(db: Db, row: ClusterRow): Promise<void> {
  await db
    .insertInto("clusters")
    .values({ ...row, ...printed(row) })
    .execute();
}

function printed(row: Pick<ClusterRow, JsonColumns>): Record<JsonColumns, string> {
  return {
    SubnetMapping: JSON.stringify(row.SubnetMapping),
    Certificates: JSON.stringify(row.Certificates),
    TagList: JSON.stringify(row.TagList),
  };
}

/**
 * Change a cluster that is still in the state it was read in.
 * @throws AwsError CloudHsmServiceException when somebody else has moved it on: a programming error behind the mutex
 */
export async function updateCluster(
  db: Db,
  cluster: Pick<ClusterRow, "ClusterId" | "State">,
  change: Partial<Omit<ClusterRow, "ClusterId">>,
): Promise<void> {
  const { SubnetMapping, Certificates, TagList, ...plain } = change;
  const { numUpdatedRows } = await db
    .updateTable("clusters")
    .set({
      ...plain,
      ...(SubnetMapping === undefined ? {} : { SubnetMapping: JSON.stringify(SubnetMapping) }),
      ...(Certificates === undefined ? {} : { Certificates: JSON.stringify(Certificates) }),
      ...(TagList === undefined ? {} : { TagList: JSON.stringify(TagList) }),
    })
    .where("ClusterId", "=", cluster.ClusterId)
    .where("State", "=", cluster.State)
    .executeTakeFirstOrThrow();
  if (numUpdatedRows !== 1n)
    throw new AwsError(
      "CloudHsmServiceException",
      `The cluster ${cluster.ClusterId} changed meanwhile; try again.`,
    );
}

/** The cluster's HSMs, oldest first. */
export async function hsmsOf(db: Db, clusterId: string): Promise<HsmRow[]> {
  const rows = await db
    .selectFrom("hsms")
    .selectAll()
    .where("ClusterId", "=", clusterId)
    .orderBy("CreateTimestamp")
    .orderBy("HsmId")
    .execute();
  return rows.map((row) => ({ ...row, State: row.State as HsmState }));
}

export async function findHsm(db: Db, hsmId: string): Promise<HsmRow | undefined> {
  const row = await db.selectFrom("hsms").selectAll().where("HsmId", "=", hsmId).executeTakeFirst();
  return row === undefined ? undefined : { ...row, State: row.State as HsmState };
}

/** The HSMs that clients can talk to. */
export async function activeHsms(db: Db, clusterId: string): Promise<HsmRow[]> {
  return (await hsmsOf(db, clusterId)).filter((hsm) => hsm.State === "ACTIVE");
}

/** The API's Cluster structure. */
export function clusterStructure(row: ClusterRow, hsms: readonly HsmRow[]): object {
  return {
    BackupPolicy: "DEFAULT",
    BackupRetentionPolicy: { Type: "DAYS", Value: row.BackupRetentionValue },
    ClusterId: row.ClusterId,
    CreateTimestamp: row.CreateTimestamp / 1000,
    Hsms: hsms.map(hsmStructure),
    HsmType: row.HsmType,
    SecurityGroup: row.SecurityGroup,
    ...(row.SourceBackupId === null ? {} : { SourceBackupId: row.SourceBackupId }),
    State: row.State,
    ...(row.StateMessage === null ? {} : { StateMessage: row.StateMessage }),
    SubnetMapping: row.SubnetMapping,
    VpcId: row.VpcId,
    NetworkType: row.NetworkType,
    Certificates: visibleCertificates(row),
    TagList: row.TagList,
    Mode: row.Mode,
  };
}

/** InitializeCluster records the certificate at once; it is the cluster's only when initialisation is done. */
function visibleCertificates(row: ClusterRow): Certificates {
  if (row.State !== "INITIALIZE_IN_PROGRESS") return row.Certificates;
  const { ClusterCertificate: _pending, ...rest } = row.Certificates;
  return rest;
}

/** The API's Hsm structure. */
export function hsmStructure(row: HsmRow): object {
  return {
    AvailabilityZone: row.AvailabilityZone,
    ClusterId: row.ClusterId,
    SubnetId: row.SubnetId,
    EniId: row.EniId,
    EniIp: row.EniIp,
    HsmId: row.HsmId,
    HsmType: row.HsmType,
    State: row.State,
    ...(row.StateMessage === null ? {} : { StateMessage: row.StateMessage }),
  };
}
