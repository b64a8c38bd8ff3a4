/**
 * What KMS operations stand on: the service's own context, and the guards a table entry
 * names. `onAccount`: the caller is known and may do it; `onKey`: the key is resolved, the
 * caller may do it with this key, whose state allows the use; `onKeyStore`: the caller may do
 * it, the store is resolved and the connection state's arrow exists.
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
import type { AliasBook } from "./alias-book.ts";
import type { ClusterStandings } from "./cluster-standing.ts";
import { CONNECTION, type ConnectionEvent } from "./connection-states.ts";
import type { GrantBook } from "./grant-book.ts";
import { keyState, requireState, type Key, type KeyState, type KeyUse } from "./key.ts";
import type { KeyBook } from "./key-book.ts";
import { resolveKeyId, type KeyIdForms } from "./key-ids.ts";
import { accountQuestion, keyQuestion } from "./questions.ts";
import type { KeyHealth } from "./key-health.ts";
import type { KeyUsage } from "./key-usage.ts";
import type { KmsuserPasswords } from "./kmsuser.ts";
import type { Progress } from "./progress.ts";
import type { Rates } from "./rates.ts";
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
  readonly aliases: AliasBook;
  readonly grants: GrantBook;
  readonly usage: KeyUsage;
  readonly keyStores: StoreBook;
  readonly passwords: KmsuserPasswords;
  readonly standings: ClusterStandings;
  readonly health: KeyHealth;
  /** Which clusters have kmsuser logged in by KMS. */
  readonly logins: KmsLogins;
  /** One per connected key store: the client application that is logged in as kmsuser. */
  readonly sessions: Map<string, KmsSession>;
  readonly progress: Progress;
  readonly rates: Rates;
  /** One turn per key store around check, act and commit. */
  readonly turns: Mutexes;
}

export interface KmsContext {
  readonly kms: Kms;
}

/**
 * May the caller do this, with no key concerned? `asked` is the request, for its condition keys.
 * @throws AwsError AccessDeniedException
 */
export function authorize(
  context: KmsContext & Request,
  action: string,
  resource: string,
  asked: object,
): void {
  context.authorizer?.check(accountQuestion(context.kms, context, action, resource, asked));
}

/**
 * May the caller do this with `key`?
 * @throws AwsError AccessDeniedException
 */
export function authorizeKey(kms: Kms, request: Request, key: Key, action: string, asked: object = {}): void {
  request.authorizer?.check(keyQuestion(kms, request, key, action, asked));
}

export interface AccountFacts extends Facts {
  /** What the operation is about is known only inside it, so it asks there whether the caller may. */
  readonly authorized?: "inside";
}

/** An operation of the account as a whole; its permission is for the resource `*`. */
export function onAccount<const M extends Members>(
  facts: AccountFacts,
  members: M,
  run: (input: Input<M>, context: KmsContext & Request) => Promise<object | undefined>,
): Operation<KmsContext> {
  return operation<KmsContext, M>(facts, members, (input, context) => {
    if (facts.authorized === undefined) authorize(context, `kms:${context.operation}`, "*", input);
    return run(input, context);
  });
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
    authorizeKey(context.kms, context, key, `kms:${context.operation}`, input);
    requireKnownTokens(context.kms, input);
    requireState(key, stateOf(context.kms, key), facts.use);
    return run(input, { ...context, key });
  });
}

/** @throws AwsError InvalidGrantTokenException when GrantTokens has one that no grant has */
export function requireKnownTokens(kms: Kms, asked: object): void {
  const { GrantTokens } = asked as { readonly GrantTokens?: readonly string[] };
  if (GrantTokens !== undefined) kms.grants.requireTokens(GrantTokens);
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
    context.kms.rates.keyStoreOperation(context.operation);
    authorize(context, `kms:${context.operation}`, "*", input);
    findKeyStore(context.kms, id);
    return context.kms.turns.run(id, () => {
      const keyStore = findKeyStore(context.kms, id);
      requireArrow(keyStore, typeof facts.event === "function" ? facts.event(input) : facts.event);
      return run(input, { ...context, keyStore });
    });
  });
}
