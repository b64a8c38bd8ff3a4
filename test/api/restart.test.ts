/** The moments after a restart: the port answers while stores are still being logged in again. */
import { DecryptCommand, EncryptCommand, CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { createServer, type AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { connectedStore, createKey, startKeystead, temporaryDirectory } from "./harness.ts";

const CREATIONS = 12;

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

test("keys created while a restart is still settling its journal are real keys", async () => {
  const dataDir = temporaryDirectory();
  const port = await freePort();
  const first = await startKeystead({ dataDir, port });
  const { storeId } = await connectedStore(first);
  for (let count = 0; count < 10; count += 1) await createKey(first, storeId);
  await first.server.close();

  const restarting = startKeystead({ dataDir, port });
  const endpoint = `http://127.0.0.1:${port}`;
  const credentials = { accessKeyId: "test", secretAccessKey: "test" };
  const kms = new KMSClient({ endpoint, region: "us-east-1", credentials, maxAttempts: 1 });
  const create = new CreateKeyCommand({ Origin: "AWS_CLOUDHSM", CustomKeyStoreId: storeId });
  const made: string[] = [];
  while (made.length < CREATIONS)
    try {
      made.push((await kms.send(create)).KeyMetadata?.Arn ?? "");
    } catch (error) {
      // Only the port that does not listen yet is no answer; any answer but a key is a failure.
      if ((error as { code?: string }).code !== "ECONNREFUSED") throw error;
      await sleep(5);
    }
  await restarting;
  for (const KeyId of made) {
    const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from("kept") }));
    const { Plaintext } = await kms.send(new DecryptCommand({ CiphertextBlob }));
    expect(Buffer.from(Plaintext ?? []).toString()).toBe("kept");
  }
});
