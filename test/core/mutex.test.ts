/** Exclusion within the process: in turn, by name, and past a failure. */
import { expect, test } from "vitest";
import { Mutex, Mutexes } from "../../src/core/mutex.ts";

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("bodies run one at a time, in the order they came, past one that fails", async () => {
  const mutex = new Mutex();
  const log: string[] = [];
  const body = (name: string, ms: number) => async (): Promise<string> => {
    log.push(`${name} in`);
    await pause(ms);
    log.push(`${name} out`);
    if (name === "b") throw new Error("b failed");
    return name;
  };
  const results = await Promise.allSettled([
    mutex.run(body("a", 10)),
    mutex.run(body("b", 1)),
    mutex.run(body("c", 0)),
  ]);
  expect(results.map((result) => result.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(log).toEqual(["a in", "a out", "b in", "b out", "c in", "c out"]);
});

test("different names do not wait for each other", async () => {
  const mutexes = new Mutexes();
  let release: () => void = () => undefined;
  const held = mutexes.run("one", () => new Promise<void>((resolve) => (release = resolve)));
  expect(await mutexes.run("two", async () => "done")).toBe("done");
  release();
  await held;
});
