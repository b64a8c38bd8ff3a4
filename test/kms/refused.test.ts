/** What custom key stores never support answers AWS's own refusal, and never a 5xx. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AwsError } from "../../src/core/errors.ts";
import type { Request } from "../../src/core/operation.ts";
import { validate } from "../../src/core/shape.ts";
import { KeyBook } from "../../src/kms/key-book.ts";
import { refused } from "../../src/kms/refused.ts";
import type { KmsContext } from "../../src/kms/service.ts";
import { openStore, type Store } from "../../src/store/database.ts";

const where = { region: "us-east-1", account: "000000000000" };
const KEY = "12345678-1234-1234-1234-123456789012";
const ARN = `arn:aws:kms:us-east-1:000000000000:key/${KEY}`;

const KEY_STORE = {
  CustomKeyStoreId: "cks-1",
  CustomKeyStoreName: "one",
  CloudHsmClusterId: "cluster-aaaaaaaaaaa",
  TrustAnchorCertificate: "",
  ClusterCertificate: "",
  ConnectionState: "DISCONNECTED",
  CreationDate: 0,
  PasswordSealed: Buffer.alloc(1),
  PasswordGeneration: 1,
};

let directory: string;
let store: Store;
let context: KmsContext & Request;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "keystead-refused-"));
  store = await openStore(directory);
  await store.db.insertInto("key_stores").values(KEY_STORE).execute();
  const keys = new KeyBook(store, where);
  await keys.add({
    KeyId: KEY,
    CustomKeyStoreId: "cks-1",
    BackingKeyId: "0".repeat(64),
    Description: "",
    CreationDate: 0,
    Canary: Buffer.from("canary"),
    Tags: [],
    Policy: '{"Version":"2012-10-17"}',
  });
  // Of KMS these operations know the keys and the stores' states.
  const kms = { ...where, keys, keyStores: { get: () => undefined } };
  context = { kms, requestId: "", caller: { account: "", arn: "", accessKeyId: "" } } as never;
});

afterAll(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

async function call(name: string, body: object): Promise<unknown> {
  const entry = refused[name];
  if (entry === undefined) throw new Error(`no operation ${name}`);
  try {
    return await entry.run(validate(entry.input, body), context);
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    expect(error.status).toBe(400);
    return `${error.code}: ${error.message}`;
  }
}

const bytes = "aGk=";
const origin = `UnsupportedOperationException: ${ARN} origin is AWS_CLOUDHSM which is not valid for this operation.`;
const usage = (name: string): string =>
  `InvalidKeyUsageException: ${ARN} key usage is ENCRYPT_DECRYPT which is not valid for ${name}.`;
const notPrimary = `UnsupportedOperationException: ${ARN} is not a multi-region primary key.`;

test.each<[name: string, members: object, expected: unknown]>([
  ["EnableKeyRotation", {}, origin],
  ["DisableKeyRotation", {}, origin],
  ["GetKeyRotationStatus", {}, origin],
  ["ListKeyRotations", {}, origin],
  ["RotateKeyOnDemand", {}, origin],
  [
    "GetParametersForImport",
    { WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_2048" },
    origin,
  ],
  ["ImportKeyMaterial", { ImportToken: bytes, EncryptedKeyMaterial: bytes }, origin],
  ["DeleteImportedKeyMaterial", {}, origin],
  ["GenerateDataKeyPair", { KeyPairSpec: "RSA_2048" }, origin],
  ["GenerateDataKeyPairWithoutPlaintext", { KeyPairSpec: "RSA_2048" }, origin],
  ["Sign", { Message: bytes, SigningAlgorithm: "ECDSA_SHA_256" }, usage("Sign")],
  ["Verify", { Message: bytes, Signature: bytes, SigningAlgorithm: "ECDSA_SHA_256" }, usage("Verify")],
  ["GenerateMac", { Message: bytes, MacAlgorithm: "HMAC_SHA_256" }, usage("GenerateMac")],
  ["VerifyMac", { Message: bytes, Mac: bytes, MacAlgorithm: "HMAC_SHA_256" }, usage("VerifyMac")],
  ["DeriveSharedSecret", { KeyAgreementAlgorithm: "ECDH", PublicKey: bytes }, usage("DeriveSharedSecret")],
  ["GetPublicKey", {}, expect.stringMatching(/^UnsupportedOperationException: .* SYMMETRIC_DEFAULT /)],
  ["ReplicateKey", { ReplicaRegion: "eu-west-1" }, notPrimary],
  ["UpdatePrimaryRegion", { PrimaryRegion: "eu-west-1" }, notPrimary],
])("%s", async (name, members, expected) => {
  expect(await call(name, { KeyId: KEY, ...members })).toEqual(expected);
});

test("the request is validated and the key looked up before the refusal", async () => {
  expect(await call("Sign", { KeyId: KEY })).toMatch(/^ValidationException: 2 validation errors detected: /);
  const absent = { KeyId: KEY.replace("1", "2"), GrantTokens: [] };
  expect(await call("GetPublicKey", absent)).toMatch(/^NotFoundException: Key '.*' does not exist$/);
  expect(await call("GetKeyRotationStatus", { KeyId: "alias/a" })).toBe(
    "NotFoundException: Invalid keyId 'alias/a'",
  );
});
