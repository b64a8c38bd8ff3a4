/** What a server refuses to start on: one sentence with the fix, and the exit code that says which kind. */
import Database from "better-sqlite3";
import { chmodSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../api/harness.ts";
import { keystead } from "../cli/process.ts";
import { serve } from "./harness.ts";

const IN_USE = 75;
const DATA = 78;
const ENVIRONMENT = 3;

async function refused(
  directory: string,
  ...flags: readonly string[]
): Promise<{ code: number | null; sentence: string }> {
  const outcome = await keystead(["serve", "--data-dir", directory, "--port", "0", ...flags]);
  expect(outcome.stdout).toBe("");
  expect(outcome.stderr).toMatch(/^keystead: [^\n]+\n$/);
  return { code: outcome.code, sentence: outcome.stderr };
}

/** A data directory that a server has used. */
async function usedDirectory(): Promise<string> {
  const directory = temporaryDirectory();
  expect(await (await serve(directory)).end("SIGTERM")).toBe(0);
  return directory;
}

test("a second server on a data directory exits 75 at once and names the first; a killed one leaves it free", async () => {
  const directory = temporaryDirectory();
  const first = await serve(directory);
  const started = performance.now();
  const { code, sentence } = await refused(directory);
  expect(performance.now() - started).toBeLessThan(5_000);
  expect(code).toBe(IN_USE);
  expect(sentence).toContain(`process ${first.pid}`);
  expect((await first.keystead.manage("GET", "health")).status).toBe(200);
  await first.end("SIGKILL");
  const second = await serve(directory);
  expect(await refused(directory)).toMatchObject({
    code: IN_USE,
    sentence: expect.stringContaining(`${second.pid}`),
  });
});

test("a database written by a newer keystead is refused and left as it is", async () => {
  const directory = await usedDirectory();
  const database = new Database(join(directory, "keystead.db"));
  database.prepare("insert into kysely_migration values ('999-future', '2030-01-01T00:00:00.000Z')").run();
  database.close();
  const before = readFileSync(join(directory, "keystead.db"));
  const { code, sentence } = await refused(directory);
  expect(code).toBe(DATA);
  expect(sentence).toContain("newer keystead (999-future)");
  expect(readFileSync(join(directory, "keystead.db"))).toEqual(before);
});

test.each(["750", "705", "777"])(
  "a data directory of mode %s is refused with the command that repairs it",
  async (mode) => {
    const directory = temporaryDirectory();
    chmodSync(directory, Number.parseInt(mode, 8));
    const { code, sentence } = await refused(directory);
    expect(code).toBe(DATA);
    expect(sentence).toContain(`chmod 700 ${directory}`);
  },
);

test.each([
  ["no", undefined],
  ["an empty", 0],
])("tokens with %s database are refused", async (_which, bytes) => {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, "clusters", "cluster-abcdefghij2"), { recursive: true });
  if (bytes !== undefined) writeFileSync(join(directory, "keystead.db"), "");
  expect(await refused(directory)).toMatchObject({
    code: DATA,
    sentence: expect.stringContaining("no state database"),
  });
});

test("a database that is none is refused", async () => {
  const directory = await usedDirectory();
  writeFileSync(join(directory, "keystead.db"), "this is not a database, ".repeat(1000));
  const { code, sentence } = await refused(directory);
  expect(code).toBe(DATA);
  expect(sentence).toContain("keystead.db");
});

test("a damaged vault key is refused", async () => {
  const directory = await usedDirectory();
  truncateSync(join(directory, "vault.key"), 5);
  expect(await refused(directory)).toMatchObject({
    code: DATA,
    sentence: expect.stringContaining("vault.key"),
  });
});

test("a data directory that cannot be made is refused", async () => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, "file"), "");
  expect(await refused(join(directory, "file", "below"))).toMatchObject({ code: DATA });
});

test("a port in use, a missing module and an address that is not this machine's are exit 3", async () => {
  const first = await serve(temporaryDirectory());
  const port = new URL(first.endpoint).port;
  const taken = await refused(temporaryDirectory(), "--port", port);
  expect(taken).toMatchObject({
    code: ENVIRONMENT,
    sentence: expect.stringContaining(`Port ${port} is in use`),
  });
  const module = await refused(temporaryDirectory(), "--module", "/nonexistent/libsofthsm2.so");
  expect(module).toMatchObject({
    code: ENVIRONMENT,
    sentence: expect.stringContaining("/nonexistent/libsofthsm2.so"),
  });
  const address = await refused(temporaryDirectory(), "--host", "192.0.2.1");
  expect(address).toMatchObject({ code: ENVIRONMENT, sentence: expect.stringContaining("192.0.2.1") });
});
