/**
 * The reconciler makes recorded intent true (architecture, practice 5): an API call writes
 * a state and wakes the resource; one run per resource at a time drives it on. A newer
 * intent aborts the run under way; at start every resource is woken, so a restart is the
 * same path as a first run. A run that throws is tried again, later each time: what failed
 * (a full disk, a worker that died) may be mended without a restart.
 */
import type { Logger } from "./core/logger.ts";
import { reason } from "./core/errors.ts";

export interface Driver {
  /** Drive resource `id` as far as its recorded state asks. Must return when the signal is aborted. */
  (id: string, signal: AbortSignal): Promise<void>;
}

/** Wall time: what is waited for is this machine, not a lifecycle. */
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;

interface Run {
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

export class Reconciler {
  readonly #log: Logger;
  readonly #drivers = new Map<string, Driver>();
  readonly #runs = new Map<string, Run>();
  /** Resources whose last run threw, and which nobody has woken since. */
  readonly #retries = new Map<string, NodeJS.Timeout>();
  #closed = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Register the driver of ids that start with `prefix`, for example "cks-". */
  drive(prefix: string, driver: Driver): void {
    this.#drivers.set(prefix, driver);
  }

  /** Start a run for `id`, after aborting and awaiting the one under way. */
  wake(id: string): void {
    if (!this.#closed) this.#start(id, FIRST_RETRY_MS);
  }

  /** Resolves when no run for `id` is under way; a run that is to be retried is over until then. */
  async idle(id: string): Promise<void> {
    let run = this.#runs.get(id);
    while (run !== undefined) {
      await run.done;
      run = this.#runs.get(id);
    }
  }

  /** Abort all runs, forget all retries, and wait. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#abortAll("the server is closing");
  }

  /** The same, as before a reset; the reconciler stays usable. */
  async settle(): Promise<void> {
    await this.#abortAll("the server is being reset");
  }

  /** An aborted run schedules no retry, so that none is left when this resolves. */
  async #abortAll(why: string): Promise<void> {
    for (const id of this.#retries.keys()) this.#cancelRetry(id);
    const runs = [...this.#runs.values()];
    for (const run of runs) run.abort.abort(new Error(why));
    await Promise.all(runs.map((run) => run.done));
  }

  /** @param retryMs how long to wait before the next run when this one throws */
  #start(id: string, retryMs: number): void {
    const driver = this.#driverOf(id);
    this.#cancelRetry(id);
    const previous = this.#runs.get(id);
    previous?.abort.abort(new Error("superseded by a newer intent"));
    const abort = new AbortController();
    const done = (previous?.done ?? Promise.resolve()).then(() =>
      this.#run(driver, id, abort.signal, retryMs),
    );
    const run = { abort, done };
    this.#runs.set(id, run);
    void done.then(() => {
      if (this.#runs.get(id) === run) this.#runs.delete(id);
    });
  }

  #driverOf(id: string): Driver {
    for (const [prefix, driver] of this.#drivers) if (id.startsWith(prefix)) return driver;
    throw new Error(`no reconciler driver for ${id}`);
  }

  async #run(driver: Driver, id: string, signal: AbortSignal, retryMs: number): Promise<void> {
    if (signal.aborted) return;
    try {
      await driver(id, signal);
    } catch (error) {
      if (signal.aborted) return;
      const again = `reconciler run failed; it is tried again in ${retryMs / 1000} s`;
      this.#log.error({ id, reason: reason(error) }, again);
      const next = Math.min(2 * retryMs, LONGEST_RETRY_MS);
      // Unref'd: a process that has nothing else to do may end.
      this.#retries.set(id, setTimeout(() => this.#start(id, next), retryMs).unref());
    }
  }

  #cancelRetry(id: string): void {
    clearTimeout(this.#retries.get(id));
    this.#retries.delete(id);
  }
}
