/**
 * The lower half of the composition root: everything below HTTP, constructed once and
 * handed to each other here and nowhere else.
 */
import { join } from "node:path";
import type { CloudHsm } from "./cloudhsm/context.ts";
import { registerClusterDrivers, resumeClusters } from "./cloudhsm/drivers.ts";
import { KmsLogins } from "./cloudhsm/users.ts";
import type { Config } from "./config.ts";
import { Clock } from "./core/clock.ts";
import type { Logger } from "./core/logger.ts";
import { Mutexes } from "./core/mutex.ts";
import { Transitions } from "./core/transitions.ts";
import type { CallObserver } from "./hsm/client.ts";
import type { Spares } from "./hsm/spares.ts";
import { Tokens, warmSpares } from "./hsm/tokens.ts";
import { ClusterStandings } from "./kms/cluster-standing.ts";
import { driveKeyStore } from "./kms/connection.ts";
import { KeyBook } from "./kms/key-book.ts";
import { deleteDueKeys } from "./kms/key-deletion.ts";
import { KeyHealth } from "./kms/key-health.ts";
import { KmsuserPasswords } from "./kms/kmsuser.ts";
import type { Kms } from "./kms/service.ts";
import { Progress } from "./kms/progress.ts";
import { StoreBook } from "./kms/store-book.ts";
import { Network } from "./network/network.ts";
import { Reconciler } from "./reconciler.ts";
import { openStore, type Store } from "./store/database.ts";
import { openVault, type Vault } from "./store/vault.ts";
import type { WorldName } from "./worlds.ts";

/** Due deletions are looked for this often, in wall time, and whenever the virtual clock is moved. */
const DELETION_SCAN_MS = 10_000;

/** What closing does, last first. */
export type Undo = (() => Promise<void> | void)[];

/** Everything below HTTP. */
export interface Services {
  readonly store: Store;
  readonly clock: Clock;
  readonly transitions: Transitions;
  readonly reconciler: Reconciler;
  readonly tokens: Tokens;
  readonly network: Network;
  readonly cloudhsm: CloudHsm;
  readonly kms: Kms;
}

/**
 * Drive on what an earlier run left: stores log in again, unfinished lifecycles go on, due
 * keys are deleted. Resolves when every store was logged in again, or found out of reach.
 */
export async function resume({ kms, cloudhsm, reconciler }: Services, undo: Undo): Promise<void> {
  const ids = kms.keyStores.all().map((keyStore) => keyStore.CustomKeyStoreId);
  for (const id of ids) reconciler.wake(id);
  await resumeClusters(cloudhsm);
  const connected = ids.filter((id) => kms.keyStores.get(id)?.ConnectionState === "CONNECTED");
  await Promise.all(connected.map((id) => reconciler.idle(id)));
  scanDeletions(kms, undo);
}

/** What all worlds of a server share. */
export interface Shared {
  readonly modulePath: string;
  readonly backend: Config["backend"];
  readonly clock: Clock;
  readonly transitions: Transitions;
  readonly vault: Vault;
  readonly spares: Spares;
  readonly log: Logger;
}

/** Make what all worlds share; `undo` learns how to close it. */
export function openShared(
  config: Config,
  directory: string,
  log: Logger,
  undo: Undo,
  observe: CallObserver,
): Shared {
  const { module: modulePath, backend } = config;
  const clock = new Clock();
  const spares = warmSpares({ modulePath, backend, observe });
  undo.push(() => spares.close());
  undo.push(() => clock.close());
  const transitions = new Transitions(clock, config.timing);
  return { modulePath, backend, clock, transitions, vault: openVault(directory), spares, log };
}

/** Open a world's state and construct its services; `undo` learns how to close them. */
export async function openServices(
  shared: Shared,
  { account, region }: WorldName,
  directory: string,
  undo: Undo,
): Promise<Services> {
  const store = await openStore(directory);
  undo.push(() => store.close());
  const services = construct(shared, { account, region }, directory, store);
  const { kms, reconciler } = services;
  undo.push(async () => {
    await reconciler.close();
    await Promise.all([...kms.sessions.values()].map((session) => session.close()));
  });
  await Promise.all([kms.keys.load(), kms.keyStores.load(), kms.network.seedDefaultVpc()]);
  return services;
}

function construct(
  { modulePath, backend, clock, transitions, vault, spares, log }: Shared,
  { account, region }: WorldName,
  directory: string,
  store: Store,
): Services {
  const reconciler = new Reconciler(log);
  const network = new Network({ store, region });
  const tokens = new Tokens({ directory: join(directory, "clusters"), modulePath, backend, spares });
  const logins = new KmsLogins();
  const keys = new KeyBook(store, { region, account });
  const keyStores = new StoreBook(store);
  const shared = { region, account, store, clock, transitions, network, tokens, reconciler, log };
  const cloudhsm: CloudHsm = {
    ...shared,
    vault,
    mutexes: new Mutexes(),
    kmsLogins: logins,
    keyRegister: (clusterId) => Promise.resolve(registeredKeys(keyStores, keys, clusterId)),
  };
  const kms: Kms = {
    ...shared,
    cloudhsm,
    logins,
    keys,
    keyStores,
    passwords: new KmsuserPasswords(keyStores, vault, () => clock.now()),
    standings: new ClusterStandings(store),
    health: new KeyHealth(),
    sessions: new Map(),
    progress: new Progress(),
    turns: new Mutexes(),
  };
  registerClusterDrivers(cloudhsm);
  reconciler.drive("cks-", (id, signal) => driveKeyStore(kms, id, signal));
  return { store, clock, transitions, reconciler, tokens, network, cloudhsm, kms };
}

/** The keys KMS has on a cluster; an admin's key listing comes from here, because CKU_SO sees no private object. */
function registeredKeys(
  keyStores: StoreBook,
  keys: KeyBook,
  clusterId: string,
): { id: string; label: string }[] {
  return keyStores
    .all()
    .filter((keyStore) => keyStore.CloudHsmClusterId === clusterId)
    .flatMap((keyStore) => keys.ofStore(keyStore.CustomKeyStoreId))
    .map((key) => ({ id: key.BackingKeyId, label: key.Arn }));
}

function scanDeletions(kms: Kms, undo: Undo): void {
  let scanning = Promise.resolve();
  const scan = (): void => {
    scanning = scanning
      .then(() => deleteDueKeys(kms))
      .catch((error: unknown) => {
        kms.log.error({ reason: String(error) }, "the scan for due deletions failed");
      });
  };
  const timer = setInterval(scan, DELETION_SCAN_MS);
  timer.unref();
  kms.clock.onChange(scan);
  scan();
  undo.push(async () => {
    clearInterval(timer);
    await scanning;
  });
}
