/**
 * The one virtual clock of every lifecycle: connect, cluster and HSM transitions, waiting
 * periods, idle sessions. It runs with the wall clock until somebody advances or freezes
 * it. SigV4 and the HTTP `Date` header never use it: clients live in wall time.
 */
import { Refusal } from "./errors.ts";

/** Timestamps and X.509 dates have years of four digits. */
const END_OF_TIME_MS = Date.UTC(9999, 11, 31);

/** setTimeout counts in 32 bits: a longer delay fires at once (reliability F11), so waits are cut into hours. */
const LONGEST_TIMER_MS = 3_600_000;

interface Waiter {
  readonly due: number;
  readonly wake: () => void;
}

export class Clock {
  #offsetMs = 0;
  #frozenAt: number | undefined;
  readonly #waiters = new Set<Waiter>();
  #timer: NodeJS.Timeout | undefined;
  readonly #listeners = new Set<() => void>();

  /** Virtual milliseconds since the epoch. */
  now(): number {
    return this.#frozenAt ?? Date.now() + this.#offsetMs;
  }

  /** Virtual seconds since the epoch with fraction, as AWS's timestamps are. */
  seconds(): number {
    return this.now() / 1000;
  }

  get frozen(): boolean {
    return this.#frozenAt !== undefined;
  }

  /**
   * Move virtual time forward by `ms` and wake what became due.
   * @throws Refusal, with the clock unmoved, for what is no step forward or leads out of the calendar
   */
  advance(ms: number): void {
    if (Number.isNaN(ms) || ms < 0)
      throw new Refusal("The clock only moves forward; advance it by zero or more.");
    if (this.now() + ms > END_OF_TIME_MS)
      throw new Refusal("The clock cannot pass 9999-12-31; advance it by less, or reset it.");
    if (this.#frozenAt !== undefined) this.#frozenAt += ms;
    else this.#offsetMs += ms;
    this.#changed();
  }

  /** Stop virtual time; `advance` still moves it. */
  freeze(): void {
    this.#frozenAt ??= this.now();
    this.#changed();
  }

  /** Back to the wall clock. */
  reset(): void {
    this.#frozenAt = undefined;
    this.#offsetMs = 0;
    this.#changed();
  }

  /** Be told whenever the clock is moved by hand. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Resolves after `ms` of virtual time. @throws the signal's reason when aborted */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (ms <= 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#waiters.delete(waiter);
        reject(signal?.reason as Error);
      };
      const waiter: Waiter = {
        due: this.now() + ms,
        wake: () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        },
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiters.add(waiter);
      this.#schedule();
    });
  }

  /** Forget all waiters, so that the process can end. */
  close(): void {
    clearTimeout(this.#timer);
    this.#waiters.clear();
  }

  #changed(): void {
    this.#wakeDue();
    for (const listener of this.#listeners) listener();
  }

  #wakeDue(): void {
    const now = this.now();
    for (const waiter of this.#waiters) {
      if (waiter.due > now) continue;
      this.#waiters.delete(waiter);
      waiter.wake();
    }
    this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#waiters.size === 0 || this.frozen) return;
    const next = Math.min(...[...this.#waiters].map((waiter) => waiter.due));
    const delay = Math.max(0, Math.min(next - this.now(), LONGEST_TIMER_MS));
    this.#timer = setTimeout(() => this.#wakeDue(), delay);
    this.#timer.unref();
  }
}
