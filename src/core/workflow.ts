/**
 * Workflows: named steps with undo. A failing or aborted step undoes what the earlier
 * ones built, in reverse order, so that a failed connect leaves no network interface.
 */

export interface Step<S> {
  readonly name: string;
  /** Idempotent: a restart runs every step again. */
  readonly run: (state: S, signal: AbortSignal) => Promise<void>;
  readonly undo?: (state: S) => Promise<void>;
}

export interface StepListener {
  /** `undo failed`: what the step built may still be there. */
  (name: string, outcome: "started" | "done" | "failed" | "undo failed"): void;
}

/** Run the steps in order. @throws what the failing step threw, after the undo of all completed ones */
export async function runSteps<S>(
  steps: readonly Step<S>[],
  state: S,
  signal: AbortSignal,
  listen: StepListener,
): Promise<void> {
  const entered: Step<S>[] = [];
  try {
    for (const step of steps) {
      signal.throwIfAborted();
      listen(step.name, "started");
      // A step that failed half-way may have built something too, so its undo runs as well.
      entered.push(step);
      await step.run(state, signal);
      listen(step.name, "done");
    }
    signal.throwIfAborted();
  } catch (error) {
    const failed = entered.at(-1);
    if (failed !== undefined) listen(failed.name, "failed");
    await undoSteps(entered, state, listen);
    throw error;
  }
}

/** Undo steps in reverse order; one that cannot be undone does not keep the others from it. */
export async function undoSteps<S>(steps: readonly Step<S>[], state: S, listen: StepListener): Promise<void> {
  for (const step of steps.toReversed())
    try {
      await step.undo?.(state);
    } catch {
      listen(step.name, "undo failed");
    }
}
