/** HSM workers as processes: what they may know, and what happens when they die or hang. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { ClusterToken } from "../../src/hsm/cluster-token.ts";
import { Pkcs11Error } from "../../src/hsm/errors.ts";
import type { KeyRef } from "../../src/hsm/frames.ts";
import { KmsSession } from "../../src/hsm/session.ts";
import { Spares } from "../../src/hsm/spares.ts";
import type { Tokens } from "../../src/hsm/tokens.ts";
import {
  MODULE,
  SO_PIN,
  USER_PIN,
  eventually,
  isRunning,
  kindOf,
  makeKey,
  makeToken,
  newKeyNames,
  openSession,
  openTokens,
  workersOf,
} from "./harness.ts";

const AAD = Buffer.from("context");
const SECRET = Buffer.from("secret");
const SPARES = 2;
/** Stands for what the server's environment may hold and no worker needs. */
const SERVER_SECRET = "keysteadServerSecretCanary";

let directory: string;
let tokens: Tokens;
let token: ClusterToken;
let key: KeyRef;
let sealed: Buffer;

beforeAll(async () => {
  process.env["KEYSTEAD_MANAGEMENT_TOKEN"] = SERVER_SECRET;
  directory = mkdtempSync(join(tmpdir(), "keystead-test-"));
  tokens = openTokens(directory);
  token = await makeToken(tokens);
  const session = openSession(token);
  key = await makeKey(session);
  sealed = await session.encrypt(key, AAD, SECRET);
  await session.close();
});

afterAll(async () => {
  await tokens.close();
  rmSync(directory, { recursive: true, force: true });
});

function pidOf(session: KmsSession): number {
  const pid = session.workerPid;
  if (pid === undefined) throw new Error("no worker serves");
  return pid;
}

async function serving(): Promise<KmsSession> {
  const session = openSession(token);
  expect(await session.decrypt(key, AAD, sealed)).toEqual(SECRET);
  return session;
}

test("neither environment nor command line of a worker holds a PIN or anything of the server's", async () => {
  const session = await serving();
  const pid = pidOf(session);
  const environment = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").filter(Boolean);
  const commandLine = readFileSync(`/proc/${pid}/cmdline`, "latin1");
  for (const secret of [USER_PIN, SO_PIN, SERVER_SECRET])
    for (const text of [...environment, commandLine]) expect(text).not.toContain(secret);
  const names = environment.map((entry) => entry.split("=")[0]);
  expect(new Set(names)).toEqual(new Set(["KEYSTEAD_WORKER", "PATH"]));
  await session.close();
});

test("a worker is capped in memory and leaves no core", async () => {
  const session = await serving();
  const limits = readFileSync(`/proc/${pidOf(session)}/limits`, "latin1");
  expect(limits).toMatch(/^Max address space\s+1610612736\s/m);
  expect(limits).toMatch(/^Max core file size\s+0\s/m);
  await session.close();
});

test("kill -9 of the worker: the next call succeeds, and so do calls in flight", async () => {
  const session = await serving();
  const first = pidOf(session);
  const inFlight = Array.from({ length: 50 }, () => session.decrypt(key, AAD, sealed));
  process.kill(first, "SIGKILL");
  expect(await session.decrypt(key, AAD, sealed)).toEqual(SECRET);
  for (const answer of await Promise.all(inFlight)) expect(answer).toEqual(SECRET);
  expect(pidOf(session)).not.toBe(first);
  expect(isRunning(first)).toBe(false);
  await session.close();
});

test("a worker that is killed again and again is replaced each time; its owner hears of it", async () => {
  let replaced = 0;
  const session = new KmsSession(token, undefined, () => Promise.resolve(USER_PIN), {
    replaced: () => {
      replaced += 1;
    },
  });
  for (let round = 0; round < 4; round += 1) {
    expect(await session.decrypt(key, AAD, sealed)).toEqual(SECRET);
    process.kill(pidOf(session), "SIGKILL");
  }
  expect(await session.decrypt(key, AAD, sealed)).toEqual(SECRET);
  expect(replaced).toBe(5);
  await session.close();
});

test("a stopped worker: a creation ends with a deadline error in 5 s, a read is answered by its replacement", async () => {
  const [reading, making] = [await serving(), await serving()];
  const [readingPid, makingPid] = [pidOf(reading), pidOf(making)];
  const { id, label, ref } = newKeyNames();
  process.kill(readingPid, "SIGSTOP");
  process.kill(makingPid, "SIGSTOP");
  const started = performance.now();
  const since = async <T>(call: Promise<T>): Promise<[T, number]> => [
    await call,
    performance.now() - started,
  ];
  const [[kind, failedAfter], [plaintext, answeredAfter]] = await Promise.all([
    since(kindOf(making.generateKey(id, label))),
    since(reading.decrypt(key, AAD, sealed)),
  ]);
  expect(kind).toBe("deadline");
  expect(failedAfter).toBeGreaterThan(4_900);
  expect(failedAfter).toBeLessThan(6_500);
  expect(plaintext).toEqual(SECRET);
  expect(answeredAfter).toBeLessThan(9_000);
  expect(await making.decrypt(key, AAD, sealed)).toEqual(SECRET);
  // The creation was not repeated.
  expect(await kindOf(making.encrypt(ref, AAD, SECRET))).toBe("missing");
  await eventually("the stopped workers are gone", () => !isRunning(readingPid) && !isRunning(makingPid));
  await Promise.all([reading.close(), making.close()]);
});

test("a session that cannot log in says why, backs off, and comes back", async () => {
  let forthcoming = false;
  let asked = 0;
  const session = new KmsSession(
    token,
    undefined,
    () => {
      asked += 1;
      return forthcoming ? Promise.resolve(USER_PIN) : Promise.reject(new Error("the database is busy"));
    },
    { replaced: () => undefined },
  );
  expect(await kindOf(session.probe())).toBe("worker");
  expect(session.serving).toBe(false);
  expect(session.failure).toMatchObject({ function: "C_Login" });
  // Within the back-off the known failure is the answer; the token is not asked again.
  await Promise.all(Array.from({ length: 20 }, () => kindOf(session.probe())));
  expect(asked).toBeLessThanOrEqual(2);
  forthcoming = true;
  await eventually("the session logs in", async () => (await kindOf(session.probe())) === "none");
  expect(session.failure).toBeUndefined();
  await session.close();
  expect(await kindOf(session.probe())).toBe("worker");
});

test("a refused PIN is not tried again for a minute, because each try rewrites the header", async () => {
  let pin = "wrongWrong";
  let clock = 0;
  const events = { replaced: () => undefined };
  const session = new KmsSession(
    token,
    undefined,
    () => Promise.resolve(pin),
    events,
    () => clock,
  );
  expect(await kindOf(session.probe())).toBe("token");
  expect(session.failure).toMatchObject({ function: "C_Login", rv: 0xa0 });
  pin = USER_PIN;
  const serve = vi.spyOn(token, "serve");
  clock = 58_000;
  for (let round = 0; round < 10; round += 1) expect(await kindOf(session.probe())).toBe("token");
  expect(serve).not.toHaveBeenCalled();
  clock = 61_000;
  expect(await kindOf(session.probe())).toBe("none");
  expect(serve).toHaveBeenCalledTimes(1);
  vi.restoreAllMocks();
  await session.close();
});

test("closing a session ends its worker", async () => {
  const session = await serving();
  const pid = pidOf(session);
  await session.close();
  expect(isRunning(pid)).toBe(false);
});

test("two spares stand by; those that are taken or dead are replaced", async () => {
  await eventually("two spares", () => workersOf(process.pid).length === SPARES);
  const before = workersOf(process.pid);
  const session = await serving();
  expect(before).toContain(pidOf(session));
  await eventually("a spare in place of the one taken", () => workersOf(process.pid).length === SPARES + 1);
  await session.close();
  for (const pid of workersOf(process.pid)) process.kill(pid, "SIGKILL");
  await eventually("no worker", () => workersOf(process.pid).length === 0);
  await eventually(
    "their deaths are noticed",
    async () => (await kindOf(token.verify("user", USER_PIN))) === "none",
  );
  await eventually("two spares", () => workersOf(process.pid).length === SPARES);
});

test("a module that cannot be loaded is no worker at all: kind start", async () => {
  const observed: string[] = [];
  const settings = {
    modulePath: "/nonexistent.so",
    backend: "native",
    memoryLimit: 1536 * 1024 * 1024,
  } as const;
  const spares = new Spares(settings, 1, (call) => observed.push(call));
  const error: unknown = await spares.take().catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(Pkcs11Error);
  expect(error).toMatchObject({ kind: "start" });
  await spares.close();
});

test("whoever gives up waiting for a worker leaves none behind", async () => {
  const before = workersOf(process.pid).length;
  const settings = { modulePath: MODULE, backend: "native", memoryLimit: 1536 * 1024 * 1024 } as const;
  const spares = new Spares(settings, 0, () => undefined);
  const deadline = new AbortController();
  const taken = kindOf(spares.take(deadline.signal));
  deadline.abort();
  expect(await taken).toBe("start");
  await eventually("no worker left", () => workersOf(process.pid).length === before);
  await spares.close();
});

test("closing the server's tokens ends the spares", async () => {
  const other = mkdtempSync(join(tmpdir(), "keystead-test-"));
  const before = workersOf(process.pid).length;
  const more = openTokens(other);
  await eventually("two more", () => workersOf(process.pid).length === before + SPARES);
  await more.close();
  expect(workersOf(process.pid).length).toBe(before);
  rmSync(other, { recursive: true, force: true });
});
