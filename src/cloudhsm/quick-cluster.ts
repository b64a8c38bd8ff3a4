/**
 * A working cluster in one call, for `keystead cluster init` and `cluster restore`, the seed of dev mode and
 * tests. It takes the customer's part: it drives the public operations and the operator's
 * verbs, and signs the CSR with a certificate authority whose key it throws away.
 */
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { setTimeout as delay } from "node:timers/promises";
import { Refusal } from "../core/errors.ts";
import { callAsRoot } from "../core/in-process.ts";
import { activeHsms, type ClusterRow } from "./clusters.ts";
import { requireCluster, type CloudHsm } from "./context.ts";
import { ADMIN } from "./users.ts";
import { KMS_USER } from "./passwords.ts";
import { runOperatorCommand } from "./operator.ts";
import { baldrApiService } from "./service.ts";
import type { OperatorRequest } from "./verb.ts";

const CA_KEY = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const YEAR_MS = 365 * 86_400_000;
const BACKDATED_MS = 3_600_000;
/** How often a waiting client describes the cluster, in wall time. */
const DESCRIBE_EVERY_MS = 25;
/** Longer than the reconciler's first few retries. */
const RETRIED_WITHIN_MS = 20_000;

/**
 * Sign the cluster's CSR with a throw-away CA, initialise, activate, and make kmsuser if a password is given.
 * @returns the customerCA.crt that CreateCustomKeyStore asks for
 * @throws AwsError of InitializeCluster, Refusal of the operator's verbs
 */
export async function initializeWithThrowAwayCa(
  cloudhsm: CloudHsm,
  clusterId: string,
  given: { readonly adminPassword: string; readonly kmsuserPassword?: string },
): Promise<{ customerCaPem: string }> {
  const { adminPassword, kmsuserPassword } = given;
  const { Certificates } = await requireCluster(cloudhsm, clusterId);
  if (Certificates.ClusterCsr === undefined)
    throw new Refusal(
      `The cluster ${clusterId} has no certificate signing request; it needs a first HSM and must not be initialized yet.`,
    );
  const { customerCaPem, signedCert } = await signWithThrowAwayCa(Certificates.ClusterCsr);
  await call(cloudhsm, "InitializeCluster", {
    ClusterId: clusterId,
    SignedCert: signedCert,
    TrustAnchor: customerCaPem,
  });
  await settled(cloudhsm, clusterId);
  await leaves(cloudhsm, clusterId, "INITIALIZE_IN_PROGRESS");
  const password = adminPassword;
  await operate(cloudhsm, { clusterId, command: "cluster activate", args: { password } });
  if (kmsuserPassword !== undefined)
    await operate(cloudhsm, {
      clusterId,
      command: "user create",
      args: { username: KMS_USER, role: "crypto-user", password: kmsuserPassword },
      credentials: { role: "admin", username: ADMIN, password },
    });
  return { customerCaPem };
}

/** An ACTIVE cluster over all Availability Zones with `hsms` active HSMs, spread over them, and a kmsuser. */
export async function createReadyCluster(
  cloudhsm: CloudHsm,
  wish: { readonly hsms?: number; readonly adminPassword: string; readonly kmsuserPassword: string },
): Promise<{ clusterId: string; customerCaPem: string }> {
  const { clusterId, addHsm } = await createCluster(cloudhsm, {});
  // AWS allows a second HSM only after activation.
  await addHsm(0);
  const { customerCaPem } = await initializeWithThrowAwayCa(cloudhsm, clusterId, wish);
  await Promise.all(Array.from({ length: (wish.hsms ?? 2) - 1 }, (_, index) => addHsm(index + 1)));
  await requireHsm(cloudhsm, clusterId);
  return { clusterId, customerCaPem };
}

/**
 * A cluster from a backup, over all Availability Zones, with `hsms` active HSMs spread over them.
 * @throws AwsError of CreateCluster, Refusal when the backup cannot be restored
 */
export async function restoreCluster(
  cloudhsm: CloudHsm,
  wish: { readonly backupId: string; readonly hsms: number },
): Promise<{ clusterId: string }> {
  const { clusterId, addHsm } = await createCluster(cloudhsm, { SourceBackupId: wish.backupId });
  for (let index = 0; index < wish.hsms; index += 1) await addHsm(index);
  await requireHsm(cloudhsm, clusterId);
  return { clusterId };
}

/** CreateCluster over one private subnet per Availability Zone, and how to add HSMs to it. */
async function createCluster(
  cloudhsm: CloudHsm,
  more: { readonly SourceBackupId?: string },
): Promise<{ clusterId: string; addHsm: (index: number) => Promise<void> }> {
  const perZone = new Map(
    (await cloudhsm.network.subnets()).map((one) => [one.AvailabilityZone, one.SubnetId]),
  );
  const zones = [...perZone.keys()].toSorted();
  const { Cluster } = await call<{ Cluster: { ClusterId: string } }>(cloudhsm, "CreateCluster", {
    HsmType: "hsm2m.medium",
    SubnetIds: [...perZone.values()],
    ...more,
  });
  const clusterId = Cluster.ClusterId;
  await settled(cloudhsm, clusterId);
  const addHsm = async (index: number): Promise<void> => {
    const AvailabilityZone = zones[index % zones.length];
    const { Hsm } = await call<{ Hsm: { HsmId: string } }>(cloudhsm, "CreateHsm", {
      ClusterId: clusterId,
      AvailabilityZone,
    });
    await settled(cloudhsm, Hsm.HsmId);
  };
  return { clusterId, addHsm };
}

async function requireHsm(cloudhsm: CloudHsm, clusterId: string): Promise<void> {
  if ((await activeHsms(cloudhsm.store.db, clusterId)).length === 0)
    throw new Refusal(`The cluster ${clusterId} got no HSM.`);
}

/** A public operation, called in process by the account's root. */
async function call<T>(cloudhsm: CloudHsm, name: string, input: object): Promise<T> {
  const output = await callAsRoot(baldrApiService, name, input, { cloudhsm }, cloudhsm);
  return output as T;
}

async function operate(cloudhsm: CloudHsm, request: OperatorRequest): Promise<void> {
  const reply = await runOperatorCommand(cloudhsm, request);
  if (reply.error_code !== 0) throw new Refusal(String(reply.data));
}

/** A run of the reconciler that failed is tried again after a while; @throws Refusal when it takes too long */
async function leaves(cloudhsm: CloudHsm, clusterId: string, state: ClusterRow["State"]): Promise<void> {
  const end = Date.now() + RETRIED_WITHIN_MS;
  while ((await requireCluster(cloudhsm, clusterId)).State === state) {
    if (Date.now() > end)
      throw new Refusal(`The cluster ${clusterId} stays ${state}; the server's log says why.`);
    await delay(DESCRIBE_EVERY_MS);
  }
}

/** Wait as a client does, describing the resource: that is what moves a `manual` progression on. */
async function settled(cloudhsm: CloudHsm, id: string): Promise<void> {
  const describing = new AbortController();
  const done = cloudhsm.reconciler.idle(id).then(() => describing.abort());
  while (!describing.signal.aborted) {
    cloudhsm.transitions.observe(id);
    await Promise.race([done, delay(DESCRIBE_EVERY_MS)]);
  }
}

async function signWithThrowAwayCa(csrPem: string): Promise<{ customerCaPem: string; signedCert: string }> {
  const csr = new x509.Pkcs10CertificateRequest(csrPem);
  const keys = await crypto.subtle.generateKey(CA_KEY, false, ["sign", "verify"]);
  const name: x509.JsonName = [{ O: ["keystead"] }, { CN: ["Throw-away customer CA"] }];
  const validity = {
    notBefore: new Date(Date.now() - BACKDATED_MS),
    notAfter: new Date(Date.now() + 10 * YEAR_MS),
    signingAlgorithm: CA_KEY,
  };
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity,
    serialNumber: "01",
    name,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  const signed = await x509.X509CertificateGenerator.create({
    ...validity,
    serialNumber: "02",
    subject: csr.subjectName.toJSON(),
    issuer: name,
    publicKey: csr.publicKey,
    signingKey: keys.privateKey,
  });
  return { customerCaPem: authority.toString("pem"), signedCert: signed.toString("pem") };
}
