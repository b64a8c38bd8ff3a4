/** What the CloudHSM side works with, and the guards its operation table is built from. */
import type { Clock } from "../core/clock.ts";
import { AwsError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import type { Mutexes } from "../core/mutex.ts";
import { operation, type Facts, type Operation, type Request } from "../core/operation.ts";
import type { Input, Members, Shape } from "../core/shape.ts";
import type { Transitions } from "../core/transitions.ts";
import type { ClusterToken } from "../hsm/cluster-token.ts";
import type { Network } from "../network/network.ts";
import type { Reconciler } from "../reconciler.ts";
import type { Store } from "../store/database.ts";
import type { Vault } from "../store/vault.ts";
import { findCluster, type ClusterRow } from "./clusters.ts";
import { question } from "./questions.ts";

/** A key that KMS keeps on a cluster. */
export interface RegisteredKey {
  /** CKA_ID as text: 64 hexadecimal characters. */
  readonly id: string;
  /** CKA_LABEL: the key ARN. */
  readonly label: string;
}

/** What an operator's command or a cluster's life asks of a token; KMS's logins are not among it. */
export type OperatedToken = Pick<
  ClusterToken,
  | "clusterId"
  | "directory"
  | "label"
  | "present"
  | "initialize"
  | "verify"
  | "changePin"
  | "initUserPin"
  | "listKeys"
  | "destroyKey"
  | "backup"
  | "restore"
  | "remove"
>;

export interface CloudHsm {
  readonly store: Store;
  readonly vault: Vault;
  readonly clock: Clock;
  readonly transitions: Transitions;
  readonly network: Network;
  /** `Tokens` of src/hsm/cluster-token.ts, as far as it is used here. */
  readonly tokens: { readonly modulePath: string; of(clusterId: string): OperatedToken };
  readonly reconciler: Reconciler;
  /** Holds one directory per backup, named by its id. */
  readonly backupDirectory: string;
  /** The same account's CloudHSM in another Region, for copies of backups; undefined for what is no Region. */
  inRegion(region: string): Promise<CloudHsm | undefined>;
  readonly region: string;
  readonly account: string;
  readonly log: Logger;
  /**
   * One mutex per cluster id around every check and the act that relies on it. KMS takes it
   * around "may kmsuser log in" and registering the login. It is not re-entrant: the
   * functions of `users.ts` that KMS calls do not take it.
   */
  readonly mutexes: Mutexes;
  /** Which clusters have kmsuser logged in by KMS; `KmsLogins` of users.ts. */
  readonly kmsLogins: { get(clusterId: string): string | undefined };
  /** The keys KMS has on a cluster; injected by the server because this folder may not import kms. */
  keyRegister(clusterId: string): Promise<readonly RegisteredKey[]>;
}

/** What an operation of the BaldrApiService table gets. */
export interface CloudHsmContext {
  readonly cloudhsm: CloudHsm;
}
type Context = CloudHsmContext & Request;

export function invalidRequest(sentence: string): AwsError {
  return new AwsError("CloudHsmInvalidRequestException", sentence);
}

export function notFound(sentence: string): AwsError {
  return new AwsError("CloudHsmResourceNotFoundException", sentence);
}

/** An operation of the account that is about no single cluster, for a caller that may do it. */
export function onAccount<const M extends Members>(
  facts: Facts,
  members: M,
  run: (input: Input<M>, context: Context) => Promise<object | undefined>,
): Operation<CloudHsmContext> {
  return operation<CloudHsmContext, M>(facts, members, (input, context) => {
    context.authorizer?.check(question(context.cloudhsm, context, input));
    return run(input, context);
  });
}

/**
 * An operation on the cluster that its `ClusterId` names, alone on that cluster, for a caller that may do it.
 * @throws AwsError CloudHsmResourceNotFoundException for an unknown or deleted cluster
 */
export function onCluster<const M extends Members & { readonly ClusterId: Shape<string> }>(
  facts: Facts,
  members: M,
  run: (input: Input<M>, context: Context & { readonly cluster: ClusterRow }) => Promise<object | undefined>,
): Operation<CloudHsmContext> {
  return operation<CloudHsmContext, M>(facts, members, async (input, context) => {
    // M has the member, but the compiler cannot look into a generic Input<M>.
    const { ClusterId } = input as unknown as { readonly ClusterId: string };
    const { cloudhsm } = context;
    const { TagList } = await requireCluster(cloudhsm, ClusterId);
    context.authorizer?.check(question(cloudhsm, context, input, TagList));
    return cloudhsm.mutexes.run(ClusterId, async () =>
      run(input, { ...context, cluster: await requireCluster(cloudhsm, ClusterId) }),
    );
  });
}

/** @throws AwsError CloudHsmResourceNotFoundException */
export async function requireCluster(cloudhsm: CloudHsm, clusterId: string): Promise<ClusterRow> {
  const cluster = await findCluster(cloudhsm.store.db, clusterId);
  if (cluster === undefined) throw notFound(`The cluster ${clusterId} does not exist.`);
  return cluster;
}
