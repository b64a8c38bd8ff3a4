/**
 * The composition root: the only file that constructs things. It opens them in order,
 * closes them in reverse, and is what `keystead dev`, `keystead serve` and in-process users
 * start.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { PolicyAuthorizer } from "./access/authorizer.ts";
import { baldrApiService } from "./cloudhsm/service.ts";
import { isLoopback, type Config } from "./config.ts";
import type { Authorizer } from "./core/access.ts";
import type { Clock } from "./core/clock.ts";
import type { Caller, Operation, Service } from "./core/operation.ts";
import { REGIONS } from "./core/regions.ts";
import type { Transitions } from "./core/transitions.ts";
import { makeDevDirectory, prepareDataDirectory, sweepDevDirectories } from "./data-directory.ts";
import type { Credential, FrontOptions, Observation } from "./front/options.ts";
import { createFront } from "./front/server.ts";
import { trentService } from "./kms/trent-service.ts";
import { createLog } from "./log.ts";
import { managementOf } from "./manage/worlds.ts";
import { clusterServices } from "./manage/clusters.ts";
import { createMetrics } from "./manage/metrics.ts";
import type { ServerInfo } from "./manage/wire.ts";
import { keyStoreServices } from "./manage/key-stores.ts";
import { healthServices } from "./manage/health.ts";
import { drain, listen } from "./listen.ts";
import { emptyState } from "./reset.ts";
import { seedDemo, type Demo } from "./seed.ts";
import { openServices, openShared, resume, type Services, type Shared, type Undo } from "./services.ts";
import { openWorlds, type Worlds } from "./worlds.ts";

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
  reset(seed: "demo" | "empty"): Promise<void>;
  close(): Promise<void>;
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
  const undo: Undo = [() => void process.off("SIGUSR1", ignore)];
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
  undo: Undo,
  close: () => Promise<void>,
): Promise<RunningServer> {
  const log = createLog(config.logLevel);
  const metrics = createMetrics(async () =>
    (await Promise.all(worlds.all().map(({ kms }) => keyStoreServices(kms).summaries()))).flat(),
  );
  const shared = openShared(config, directory, log, undo, metrics.pkcs11Call);
  const stage = { started: false };
  const worlds = await openAllWorlds(config, directory, shared, undo, stage);
  const { kms } = worlds.home;
  const { clock, transitions } = shared;

  let demo: Demo | undefined;
  const reset = async (seed: "demo" | "empty"): Promise<void> => {
    for (const world of worlds.all()) await emptyState(world.kms);
    demo = seed === "demo" ? await seedDemo(kms, config) : undefined;
  };
  const managementToken = isLoopback(config.host) ? undefined : tokenFor(config, directory);
  const info = (): ServerInfo => infoOf(config, directory, endpoint);
  const health = healthServices(() => worlds.all().map((world) => world.kms));
  const management = managementOf(worlds, (world) => ({
    version: VERSION,
    info,
    health: health.health,
    ready: health.ready,
    reset,
    clock,
    transitions,
    network: world.network,
    clusters: clusterServices(world.cloudhsm),
    kms: keyStoreServices(world.kms),
    metrics: metrics.registry,
    ...(managementToken === undefined ? {} : { managementToken }),
    log,
  }));
  const front = createFront(frontOptions(config, worlds, management, log, metrics.request));
  const endpoint = await listen(front, config);
  undo.push(() => drain(front));
  // The port answers already: a token that is slow to come back must not keep the others away.
  stage.started = true;
  await Promise.all(worlds.all().map((world) => resume(world, undo)));
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
    reset,
    close,
  };
}

/** @param stage worlds that are made after the start are driven on at once, the others when the port answers */
function openAllWorlds(
  config: Config,
  directory: string,
  shared: Shared,
  undo: Undo,
  stage: { readonly started: boolean },
): Promise<Worlds<Services>> {
  const opening = openWorlds<Services>(directory, config, async (name, place) => {
    prepareDataDirectory(place);
    const inRegion = async (region: string): Promise<Services | undefined> => {
      const worlds = await opening;
      return regionsOf(config).has(region) ? worlds.of({ account: name.account, region }) : undefined;
    };
    const world = await openServices(shared, name, place, undo, inRegion);
    if (stage.started) await resume(world, undo);
    return world;
  });
  return opening;
}

/** The Regions that have worlds: AWS's, and the configured one whatever it is called. */
function regionsOf(config: Config): ReadonlySet<string> {
  return new Set([...REGIONS, config.region]);
}

function frontOptions(
  config: Config,
  worlds: Worlds<Services>,
  management: FrontOptions["management"],
  log: ReturnType<typeof createLog>,
  count: (operation: string, code: string, seconds: number) => void,
): FrontOptions {
  const observe = (event: Observation): void => {
    count(event.operation, event.code, event.seconds);
    const { requestId, operation, principal, code, status } = event;
    log.info({ requestId, operation, principal, code, status, ms: event.seconds * 1000 }, "request");
  };
  const inWorld =
    <C extends object>(pick: (world: Services) => C) =>
    (caller: Caller): C | Promise<C> => {
      const world = worlds.of(caller);
      return world instanceof Promise ? world.then(pick) : pick(world);
    };
  return {
    region: config.region,
    regions: regionsOf(config),
    account: config.account,
    auth: config.auth,
    credentials: credentialsOf(config),
    ...authorizerOf(config),
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
        context: inWorld(({ kms }) => ({ kms })),
        internalError: "KMSInternalException",
      },
      {
        targetPrefix: "BaldrApiService",
        signingName: "cloudhsm",
        messageMember: "Message",
        table: tableOf(baldrApiService),
        context: inWorld(({ cloudhsm }) => ({ cloudhsm })),
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
    config.credentials.map(({ accessKeyId, secretAccessKey, sessionToken, account, arn }) => [
      accessKeyId,
      { secretAccessKey, account, arn, ...(sessionToken === undefined ? {} : { sessionToken }) },
    ]),
  );
}

/** Who decides what a caller may do: nobody, unless policies are to be evaluated. */
function authorizerOf({ auth, credentials }: Config): { readonly authorizer?: Authorizer } {
  if (auth !== "iam") return {};
  const identities = credentials.map(({ accessKeyId, policies }) => [accessKeyId, policies] as const);
  return { authorizer: new PolicyAuthorizer(new Map(identities)) };
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

const { version: VERSION } = JSON.parse(
  readFileSync(new URL("../package.json", import.meta.url), "utf8"),
) as {
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
