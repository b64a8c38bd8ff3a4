/** Waiting for something asynchronous: poll, tell progress on stderr, give up after a while. */
import { setTimeout as sleep } from "node:timers/promises";
import { Refusal } from "../core/errors.ts";

const POLL_MS = 100;
const TIMED_OUT = 4;

/**
 * Poll until `look` returns a value.
 * @throws Refusal (exit 4) after `timeoutMs`, with `late` as its sentence
 */
export async function poll<T>(
  look: () => Promise<T | undefined>,
  timeoutMs: number,
  late: () => string,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (Date.now() >= deadline) throw new Refusal(late(), TIMED_OUT);
    await sleep(POLL_MS);
  }
}

/** A list of steps with their times: finished ones as lines, the running one rewritten in place on a terminal. */
export class Steps {
  readonly #stream: NodeJS.WriteStream;
  #current: string | undefined;
  #since = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** The step that runs now; undefined when none does. */
  at(step: string | undefined): void {
    if (step !== this.#current) {
      this.finish(true);
      this.#current = step;
      this.#since = Date.now();
    }
    if (this.#current !== undefined && this.#stream.isTTY)
      this.#stream.write(`\r\u001B[K  … ${this.#line()}`);
  }

  /** The running step has ended. */
  finish(good: boolean): void {
    if (this.#current === undefined) return;
    const erase = this.#stream.isTTY ? "\r\u001B[K" : "";
    this.#stream.write(`${erase}  ${good ? "✓" : "✗"} ${this.#line()}\n`);
    this.#current = undefined;
  }

  #line(): string {
    return `${this.#current}  ${((Date.now() - this.#since) / 1000).toFixed(1)} s`;
  }
}
