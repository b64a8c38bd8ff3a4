/** A connected key store with 1,000 keys: connects within 3 s and encrypts as fast as with one. */
import { EncryptCommand } from "@aws-sdk/client-kms";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import {
  connectedStore,
  connectStore,
  createKey,
  createStore,
  disconnectStore,
  readyCluster,
  startKeystead,
  type Keystead,
} from "./harness.ts";

const KEYS = 1000;
const MAKING_AT_ONCE = 8;
/** How many of the keys are encrypted with. */
const USED = 100;

/** In memory where the machine allows it: SoftHSM rewrites a new key's file 35 times. */
function fastDirectory(): string {
  let parent = tmpdir();
  try {
    accessSync("/dev/shm", constants.W_OK);
    parent = "/dev/shm";
  } catch {
    // A slower disk only makes this test longer.
  }
  const directory = mkdtempSync(join(parent, "keystead-test-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
}

async function timeEncrypt({ kms }: Keystead, KeyId: string): Promise<number> {
  const command = new EncryptCommand({ KeyId, Plaintext: Buffer.alloc(32) });
  const started = performance.now();
  await kms.send(command);
  return performance.now() - started;
}

async function makeKeys(keystead: Keystead, storeId: string, count: number): Promise<string[]> {
  const arns: string[] = [];
  const making = Array.from({ length: MAKING_AT_ONCE }, async (_, at) => {
    for (let made = at; made < count; made += MAKING_AT_ONCE) arns.push(await createKey(keystead, storeId));
  });
  await Promise.all(making);
  return arns;
}

test("1,000 keys: connect takes at most 3 s, and Encrypt is as fast as with one key", async () => {
  const keystead = await startKeystead({ dataDir: fastDirectory() });
  const { storeId, keyArn } = await connectedStore(keystead);
  const arns = [keyArn, ...(await makeKeys(keystead, storeId, KEYS - 1))];
  expect(new Set(arns).size).toBe(KEYS);
  const small = await createStore(keystead, await readyCluster(keystead), "OneKey");
  expect(await connectStore(keystead, small)).toBe("CONNECTED");
  const onlyKey = await createKey(keystead, small);

  await disconnectStore(keystead, storeId);
  const started = performance.now();
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  const connect = performance.now() - started;

  const used = arns.filter((_, index) => index % (KEYS / USED) === 0);
  // A key's first use makes its working copy and reserves its counter's first block.
  for (const arn of [onlyKey, ...used]) await timeEncrypt(keystead, arn);
  const [withOne, withMany]: [number[], number[]] = [[], []];
  // In turn, so that whatever else the machine does slows both alike.
  for (const arn of [...used, ...used, ...used]) {
    withOne.push(await timeEncrypt(keystead, onlyKey));
    withMany.push(await timeEncrypt(keystead, arn));
  }
  const ratio = median(withOne) / median(withMany);
  console.log(
    `1,000 keys: connect ${connect.toFixed(0)} ms; median Encrypt ${median(withMany).toFixed(2)} ms, with one key ${median(withOne).toFixed(2)} ms (ratio ${ratio.toFixed(2)})`,
  );
  expect(connect).toBeLessThanOrEqual(3_000);
  expect(ratio).toBeGreaterThanOrEqual(0.5);
}, 180_000);
