/**
 * The reconciler makes recorded intent true (architecture, practice 5): an API call writes
 * a state and wakes the resource; one run per resource at a time drives it on. A newer
 * intent aborts the run under way; at start every resource is woken, so a restart is the
 * same path as a first run.
 */
import type { Logger } from "./core/logger.ts";
import { reason } from "./core/errors.ts";

export interface Driver {
  /** Drive resource `id` as far as its recorded state asks. Must return when the signal is aborted. */
  (id: string, signal: AbortSignal): Promise<void>;
}

interface Run {
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

export class Reconciler {
  readonly #log: Logger;
  readonly #drivers = new Map<string, Driver>();
  readonly #runs = new Map<string, Run>();
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
    if (this.#closed) return;
    const driver = this.#driverOf(id);
    const previous = this.#runs.get(id);
    previous?.abort.abort(new Error("superseded by a newer intent"));
    const abort = new AbortController();
    const done = (previous?.done ?? Promise.resolve()).then(() => this.#run(driver, id, abort.signal));
    const run = { abort, done };
    this.#runs.set(id, run);
    void done.then(() => {
      if (this.#runs.get(id) === run) this.#runs.delete(id);
    });
  }

  /** Resolves when no run for `id` is under way. */
  async idle(id: string): Promise<void> {
    let run = this.#runs.get(id);
    while (run !== undefined) {
      await run.done;
      run = this.#runs.get(id);
    }
  }

  /** Abort all runs and wait for them. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const run of this.#runs.values()) run.abort.abort(new Error("the server is closing"));
    await Promise.all([...this.#runs.values()].map((run) => run.done));
  }

  /** Abort and await every run, as before a reset; the reconciler stays usable. */
  async settle(): Promise<void> {
    const runs = [...this.#runs.values()];
    for (const run of runs) run.abort.abort(new Error("the server is being reset"));
    await Promise.all(runs.map((run) => run.done));
  }

  #driverOf(id: string): Driver {
    for (const [prefix, driver] of this.#drivers) if (id.startsWith(prefix)) return driver;
    throw new Error(`no reconciler driver for ${id}`);
  }

  async #run(driver: Driver, id: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    try {
      await driver(id, signal);
    } catch (error) {
      if (!signal.aborted) this.#log.error({ id, reason: reason(error) }, "reconciler run failed");
    }
  }
}
