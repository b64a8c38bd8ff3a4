/**
 * The lower half of the composition root: everything below HTTP, constructed once and
 * handed to each other here and nowhere else.
 */
import { join } from "node:path";
import { backupKeeper } from "./cloudhsm/backup-scan.ts";
import type { CloudHsm } from "./cloudhsm/context.ts";
import { registerClusterDrivers, resumeClusters } from "./cloudhsm/drivers.ts";
import { KmsLogins } from "./cloudhsm/users.ts";
import type { Config } from "./config.ts";
import { Clock } from "./core/clock.ts";
import { reason } from "./core/errors.ts";
import type { Logger } from "./core/logger.ts";
import { Mutexes } from "./core/mutex.ts";
import { Transitions } from "./core/transitions.ts";
import type { CallObserver } from "./hsm/client.ts";
import type { Spares } from "./hsm/spares.ts";
import { Tokens, warmSpares } from "./hsm/tokens.ts";
import { AliasBook } from "./kms/alias-book.ts";
import { ClusterStandings } from "./kms/cluster-standing.ts";
import { driveKeyStore } from "./kms/connection.ts";
import { GrantBook } from "./kms/grant-book.ts";
import { KeyBook } from "./kms/key-book.ts";
import { deleteDueKeys } from "./kms/key-deletion.ts";
import { KeyHealth } from "./kms/key-health.ts";
import { KeyUsage } from "./kms/key-usage.ts";
import { KmsuserPasswords } from "./kms/kmsuser.ts";
import type { Kms } from "./kms/service.ts";
import { Rates } from "./kms/rates.ts";
import { Progress } from "./kms/progress.ts";
import { StoreBook } from "./kms/store-book.ts";
import { Network } from "./network/network.ts";
import { Reconciler } from "./reconciler.ts";
import { openStore, type Store } from "./store/database.ts";
import { openVault, type Vault } from "./store/vault.ts";
import type { WorldName } from "./worlds.ts";

/** What is due is looked for this often, in wall time, and whenever the virtual clock is moved. */
const SCAN_MS = 10_000;

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
  scanRegularly(kms, undo, "due deletions", () => deleteDueKeys(kms));
  scanRegularly(kms, undo, "unwritten key uses", () => kms.usage.flush());
  scanRegularly(kms, undo, "backups", backupKeeper(cloudhsm));
}

/** What all worlds of a server share. */
export interface Shared {
  readonly modulePath: string;
  readonly backend: Config["backend"];
  readonly quotas: Config["quotas"];
  readonly grantLagMs: number;
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
  const { module: modulePath, backend, quotas } = config;
  const clock = new Clock();
  const spares = warmSpares({ modulePath, backend, observe });
  undo.push(() => spares.close());
  undo.push(() => clock.close());
  const transitions = new Transitions(clock, config.timing);
  const grantLagMs = config.grantLag * 1000;
  const vault = openVault(directory);
  return { modulePath, backend, quotas, grantLagMs, clock, transitions, vault, spares, log };
}

/** Open a world's state and construct its services; `undo` learns how to close them. */
export async function openServices(
  shared: Shared,
  { account, region }: WorldName,
  directory: string,
  undo: Undo,
  inRegion: (region: string) => Promise<Services | undefined>,
): Promise<Services> {
  const store = await openStore(directory);
  undo.push(() => store.close());
  const services = construct(shared, { account, region }, directory, store, inRegion);
  const { kms, reconciler } = services;
  undo.push(() =>
    kms.usage.flush().catch((error: unknown) => {
      shared.log.error({ reason: reason(error) }, "the last key uses could not be written");
    }),
  );
  undo.push(async () => {
    await reconciler.close();
    await Promise.all([...kms.sessions.values()].map((session) => session.close()));
  });
  await loadBooks(kms);
  await kms.network.seedDefaultVpc();
  return services;
}

/** Read what is kept in memory for the request path. */
export async function loadBooks({ keys, keyStores, aliases, grants, usage }: Kms): Promise<void> {
  await Promise.all([keys, keyStores, aliases, grants, usage].map((book) => book.load()));
}

function construct(
  { modulePath, backend, quotas, grantLagMs, clock, transitions, vault, spares, log }: Shared,
  { account, region }: WorldName,
  directory: string,
  store: Store,
  inRegion: (region: string) => Promise<Services | undefined>,
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
    backupDirectory: join(directory, "backups"),
    inRegion: async (region) => (await inRegion(region))?.cloudhsm,
    mutexes: new Mutexes(),
    kmsLogins: logins,
    keyRegister: (clusterId) => Promise.resolve(registeredKeys(keyStores, keys, clusterId)),
  };
  const kms: Kms = {
    ...shared,
    cloudhsm,
    logins,
    keys,
    aliases: new AliasBook(store),
    grants: new GrantBook(store, grantLagMs),
    usage: new KeyUsage(store),
    keyStores,
    passwords: new KmsuserPasswords(keyStores, vault, () => clock.now()),
    standings: new ClusterStandings(store),
    health: new KeyHealth(),
    sessions: new Map(),
    progress: new Progress(),
    rates: new Rates(quotas === "aws"),
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

/** Look for what time has made due, again and again, never two looks at a time. */
function scanRegularly({ clock, log }: Kms, undo: Undo, what: string, look: () => Promise<void>): void {
  let scanning = Promise.resolve();
  const scan = (): void => {
    scanning = scanning.then(look).catch((error: unknown) => {
      log.error({ reason: reason(error) }, `the scan for ${what} failed`);
    });
  };
  const timer = setInterval(scan, SCAN_MS);
  timer.unref();
  clock.onChange(scan);
  scan();
  undo.push(async () => {
    clearInterval(timer);
    await scanning;
  });
}
