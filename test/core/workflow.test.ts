/** Workflows: order, undo in reverse, abort between steps. */
import { expect, test } from "vitest";
import { runSteps, undoSteps, type Step } from "../../src/core/workflow.ts";

type Log = string[];

function step(name: string, run: (log: Log) => void = () => undefined, undoable = true): Step<Log> {
  const body: Step<Log> = {
    name,
    run: async (log) => {
      log.push(name);
      run(log);
    },
  };
  return undoable ? { ...body, undo: async (log) => void log.push(`undo ${name}`) } : body;
}

test("steps run in order and are listened to", async () => {
  const log: Log = [];
  const heard: string[] = [];
  await runSteps([step("a"), step("b")], log, new AbortController().signal, (name, outcome) =>
    heard.push(`${name} ${outcome}`),
  );
  expect(log).toEqual(["a", "b"]);
  expect(heard).toEqual(["a started", "a done", "b started", "b done"]);
});

test("a failing step is undone too, then the earlier ones, in reverse; its error comes out", async () => {
  const log: Log = [];
  const heard: string[] = [];
  const fail = (): never => {
    throw new Error("no address");
  };
  const steps = [step("a"), step("b", undefined, false), step("c", fail), step("d")];
  const running = runSteps(steps, log, new AbortController().signal, (name, outcome) =>
    heard.push(`${name} ${outcome}`),
  );
  await expect(running).rejects.toThrow("no address");
  expect(log).toEqual(["a", "b", "c", "undo c", "undo a"]);
  expect(heard.at(-1)).toBe("c failed");
});

test("an abort takes effect between steps and undoes them", async () => {
  const log: Log = [];
  const abort = new AbortController();
  const steps = [step("a", () => abort.abort(new Error("disconnect"))), step("b")];
  await expect(runSteps(steps, log, abort.signal, () => undefined)).rejects.toThrow("disconnect");
  expect(log).toEqual(["a", "undo a"]);
});

test("an abort during the last step undoes everything as well", async () => {
  const log: Log = [];
  const abort = new AbortController();
  const steps = [step("a"), step("b", () => abort.abort(new Error("disconnect")))];
  await expect(runSteps(steps, log, abort.signal, () => undefined)).rejects.toThrow("disconnect");
  expect(log).toEqual(["a", "b", "undo b", "undo a"]);
});

test("undoSteps takes down what an earlier run built", async () => {
  const log: Log = [];
  await undoSteps([step("a"), step("b", undefined, false), step("c")], log, () => undefined);
  expect(log).toEqual(["undo c", "undo a"]);
});

test("an undo that fails is told and keeps neither the others nor the first error away", async () => {
  const log: Log = [];
  const heard: string[] = [];
  const broken: Step<Log> = { ...step("b"), undo: () => Promise.reject(new Error("still there")) };
  const failing = step("c", () => {
    throw new Error("the cause");
  });
  const run = runSteps([step("a"), broken, failing], log, new AbortController().signal, (name, outcome) =>
    heard.push(`${name} ${outcome}`),
  );
  await expect(run).rejects.toThrow("the cause");
  expect(log.slice(-2)).toEqual(["undo c", "undo a"]);
  expect(heard).toContain("b undo failed");
});
