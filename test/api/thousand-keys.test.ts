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
  disconnectStore,
  startKeystead,
  type Keystead,
} from "./harness.ts";

const KEYS = 1000;
const MAKING_AT_ONCE = 8;
const SAMPLES = 300;

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

/** Median milliseconds of an Encrypt, over keys in turn. */
async function medianEncrypt({ kms }: Keystead, keyArns: readonly string[]): Promise<number> {
  const times: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    const command = new EncryptCommand({
      KeyId: keyArns[(sample * 7) % keyArns.length],
      Plaintext: Buffer.alloc(32),
    });
    const started = performance.now();
    await kms.send(command);
    times.push(performance.now() - started);
  }
  return times.toSorted((a, b) => a - b)[SAMPLES / 2] ?? 0;
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
  await medianEncrypt(keystead, [keyArn]);
  const withOne = await medianEncrypt(keystead, [keyArn]);
  const arns = [keyArn, ...(await makeKeys(keystead, storeId, KEYS - 1))];
  expect(new Set(arns).size).toBe(KEYS);

  await disconnectStore(keystead, storeId);
  const started = performance.now();
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  const connect = performance.now() - started;

  const withMany = await medianEncrypt(keystead, arns);
  const ratio = withOne / withMany;
  console.log(
    `1,000 keys: connect ${connect.toFixed(0)} ms; median Encrypt ${withMany.toFixed(2)} ms, with one key ${withOne.toFixed(2)} ms (ratio ${ratio.toFixed(2)})`,
  );
  expect(connect).toBeLessThanOrEqual(3_000);
  expect(ratio).toBeGreaterThanOrEqual(0.5);
}, 180_000);
