/** The server killed, its workers killed, and the server asked to end, all while CONNECTED. */
import { CreateKeyCommand, DecryptCommand, EncryptCommand, ListKeysCommand } from "@aws-sdk/client-kms";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  connectedStore,
  connectStore,
  createKey,
  createStore,
  describeStore,
  readyCluster,
  temporaryDirectory,
  type Keystead,
} from "../api/harness.ts";
import { eventually, isRunning, workersOf } from "../hsm/harness.ts";
import { ready, recorded, serve, type ServerProcess } from "./harness.ts";

const SECRET = Buffer.from("yesterday's secret");
const CONTEXT = { tenant: "acme" };
/** What a client may see during a fault: exceptions that the SDKs retry or that say the cluster is out of reach. */
const FAULT = /^(KMSInternalException|DependencyTimeoutException|KMSInvalidStateException)$/;

async function encrypt({ kms }: Keystead, KeyId: string): Promise<Uint8Array> {
  const command = new EncryptCommand({ KeyId, Plaintext: SECRET, EncryptionContext: CONTEXT });
  const { CiphertextBlob } = await kms.send(command);
  if (CiphertextBlob === undefined) throw new Error("no ciphertext");
  return CiphertextBlob;
}

async function decrypt({ kms }: Keystead, CiphertextBlob: Uint8Array): Promise<Buffer> {
  const { Plaintext } = await kms.send(new DecryptCommand({ CiphertextBlob, EncryptionContext: CONTEXT }));
  return Buffer.from(Plaintext ?? []);
}

/** The plaintext, or the exception that a client may see during a fault. */
async function decryptOrFault(keystead: Keystead, blob: Uint8Array): Promise<Buffer | "fault"> {
  try {
    return await decrypt(keystead, blob);
  } catch (error) {
    expect(error instanceof Error ? error.name : error).toMatch(FAULT);
    return "fault";
  }
}

/** Of the workers of a server whose first act with warm spares was one connect, the one that serves it. */
function servingFirst({ pid }: ServerProcess): number {
  // Spares are taken oldest first: the first logs in and ends, the second logs in anew and serves.
  const [oldest] = workersOf(pid);
  if (oldest === undefined) throw new Error("no worker");
  return oldest;
}

async function spares({ pid }: ServerProcess, count: number): Promise<void> {
  await eventually(`${count} workers`, () => workersOf(pid).length === count);
}

test("kill -9 of the server while CONNECTED: a restart is CONNECTED without rotation and decrypts", async () => {
  const directory = temporaryDirectory();
  const first = await serve(directory);
  const { storeId, keyArn } = await connectedStore(first.keystead);
  const blob = await encrypt(first.keystead, keyArn);
  const workers = workersOf(first.pid);
  expect(workers.length).toBeGreaterThanOrEqual(1);
  await first.end("SIGKILL");
  await eventually("the old server's workers end", () => !workers.some(isRunning), 5_000);
  const before = await recorded(directory, storeId);
  expect(before.state).toBe("CONNECTED");

  const second = await serve(directory);
  await ready(second);
  expect(await describeStore(second.keystead, storeId)).toMatchObject({ ConnectionState: "CONNECTED" });
  expect(await decrypt(second.keystead, blob)).toEqual(SECRET);
  expect(await decrypt(second.keystead, await encrypt(second.keystead, keyArn))).toEqual(SECRET);
  await second.end("SIGKILL");
  expect(await recorded(directory, storeId)).toEqual(before);
});

test("kill -9 of a worker: the next call succeeds or is retryable, and another store notices nothing", async () => {
  const server = await serve(temporaryDirectory());
  const { keystead } = server;
  const [one, other] = [await readyCluster(keystead), await readyCluster(keystead)];
  const [oneStore, otherStore] = [
    await createStore(keystead, one, "one"),
    await createStore(keystead, other, "other"),
  ];
  await spares(server, 2);
  expect(await connectStore(keystead, oneStore)).toBe("CONNECTED");
  await spares(server, 3);
  expect(await connectStore(keystead, otherStore)).toBe("CONNECTED");
  await spares(server, 4);
  const [oneKey, otherKey] = [await createKey(keystead, oneStore), await createKey(keystead, otherStore)];
  const [oneBlob, otherBlob] = [await encrypt(keystead, oneKey), await encrypt(keystead, otherKey)];

  const unaffected: Buffer[] = [];
  let over = false;
  const beside = (async () => {
    while (!over) unaffected.push(await decrypt(keystead, otherBlob));
  })();
  for (let round = 0; round < 5; round += 1) {
    const serving = round === 0 ? servingFirst(server) : undefined;
    for (const pid of serving === undefined ? [] : [serving]) process.kill(pid, "SIGKILL");
    expect(["fault", SECRET]).toContainEqual(await decryptOrFault(keystead, oneBlob));
    await eventually("service is back", async () => (await decryptOrFault(keystead, oneBlob)) !== "fault", 5_000);
  }
  over = true;
  await beside;
  expect(unaffected.length).toBeGreaterThan(10);
  for (const plaintext of unaffected) expect(plaintext).toEqual(SECRET);
  expect(await describeStore(keystead, oneStore)).toMatchObject({ ConnectionState: "CONNECTED" });
});
