/**
 * keystead in your own process, for tests:
 *
 * ```ts
 * import { startKeystead } from "keystead";
 * await using keystead = await startKeystead({ timing: "instant" });
 * const kms = new KMSClient(keystead.clientConfig);
 * ```
 */
import { loadConfig } from "./config.ts";
import type { Clock } from "./core/clock.ts";
import { startServer } from "./server.ts";

/** Options as in `keystead.yaml`; by default a temporary data directory, a free port and no demo data. */
export interface KeysteadOptions {
  readonly port?: number;
  readonly dataDir?: string;
  readonly auth?: "sigv4" | "iam" | "any";
  /** Who may sign, with identity policies for `auth: "iam"`; `test`/`test`, the account's root, when absent. */
  readonly credentials?: readonly KeysteadCredential[];
  readonly timing?: "instant" | "dev" | "aws";
  readonly module?: string;
  readonly backend?: "native" | "graphene";
  readonly region?: string;
  readonly account?: string;
  readonly logLevel?: "debug" | "info" | "warn" | "error";
  /** Seed the demo cluster and key store. */
  readonly demo?: boolean;
}

/** One access key; without a name and an ARN it is its account's root. */
export interface KeysteadCredential {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly account?: string;
  readonly name?: string;
  readonly arn?: string;
  /** Identity policies, as objects or JSON text. */
  readonly policies?: readonly (object | string)[];
}

export interface Keystead extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly endpoint: string;
  /** What an AWS SDK client of any of the services needs, with the first of the credentials. */
  readonly clientConfig: {
    readonly endpoint: string;
    readonly region: string;
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  };
  /** The virtual clock of every lifecycle and waiting period. */
  readonly clock: Clock;
  /** Back to an empty account, or to the demo. */
  reset(seed?: "demo" | "empty"): Promise<void>;
  close(): Promise<void>;
}

/** @throws Refusal when there is no SoftHSM2, the port is in use or the data directory is refused */
export async function startKeystead(options: KeysteadOptions = {}): Promise<Keystead> {
  const { demo = false, ...given } = options;
  const config = loadConfig({
    port: 0,
    timing: "instant",
    ...given,
    mode: demo ? "dev" : "serve",
    temporary: !demo,
  });
  const server = await startServer(config);
  const { region, credentials } = config;
  const { accessKeyId = "test", secretAccessKey = "test" } = credentials[0] ?? {};
  return {
    endpoint: server.endpoint,
    clientConfig: { endpoint: server.endpoint, region, credentials: { accessKeyId, secretAccessKey } },
    clock: server.clock,
    reset: (seed = "empty") => server.reset(seed),
    close: () => server.close(),
    [Symbol.asyncDispose]: () => server.close(),
  };
}
