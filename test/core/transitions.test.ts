/** Progressions of the asynchronous lifecycles. */
import { expect, test } from "vitest";
import { Clock } from "../../src/core/clock.ts";
import { PRESETS, Transitions } from "../../src/core/transitions.ts";

const MODEL = "kms::custom-key-store";
const never = new AbortController().signal;

async function isPending(promise: Promise<void>): Promise<boolean> {
  const tick = new Promise((resolve) => setImmediate(() => resolve("pending")));
  return (await Promise.race([promise.then(() => "done"), tick])) === "pending";
}

test("presets: instant is immediate, aws takes minutes", () => {
  expect(PRESETS.instant[MODEL]).toEqual({ progression: "immediate" });
  expect(PRESETS.aws[MODEL]).toEqual({ progression: "time", seconds: 240 });
});

test("immediate goes on at once", async () => {
  const passing = new Transitions(new Clock(), "instant").pass(MODEL, "cks-1", never);
  expect(await isPending(passing)).toBe(false);
});

test("time goes on when virtual time has passed", async () => {
  const clock = new Clock();
  clock.freeze();
  const transitions = new Transitions(clock, "aws");
  const passing = transitions.pass(MODEL, "cks-1", never);
  clock.advance(239_999);
  expect(await isPending(passing)).toBe(true);
  clock.advance(1);
  await passing;
});

test("manual goes on after the resource was described often enough, and only that one", async () => {
  const transitions = new Transitions(new Clock(), "instant");
  transitions.set(MODEL, { progression: "manual", times: 2 });
  const passing = transitions.pass(MODEL, "cks-1", never);
  transitions.observe("cks-1");
  transitions.observe("cks-2");
  transitions.observe("cks-2");
  expect(await isPending(passing)).toBe(true);
  transitions.observe("cks-1");
  await passing;
  transitions.observe("cks-1");
});

test("manual with 0 times goes on at once; undefined returns to the preset", async () => {
  const transitions = new Transitions(new Clock(), "instant");
  transitions.set(MODEL, { progression: "manual", times: 0 });
  await transitions.pass(MODEL, "cks-1", never);
  transitions.set(MODEL, undefined);
  expect(transitions.get(MODEL)).toEqual({ progression: "immediate" });
});

test("waiting ends with an abort", async () => {
  const transitions = new Transitions(new Clock(), "aws");
  const abort = new AbortController();
  const timed = transitions.pass(MODEL, "cks-1", abort.signal);
  transitions.set(MODEL, { progression: "manual", times: 1 });
  const manual = transitions.pass(MODEL, "cks-2", abort.signal);
  abort.abort(new Error("superseded"));
  await expect(timed).rejects.toThrow("superseded");
  await expect(manual).rejects.toThrow("superseded");
});
