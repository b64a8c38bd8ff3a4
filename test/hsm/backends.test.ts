/** One suite over both data-key backends on real SoftHSM tokens, and their blobs in each other. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ClusterToken } from "../../src/hsm/cluster-token.ts";
import type { KeyRef } from "../../src/hsm/frames.ts";
import type { KmsSession } from "../../src/hsm/session.ts";
import type { Tokens } from "../../src/hsm/tokens.ts";
import {
  CLUSTER,
  USER_PIN,
  kindOf,
  makeKey,
  makeToken,
  newKeyNames,
  openSession,
  openTokens,
} from "./harness.ts";

const AAD = Buffer.from("associated data");
const OVERHEAD = 12 + 16;

/** `count` bytes that differ from place to place. */
function bytes(count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, (_, index) => (index * 31 + 7) & 0xff));
}

function flipped(sealed: Buffer, at: number, mask: number): Buffer {
  const copy = Buffer.from(sealed);
  copy.writeUInt8(copy.readUInt8(at) ^ mask, at);
  return copy;
}

describe.each(["native", "graphene"] as const)("data-key verbs through %s", (backend) => {
  let directory: string;
  let tokens: Tokens;
  let token: ClusterToken;
  let session: KmsSession;
  let key: KeyRef;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "keystead-test-"));
    tokens = openTokens(directory, backend);
    token = await makeToken(tokens);
    session = openSession(token);
    key = await makeKey(session);
  });

  afterAll(async () => {
    await session.close();
    await tokens.close();
    rmSync(directory, { recursive: true, force: true });
  });

  test.each([1, 16, 32, 4096])("%i bytes come back", async (count) => {
    const plaintext = bytes(count);
    const sealed = await session.encrypt(key, AAD, plaintext);
    expect(sealed.length).toBe(count + OVERHEAD);
    if (count > 1) expect(sealed.includes(plaintext)).toBe(false);
    expect(await session.decrypt(key, AAD, sealed)).toEqual(plaintext);
    const bare = await session.encrypt(key, Buffer.alloc(0), plaintext);
    expect(await session.decrypt(key, Buffer.alloc(0), bare)).toEqual(plaintext);
  });

  test("other associated data, or another key, does not authenticate", async () => {
    const sealed = await session.encrypt(key, AAD, bytes(16));
    const others = [Buffer.from("associated dat"), Buffer.from("associated datb"), Buffer.alloc(0)];
    for (const other of others) expect(await kindOf(session.decrypt(key, other, sealed))).toBe("tag");
    expect(await kindOf(session.decrypt(await makeKey(session), AAD, sealed))).toBe("tag");
    expect(await session.decrypt(key, AAD, sealed)).toEqual(bytes(16));
  });

  test("every flipped byte and every other length of sealed bytes is refused as a bad tag, by the same worker", async () => {
    const sealed = await session.encrypt(key, AAD, bytes(16));
    const worker = session.workerPid;
    const broken = [
      ...Array.from(sealed.keys(), (at) => flipped(sealed, at, 0x01)),
      ...Array.from(sealed.keys(), (at) => flipped(sealed, at, 0x80)),
      ...Array.from(sealed.keys(), (length) => sealed.subarray(0, length)),
      ...Array.from({ length: sealed.length }, (_, at) => sealed.subarray(at + 1)),
      Buffer.concat([sealed, Buffer.alloc(1)]),
    ];
    const kinds = await Promise.all(broken.map((blob) => kindOf(session.decrypt(key, AAD, blob))));
    expect(new Set(kinds)).toEqual(new Set(["tag"]));
    expect(await session.decrypt(key, AAD, sealed)).toEqual(bytes(16));
    expect(session.workerPid).toBe(worker);
  });

  test("a key that is not there is missing, also where only id or label is known", async () => {
    const { ref } = newKeyNames();
    for (const absent of [ref, { id: ref.id, label: key.label }, { id: key.id, label: ref.label }]) {
      expect(await kindOf(session.encrypt(absent, AAD, bytes(1)))).toBe("missing");
      expect(await kindOf(session.decrypt(absent, AAD, bytes(64)))).toBe("missing");
      expect(await kindOf(session.generateDataKey(absent, AAD, 32))).toBe("missing");
    }
    expect(await session.decrypt(key, AAD, await session.encrypt(key, AAD, bytes(8)))).toEqual(bytes(8));
  });

  test("two objects with one id and label are ambiguous, before and after a new login", async () => {
    const { id, label, ref } = newKeyNames();
    await session.generateKey(id, label);
    await session.generateKey(id, label);
    expect(await kindOf(session.encrypt(ref, AAD, bytes(16)))).toBe("ambiguous");
    const later = openSession(token);
    expect(await kindOf(later.encrypt(ref, AAD, bytes(16)))).toBe("ambiguous");
    expect(await kindOf(later.generateDataKey(ref, AAD, 32))).toBe("ambiguous");
    expect(await kindOf(later.destroyKey(id, label))).toBe("ambiguous");
    expect(await later.decrypt(key, AAD, await later.encrypt(key, AAD, bytes(8)))).toEqual(bytes(8));
    await later.close();
  });

  test.each([1, 16, 32, 1024])(
    "a data key of %i bytes is what its sealed form decrypts to",
    async (count) => {
      const both = await session.generateDataKey(key, AAD, count);
      expect(both.length).toBe(count + count + OVERHEAD);
      const plaintext = both.subarray(0, count);
      expect(await session.decrypt(key, AAD, both.subarray(count))).toEqual(plaintext);
      const next = await session.generateDataKey(key, AAD, count);
      if (count > 1) expect(next.subarray(0, count)).not.toEqual(plaintext);
    },
  );

  test("random bytes have the length asked for and differ", async () => {
    for (const count of [1, 32, 1024]) expect((await session.generateRandom(count)).length).toBe(count);
    const some = await Promise.all(Array.from({ length: 100 }, () => session.generateRandom(16)));
    expect(new Set(some.map((random) => random.toString("hex"))).size).toBe(100);
  });

  test("a forgotten key is found again, a destroyed one is not", async () => {
    const { id, label, ref } = newKeyNames();
    await session.generateKey(id, label);
    const sealed = await session.encrypt(ref, AAD, bytes(16));
    await session.forget(id, label);
    expect(await session.decrypt(ref, AAD, sealed)).toEqual(bytes(16));
    await session.destroyKey(id, label);
    expect(await kindOf(session.decrypt(ref, AAD, sealed))).toBe("missing");
    expect(await kindOf(session.destroyKey(id, label))).toBe("missing");
  });

  test("1,000 calls in flight answer each its own, with 1,000 IVs", async () => {
    const plaintexts = Array.from({ length: 1000 }, (_, index) => Buffer.from(`plaintext ${index}`));
    const sealed = await Promise.all(plaintexts.map((plaintext) => session.encrypt(key, AAD, plaintext)));
    expect(new Set(sealed.map((blob) => blob.toString("hex", 0, 12))).size).toBe(1000);
    const back = await Promise.all(
      sealed.map((blob, index) =>
        index % 10 === 3
          ? kindOf(session.decrypt(key, AAD, flipped(blob, 20, 1)))
          : session.decrypt(key, AAD, blob),
      ),
    );
    expect(back).toEqual(plaintexts.map((plaintext, index) => (index % 10 === 3 ? "tag" : plaintext)));
  });

  test("a copy made before an object vanished keeps working, and an outsider's deletion is seen by a new login", async () => {
    const { id, label, ref } = newKeyNames();
    await session.generateKey(id, label);
    const sealed = await session.encrypt(ref, AAD, bytes(16));
    await token.destroyKey(USER_PIN, id, label);
    expect(await session.decrypt(ref, AAD, sealed)).toEqual(bytes(16));
    const later = openSession(token);
    expect(await kindOf(later.decrypt(ref, AAD, sealed))).toBe("missing");
    await later.close();
  });
});

test("blobs of each backend decrypt in the other", async () => {
  const directory = mkdtempSync(join(tmpdir(), "keystead-test-"));
  const native = openTokens(directory, "native");
  const graphene = openTokens(directory, "graphene");
  const first = openSession(await makeToken(native));
  const key = await makeKey(first);
  const second = openSession(graphene.of(CLUSTER));
  const pairs = [
    [first, second],
    [second, first],
  ] as const;
  for (const [from, to] of pairs)
    for (const count of [1, 16, 4096]) {
      const sealed = await from.encrypt(key, AAD, bytes(count));
      expect(await to.decrypt(key, AAD, sealed)).toEqual(bytes(count));
      expect(await kindOf(to.decrypt(key, Buffer.from("other"), sealed))).toBe("tag");
      const both = await from.generateDataKey(key, AAD, 32);
      expect(await to.decrypt(key, AAD, both.subarray(32))).toEqual(both.subarray(0, 32));
    }
  await Promise.all([first.close(), second.close()]);
  await Promise.all([native.close(), graphene.close()]);
  rmSync(directory, { recursive: true, force: true });
});
