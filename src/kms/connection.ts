/**
 * Connecting and disconnecting a custom key store: the workflows behind the two API calls,
 * and logging in again after a restart (reference: custom-key-stores §5, §6).
 */
import { reason } from "../core/errors.ts";
import { runSteps, type Step } from "../core/workflow.ts";
import { CONNECT_STEPS, removeNetwork, type Connecting } from "./connect-steps.ts";
import { settleIntents } from "./key-creation.ts";
import type { Kms } from "./service.ts";
import { checkCanaries, closeSession, openSession } from "./sessions.ts";
import type { KeyStore } from "./store-book.ts";
import { connectionErrorCode } from "./token-errors.ts";

async function connect(kms: Kms, keyStore: KeyStore, signal: AbortSignal): Promise<void> {
  const id = keyStore.CustomKeyStoreId;
  const state: Connecting = {
    kms,
    keyStore,
    cluster: undefined,
    groupId: undefined,
    attempt: undefined,
    password: undefined,
    worker: undefined,
  };
  kms.progress.begin(id);
  try {
    await runSteps(CONNECT_STEPS, state, signal, (step, outcome) => {
      kms.progress.note(id, step, outcome);
      kms.log.debug({ id, step, outcome }, "connect");
    });
  } catch (error) {
    // A newer intent (Disconnect, or the server's end) drives the store from here.
    if (signal.aborted) return;
    const code = connectionErrorCode(error);
    kms.log.info({ id, code, reason: reason(error) }, "connect failed");
    await kms.keyStores.move(id, "CONNECTING", "FAILED", code);
  }
}

interface Disconnecting {
  readonly kms: Kms;
  readonly keyStore: KeyStore;
}

/** Needs no cluster, HSM or network: it must succeed when all of them are gone. */
const DISCONNECT_STEPS: readonly Step<Disconnecting>[] = [
  {
    name: "log-out",
    run: async ({ kms, keyStore }) => {
      const id = keyStore.CustomKeyStoreId;
      await closeSession(kms, id);
      if (kms.logins.get(keyStore.CloudHsmClusterId) === id) kms.logins.delete(keyStore.CloudHsmClusterId);
    },
  },
  { name: "remove-network", run: ({ kms, keyStore }) => removeNetwork(kms, keyStore) },
  {
    name: "leave-cluster",
    run: ({ kms, keyStore }, signal) =>
      kms.transitions.pass("kms::custom-key-store", keyStore.CustomKeyStoreId, signal),
  },
];

async function disconnect(kms: Kms, keyStore: KeyStore, signal: AbortSignal): Promise<void> {
  const id = keyStore.CustomKeyStoreId;
  kms.progress.begin(id);
  await runSteps(DISCONNECT_STEPS, { kms, keyStore }, signal, (step, outcome) => {
    kms.progress.note(id, step, outcome);
    kms.log.debug({ id, step, outcome }, "disconnect");
  });
  await kms.keyStores.move(id, "DISCONNECTING", "DISCONNECTED");
}

/**
 * After a restart: log in again with the stored password, no rotation. A store whose token
 * cannot be reached stays CONNECTED, as at AWS; its session keeps trying when it is asked.
 */
async function resume(kms: Kms, keyStore: KeyStore): Promise<void> {
  const id = keyStore.CustomKeyStoreId;
  if (kms.sessions.has(id)) return;
  const session = openSession(kms, id, undefined);
  kms.sessions.set(id, session);
  kms.logins.set(keyStore.CloudHsmClusterId, id);
  try {
    await session.probe();
    await settleIntents(kms, keyStore, session);
    await checkCanaries(kms, keyStore, session);
  } catch (error) {
    kms.log.warn({ id, reason: reason(error) }, "a connected key store could not be logged in again");
  }
}

/** Drive one store as its recorded state asks; the reconciler's driver of ids that start with `cks-`. */
export async function driveKeyStore(kms: Kms, id: string, signal: AbortSignal): Promise<void> {
  const keyStore = kms.keyStores.get(id);
  switch (keyStore?.ConnectionState) {
    case "CONNECTING":
      return connect(kms, keyStore, signal);
    case "DISCONNECTING":
      return disconnect(kms, keyStore, signal);
    case "CONNECTED":
      return resume(kms, keyStore);
    default:
      return undefined;
  }
}
