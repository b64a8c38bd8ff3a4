/**
 * The operator's tool, server side: cloudhsm-cli's verbs as a table (reference:
 * cloudhsm-v2 §9). A command is checked and run alone on its cluster; its answer is
 * cloudhsm-cli's envelope, refusals included. The command line opens no token.
 */
import { AwsError } from "../core/errors.ts";
import { Pkcs11Error } from "../hsm/errors.ts";
import { clusterVerbs } from "./cluster-verbs.ts";
import { activeHsms, findCluster, type ClusterRow } from "./clusters.ts";
import type { CloudHsm } from "./context.ts";
import { keyVerbs } from "./key-verbs.ts";
import { authenticate, type Operator } from "./login.ts";
import { OperatorRefusal } from "./refusal.ts";
import { sessionVerbs } from "./session-verbs.ts";
import { sessionPassword, useSession } from "./sessions.ts";
import { userVerbs } from "./user-verbs.ts";
import { findUser } from "./users.ts";
import { requireOperator, type Answer, type OperatorRequest, type Verb } from "./verb.ts";

const VERBS: ReadonlyMap<string, Verb> = new Map(
  Object.entries({ ...clusterVerbs, ...sessionVerbs, ...userVerbs, ...keyVerbs }),
);
/** cloudhsm-cli has these; the simulated HSMs do not. */
const NOT_SIMULATED =
  /^(user change-mfa|user change-quorum|quorum|key (generate|import|wrap|unwrap|share|unshare|set-attribute)|cluster mtls)/;

export interface OperatorReply {
  /** 0 done, 1 refused. */
  readonly error_code: number;
  readonly data: unknown;
  /** The token of the session that `login` opened. */
  readonly session?: string;
}

/** Run one command. Refusals and failures of the token are replies, not exceptions. */
export async function runOperatorCommand(
  cloudhsm: CloudHsm,
  request: OperatorRequest,
): Promise<OperatorReply> {
  try {
    const verb = verbOf(request.command);
    // Unknown clusters get no mutex: there would be one for ever for every name somebody tries.
    await requireCluster(cloudhsm, request.clusterId);
    const answer = await cloudhsm.mutexes.run(request.clusterId, () => runVerb(cloudhsm, verb, request));
    return { error_code: 0, ...answer };
  } catch (error) {
    return { error_code: 1, data: refusalOf(error) };
  }
}

function verbOf(command: string): Verb {
  const verb = VERBS.get(command);
  if (verb !== undefined) return verb;
  if (NOT_SIMULATED.test(command)) throw new OperatorRefusal(`${command} is not supported by the simulator.`);
  throw new OperatorRefusal(`There is no command ${command}; there are ${[...VERBS.keys()].join(", ")}.`);
}

async function runVerb(cloudhsm: CloudHsm, verb: Verb, request: OperatorRequest): Promise<Answer> {
  const { clusterId, args } = request;
  await requireReachable(cloudhsm, verb, await requireCluster(cloudhsm, clusterId));
  const operator = await identify(cloudhsm, verb, request);
  // Read again: identifying the admin may have settled or adopted a SO PIN.
  const cluster = await requireCluster(cloudhsm, clusterId);
  const call = { cloudhsm, cluster, args, ...(operator === undefined ? {} : { operator }) };
  if (verb.access !== "anyone" && requireOperator(call).user.Role !== "admin" && verb.access === "admin")
    throw new OperatorRefusal(`Only a user with the role admin can run ${request.command}.`);
  return verb.run(call);
}

async function requireCluster(cloudhsm: CloudHsm, clusterId: string): Promise<ClusterRow> {
  const cluster = await findCluster(cloudhsm.store.db, clusterId);
  if (cluster === undefined) throw new OperatorRefusal(`The cluster ${clusterId} does not exist.`);
  return cluster;
}

/** The tool talks to the HSMs: there must be one, and the cluster must be far enough. */
async function requireReachable(cloudhsm: CloudHsm, verb: Verb, cluster: ClusterRow): Promise<void> {
  if ((await activeHsms(cloudhsm.store.db, cluster.ClusterId)).length === 0)
    throw new OperatorRefusal(
      `The cluster ${cluster.ClusterId} has no active HSM to connect to; create one with CreateHsm.`,
    );
  if (verb.states.includes(cluster.State)) return;
  if (cluster.State === "INITIALIZED")
    throw new OperatorRefusal("The cluster is not activated yet; run cluster activate first.");
  if (cluster.State === "ACTIVE") throw new OperatorRefusal("The cluster is active already.");
  throw new OperatorRefusal(
    `The cluster is in the state ${cluster.State}; this needs ${verb.states.join(" or ")}.`,
  );
}

/** Credentials win over a session, as in cloudhsm-cli. Verbs for anyone do not fail for a session that has ended. */
async function identify(
  cloudhsm: CloudHsm,
  verb: Verb,
  request: OperatorRequest,
): Promise<Operator | undefined> {
  const { clusterId, credentials, session: token } = request;
  if (credentials !== undefined && verb.access !== "anyone")
    return authenticate(cloudhsm, await requireCluster(cloudhsm, clusterId), credentials);
  if (credentials !== undefined || token === undefined) return undefined;
  const session = await useSession(cloudhsm, clusterId, token);
  const user =
    session === undefined ? undefined : await findUser(cloudhsm.store.db, clusterId, session.Username);
  if (session !== undefined && user !== undefined)
    return { user, session, password: sessionPassword(cloudhsm, session) };
  if (verb.access === "anyone") return undefined;
  throw new OperatorRefusal("The session has ended; run login again.");
}

/** @throws what is no refusal: a fault of keystead itself */
function refusalOf(error: unknown): string {
  if (error instanceof OperatorRefusal || error instanceof AwsError) return error.message;
  if (error instanceof Pkcs11Error) return `The HSM refused the command: ${error.message}.`;
  throw error;
}
