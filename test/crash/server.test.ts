/** The server killed, its workers killed, and the server asked to end, all while CONNECTED. */
import { DecryptCommand, EncryptCommand, ListKeysCommand } from "@aws-sdk/client-kms";
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
  // Spares are taken oldest first, so the oldest worker serves the store that was connected first,
  // and after its replacement by a spare the second oldest does.
  const [, otherWorker = 0] = workersOf(server.pid);
  for (let round = 0; round < 5; round += 1) {
    const victim = workersOf(server.pid)[round === 0 ? 0 : 1] ?? 0;
    expect(victim).not.toBe(otherWorker);
    process.kill(victim, "SIGKILL");
    expect(["fault", SECRET]).toContainEqual(await decryptOrFault(keystead, oneBlob));
    await eventually(
      "service is back",
      async () => (await decryptOrFault(keystead, oneBlob)) !== "fault",
      5_000,
    );
    await spares(server, 4);
  }
  over = true;
  await beside;
  expect(isRunning(otherWorker)).toBe(true);
  expect(unaffected.length).toBeGreaterThan(10);
  for (const plaintext of unaffected) expect(plaintext).toEqual(SECRET);
  expect(await describeStore(keystead, oneStore)).toMatchObject({ ConnectionState: "CONNECTED" });
});

test("SIGTERM: requests in flight are answered, then the server and its workers end, with 0", async () => {
  const server = await serve(temporaryDirectory());
  const { keystead } = server;
  const { keyArn } = await connectedStore(keystead);
  await encrypt(keystead, keyArn);
  await spares(server, 3);
  const workers = workersOf(server.pid);
  const [serving = 0] = workers;
  // A worker that stands still holds the answers back until the signal has been sent.
  process.kill(serving, "SIGSTOP");
  const inFlight = Array.from({ length: 40 }, () => encrypt(keystead, keyArn));
  await sleep(500);
  const signalled = performance.now();
  const ended = server.end("SIGTERM");
  await sleep(500);
  await expect(fetch(`${server.endpoint}/_keystead/health`)).rejects.toThrow("fetch failed");
  process.kill(serving, "SIGCONT");
  for (const blob of await Promise.all(inFlight)) expect(blob.length).toBeGreaterThan(SECRET.length);
  expect(await ended).toBe(0);
  expect(performance.now() - signalled).toBeLessThan(10_000);
  await eventually("no worker survives", () => !workers.some(isRunning), 5_000);
});

test("SIGTERM of an idle server with open connections does not wait for them", async () => {
  const server = await serve(temporaryDirectory());
  await server.keystead.kms.send(new ListKeysCommand({}));
  await server.keystead.manage("GET", "health");
  const signalled = performance.now();
  expect(await server.end("SIGTERM")).toBe(0);
  expect(performance.now() - signalled).toBeLessThan(5_000);
});

test("a second SIGTERM does not wait", async () => {
  const server = await serve(temporaryDirectory());
  const { keyArn } = await connectedStore(server.keystead);
  const [serving = 0] = workersOf(server.pid);
  process.kill(serving, "SIGSTOP");
  const call = encrypt(server.keystead, keyArn).catch((error: unknown) => error);
  await sleep(200);
  void server.end("SIGTERM");
  await sleep(200);
  expect(await server.end("SIGTERM")).toBe(130);
  expect(await call).toBeInstanceOf(Error);
  process.kill(serving, "SIGCONT");
  await eventually("its worker ends too", () => !isRunning(serving));
});
