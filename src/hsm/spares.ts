/**
 * Warm spares: workers with both libraries loaded that belong to no cluster yet and have
 * not called C_Initialize, so that a connect need not wait for a process start (about
 * 110 ms) and still sees the PIN as it is when it is given its cluster.
 */
import { HsmWorker, type CallObserver } from "./client.ts";
import type { WorkerSettings } from "./manage.ts";

export class Spares {
  readonly #settings: WorkerSettings;
  readonly #wanted: number;
  readonly #observe: CallObserver;
  #spares: HsmWorker[] = [];
  #closed = false;

  constructor(settings: WorkerSettings, wanted: number, observe: CallObserver) {
    this.#settings = settings;
    this.#wanted = wanted;
    this.#observe = observe;
    this.#fill();
  }

  /** A worker that is ready for a cluster, ended when `signal` aborts. @throws Pkcs11Error kind start */
  async take(signal?: AbortSignal): Promise<HsmWorker> {
    this.#spares = this.#spares.filter((spare) => spare.alive);
    const worker = this.#spares.shift() ?? this.#start();
    // The next spare must not compete with this connect for the processor.
    setImmediate(() => this.#fill());
    // A caller that gives up must not leave a hanging worker behind.
    const giveUp = (): void => worker.kill();
    signal?.addEventListener("abort", giveUp, { once: true });
    // A connect tries worker after worker under one deadline: each takes its listener along.
    void worker.exited.then(() => signal?.removeEventListener("abort", giveUp));
    if (signal?.aborted === true) worker.kill();
    await worker.ready;
    return worker;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#spares.map((spare) => spare.close()));
  }

  #start(): HsmWorker {
    return new HsmWorker(this.#settings, this.#observe);
  }

  #fill(): void {
    if (this.#closed) return;
    while (this.#spares.length < this.#wanted) {
      const spare = this.#start();
      // What keeps one process from starting keeps the next: the next take tries again.
      if (!spare.alive) return;
      this.#spares.push(spare);
    }
  }
}
