/** A token's backup and its restoration onto another cluster, on a real token. */
import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ClusterToken } from "../../src/hsm/cluster-token.ts";
import { CKR, isCkr } from "../../src/hsm/errors.ts";
import { objectFiles } from "../../src/hsm/header.ts";
import type { Tokens } from "../../src/hsm/tokens.ts";
import {
  CLUSTER,
  headerPath,
  homeOf,
  makeKey,
  makeToken,
  openSession,
  openTokens,
  sideCopyPath,
  SO_PIN,
  USER_PIN,
} from "./harness.ts";

const OTHER = "cluster-otherother2";
const NOTHING = Buffer.alloc(0);

let directory: string;
let tokens: Tokens;
let token: ClusterToken;
let to: string;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "keystead-backup-"));
  tokens = openTokens(join(directory, "clusters"));
  token = await makeToken(tokens);
  to = join(directory, "backup-aaaaaaaaaaa");
});
afterEach(async () => {
  await tokens.close();
  rmSync(directory, { recursive: true, force: true });
});

const refused = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);

test("keys, PINs and label are as of the backup, on another cluster, which then goes its own way", async () => {
  const session = openSession(token);
  const key = await makeKey(session);
  const sealed = await session.encrypt(key, NOTHING, Buffer.from("secret"));
  await session.close();
  await token.backup(to);
  await token.changePin("user", USER_PIN, "changed77");
  await makeKey(openSession(token, "changed77"));

  const other = tokens.of(OTHER);
  await other.restore(to);
  expect([other.label, token.label]).toEqual([CLUSTER, CLUSTER]);
  expect(await other.listKeys(USER_PIN)).toHaveLength(1);
  await other.verify("so", SO_PIN);
  const restored = openSession(other);
  expect(await restored.decrypt(key, NOTHING, sealed)).toEqual(Buffer.from("secret"));
  await restored.close();
  await other.changePin("user", USER_PIN, "itsOwn777");
  await token.verify("user", "changed77");
  // Once there, it is never replaced: an interrupted run restores again.
  await other.restore(to);
  await other.verify("user", "itsOwn777");
});

test("a session goes on while backups are made beside logins and new keys, and each backup is whole", async () => {
  const session = openSession(token);
  const key = await makeKey(session);
  let served = 0;
  let ended = false;
  const serving = (async () => {
    while (!ended) {
      const sealed = await session.encrypt(key, NOTHING, Buffer.from("x"));
      await session.decrypt(key, NOTHING, sealed);
      served += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  for (let round = 0; round < 5; round += 1) {
    const copy = `${to}${round}`;
    await Promise.all([
      token.backup(copy),
      token.verify("user", USER_PIN),
      makeKey(session),
      token.initUserPin(SO_PIN, USER_PIN),
    ]);
    const other = tokens.of(`cluster-otherother${"abcde"[round]}`);
    await other.restore(copy);
    const restored = openSession(other);
    const sealed = await session.encrypt(key, NOTHING, Buffer.from("both"));
    expect(await restored.decrypt(key, NOTHING, sealed)).toEqual(Buffer.from("both"));
    await restored.close();
  }
  ended = true;
  await serving;
  expect(served).toBeGreaterThan(0);
  await session.close();
});

test("keys made while backups are copied are in them whole, or not at all", async () => {
  const session = openSession(token);
  await makeKey(session);
  for (let round = 0; round < 4; round += 1) {
    const copy = `${to}${round}`;
    const made = Array.from({ length: 20 }, () => token.durably(() => makeKey(session)));
    // A session without a worker logs in, under the header lock, in the midst of making its key.
    const late = openSession(token);
    await Promise.all([token.backup(copy), ...made, token.durably(() => makeKey(late)), token.backup(copy)]);
    await late.close();
    const other = tokens.of(`cluster-otherother${"abcd"[round]}`);
    await other.restore(copy);
    const keys = await other.listKeys(USER_PIN);
    expect(keys.length).toBe(objectFiles(homeOf(other)).size);
    const restored = openSession(other);
    for (const { id, label } of keys) {
      const ref = { id: Buffer.from(id, "latin1"), label: Buffer.from(label) };
      const sealed = await restored.encrypt(ref, NOTHING, Buffer.from("secret"));
      expect(await restored.decrypt(ref, NOTHING, sealed)).toEqual(Buffer.from("secret"));
      expect(await session.decrypt(ref, NOTHING, sealed)).toEqual(Buffer.from("secret"));
    }
    await restored.close();
  }
  await session.close();
});

test("a damaged header is put back before it is copied; when nothing whole is there, nothing is left", async () => {
  truncateSync(headerPath(token), 0);
  await token.backup(to);
  const other = tokens.of(OTHER);
  await other.restore(to);
  await other.verify("user", USER_PIN);
  truncateSync(headerPath(token), 0);
  truncateSync(sideCopyPath(token), 0);
  const again = `${to}2`;
  expect(isCkr(await refused(token.backup(again)), CKR.GENERAL_ERROR)).toBe(true);
  await token.remove();
  expect(isCkr(await refused(token.backup(again)), CKR.TOKEN_NOT_PRESENT)).toBe(true);
  expect(readdirSync(directory).toSorted()).toEqual(["backup-aaaaaaaaaaa", "clusters"]);
});

test("a backup that is missing or damaged restores nothing", async () => {
  const other = tokens.of(OTHER);
  expect(isCkr(await refused(other.restore(to)), CKR.TOKEN_NOT_PRESENT)).toBe(true);
  await token.backup(to);
  const [home = ""] = readdirSync(to);
  writeFileSync(join(to, home, "token.object"), "half");
  expect(isCkr(await refused(other.restore(to)), CKR.GENERAL_ERROR)).toBe(true);
  expect(other.present()).toBe(false);
  expect(existsSync(join(other.directory, "staging"))).toBe(false);
  await token.verify("user", USER_PIN);
  expect(homeOf(token).endsWith(home)).toBe(true);
});
