/** PINs: refusals, changes, and the rotation protocol with a crash at each of its lines. */
import { mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { ClusterToken } from "../../src/hsm/cluster-token.ts";
import { CKR, isCkr } from "../../src/hsm/errors.ts";
import type { KeyRef } from "../../src/hsm/frames.ts";
import { isWholeHeader } from "../../src/hsm/header.ts";
import type { Tokens } from "../../src/hsm/tokens.ts";
import {
  SO_PIN,
  USER_PIN,
  headerPath,
  isRunning,
  kindOf,
  makeKey,
  makeToken,
  openSession,
  openTokens,
  workersOf,
} from "./harness.ts";

type LoginAttempt = Awaited<ReturnType<ClusterToken["beginLogin"]>>;
type RotationJournal = Parameters<LoginAttempt["rotate"]>[2];

const AAD = Buffer.from("context");
const SECRET = Buffer.from("yesterday's secret");

let directory: string;
let tokens: Tokens;
let token: ClusterToken;
let key: KeyRef;
let sealed: Buffer;
let current = USER_PIN;
let next = "";
let round = 0;

beforeAll(async () => {
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

beforeEach(() => {
  round += 1;
  next = `rotated${round}`.padEnd(32, "x");
});

function refused(pin: string): Promise<boolean> {
  return token.verify("user", pin).then(
    () => false,
    (error: unknown) => isCkr(error, CKR.PIN_INCORRECT),
  );
}

/** Which of the candidates a connect would be accepted with, having decrypted what was encrypted before. */
async function acceptedOf(...candidates: string[]): Promise<string> {
  const { worker, accepted } = await token.serve(candidates);
  expect(await worker.decrypt(key, AAD, sealed)).toEqual(SECRET);
  await worker.close();
  return accepted;
}

/** Log in and rotate to `next`. @returns what ended it, undefined for success */
async function rotate(journal: Partial<RotationJournal>): Promise<unknown> {
  const nothing = (): Promise<void> => Promise.resolve();
  const attempt = await token.beginLogin(new AbortController().signal);
  try {
    const accepted = await attempt.login([current]);
    const worker = await attempt.rotate(accepted, next, { pending: nothing, commit: nothing, ...journal });
    expect(await worker.decrypt(key, AAD, sealed)).toEqual(SECRET);
    await worker.close();
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await attempt.end();
  }
}

const crash = (): Promise<void> => Promise.reject(new Error("crash"));

test("the pending password is journalled before the token changes, and committed after", async () => {
  const events: string[] = [];
  const headers: Buffer[] = [];
  const error = await rotate({
    pending: async (password) => {
      events.push(`pending ${password}`);
      headers.push(readFileSync(headerPath(token)));
      // Were C_SetPIN on its way beside the journal, a moment would show it.
      await new Promise((resolve) => setTimeout(resolve, 100));
      headers.push(readFileSync(headerPath(token)));
    },
    commit: () => {
      events.push("commit");
      headers.push(readFileSync(headerPath(token)));
      return Promise.resolve();
    },
  });
  expect(error).toBeUndefined();
  expect(events).toEqual([`pending ${next}`, "commit"]);
  const [before, still, after = Buffer.alloc(0)] = headers;
  expect(still).toEqual(before);
  expect(after).not.toEqual(before);
  expect(isWholeHeader(after)).toBe(true);
  expect(await refused(current)).toBe(true);
  expect(await acceptedOf(next)).toBe(next);
  current = next;
});

test("a crash while journalling leaves the old password in force", async () => {
  expect(await rotate({ pending: crash })).toEqual(new Error("crash"));
  expect(await refused(next)).toBe(true);
  expect(await acceptedOf(next, current)).toBe(current);
});

test("a crash while committing leaves the pending password in force", async () => {
  expect(await rotate({ commit: crash })).toEqual(new Error("crash"));
  expect(await refused(current)).toBe(true);
  expect(await acceptedOf(next, current)).toBe(next);
  current = next;
});

test("a worker killed before C_SetPIN leaves the old password in force", async () => {
  const error = await rotate({
    pending: () => {
      killLoggedIn();
      return Promise.resolve();
    },
  });
  expect(error).toMatchObject({ kind: "worker" });
  expect(await refused(next)).toBe(true);
  expect(await acceptedOf(next, current)).toBe(current);
});

test("a header torn by C_SetPIN comes back with the old password", async () => {
  const error = await rotate({
    pending: () => {
      killLoggedIn();
      truncateSync(headerPath(token), 0);
      return Promise.resolve();
    },
  });
  expect(error).toMatchObject({ kind: "worker" });
  expect(await acceptedOf(next, current)).toBe(current);
});

test("a header torn after C_SetPIN is refused or restored, and one of the two passwords opens it", async () => {
  const error = await rotate({
    commit: () => {
      truncateSync(headerPath(token), 0);
      return crash();
    },
  });
  expect(error).toEqual(new Error("crash"));
  // The side copy was refreshed when C_SetPIN was seen to have left a whole header.
  expect(await acceptedOf(next, current)).toBe(next);
  current = next;
});

test("nobody else logs in between login and commit", async () => {
  const order: string[] = [];
  let other: Promise<void> | undefined;
  const error = await rotate({
    pending: () => {
      other = token.verify("so", SO_PIN).then(() => void order.push("other login"));
      return Promise.resolve();
    },
    commit: async () => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      order.push("commit");
    },
  });
  expect(error).toBeUndefined();
  await other;
  expect(order).toEqual(["commit", "other login"]);
  current = next;
});

test("wrong passwords are CKR_PIN_INCORRECT, and any number of them leaves the token whole", async () => {
  for (let wrong = 0; wrong < 8; wrong += 1) expect(await refused(`wrong${wrong}`)).toBe(true);
  expect(isWholeHeader(readFileSync(headerPath(token)))).toBe(true);
  const error: unknown = await token.verify("so", "wrongWrong").catch((caught: unknown) => caught);
  expect(isCkr(error, CKR.PIN_INCORRECT)).toBe(true);
  expect(await acceptedOf(current)).toBe(current);
  await token.verify("so", SO_PIN);
});

test("password changes by kmsuser and by the admin take effect for every later login", async () => {
  await token.changePin("user", current, next);
  expect(await refused(current)).toBe(true);
  await token.initUserPin(SO_PIN, "adminsChoice7");
  expect(await refused(next)).toBe(true);
  current = "adminsChoice7";
  expect(await acceptedOf(current)).toBe(current);
  expect(await kindOf(token.changePin("user", "wrongWrong", "whatever7"))).toBe("token");
  await token.changePin("so", SO_PIN, "An0therAdmin");
  expect(await kindOf(token.verify("so", SO_PIN))).toBe("token");
  await token.changePin("so", "An0therAdmin", SO_PIN);
});

test("a token without a user PIN says so, and is never initialised a second time", async () => {
  const blank = tokens.of("cluster-abcdefghij3");
  await blank.initialize(SO_PIN);
  const error: unknown = await blank.verify("user", USER_PIN).catch((caught: unknown) => caught);
  expect(isCkr(error, CKR.USER_PIN_NOT_INITIALIZED)).toBe(true);
  expect(await kindOf(blank.initialize(SO_PIN))).toBe("argument");
  await blank.verify("so", SO_PIN);
});

test("logins asked for at once take turns, each with a process of its own", async () => {
  const logins = [0, 1, 2].flatMap(() => [token.verify("so", SO_PIN), token.verify("user", current)]);
  await Promise.all(logins);
  expect(isWholeHeader(readFileSync(headerPath(token)))).toBe(true);
});

/** kill -9 of the worker that is logged in: of this process's workers, the one with the token's conf open is the oldest. */
function killLoggedIn(): void {
  const [oldest] = workersOf(process.pid);
  if (oldest === undefined) throw new Error("no worker");
  process.kill(oldest, "SIGKILL");
  while (isRunning(oldest));
}
