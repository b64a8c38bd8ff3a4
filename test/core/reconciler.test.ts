/** The reconciler: one run per resource, newer intents supersede, closing waits. */
import { expect, test } from "vitest";
import { silent, type LogFields } from "../../src/core/logger.ts";
import { Reconciler } from "../../src/reconciler.ts";

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
