import {
  DecryptCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  GenerateRandomCommand,
  ReEncryptCommand,
} from "@aws-sdk/client-kms";
import { sql } from "kysely";
import { expect, test } from "vitest";
import { openStore } from "../../src/store/database.ts";
import {
  connectedStore,
  connectStore,
  createKey,
  createStore,
  disconnectStore,
  readyCluster,
  refusal,
  startKeystead,
  temporaryDirectory,
  type Keystead,
} from "./harness.ts";

const EncryptionContext = { tenant: "acme", päth: "/ü" };

async function sealed(keystead: Keystead, KeyId: string, text = "a secret"): Promise<Uint8Array> {
  const { CiphertextBlob } = await keystead.kms.send(
    new EncryptCommand({ KeyId, Plaintext: Buffer.from(text), EncryptionContext }),
  );
  if (CiphertextBlob === undefined) throw new Error("no CiphertextBlob");
  return CiphertextBlob;
}

test("what does not belong together does not decrypt", async () => {
  const keystead = await startKeystead();
  const { storeId, keyArn } = await connectedStore(keystead);
  const other = await createKey(keystead, storeId);
  const CiphertextBlob = await sealed(keystead, keyArn);
  const decrypt = (input: object): Promise<string> =>
    refusal(keystead.kms.send(new DecryptCommand({ CiphertextBlob, EncryptionContext, ...input })));
  expect(await decrypt({})).toBe("none");
  expect(await decrypt({ KeyId: keyArn })).toBe("none");
  expect(await decrypt({ EncryptionContext: { tenant: "acme" } })).toBe("InvalidCiphertextException");
  expect(await decrypt({ EncryptionContext: undefined })).toBe("InvalidCiphertextException");
  expect(await decrypt({ KeyId: other })).toBe("IncorrectKeyException");
  expect(await decrypt({ CiphertextBlob: Buffer.from("not a blob") })).toBe("InvalidCiphertextException");
  expect(await decrypt({ EncryptionAlgorithm: "RSAES_OAEP_SHA_256" })).toBe("InvalidKeyUsageException");
  expect(await decrypt({ DryRun: true })).toBe("DryRunOperationException");
  expect(await decrypt({ GrantTokens: ["unknown"] })).toBe("InvalidGrantTokenException");
  const renamed = Buffer.from(CiphertextBlob);
  renamed.write("ffffffff", renamed.indexOf(":key/") + 5);
  expect(await decrypt({ CiphertextBlob: renamed })).toBe("AccessDeniedException");
});

test("every flipped bit and every truncation of a blob is refused, and the key stays usable", async () => {
  const keystead = await startKeystead();
  const { keyArn } = await connectedStore(keystead);
  const blob = Buffer.from(await sealed(keystead, keyArn));
  const refused = new Set<string>();
  for (let at = 0; at < blob.length; at += 1) {
    const flipped = Buffer.from(blob);
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    for (const CiphertextBlob of [flipped, blob.subarray(0, at)])
      if (CiphertextBlob.length > 0)
        refused.add(
          await refusal(keystead.kms.send(new DecryptCommand({ CiphertextBlob, EncryptionContext }))),
        );
  }
  expect([...refused].toSorted()).toEqual(["AccessDeniedException", "InvalidCiphertextException"]);
  const answer = await keystead.kms.send(new DecryptCommand({ CiphertextBlob: blob, EncryptionContext }));
  expect(Buffer.from(answer.Plaintext ?? []).toString()).toBe("a secret");
});

test("data keys come from the token and decrypt to their plaintext", async () => {
  const keystead = await startKeystead();
  const { keyArn: KeyId } = await connectedStore(keystead);
  for (const wish of [{ KeySpec: "AES_256" }, { KeySpec: "AES_128" }, { NumberOfBytes: 1024 }] as const) {
    const made = await keystead.kms.send(new GenerateDataKeyCommand({ KeyId, EncryptionContext, ...wish }));
    const { Plaintext } = await keystead.kms.send(
      new DecryptCommand({ CiphertextBlob: made.CiphertextBlob, EncryptionContext }),
    );
    expect(Plaintext).toEqual(made.Plaintext);
    expect(made.KeyId).toBe(KeyId);
  }
  const without = await keystead.kms.send(
    new GenerateDataKeyWithoutPlaintextCommand({ KeyId, KeySpec: "AES_256" }),
  );
  expect(without).not.toHaveProperty("Plaintext");
  const { Plaintext } = await keystead.kms.send(
    new DecryptCommand({ CiphertextBlob: without.CiphertextBlob }),
  );
  expect(Plaintext).toHaveLength(32);
  for (const wish of [{}, { KeySpec: "AES_256", NumberOfBytes: 32 }] as const)
    expect(await refusal(keystead.kms.send(new GenerateDataKeyCommand({ KeyId, ...wish })))).toBe(
      "ValidationException",
    );
});

test("ReEncrypt moves a ciphertext between keys of two key stores", async () => {
  const keystead = await startKeystead();
  const { keyArn } = await connectedStore(keystead);
  const second = await createStore(keystead, await readyCluster(keystead), "SecondKeyStore");
  expect(await connectStore(keystead, second)).toBe("CONNECTED");
  const destination = await createKey(keystead, second);
  const moved = await keystead.kms.send(
    new ReEncryptCommand({
      CiphertextBlob: await sealed(keystead, keyArn),
      SourceEncryptionContext: EncryptionContext,
      DestinationKeyId: destination,
      DestinationEncryptionContext: { moved: "yes" },
    }),
  );
  expect(moved).toMatchObject({ SourceKeyId: keyArn, KeyId: destination });
  const answer = await keystead.kms.send(
    new DecryptCommand({ CiphertextBlob: moved.CiphertextBlob, EncryptionContext: { moved: "yes" } }),
  );
  expect(Buffer.from(answer.Plaintext ?? []).toString()).toBe("a secret");
  expect(answer.KeyId).toBe(destination);
});

test("GenerateRandom works with and without a connected key store", async () => {
  const keystead = await startKeystead();
  const { storeId } = await connectedStore(keystead);
  const random = (input: object): Promise<{ Plaintext?: Uint8Array | undefined }> =>
    keystead.kms.send(new GenerateRandomCommand(input));
  expect((await random({ NumberOfBytes: 64 })).Plaintext).toHaveLength(64);
  expect((await random({ NumberOfBytes: 64, CustomKeyStoreId: storeId })).Plaintext).toHaveLength(64);
  expect(await refusal(random({}))).toBe("ValidationException");
  expect(await refusal(random({ NumberOfBytes: 1025 }))).toBe("ValidationException");
  expect(await refusal(random({ NumberOfBytes: 1, CustomKeyStoreId: "cks-0" }))).toBe(
    "CustomKeyStoreNotFoundException",
  );
  await disconnectStore(keystead, storeId);
  expect(await refusal(random({ NumberOfBytes: 1, CustomKeyStoreId: storeId }))).toBe(
    "CustomKeyStoreInvalidStateException",
  );
});

test("random-IV encryptions are reserved in blocks, survive a restart, and end at 2^32", async () => {
  const dataDir = temporaryDirectory();
  const first = await startKeystead({ dataDir });
  const { keyArn } = await connectedStore(first);
  await sealed(first, keyArn);
  await first.server.close();
  const reserved = async (set?: number): Promise<number> => {
    const store = await openStore(dataDir);
    if (set !== undefined) await sql`update keys set EncryptionsReserved = ${set}`.execute(store.db);
    const row = await store.db.selectFrom("keys").select("EncryptionsReserved").executeTakeFirstOrThrow();
    await store.close();
    return row.EncryptionsReserved;
  };
  expect(await reserved()).toBe(65_536);
  await reserved(2 ** 32 - 65_536);
  const second = await startKeystead({ dataDir });
  expect(await refusal(sealed(second, keyArn))).toBe("none");
  await second.server.close();
  const third = await startKeystead({ dataDir });
  expect(await refusal(sealed(third, keyArn))).toBe("LimitExceededException");
  expect(await reservedOf(third)).toBe(2 ** 32);
});

async function reservedOf(keystead: Keystead): Promise<number> {
  await keystead.server.close();
  const store = await openStore(keystead.directory);
  const row = await store.db.selectFrom("keys").select("EncryptionsReserved").executeTakeFirstOrThrow();
  await store.close();
  return row.EncryptionsReserved;
}
