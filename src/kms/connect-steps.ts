/**
 * The steps of a connect (reference: custom-key-stores §5; architecture, *Connect*), each
 * idempotent and with its undo, so that a failed connect leaves no network interface,
 * security group or login behind. What a step really finds decides the ConnectionErrorCode.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { activeHsms, findCluster, type ClusterRow } from "../cloudhsm/clusters.ts";
import { adoptKmsuser, clearFailedLogins, countFailedLogin, kmsuserStanding } from "../cloudhsm/users.ts";
import { newKmsUserPassword } from "../core/ids.ts";
import type { Step } from "../core/workflow.ts";
import type { HsmWorker } from "../hsm/client.ts";
import { Pkcs11Error } from "../hsm/errors.ts";
import type { LoginAttempt } from "../hsm/login-attempt.ts";
import { settleIntents } from "./key-creation.ts";
import { findKeyStore, type Kms } from "./service.ts";
import { checkCanaries, closeSession, openSession } from "./sessions.ts";
import type { KeyStore } from "./store-book.ts";
import { ConnectFailure, isRefusedPin } from "./token-errors.ts";

const KMSUSER = "kmsuser";
/** How long a login may take before the cluster counts as out of reach (wall time). */
const LOGIN_DEADLINE_MS = 20_000;
const START_RETRY_MS = 500;
export interface Connecting {
  readonly kms: Kms;
  readonly keyStore: KeyStore;
  cluster: ClusterRow | undefined;
  groupId: string | undefined;
  attempt: LoginAttempt | undefined;
  password: string | undefined;
  worker: HsmWorker | undefined;
}

function groupName(keyStore: KeyStore): string {
  return `kms-${keyStore.CustomKeyStoreId}`;
}

function need<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`${what} is not known at this step`);
  return value;
}

/** Remove the store's network interfaces and security group, whatever of them exists. */
export async function removeNetwork(kms: Kms, keyStore: KeyStore): Promise<void> {
  const group = await kms.network.securityGroupByName(groupName(keyStore));
  if (group === undefined) return;
  for (const member of await kms.network.networkInterfaces({ group: group.GroupId }))
    await kms.network.deleteNetworkInterface(member.NetworkInterfaceId);
  await kms.network.deleteSecurityGroup(group.GroupId);
}

const findTheCluster: Step<Connecting> = {
  name: "find-cluster",
  run: async (state) => {
    const { kms, keyStore } = state;
    state.cluster = await findCluster(kms.store.db, keyStore.CloudHsmClusterId);
    if (state.cluster === undefined || state.cluster.State === "DELETE_IN_PROGRESS")
      throw new ConnectFailure("CLUSTER_NOT_FOUND");
    if ((await activeHsms(kms.store.db, state.cluster.ClusterId)).length === 0)
      throw new ConnectFailure("INSUFFICIENT_CLOUDHSM_HSMS");
  },
};

const createSecurityGroup: Step<Connecting> = {
  name: "create-security-group",
  run: async (state) => {
    const cluster = need(state.cluster, "the cluster");
    // A run that was cut off may have left its own behind.
    await removeNetwork(state.kms, state.keyStore);
    state.groupId = await state.kms.network.createSecurityGroup({
      VpcId: cluster.VpcId,
      GroupName: groupName(state.keyStore),
      Description: `KMS managed security group for cluster ${cluster.ClusterId}`,
      Rules: [
        { Direction: "inbound", Protocol: "tcp", FromPort: 2223, ToPort: 2225, Peer: cluster.SecurityGroup },
      ],
    });
  },
  undo: (state) => removeNetwork(state.kms, state.keyStore),
};

const createNetworkInterfaces: Step<Connecting> = {
  name: "create-network-interfaces",
  run: async (state) => {
    const cluster = need(state.cluster, "the cluster");
    for (const SubnetId of Object.values(cluster.SubnetMapping))
      await state.kms.network.createNetworkInterface({
        SubnetId,
        Description: `KMS managed ENI for cluster ${cluster.ClusterId}`,
        Groups: [need(state.groupId, "the security group"), cluster.SecurityGroup],
      });
  },
};

/** Stands for the minutes that AWS takes; what it waits for is configured (core/transitions.ts). */
const reachCluster: Step<Connecting> = {
  name: "reach-cluster",
  run: ({ kms, keyStore }, signal) =>
    kms.transitions.pass("kms::custom-key-store", keyStore.CustomKeyStoreId, signal),
};

/** Nobody else may be kmsuser while KMS is; checked and registered in one turn of the cluster. */
function claimKmsuser({ kms, keyStore }: Connecting): Promise<"present" | "absent"> {
  const clusterId = keyStore.CloudHsmClusterId;
  return kms.cloudhsm.mutexes.run(clusterId, async () => {
    const standing = await kmsuserStanding(kms.cloudhsm, clusterId);
    if (standing.record === "deleted") throw new ConnectFailure("USER_NOT_FOUND");
    if (standing.locked) throw new ConnectFailure("USER_LOCKED_OUT");
    if (standing.operatorLoggedIn) throw new ConnectFailure("USER_LOGGED_IN");
    kms.logins.set(clusterId, keyStore.CustomKeyStoreId);
    return standing.record;
  });
}

/** C_Login, again and again while no worker can be had, until the deadline. */
async function logIn(state: Connecting, signal: AbortSignal): Promise<string> {
  const { kms, keyStore } = state;
  const deadline = new AbortController();
  // Not AbortSignal.timeout: the worker that serves the store afterwards must outlive the deadline.
  const abort = (): void => deadline.abort();
  const timer = setTimeout(abort, LOGIN_DEADLINE_MS);
  // A Disconnect does not wait for a login that hangs; once logged in, nothing interrupts the rotation.
  signal.addEventListener("abort", abort, { once: true });
  try {
    for (;;) {
      const attempt = await kms.tokens.of(keyStore.CloudHsmClusterId).beginLogin(deadline.signal);
      try {
        const accepted = await attempt.login(kms.passwords.candidates(keyStore));
        state.attempt = attempt;
        return accepted;
      } catch (error) {
        await attempt.end();
        signal.throwIfAborted();
        // A login cut short by the deadline is a cluster out of reach.
        if (deadline.signal.aborted) throw new ConnectFailure("NETWORK_ERRORS");
        if (!(error instanceof Pkcs11Error) || error.kind !== "start") throw error;
        await sleep(START_RETRY_MS, undefined, { signal });
      }
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

const logInAsKmsuser: Step<Connecting> = {
  name: "log-in",
  run: async (state, signal) => {
    const { kms, keyStore } = state;
    const record = await claimKmsuser(state);
    try {
      state.password = await logIn(state, signal);
    } catch (error) {
      if (isRefusedPin(error)) await countFailedLogin(kms.cloudhsm, keyStore.CloudHsmClusterId, KMSUSER);
      throw error;
    }
    // A kmsuser made on the token with another tool is a kmsuser all the same.
    if (record === "absent") await adoptKmsuser(kms.cloudhsm, keyStore.CloudHsmClusterId);
    await clearFailedLogins(kms.cloudhsm, keyStore.CloudHsmClusterId, KMSUSER);
    await kms.passwords.settle(keyStore, state.password);
  },
  undo: async ({ kms, keyStore, attempt }) => {
    await attempt?.end();
    if (kms.logins.get(keyStore.CloudHsmClusterId) === keyStore.CustomKeyStoreId)
      kms.logins.delete(keyStore.CloudHsmClusterId);
  },
};

const rotatePassword: Step<Connecting> = {
  name: "rotate-password",
  run: async (state) => {
    const { kms } = state;
    const attempt = need(state.attempt, "the login");
    const id = state.keyStore.CustomKeyStoreId;
    const next = newKmsUserPassword();
    state.worker = await attempt.rotate(need(state.password, "the password"), next, {
      pending: (password) => kms.passwords.recordPending(findKeyStore(kms, id), password),
      commit: () => kms.passwords.settle(findKeyStore(kms, id), next),
    });
    await attempt.end();
    state.attempt = undefined;
  },
  undo: async ({ worker }) => {
    await worker?.close();
  },
};

const checkKeys: Step<Connecting> = {
  name: "check-keys",
  run: async (state) => {
    const { kms, keyStore } = state;
    const session = openSession(kms, keyStore.CustomKeyStoreId, state.worker);
    kms.sessions.set(keyStore.CustomKeyStoreId, session);
    await settleIntents(kms, keyStore, session);
    await checkCanaries(kms, keyStore, session);
  },
  undo: ({ kms, keyStore }) => closeSession(kms, keyStore.CustomKeyStoreId),
};

/** A Disconnect that came first has moved the store on: then there is nothing to become. */
const becomeConnected: Step<Connecting> = {
  name: "become-connected",
  run: async ({ kms, keyStore }) => {
    await kms.keyStores.move(keyStore.CustomKeyStoreId, "CONNECTING", "CONNECTED");
  },
};

export const CONNECT_STEPS = [
  findTheCluster,
  createSecurityGroup,
  createNetworkInterfaces,
  reachCluster,
  logInAsKmsuser,
  rotatePassword,
  checkKeys,
  becomeConnected,
] as const;
