/**
 * How long the asynchronous lifecycles take: one progression per model, as moto's
 * transition managers have it (design/experience.md row 10). All time is virtual time.
 *
 * - `immediate`: the lifecycle goes on at once;
 * - `time`: it goes on after `seconds` of virtual time;
 * - `manual`: it goes on when the resource has been described `times` times, which makes
 *   intermediate states testable without a sleep.
 */
import type { Clock } from "./clock.ts";

export const MODELS = [
  "kms::custom-key-store",
  "cloudhsmv2::cluster",
  "cloudhsmv2::hsm",
  "cloudhsmv2::backup",
] as const;
export type Model = (typeof MODELS)[number];

export type Progression =
  | { readonly progression: "immediate" }
  | { readonly progression: "time"; readonly seconds: number }
  | { readonly progression: "manual"; readonly times: number };

export const PRESETS = {
  instant: presetOf(0, 0, 0, 0),
  dev: presetOf(1.5, 1, 1, 1),
  aws: presetOf(240, 90, 300, 120),
} as const;
export type Timing = keyof typeof PRESETS;

function presetOf(
  store: number,
  cluster: number,
  hsm: number,
  backup: number,
): Readonly<Record<Model, Progression>> {
  const after = (seconds: number): Progression =>
    seconds === 0 ? { progression: "immediate" } : { progression: "time", seconds };
  return {
    "kms::custom-key-store": after(store),
    "cloudhsmv2::cluster": after(cluster),
    "cloudhsmv2::hsm": after(hsm),
    "cloudhsmv2::backup": after(backup),
  };
}

interface Watch {
  seen: number;
  check: () => void;
}

export class Transitions {
  readonly #clock: Clock;
  readonly #preset: Readonly<Record<Model, Progression>>;
  readonly #chosen = new Map<Model, Progression>();
  readonly #watched = new Map<string, Watch>();

  constructor(clock: Clock, timing: Timing) {
    this.#clock = clock;
    this.#preset = PRESETS[timing];
  }

  get(model: Model): Progression {
    return this.#chosen.get(model) ?? this.#preset[model];
  }

  /** Choose a progression for lifecycles that start from now on; undefined returns to the preset. */
  set(model: Model, progression: Progression | undefined): void {
    if (progression === undefined) this.#chosen.delete(model);
    else this.#chosen.set(model, progression);
  }

  /** Resolves when the lifecycle of resource `id` may go on. @throws the signal's reason when aborted */
  async pass(model: Model, id: string, signal: AbortSignal): Promise<void> {
    const chosen = this.get(model);
    if (chosen.progression === "time") await this.#clock.sleep(chosen.seconds * 1000, signal);
    if (chosen.progression === "manual") await this.#described(id, chosen.times, signal);
  }

  /** A client has described resource `id`. */
  observe(id: string): void {
    const watch = this.#watched.get(id);
    if (watch === undefined) return;
    watch.seen += 1;
    watch.check();
  }

  #described(id: string, times: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const done = (settle: () => void): void => {
        this.#watched.delete(id);
        signal.removeEventListener("abort", abort);
        settle();
      };
      const abort = (): void => done(() => reject(signal.reason as Error));
      signal.addEventListener("abort", abort, { once: true });
      const watch: Watch = { seen: 0, check: () => (watch.seen >= times ? done(resolve) : undefined) };
      this.#watched.set(id, watch);
      watch.check();
    });
  }
}
