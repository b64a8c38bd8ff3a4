/**
 * The composition root: the only file that constructs things. It opens them in order,
 * closes them in reverse, and is what `keystead dev`, `keystead serve` and in-process users
 * start.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { registerClusterDrivers, resumeClusters } from "./cloudhsm/drivers.ts";
import { baldrApiService } from "./cloudhsm/service.ts";
import { KmsLogins } from "./cloudhsm/users.ts";
import type { CloudHsm } from "./cloudhsm/context.ts";
import { isLoopback, type Config } from "./config.ts";
import { Clock } from "./core/clock.ts";
import { Refusal } from "./core/errors.ts";
import { Mutexes } from "./core/mutex.ts";
import type { Operation, Service } from "./core/operation.ts";
import { Transitions } from "./core/transitions.ts";
import { makeDevDirectory, prepareDataDirectory, sweepDevDirectories } from "./data-directory.ts";
import type { Credential, FrontOptions, Observation } from "./front/options.ts";
import { createFront } from "./front/server.ts";
import { Tokens } from "./hsm/tokens.ts";
import { ClusterStandings } from "./kms/cluster-standing.ts";
import { driveKeyStore } from "./kms/connection.ts";
import { KeyBook } from "./kms/key-book.ts";
import { deleteDueKeys } from "./kms/key-deletion.ts";
import { KeyHealth } from "./kms/key-health.ts";
import { KmsuserPasswords } from "./kms/kmsuser.ts";
import type { Kms } from "./kms/service.ts";
import { StoreBook } from "./kms/store-book.ts";
import { trentService } from "./kms/trent-service.ts";
import { createLog } from "./log.ts";
import { createManagement } from "./manage/app.ts";
import { clusterServices } from "./manage/clusters.ts";
import { createMetrics } from "./manage/metrics.ts";
import type { ServerInfo } from "./manage/wire.ts";
import { keyStoreServices } from "./manage/key-stores.ts";
import { healthServices } from "./manage/health.ts";
import { Network } from "./network/network.ts";
import { Reconciler } from "./reconciler.ts";
import { emptyState } from "./reset.ts";
import { seedDemo, type Demo } from "./seed.ts";
import { openStore, type Store } from "./store/database.ts";
import { openVault } from "./store/vault.ts";

/** Due deletions are looked for this often, in wall time, and whenever the virtual clock is moved. */
const DELETION_SCAN_MS = 10_000;
/** How long requests that were admitted may take to finish at the end. */
const DRAIN_MS = 10_000;

export interface RunningServer {
  /** `http://host:port` */
  readonly endpoint: string;
  readonly clock: Clock;
  readonly transitions: Transitions;
  info(): ServerInfo;
  /** Dev mode's seeded cluster and key store, until a reset to empty. */
  readonly demo: Demo | undefined;
  /** Bearer token of the management API; undefined on a loopback address, where none is asked for. */
  readonly managementToken: string | undefined;
  /** Resolves when every connected key store was logged in again, or found out of reach. */
  settled(): Promise<void>;
  reset(seed: "demo" | "empty"): Promise<void>;
  close(): Promise<void>;
}

/** Everything below HTTP. */
interface Services {
  readonly store: Store;
  readonly clock: Clock;
  readonly transitions: Transitions;
  readonly reconciler: Reconciler;
  readonly tokens: Tokens;
  readonly network: Network;
  readonly cloudhsm: CloudHsm;
  readonly kms: Kms;
}

/** @throws Refusal with the process exit code it stands for */
export async function startServer(config: Config): Promise<RunningServer> {
  process.umask(0o077);
  // The default handler of SIGUSR1 opens the debugger's port (reliability T28).
  process.on("SIGUSR1", ignore);
  const temporary = config.dataDir === undefined;
  if (temporary) sweepDevDirectories();
  const directory = config.dataDir ?? makeDevDirectory();
  prepareDataDirectory(directory);
  const undo: (() => Promise<void> | void)[] = [() => void process.off("SIGUSR1", ignore)];
  const close = async (): Promise<void> => {
    for (const act of undo.splice(0).toReversed()) await act();
  };
  if (temporary) undo.push(() => rmSync(directory, { recursive: true, force: true }));
  try {
    return await open(config, directory, undo, close);
  } catch (error) {
    await close();
    throw error;
  }
}

function ignore(): void {
  // Taken, so that nothing else is done with the signal.
}

async function open(
  config: Config,
  directory: string,
  undo: (() => Promise<void> | void)[],
  close: () => Promise<void>,
): Promise<RunningServer> {
  const log = createLog(config.logLevel);
  const store = await openStore(directory);
  undo.push(() => store.close());
  const metrics = createMetrics(() => stores.summaries());
  const services = construct(config, directory, store, log, metrics.pkcs11Call);
  const { kms, cloudhsm, reconciler, tokens, clock, transitions, network } = services;
  undo.push(() => tokens.close());
  undo.push(async () => {
    clock.close();
    await reconciler.close();
    await Promise.all([...kms.sessions.values()].map((session) => session.close()));
  });
  const stores = keyStoreServices(kms);
  await Promise.all([kms.keys.load(), kms.keyStores.load(), network.seedDefaultVpc()]);

  let demo: Demo | undefined;
  const reset = async (seed: "demo" | "empty"): Promise<void> => {
    await emptyState(kms);
    demo = seed === "demo" ? await seedDemo(kms, config) : undefined;
  };
  const managementToken = isLoopback(config.host) ? undefined : tokenFor(config, directory);
  const info = (): ServerInfo => infoOf(config, directory, endpoint);
  const health = healthServices(kms);
  const management = createManagement({
    version: VERSION,
    info,
    health: health.health,
    ready: health.ready,
    reset,
    clock,
    transitions,
    network,
    clusters: clusterServices(cloudhsm),
    kms: stores,
    metrics: metrics.registry,
    ...(managementToken === undefined ? {} : { managementToken }),
    log,
  });
  const front = createFront(frontOptions(config, services, management, log, metrics.request));
  const endpoint = await listen(front, config);
  undo.push(() => drain(front));

  for (const keyStore of kms.keyStores.all()) reconciler.wake(keyStore.CustomKeyStoreId);
  await resumeClusters(cloudhsm);
  scanDeletions(kms, undo);
  if (config.mode === "dev") demo = await seedDemo(kms, config);
  health.opened();
  return {
    endpoint,
    clock,
    transitions,
    info,
    get demo() {
      return demo;
    },
    managementToken,
    settled: async () => {
      await Promise.all(kms.keyStores.all().map((keyStore) => reconciler.idle(keyStore.CustomKeyStoreId)));
    },
    reset,
    close,
  };
}

function construct(
  config: Config,
  directory: string,
  store: Store,
  log: ReturnType<typeof createLog>,
  observe: (call: string, rv: string, seconds: number) => void,
): Services {
  const { region, account } = config;
  const clock = new Clock();
  const transitions = new Transitions(clock, config.timing);
  const reconciler = new Reconciler(log);
  const network = new Network({ store, region });
  const vault = openVault(directory);
  const tokens = new Tokens({
    directory: join(directory, "clusters"),
    modulePath: config.module,
    backend: config.backend,
    observe,
  });
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
    progress: new Map(),
    turns: new Mutexes(),
  };
  registerClusterDrivers(cloudhsm);
  reconciler.drive("cks-", (id, signal) => driveKeyStore(kms, id, signal));
  return { store, clock, transitions, reconciler, tokens, network, cloudhsm, kms };
}

/** The keys KMS has on a cluster; an admin's key listing comes from here, because CKU_SO sees no private object. */
function registeredKeys(keyStores: StoreBook, keys: KeyBook, clusterId: string): { id: string; label: string }[] {
  return keyStores
    .all()
    .filter((keyStore) => keyStore.CloudHsmClusterId === clusterId)
    .flatMap((keyStore) => keys.ofStore(keyStore.CustomKeyStoreId))
    .map((key) => ({ id: key.BackingKeyId, label: key.Arn }));
}

function frontOptions(
  config: Config,
  { kms, cloudhsm }: Services,
  management: FrontOptions["management"],
  log: ReturnType<typeof createLog>,
  count: (operation: string, code: string, seconds: number) => void,
): FrontOptions {
  const observe = (event: Observation): void => {
    count(event.operation, event.code, event.seconds);
    const { requestId, operation, principal, code, status } = event;
    log.info({ requestId, operation, principal, code, status, ms: event.seconds * 1000 }, "request");
  };
  return {
    region: config.region,
    account: config.account,
    auth: config.auth,
    credentials: credentialsOf(config),
    allowedHosts: config.allowedHosts,
    management,
    observe,
    log,
    services: [
      {
        targetPrefix: "TrentService",
        signingName: "kms",
        messageMember: "message",
        table: tableOf(trentService),
        context: { kms },
        internalError: "KMSInternalException",
      },
      {
        targetPrefix: "BaldrApiService",
        signingName: "cloudhsm",
        messageMember: "Message",
        table: tableOf(baldrApiService),
        context: { cloudhsm },
        internalError: "CloudHsmInternalFailureException",
      },
    ],
  };
}

/** The front knows no service's context: it hands each operation the one that belongs to its table. */
function tableOf<C>(service: Service<C>): ReadonlyMap<string, Operation<unknown>> {
  return new Map(Object.entries(service) as [string, Operation<unknown>][]);
}

function credentialsOf(config: Config): ReadonlyMap<string, Credential> {
  return new Map(
    config.credentials.map(({ accessKeyId, secretAccessKey, sessionToken, account = config.account, arn }) => [
      accessKeyId,
      {
        secretAccessKey,
        account,
        arn: arn ?? `arn:aws:iam::${account}:root`,
        ...(sessionToken === undefined ? {} : { sessionToken }),
      },
    ]),
  );
}

/** The configured token, or one kept in a file that only this user can read. */
function tokenFor(config: Config, directory: string): string {
  if (config.managementToken !== undefined) return config.managementToken;
  const file = join(directory, "management.token");
  if (!existsSync(file)) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeFileSync(file, `${randomBytes(24).toString("base64url")}\n`, { mode: 0o600 });
  }
  return readFileSync(file, "utf8").trim();
}

const { version: VERSION } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

function infoOf(config: Config, directory: string, endpoint: string): ServerInfo {
  const [first] = config.credentials;
  const wellKnown = first?.accessKeyId === "test" && first.secretAccessKey === "test";
  return {
    endpoint,
    region: config.region,
    account: config.account,
    auth: config.auth,
    dev: config.mode === "dev",
    modulePath: config.module,
    dataDirectory: directory,
    ...(wellKnown ? { accessKeyId: "test", secretAccessKey: "test" } : {}),
  };
}

function listen(front: Server, { host, port }: Config): Promise<string> {
  return new Promise((resolve, reject) => {
    front.once("error", (error: NodeJS.ErrnoException) => {
      const sentence: Readonly<Record<string, string>> = {
        EADDRINUSE: `Port ${port} is in use; stop what listens there or choose another with --port (0 picks a free one).`,
        EACCES: `Port ${port} needs more rights than this user has; choose another with --port.`,
        EADDRNOTAVAIL: `This machine has no address ${host}; check --host.`,
      };
      reject(new Refusal(sentence[error.code ?? ""] ?? `Cannot listen on ${host}:${port}: ${error.message}`, 3));
    });
    front.listen(port, host, () => {
      const { port: chosen } = front.address() as AddressInfo;
      const shown = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
      resolve(`http://${shown.includes(":") ? `[${shown}]` : shown}:${chosen}`);
    });
  });
}

/** Answer what was admitted, take nothing new. */
async function drain(front: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => front.close(() => resolve()));
  front.closeIdleConnections();
  const forced = setTimeout(() => front.closeAllConnections(), DRAIN_MS);
  await closed;
  clearTimeout(forced);
}

function scanDeletions(kms: Kms, undo: (() => void | Promise<void>)[]): void {
  let scanning = Promise.resolve();
  const scan = (): void => {
    scanning = scanning.then(() => deleteDueKeys(kms)).catch((error: unknown) => {
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
