/** The reconciler: one run per resource, newer intents supersede, closing waits. */
import { afterEach, expect, test, vi } from "vitest";
import { silent, type LogFields } from "../../src/core/logger.ts";
import { Reconciler } from "../../src/reconciler.ts";

afterEach(() => {
  vi.useRealTimers();
});

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}

test("a resource is driven by the driver of its prefix", async () => {
  const reconciler = new Reconciler(silent);
  const driven: string[] = [];
  reconciler.drive("cks-", async (id) => void driven.push(`store ${id}`));
  reconciler.drive("hsm-", async (id) => void driven.push(`hsm ${id}`));
  reconciler.wake("hsm-1");
  reconciler.wake("cks-1");
  await reconciler.idle("hsm-1");
  await reconciler.idle("cks-1");
  await reconciler.idle("cks-2");
  expect(driven.toSorted()).toEqual(["hsm hsm-1", "store cks-1"]);
  expect(() => reconciler.wake("vpc-1")).toThrow("no reconciler driver for vpc-1");
});

test("a newer intent aborts the run under way and starts only when that has ended", async () => {
  const reconciler = new Reconciler(silent);
  const log: string[] = [];
  reconciler.drive("cks-", async (_id, signal) => {
    const run = log.filter((line) => line.endsWith("start")).length;
    log.push(`${run} start`);
    if (run === 0) await untilAborted(signal).catch(() => new Promise((resolve) => setTimeout(resolve, 10)));
    log.push(`${run} end`);
  });
  reconciler.wake("cks-1");
  await new Promise((resolve) => setImmediate(resolve));
  reconciler.wake("cks-1");
  reconciler.wake("cks-1");
  await reconciler.idle("cks-1");
  // The second wake was superseded before it began, so it never ran.
  expect(log).toEqual(["0 start", "0 end", "1 start", "1 end"]);
});

test("a failing run is logged, an aborted one is not, and both can be woken again", async () => {
  const logged: LogFields[] = [];
  const reconciler = new Reconciler({ ...silent, error: (fields) => logged.push(fields) });
  let runs = 0;
  reconciler.drive("cks-", async (id, signal) => {
    runs += 1;
    if (id === "cks-bad") throw new Error("disk full");
    if (runs === 2) await untilAborted(signal);
  });
  reconciler.wake("cks-bad");
  await reconciler.idle("cks-bad");
  reconciler.wake("cks-slow");
  await new Promise((resolve) => setImmediate(resolve));
  reconciler.wake("cks-slow");
  await reconciler.idle("cks-slow");
  expect(logged).toEqual([{ id: "cks-bad", reason: "disk full" }]);
  expect(runs).toBe(3);
});

test("settle aborts and waits and leaves it usable; close does not", async () => {
  const reconciler = new Reconciler(silent);
  let ended = 0;
  let started = 0;
  reconciler.drive("cks-", async (_id, signal) => {
    started += 1;
    await untilAborted(signal).catch(() => (ended += 1));
  });
  reconciler.wake("cks-1");
  reconciler.wake("cks-2");
  await new Promise((resolve) => setImmediate(resolve));
  await reconciler.settle();
  expect([started, ended]).toEqual([2, 2]);
  reconciler.wake("cks-1");
  await new Promise((resolve) => setImmediate(resolve));
  await reconciler.close();
  expect([started, ended]).toEqual([3, 3]);
  reconciler.wake("cks-1");
  await reconciler.idle("cks-1");
  expect(started).toBe(3);
});

/** A reconciler whose driver throws until it is mended, and when its runs began (ms). */
function failing(): { reconciler: Reconciler; runs: number[]; logged: string[]; mend: () => void } {
  vi.useFakeTimers({ now: 0 });
  const logged: string[] = [];
  const reconciler = new Reconciler({ ...silent, error: (_fields, text) => logged.push(text) });
  const runs: number[] = [];
  let broken = true;
  reconciler.drive("cks-", async () => {
    runs.push(Date.now());
    if (broken) throw new Error("disk full");
  });
  return { reconciler, runs, logged, mend: () => (broken = false) };
}

test("a run that throws is tried again, later each time up to 30 s, until it succeeds", async () => {
  const { reconciler, runs, logged, mend } = failing();
  reconciler.wake("cks-1");
  await vi.advanceTimersByTimeAsync(91_000);
  expect(runs.map((at) => at / 1000)).toEqual([0, 1, 3, 7, 15, 31, 61, 91]);
  expect(logged).toHaveLength(runs.length);
  expect(logged[1]).toContain("tried again in 2 s");
  mend();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(runs).toHaveLength(9);
  expect(logged, "the ninth run succeeded").toHaveLength(8);
});

test("idle waits for the run, not for its retry; a wake runs at once and starts the back-off anew", async () => {
  const { reconciler, runs } = failing();
  reconciler.wake("cks-1");
  await vi.advanceTimersByTimeAsync(5_000);
  await reconciler.idle("cks-1");
  expect(runs).toEqual([0, 1_000, 3_000]);
  reconciler.wake("cks-1");
  await reconciler.idle("cks-1");
  expect(runs.at(-1)).toBe(5_000);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(runs.slice(3), "the retry due at 7 s was the older intent's").toEqual([5_000, 6_000, 8_000]);
});

test.each(["settle", "close"] as const)("%s forgets the retries", async (end) => {
  const { reconciler, runs } = failing();
  reconciler.wake("cks-1");
  reconciler.wake("cks-2");
  await reconciler.idle("cks-2");
  reconciler.wake("cks-2");
  await reconciler[end]();
  expect(vi.getTimerCount()).toBe(0);
  const before = runs.length;
  await vi.advanceTimersByTimeAsync(120_000);
  expect(runs).toHaveLength(before);
});
