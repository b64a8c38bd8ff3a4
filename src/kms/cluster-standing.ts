/**
 * Whether a cluster can serve cryptographic requests right now: it exists, is ACTIVE and
 * has an ACTIVE HSM. Asked on every request, so the answer is kept until somebody writes
 * to the cluster or HSM tables.
 */
import { activeHsms, findCluster } from "../cloudhsm/clusters.ts";
import type { Store } from "../store/database.ts";

export class ClusterStandings {
  readonly #store: Store;
  readonly #usable = new Map<string, boolean>();

  constructor(store: Store) {
    this.#store = store;
    for (const table of ["clusters", "hsms"] as const) store.writes.on(table, () => this.#usable.clear());
  }

  /** Resolved without a query in the common case. */
  usable(clusterId: string): boolean | Promise<boolean> {
    return this.#usable.get(clusterId) ?? this.#ask(clusterId);
  }

  async #ask(clusterId: string): Promise<boolean> {
    const cluster = await findCluster(this.#store.db, clusterId);
    const hsms = await activeHsms(this.#store.db, clusterId);
    const usable = cluster?.State === "ACTIVE" && hsms.length > 0;
    this.#usable.set(clusterId, usable);
    return usable;
  }
}
