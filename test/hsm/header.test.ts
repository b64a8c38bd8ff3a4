/** The token header, SoftHSM's `token.object`: when it is whole, and how it comes back from the side copy. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { ClusterToken } from "../../src/hsm/cluster-token.ts";
import { isCkr, CKR } from "../../src/hsm/errors.ts";
import { isWholeHeader, protectHeader, syncNewObjects } from "../../src/hsm/header.ts";
import type { Tokens } from "../../src/hsm/tokens.ts";
import {
  USER_PIN,
  SO_PIN,
  headerPath,
  kindOf,
  makeKey,
  makeToken,
  openSession,
  openTokens,
  sideCopyPath,
} from "./harness.ts";

let directory: string;
let tokens: Tokens;
let token: ClusterToken;
/** The header as it was before each test; with it the token is whole again. */
let whole: Buffer;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "keystead-test-"));
  tokens = openTokens(directory);
  token = await makeToken(tokens);
  whole = readFileSync(headerPath(token));
});

afterAll(async () => {
  await tokens.close();
  rmSync(directory, { recursive: true, force: true });
});

beforeEach(() => {
  writeFileSync(headerPath(token), whole);
  writeFileSync(sideCopyPath(token), whole);
});

test("a real header is whole; no truncation and no appendage of it is", () => {
  expect(isWholeHeader(whole)).toBe(true);
  for (const length of whole.keys())
    expect([length, isWholeHeader(whole.subarray(0, length))]).toEqual([length, false]);
  for (const more of [1, 8, 16, 4096])
    expect(isWholeHeader(Buffer.concat([whole, Buffer.alloc(more)]))).toBe(false);
});

test("a header without a user PIN is whole as long as none was set", async () => {
  const blank = tokens.of("cluster-abcdefghij3");
  await blank.initialize(SO_PIN);
  const header = readFileSync(headerPath(blank));
  expect(isWholeHeader(header)).toBe(true);
  for (const length of header.keys()) expect(isWholeHeader(header.subarray(0, length))).toBe(false);
});

test("lengths that do not add up are not whole, and are never followed", () => {
  // Kind and length of the first attribute, which is the label.
  for (const [at, value] of [
    [16, 9n],
    [24, 2n ** 63n],
    [24, 2n ** 31n],
    [24, 0n],
  ] as const) {
    const damaged = Buffer.from(whole);
    damaged.writeBigUInt64BE(value, at);
    expect(isWholeHeader(damaged)).toBe(false);
  }
});

test.each([0, 7, 100, 319])("a header cut to %i bytes is restored before the next login", async (length) => {
  truncateSync(headerPath(token), length);
  await token.verify("user", USER_PIN);
  expect(isWholeHeader(readFileSync(headerPath(token)))).toBe(true);
  await token.verify("so", SO_PIN);
});

test("a header emptied while a session serves harms neither it nor the next", async () => {
  const session = openSession(token);
  const key = await makeKey(session);
  const sealed = await session.encrypt(key, Buffer.alloc(0), Buffer.from("secret"));
  truncateSync(headerPath(token), 0);
  expect(await session.decrypt(key, Buffer.alloc(0), sealed)).toEqual(Buffer.from("secret"));
  const next = openSession(token);
  expect(await next.decrypt(key, Buffer.alloc(0), sealed)).toEqual(Buffer.from("secret"));
  await Promise.all([session.close(), next.close()]);
});

test("a missing header comes back too, and a damaged side copy is refreshed", async () => {
  rmSync(headerPath(token));
  await token.verify("user", USER_PIN);
  writeFileSync(sideCopyPath(token), "nonsense");
  await token.verify("user", USER_PIN);
  const header = readFileSync(headerPath(token));
  expect(readFileSync(sideCopyPath(token))).toEqual(header);
});

test("header and side copy both bad: refused, nothing is initialised, and putting one back repairs it", async () => {
  truncateSync(headerPath(token), 0);
  truncateSync(sideCopyPath(token), 100);
  for (const call of [() => token.verify("user", USER_PIN), () => token.serve([USER_PIN])]) {
    const error: unknown = await call().catch((caught: unknown) => caught);
    expect(isCkr(error, CKR.GENERAL_ERROR)).toBe(true);
  }
  expect(await kindOf(token.initialize(SO_PIN))).toBe("argument");
  expect(readFileSync(headerPath(token)).length).toBe(0);
  expect(readFileSync(sideCopyPath(token)).length).toBe(100);
  writeFileSync(sideCopyPath(token), whole);
  await token.verify("user", USER_PIN);
});

test("while a changed PIN is not proven, the side copy keeps the header from before the change", async () => {
  await token.changePin("user", USER_PIN, "another1234");
  const changed = readFileSync(headerPath(token));
  writeFileSync(sideCopyPath(token), whole);
  const home = dirname(headerPath(token));
  protectHeader(home, sideCopyPath(token), false);
  expect(readFileSync(sideCopyPath(token))).toEqual(whole);
  expect(readFileSync(headerPath(token))).toEqual(changed);
  protectHeader(home, sideCopyPath(token), true);
  expect(readFileSync(sideCopyPath(token))).toEqual(changed);
});

test("a key that vanishes before it is put on disk is no error", () => {
  const home = dirname(headerPath(token));
  // A name whose file is gone, as after a destruction between readdir and fsync.
  const gone = join(home, "gone.object");
  symlinkSync(join(home, "nowhere"), gone);
  syncNewObjects(home, new Set());
  rmSync(gone);
});
