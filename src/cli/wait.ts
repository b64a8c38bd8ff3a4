/** Waiting for something asynchronous: poll, tell progress on stderr, give up after a while. */
import { setTimeout as sleep } from "node:timers/promises";
import { Refusal } from "../core/errors.ts";
import type { StoreSummary } from "../manage/wire.ts";

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

/** A list of steps with their times: ended ones as lines, the running one rewritten in place on a terminal. */
export class Steps {
  readonly #stream: NodeJS.WriteStream;
  #told = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** All steps of the run so far; each is told once when it has ended. */
  show(steps: StoreSummary["steps"]): void {
    const { isTTY } = this.#stream;
    for (const step of steps.slice(this.#told)) {
      const line = `${step.step}  ${step.seconds.toFixed(1)} s`;
      if (step.outcome === "running") {
        if (isTTY) this.#stream.write(`\r\u001B[K  … ${line}`);
        return;
      }
      this.#stream.write(`${isTTY ? "\r\u001B[K" : ""}  ${step.outcome === "done" ? "✓" : "✗"} ${line}\n`);
      this.#told += 1;
    }
  }
}
