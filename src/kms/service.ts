/**
 * What KMS operations stand on: the service's own context, and the guards a table entry
 * names. `onAccount`: the caller is known; `onKey`: the key is resolved and its state allows
 * the use; `onKeyStore`: the store is resolved and the connection state's arrow exists.
 */
import type { CloudHsm } from "../cloudhsm/context.ts";
import type { KmsLogins } from "../cloudhsm/users.ts";
import type { Clock } from "../core/clock.ts";
import { AwsError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import { follow } from "../core/machine.ts";
import type { Mutexes } from "../core/mutex.ts";
import { operation, type Facts, type Operation, type Request } from "../core/operation.ts";
import type { Input, Members } from "../core/shape.ts";
import type { Transitions } from "../core/transitions.ts";
import type { KmsSession } from "../hsm/session.ts";
import type { Tokens } from "../hsm/tokens.ts";
import type { Network } from "../network/network.ts";
import type { Reconciler } from "../reconciler.ts";
import type { Store } from "../store/database.ts";
import type { ClusterStandings } from "./cluster-standing.ts";
import { CONNECTION, type ConnectionEvent } from "./connection-states.ts";
import { keyState, requireState, type Key, type KeyState, type KeyUse } from "./key.ts";
import type { KeyBook } from "./key-book.ts";
import { resolveKeyId, type KeyIdForms } from "./key-ids.ts";
import type { KeyHealth } from "./key-health.ts";
import type { KmsuserPasswords } from "./kmsuser.ts";
import type { Progress } from "./progress.ts";
import type { KeyStore, StoreBook } from "./store-book.ts";

/** Everything the KMS service is made of; constructed in `server.ts`. */
export interface Kms {
  readonly region: string;
  readonly account: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly transitions: Transitions;
  readonly network: Network;
  readonly tokens: Tokens;
  readonly reconciler: Reconciler;
  readonly cloudhsm: CloudHsm;
  readonly log: Logger;
  readonly keys: KeyBook;
  readonly keyStores: StoreBook;
  readonly passwords: KmsuserPasswords;
  readonly standings: ClusterStandings;
  readonly health: KeyHealth;
  /** Which clusters have kmsuser logged in by KMS. */
  readonly logins: KmsLogins;
  /** One per connected key store: the client application that is logged in as kmsuser. */
  readonly sessions: Map<string, KmsSession>;
  readonly progress: Progress;
  /** One turn per key store around check, act and commit. */
  readonly turns: Mutexes;
}

export interface KmsContext {
  readonly kms: Kms;
}

/** An operation that needs nothing but a known caller. */
export function onAccount<const M extends Members>(
  facts: Facts,
  members: M,
  run: (input: Input<M>, context: KmsContext & Request) => Promise<object | undefined>,
): Operation<KmsContext> {
  return operation<KmsContext, M>(facts, members, run);
}

export interface KeyFacts extends Facts {
  /** The input member that names the key. */
  readonly key: string;
  /** Whether an alias may stand there. */
  readonly forms: KeyIdForms;
  readonly use: KeyUse;
}

/** An operation on one key: resolved from the member `facts.key`, in a state that allows `facts.use`. */
export function onKey<const M extends Members>(
  facts: KeyFacts,
  members: M,
  run: (
    input: Input<M>,
    context: KmsContext & Request & { readonly key: Key },
  ) => Promise<object | undefined>,
): Operation<KmsContext> {
  return operation<KmsContext, M>(facts, members, (input, context) => {
    const named: unknown = (input as Record<string, unknown>)[facts.key];
    const key = findKey(context.kms, String(named), facts.forms);
    requireState(key, stateOf(context.kms, key), facts.use);
    return run(input, { ...context, key });
  });
}

/** @throws AwsError NotFoundException in the words AWS has for each kind of key id */
export function findKey(kms: Kms, text: string, forms: KeyIdForms): Key {
  const { keyId, notFound } = resolveKeyId(text, forms, kms);
  const key = kms.keys.get(keyId);
  if (key === undefined) throw notFound;
  return key;
}

export function stateOf(kms: Kms, key: Key): KeyState {
  return keyState(key, kms.keyStores.get(key.CustomKeyStoreId)?.ConnectionState === "CONNECTED");
}

/** @throws AwsError CustomKeyStoreNotFoundException */
export function findKeyStore(kms: Kms, id: string): KeyStore {
  const keyStore = kms.keyStores.get(id);
  if (keyStore === undefined)
    throw new AwsError("CustomKeyStoreNotFoundException", `The custom key store ${id} does not exist.`);
  return keyStore;
}

/** @throws AwsError CustomKeyStoreInvalidStateException when the table has no arrow for `event` */
export function requireArrow(keyStore: KeyStore, event: ConnectionEvent): KeyStore["ConnectionState"] {
  return follow(CONNECTION, keyStore.ConnectionState, event, keyStore.CustomKeyStoreId);
}

interface KeyStoreFacts<I> extends Facts {
  /** What the operation does to the store, which may depend on what the request asks. */
  readonly event: ConnectionEvent | ((input: I) => ConnectionEvent);
}

/** An operation on the key store named by CustomKeyStoreId, alone with it until it has settled. */
export function onKeyStore<const M extends Members>(
  facts: KeyStoreFacts<Input<M>>,
  members: M,
  run: (
    input: Input<M>,
    context: KmsContext & Request & { readonly keyStore: KeyStore },
  ) => Promise<object | undefined>,
): Operation<KmsContext> {
  return operation<KmsContext, M>(facts, members, (input, context) => {
    const id = String((input as Record<string, unknown>)["CustomKeyStoreId"]);
    findKeyStore(context.kms, id);
    return context.kms.turns.run(id, () => {
      const keyStore = findKeyStore(context.kms, id);
      requireArrow(keyStore, typeof facts.event === "function" ? facts.event(input) : facts.event);
      return run(input, { ...context, keyStore });
    });
  });
}
