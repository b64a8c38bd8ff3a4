/**
 * The ConnectionErrorCodes of a token that is out of reach (NETWORK_ERRORS) or damaged
 * (INTERNAL_ERROR). The repair is to put back what is missing; neither may ever make
 * keystead initialise a token again.
 */
import { ConnectCustomKeyStoreCommand } from "@aws-sdk/client-kms";
import { copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { disconnectStore, startKeystead, temporaryDirectory } from "./harness.ts";
import {
  disconnectedStory,
  disconnectFailed,
  expectFailedConnect,
  expectRepaired,
  tokenFiles,
} from "./connection-story.ts";
import { killAndReap, stopWorkers, warmSpares } from "./worker-processes.ts";

/** A connect that gets no worker gives up after 20 s of wall time (src/kms/connect-steps.ts). */
const LOGIN_DEADLINE_TIMEOUT_MS = 110_000;

/** A private copy of the PKCS#11 library, so that it can be taken away, and its workers told from others. */
function privateModule(): string {
  const module = join(temporaryDirectory(), "libsofthsm2.so");
  copyFileSync(loadConfig({ dataDir: "unused" }, {}).module, module);
  return module;
}

test("NETWORK_ERRORS: the token's directory was moved away; moved back, it is the same token", async () => {
  const keystead = await startKeystead();
  const story = await disconnectedStory(keystead);
  const { home, header } = tokenFiles(keystead, story.cluster.clusterId);
  const before = readFileSync(header);
  const elsewhere = join(keystead.directory, "elsewhere");
  renameSync(home, elsewhere);
  await expectFailedConnect(keystead, story, "NETWORK_ERRORS");
  await disconnectFailed(keystead, story.storeId);
  renameSync(elsewhere, home);
  expect(tokenFiles(keystead, story.cluster.clusterId).home).toBe(home);
  expect(readFileSync(header)).toEqual(before);
  await expectRepaired(keystead, story);
});

test(
  "NETWORK_ERRORS: no HSM worker can be started, because the PKCS#11 library is gone, until it is there again",
  async () => {
    const module = privateModule();
    const keystead = await startKeystead({ module });
    const story = await disconnectedStory(keystead);
    const spares = await warmSpares(module);
    renameSync(module, `${module}.away`);
    // The warm spares have the library loaded; without them every start fails.
    await killAndReap(spares);
    await expectFailedConnect(keystead, story, "NETWORK_ERRORS");
    await disconnectFailed(keystead, story.storeId);
    renameSync(`${module}.away`, module);
    await expectRepaired(keystead, story);
  },
  LOGIN_DEADLINE_TIMEOUT_MS,
);

test(
  "NETWORK_ERRORS: the HSM workers hang until the connect's deadline, and answer again",
  async () => {
    const module = privateModule();
    const keystead = await startKeystead({ module });
    const story = await disconnectedStory(keystead);
    await warmSpares(module);
    const goOn = stopWorkers(module);
    try {
      await expectFailedConnect(keystead, story, "NETWORK_ERRORS");
    } finally {
      goOn();
    }
    await disconnectFailed(keystead, story.storeId);
    await expectRepaired(keystead, story);
  },
  LOGIN_DEADLINE_TIMEOUT_MS,
);

test("Disconnect does not wait for a login that hangs", async () => {
  const module = privateModule();
  const keystead = await startKeystead({ module });
  const story = await disconnectedStory(keystead);
  await warmSpares(module);
  const goOn = stopWorkers(module);
  try {
    await keystead.kms.send(new ConnectCustomKeyStoreCommand({ CustomKeyStoreId: story.storeId }));
    await expect
      .poll(() => keystead.manage("GET", "stores"), { timeout: 10_000 })
      .toMatchObject({
        body: { stores: [{ steps: expect.arrayContaining([expect.objectContaining({ step: "log-in" })]) }] },
      });
    const asked = performance.now();
    await disconnectStore(keystead, story.storeId);
    // A login that hangs ends by itself after 20 s.
    expect(performance.now() - asked).toBeLessThan(10_000);
  } finally {
    goOn();
  }
  await expectRepaired(keystead, story);
});

test("one HSM worker that hangs is no failure: the connect takes another", async () => {
  const module = privateModule();
  const keystead = await startKeystead({ module });
  const story = await disconnectedStory(keystead);
  for (const pid of await warmSpares(module)) process.kill(pid, "SIGSTOP");
  await expectRepaired(keystead, story);
});

test("INTERNAL_ERROR: the token's header and its side copy are both unreadable, until one of them is put back", async () => {
  const keystead = await startKeystead();
  const story = await disconnectedStory(keystead);
  const { header, sideCopy } = tokenFiles(keystead, story.cluster.clusterId);
  const garbage = Buffer.alloc(321, "not a token header ");
  for (const restored of [header, sideCopy]) {
    const whole = readFileSync(header);
    for (const file of [header, sideCopy]) writeFileSync(file, garbage);
    await expectFailedConnect(keystead, story, "INTERNAL_ERROR");
    await disconnectFailed(keystead, story.storeId);
    for (const file of [header, sideCopy]) expect(readFileSync(file)).toEqual(garbage);
    writeFileSync(restored, whole);
    await expectRepaired(keystead, story);
    await disconnectFailed(keystead, story.storeId);
  }
});

test("a damaged header alone is no failure: the connect takes the side copy", async () => {
  const keystead = await startKeystead();
  const story = await disconnectedStory(keystead);
  writeFileSync(tokenFiles(keystead, story.cluster.clusterId).header, "");
  await expectRepaired(keystead, story);
});

/** Offset of the first byte string's length in an object file: generation, then attribute type, kind and value. */
function firstLength(file: Buffer): number {
  const BYTES = 3n;
  const LENGTHS: Readonly<Record<string, number>> = { "1": 1, "2": 8 };
  for (let at = 8; at + 16 < file.length;) {
    const kind = file.readBigUInt64BE(at + 8);
    if (kind === BYTES) return at + 16;
    const length = LENGTHS[String(kind)];
    if (length === undefined) break;
    at += 16 + length;
  }
  throw new Error("no byte string in the object file");
}

test("INTERNAL_ERROR: a damaged key file ends the process that reads it, and only that one; put back, the key is there", async () => {
  const keystead = await startKeystead();
  const story = await disconnectedStory(keystead);
  const { keys, header } = tokenFiles(keystead, story.cluster.clusterId);
  const [file] = keys;
  if (file === undefined || keys.length > 1) throw new Error(`${keys.length} key files`);
  const whole = readFileSync(file);
  const damaged = Buffer.from(whole);
  damaged.writeBigUInt64BE(0x7fff_ffff_ffff_ff00n, firstLength(whole));
  mkdirSync(join(keystead.directory, "kept"));
  renameSync(file, join(keystead.directory, "kept", "key.object"));
  writeFileSync(file, damaged);
  await expectFailedConnect(keystead, story, "INTERNAL_ERROR");
  await disconnectFailed(keystead, story.storeId);
  expect(readFileSync(header).length).toBeGreaterThan(0);
  renameSync(join(keystead.directory, "kept", "key.object"), file);
  await expectRepaired(keystead, story);
});
