/** What a cluster must be for a custom key store (reference: custom-key-stores §3). */
import { X509Certificate } from "node:crypto";
import { activeHsms, findCluster, type ClusterRow } from "../cloudhsm/clusters.ts";
import { AwsError } from "../core/errors.ts";
import type { Kms } from "./service.ts";

function invalidConfiguration(what: string): AwsError {
  return new AwsError("CloudHsmClusterInvalidConfigurationException", what);
}

/** @throws AwsError CloudHsmClusterNotFoundException, CloudHsmClusterNotActiveException */
export async function requireActiveCluster(kms: Kms, clusterId: string): Promise<ClusterRow> {
  const cluster = await findCluster(kms.store.db, clusterId);
  if (cluster === undefined)
    throw new AwsError(
      "CloudHsmClusterNotFoundException",
      `The CloudHSM cluster ${clusterId} does not exist.`,
    );
  requireActive(cluster);
  return cluster;
}

export function requireActive(cluster: ClusterRow): void {
  if (cluster.State !== "ACTIVE")
    throw new AwsError(
      "CloudHsmClusterNotActiveException",
      `The CloudHSM cluster ${cluster.ClusterId} is ${cluster.State}. It must be initialized and activated.`,
    );
}

/** Two ACTIVE HSMs in different Availability Zones: Create, a new cluster id, CreateKey. */
export async function requireTwoHsms(kms: Kms, clusterId: string): Promise<void> {
  const hsms = await activeHsms(kms.store.db, clusterId);
  const zones = new Set(hsms.map((hsm) => hsm.AvailabilityZone));
  if (zones.size < 2)
    throw invalidConfiguration(
      `The CloudHSM cluster ${clusterId} must have at least two active HSMs in different Availability Zones.`,
    );
}

const CLIENT_PORTS = { from: 2223, to: 2225 } as const;

/**
 * The recorded subnets span two Availability Zones, and the cluster's security group lets
 * its members talk on 2223–2225 and holds every HSM. Whether the subnets still exist is
 * found out by a connect's workflow.
 */
export async function requireNetwork(kms: Kms, cluster: ClusterRow): Promise<void> {
  const zones = Object.keys(cluster.SubnetMapping);
  if (zones.length < 2)
    throw invalidConfiguration(
      `The CloudHSM cluster ${cluster.ClusterId} must have private subnets in at least two Availability Zones.`,
    );
  const groups = await kms.network.securityGroups();
  const group = groups.find((candidate) => candidate.GroupId === cluster.SecurityGroup);
  if (group === undefined || group.GroupName !== `cloudhsm-cluster-${cluster.ClusterId}-sg`)
    throw invalidConfiguration(`The security group of the CloudHSM cluster ${cluster.ClusterId} is missing.`);
  for (const direction of ["inbound", "outbound"] as const) {
    const open = group.Rules.some(
      (rule) =>
        rule.Direction === direction &&
        rule.FromPort <= CLIENT_PORTS.from &&
        rule.ToPort >= CLIENT_PORTS.to &&
        rule.Peer === group.GroupId,
    );
    if (!open)
      throw invalidConfiguration(
        `The security group ${group.GroupId} must allow ${direction} TCP traffic on ports 2223-2225 with itself.`,
      );
  }
  await requireMembership(kms, cluster);
}

async function requireMembership(kms: Kms, cluster: ClusterRow): Promise<void> {
  const members = await kms.network.networkInterfaces({ group: cluster.SecurityGroup });
  const ids = new Set(members.map((member) => member.NetworkInterfaceId));
  const hsms = await activeHsms(kms.store.db, cluster.ClusterId);
  if (hsms.some((hsm) => !ids.has(hsm.EniId)))
    throw invalidConfiguration(
      `Every HSM of the CloudHSM cluster ${cluster.ClusterId} must be a member of its security group ${cluster.SecurityGroup}.`,
    );
}

/** DER of the first certificate in a PEM text; undefined for what is not a certificate. */
function derOf(pem: string): Buffer | undefined {
  try {
    return new X509Certificate(pem).raw;
  } catch {
    return undefined;
  }
}

/** @throws AwsError IncorrectTrustAnchorException */
export function requireTrustAnchor(cluster: ClusterRow, pem: string): void {
  const given = derOf(pem);
  const known = cluster.TrustAnchor === null ? undefined : derOf(cluster.TrustAnchor);
  if (given === undefined || known === undefined || !given.equals(known))
    throw new AwsError(
      "IncorrectTrustAnchorException",
      `The trust anchor certificate is not the one with which the CloudHSM cluster ${cluster.ClusterId} was initialized.`,
    );
}

/** Clusters that share a backup history have the same cluster certificate. */
export function clusterCertificate(cluster: ClusterRow): string {
  return cluster.Certificates.ClusterCertificate ?? "";
}
