/** All tokens of a server: a directory, a header lock and a `ClusterToken` per cluster, and the warm spares they share. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ClusterToken } from "./cluster-token.ts";
import type { CallObserver } from "./client.ts";
import type { Backend } from "./manage.ts";
import { Spares } from "./spares.ts";

/** 1.5 GiB: Node with pkcs11js needs 735–867 MB of address space (design/softhsm.md, reliability F3). */
const WORKER_MEMORY_BYTES = 1536 * 1024 * 1024;
const WARM_SPARES = 2;

export interface TokensOptions {
  /** Holds one directory per cluster. */
  readonly directory: string;
  /** The PKCS#11 library, for example libsofthsm2.so. */
  readonly modulePath: string;
  readonly backend: Backend;
  readonly observe?: CallObserver;
  /** Workers shared with other `Tokens`, whose owner closes them; own ones when absent. */
  readonly spares?: Spares;
}

/** Two warm spares, so that a connect does not wait for a process start. */
export function warmSpares({
  modulePath,
  backend,
  observe = () => undefined,
}: Pick<TokensOptions, "modulePath" | "backend" | "observe">): Spares {
  return new Spares({ modulePath, backend, memoryLimit: WORKER_MEMORY_BYTES }, WARM_SPARES, observe);
}

/** A cluster id is a directory name here, so it must be exactly what the API's pattern allows. */
const CLUSTER_ID = /^cluster-[2-7a-zA-Z]{11,16}$/;

export class Tokens {
  readonly modulePath: string;
  readonly #directory: string;
  readonly #spares: Spares;
  readonly #ownsSpares: boolean;
  readonly #byCluster = new Map<string, ClusterToken>();

  constructor(options: TokensOptions) {
    this.modulePath = options.modulePath;
    this.#directory = options.directory;
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    this.#ownsSpares = options.spares === undefined;
    this.#spares = options.spares ?? warmSpares(options);
  }

  of(clusterId: string): ClusterToken {
    if (!CLUSTER_ID.test(clusterId)) throw new Error("not a cluster id");
    let token = this.#byCluster.get(clusterId);
    if (token === undefined) {
      token = new ClusterToken(clusterId, join(this.#directory, clusterId), this.#spares);
      this.#byCluster.set(clusterId, token);
    }
    return token;
  }

  /** Ends its own spares; workers in use belong to whoever took them. */
  async close(): Promise<void> {
    if (this.#ownsSpares) await this.#spares.close();
  }
}
