/** The steps of each key store's last connect or disconnect, for progress displays. In memory: nothing depends on it. */

export interface StepReport {
  readonly step: string;
  readonly outcome: "running" | "done" | "failed";
  /** Wall time; so far, while the step is running. */
  readonly seconds: number;
}

interface Entry {
  readonly step: string;
  readonly startedAt: number;
  endedAt: number | undefined;
  outcome: StepReport["outcome"];
}

export class Progress {
  readonly #runs = new Map<string, Entry[]>();

  /** A new run: the steps of the last one are forgotten. */
  begin(id: string): void {
    this.#runs.set(id, []);
  }

  note(id: string, step: string, outcome: "started" | "done" | "failed" | "undo failed"): void {
    const run = this.#runs.get(id) ?? [];
    const entry = run.at(-1);
    if (outcome === "started") {
      run.push({ step, startedAt: performance.now(), endedAt: undefined, outcome: "running" });
    } else if (entry?.step === step && outcome !== "undo failed") {
      entry.endedAt = performance.now();
      entry.outcome = outcome;
    }
  }

  steps(id: string): StepReport[] {
    return (this.#runs.get(id) ?? []).map(({ step, outcome, startedAt, endedAt = performance.now() }) => ({
      step,
      outcome,
      seconds: (endedAt - startedAt) / 1000,
    }));
  }

  forget(id: string): void {
    this.#runs.delete(id);
  }

  clear(): void {
    this.#runs.clear();
  }
}
