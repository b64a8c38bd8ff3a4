/** kill -9 of the server at random moments of connects: no credential and no key is ever lost (I1, I2). */
import {
  ConnectCustomKeyStoreCommand,
  DecryptCommand,
  DisconnectCustomKeyStoreCommand,
  EncryptCommand,
} from "@aws-sdk/client-kms";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  connectedStore,
  connectStore,
  disconnectStore,
  temporaryDirectory,
  waitForStore,
  type Keystead,
} from "../api/harness.ts";
import { eventually, isRunning, workersOf } from "../hsm/harness.ts";
import { ready, serve } from "./harness.ts";

const ROUNDS = 12;
const SECRET = Buffer.from("yesterday's secret");

/** Disconnect and connect until the server is gone. */
async function reconnect({ kms }: Keystead, CustomKeyStoreId: string, gone: () => boolean): Promise<void> {
  while (!gone()) {
    // Each is refused while the other is under way.
    await kms.send(new DisconnectCustomKeyStoreCommand({ CustomKeyStoreId })).catch(() => undefined);
    await kms.send(new ConnectCustomKeyStoreCommand({ CustomKeyStoreId })).catch(() => undefined);
    await sleep(1);
  }
}

test(`after each of ${ROUNDS} kills at a random moment the store connects and decrypts`, async () => {
  const directory = temporaryDirectory();
  let server = await serve(directory);
  const { storeId, keyArn } = await connectedStore(server.keystead);
  const encrypt = new EncryptCommand({ KeyId: keyArn, Plaintext: SECRET });
  const { CiphertextBlob } = await server.keystead.kms.send(encrypt);
  const statesAtKill = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round += 1) {
    let gone = false;
    const looping = reconnect(server.keystead, storeId, () => gone);
    await sleep(Math.random() * 600);
    const workers = workersOf(server.pid);
    await server.end("SIGKILL");
    gone = true;
    await looping;
    await eventually("the old server's workers end", () => !workers.some(isRunning));

    server = await serve(directory);
    const { keystead } = server;
    await ready(server);
    const { ConnectionState: found = "none" } = await waitForStore(
      keystead,
      storeId,
      "CONNECTED",
      "DISCONNECTED",
      "FAILED",
    );
    statesAtKill.set(found, (statesAtKill.get(found) ?? 0) + 1);
    // An interrupted connect that ended in FAILED, or any other code, would be a lost credential.
    expect(found).not.toBe("FAILED");
    if (found === "CONNECTED" && round % 2 === 0) await disconnectStore(keystead, storeId);
    if (found !== "CONNECTED" || round % 2 === 0)
      expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
    await eventually(
      "the store is logged in",
      async () => (await keystead.manage("GET", "ready")).status === 200,
    );
    const { Plaintext } = await keystead.kms.send(new DecryptCommand({ CiphertextBlob }));
    expect(Buffer.from(Plaintext ?? [])).toEqual(SECRET);
    expect((await keystead.kms.send(encrypt)).KeyId).toBe(keyArn);
  }
  expect([...statesAtKill.values()].reduce((sum, count) => sum + count, 0)).toBe(ROUNDS);
}, 180_000);
