/** Prometheus series (design/experience.md row 18). Labels come from closed sets: operation, code, function, state. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { StoreSummary } from "./wire.ts";

/** From a hot in-memory call (0.2 ms) to the HSM worker's call deadline (5 s). */
const SECONDS = [0.0002, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export interface Metrics {
  readonly registry: Registry;
  /** One AWS request has been answered; `code` is the exception or "OK". */
  readonly request: (operation: string, code: string, seconds: number) => void;
  /** One PKCS#11 function has returned `rv` (its CKR_ name). */
  readonly pkcs11Call: (name: string, rv: string, seconds: number) => void;
}

/** @param stores read at every scrape, so that the gauge cannot differ from the truth */
export function createMetrics(stores: () => Promise<readonly StoreSummary[]>): Metrics {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  const requests = new Counter({
    name: "keystead_requests_total",
    help: "AWS API requests by operation and outcome.",
    labelNames: ["operation", "code"],
    registers,
  });
  const requestSeconds = new Histogram({
    name: "keystead_request_seconds",
    help: "Time from a request's first byte to its answer.",
    labelNames: ["operation"],
    buckets: SECONDS,
    registers,
  });
  const pkcs11Seconds = new Histogram({
    name: "keystead_pkcs11_call_seconds",
    help: "Time of PKCS#11 calls by function and return value.",
    labelNames: ["function", "rv"],
    buckets: SECONDS,
    registers,
  });
  storeState(registers, stores);
  return {
    registry,
    request: (operation, code, seconds) => {
      requests.inc({ operation, code });
      requestSeconds.observe({ operation }, seconds);
    },
    pkcs11Call: (name, rv, seconds) => pkcs11Seconds.observe({ function: name, rv }, seconds),
  };
}

function storeState(
  registers: Registry[],
  stores: () => Promise<readonly StoreSummary[]>,
): Gauge<"store" | "state"> {
  return new Gauge({
    name: "keystead_store_state",
    help: "1 for the connection state each custom key store is in.",
    labelNames: ["store", "state"],
    registers,
    async collect() {
      this.reset();
      for (const store of await stores())
        this.set({ store: store.CustomKeyStoreId, state: store.ConnectionState }, 1);
    },
  });
}
