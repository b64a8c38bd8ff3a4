import { DecryptCommand, EncryptCommand } from "@aws-sdk/client-kms";
import { expect, test } from "vitest";
import { connectedStore, connectStore, disconnectStore, refusal, startKeystead } from "./harness.ts";

test("a connected key store encrypts on its token, and not while it is disconnected", async () => {
  const keystead = await startKeystead();
  const { storeId, keyArn } = await connectedStore(keystead);
  const Plaintext = Buffer.from("a secret");
  const EncryptionContext = { tenant: "acme" };
  const { CiphertextBlob } = await keystead.kms.send(
    new EncryptCommand({ KeyId: keyArn, Plaintext, EncryptionContext }),
  );
  const decrypt = new DecryptCommand({ CiphertextBlob, EncryptionContext });
  const answer = await keystead.kms.send(decrypt);
  expect(Buffer.from(answer.Plaintext ?? [])).toEqual(Plaintext);
  expect(answer.KeyId).toBe(keyArn);
  await disconnectStore(keystead, storeId);
  expect(await refusal(keystead.kms.send(decrypt))).toBe("KMSInvalidStateException");
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  expect(Buffer.from((await keystead.kms.send(decrypt)).Plaintext ?? [])).toEqual(Plaintext);
});
