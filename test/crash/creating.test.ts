/** CreateKey cut short by kill -9: what it left is swept, what nobody recorded is left alone (I2, I4, I7). */
import { DecryptCommand, EncryptCommand, ListKeysCommand } from "@aws-sdk/client-kms";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { ClusterToken } from "../../src/hsm/cluster-token.ts";
import {
  connectedStore,
  connectStore,
  createKey,
  disconnectStore,
  temporaryDirectory,
  type Keystead,
} from "../api/harness.ts";
import { eventually, isRunning, newKeyNames, openTokens, workersOf } from "../hsm/harness.ts";
import { inspect, ready, recorded, serve } from "./harness.ts";

const SECRET = Buffer.from("yesterday's secret");

async function onToken<T>(
  directory: string,
  clusterId: string,
  act: (token: ClusterToken) => Promise<T>,
): Promise<T> {
  const tokens = openTokens(join(directory, "clusters"));
  try {
    return await act(tokens.of(clusterId));
  } finally {
    await tokens.close();
  }
}

/** Labels of the key objects on a cluster's token, while no server runs. */
async function labels(directory: string, clusterId: string, storeId: string): Promise<string[]> {
  const { password } = await recorded(directory, storeId);
  return onToken(directory, clusterId, async (token) => {
    const keys = await token.listKeys(password);
    return keys.map((key) => key.label).toSorted();
  });
}

async function listed({ kms }: Keystead): Promise<string[]> {
  const { Keys } = await kms.send(new ListKeysCommand({}));
  return (Keys ?? []).map((key) => key.KeyArn ?? "").toSorted();
}

async function expectUsable({ kms }: Keystead, KeyId: string): Promise<void> {
  const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId, Plaintext: SECRET }));
  const { Plaintext } = await kms.send(new DecryptCommand({ CiphertextBlob }));
  expect(Buffer.from(Plaintext ?? [])).toEqual(SECRET);
}

function intents(directory: string): Promise<number> {
  return inspect(
    directory,
    async ({ db }) => (await db.selectFrom("key_intents").selectAll().execute()).length,
  );
}

test.each(["CONNECTED", "DISCONNECTED"])(
  "of a store that was %s, an intent's key object is swept at the next login and an unknown one is kept",
  async (state) => {
    const directory = temporaryDirectory();
    const first = await serve(directory);
    const { cluster, storeId, keyArn } = await connectedStore(first.keystead);
    if (state === "DISCONNECTED") await disconnectStore(first.keystead, storeId);
    await first.end("SIGKILL");

    const { password } = await recorded(directory, storeId);
    const [interrupted, never, foreign] = [newKeyNames(), newKeyNames(), newKeyNames()];
    await onToken(directory, cluster.clusterId, async (token) => {
      const { worker } = await token.serve([password]);
      for (const { id, label } of [interrupted, foreign]) await worker.manage("generateKey", { id, label });
      await worker.close();
    });
    await inspect(directory, async ({ db }) => {
      for (const { id, label } of [interrupted, never])
        await db
          .insertInto("key_intents")
          .values({
            BackingKeyId: id,
            Kind: "create",
            KeyId: label,
            KeyArn: label,
            CustomKeyStoreId: storeId,
            ClusterId: cluster.clusterId,
            RecordedAt: Date.now(),
          })
          .execute();
    });

    const second = await serve(directory);
    if (state === "DISCONNECTED") expect(await connectStore(second.keystead, storeId)).toBe("CONNECTED");
    await ready(second);
    await expectUsable(second.keystead, keyArn);
    expect(await listed(second.keystead)).toEqual([keyArn]);
    expect(await second.end("SIGTERM")).toBe(0);
    expect(await intents(directory)).toBe(0);
    const left = await labels(directory, cluster.clusterId, storeId);
    expect(left).toEqual([keyArn, foreign.label].toSorted());
  },
);

test("kill -9 of the server among creations: answered keys work, and the token holds no other", async () => {
  const directory = temporaryDirectory();
  let server = await serve(directory);
  const { cluster, storeId, keyArn } = await connectedStore(server.keystead);
  const answered = new Set([keyArn]);
  for (let round = 0; round < 4; round += 1) {
    const { keystead } = server;
    let gone = false;
    const making = Array.from({ length: 4 }, async () => {
      // Until the server is gone, and with it the answer to the last one.
      while (!gone) {
        const arn = await createKey(keystead, storeId).catch(() => undefined);
        if (arn !== undefined) answered.add(arn);
      }
    });
    await sleep(50 + Math.random() * 200);
    const workers = workersOf(server.pid);
    await server.end("SIGKILL");
    gone = true;
    await Promise.all(making);
    await eventually("the old server's workers end", () => !workers.some(isRunning));
    server = await serve(directory);
    await ready(server);
  }
  const { keystead } = server;
  const all = await listed(keystead);
  for (const arn of answered) expect(all).toContain(arn);
  // A key that was committed but whose answer was lost is a key too.
  for (const arn of all) await expectUsable(keystead, arn);
  expect(await server.end("SIGTERM")).toBe(0);
  expect(await intents(directory)).toBe(0);
  expect(await labels(directory, cluster.clusterId, storeId)).toEqual(all);
});

test("kill -9 of workers among creations: answered keys work, the others leave neither a key nor an intent", async () => {
  const directory = temporaryDirectory();
  const first = await serve(directory);
  const { keystead } = first;
  const { cluster, storeId, keyArn } = await connectedStore(keystead);
  const answered = [keyArn];
  for (let round = 0; round < 6; round += 1) {
    const making = Array.from({ length: 4 }, () =>
      createKey(keystead, storeId).then(
        (arn) => void answered.push(arn),
        (error: unknown) => expect((error as Error).name).toMatch(/^KMS(?:Internal|InvalidState)Exception$/),
      ),
    );
    await sleep(5 + 15 * round);
    for (const pid of workersOf(first.pid)) process.kill(pid, "SIGKILL");
    await Promise.all(making);
    await eventually("service is back", () =>
      expectUsable(keystead, keyArn).then(
        () => true,
        () => false,
      ),
    );
  }
  answered.push(await createKey(keystead, storeId));
  expect(await listed(keystead)).toEqual(answered.toSorted());
  for (const arn of answered) await expectUsable(keystead, arn);
  expect(await first.end("SIGTERM")).toBe(0);

  // What could not be removed at once is swept at the next login.
  const second = await serve(directory);
  await ready(second);
  expect(await second.end("SIGTERM")).toBe(0);
  expect(await intents(directory)).toBe(0);
  expect(await labels(directory, cluster.clusterId, storeId)).toEqual(answered.toSorted());
});
