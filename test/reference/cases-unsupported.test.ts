/** What custom key stores never support, word by word; every key state is in cases-key-states.test.ts (reference: kms-keys §5.2, §6, wire-protocol §5). */
import { base64, invalid, runCases, sharedConnected, type Case } from "./harness.ts";

const shared = sharedConnected();
const plain = base64("a secret");

/** A request on the shared key, with `more`. */
const onKey =
  (more: object = {}): (() => object) =>
  () => ({ KeyId: shared.keyArn, ...more });

const usage = (operation: string): (() => RegExp) => {
  const sentence = `key usage is ENCRYPT_DECRYPT which is not valid for ${operation}\\.$`;
  return () => new RegExp(`^InvalidKeyUsageException: arn:aws:kms:.* ${sentence}`);
};
const signing = { Message: plain, SigningAlgorithm: "ECDSA_SHA_256" };
const mac = { Message: plain, MacAlgorithm: "HMAC_SHA_256" };
const WRONG_ORIGIN =
  /^UnsupportedOperationException: arn:aws:kms:.* origin is AWS_CLOUDHSM which is not valid for this operation\.$/;
const NOT_PRIMARY = /^UnsupportedOperationException: arn:aws:kms:.* is not a multi-region primary key\.$/;

const CASES: readonly Case[] = [
  [
    "kms-5.2-DataKeyPair",
    "GenerateDataKeyPair",
    [onKey({ KeyPairSpec: "RSA_2048" }), WRONG_ORIGIN],
    [onKey(), invalid.absent("keyPairSpec")],
  ],
  ["kms-5.2-Sign", "Sign", [onKey(signing), usage("Sign")()]],
  ["wire-5-InvalidKeyUsage", "GenerateMac", [onKey(mac), usage("GenerateMac")()]],
  ["kms-5.2-GetPublicKey", "GetPublicKey", [onKey(), "UnsupportedOperationException"]],
  ["kms-6-rotation wire-5-UnsupportedOperation-origin", "GetKeyRotationStatus", [onKey(), WRONG_ORIGIN]],
  [
    "kms-6-import",
    "ImportKeyMaterial",
    [onKey({ ImportToken: plain, EncryptedKeyMaterial: plain }), WRONG_ORIGIN],
  ],
  [
    "kms-6-multi-region wire-5-UnsupportedOperation-primary",
    "ReplicateKey",
    [onKey({ ReplicaRegion: "eu-west-1" }), NOT_PRIMARY],
    [onKey({ ReplicaRegion: "nowhere" }), /at 'replicaRegion' failed to satisfy constraint/],
  ],
];

runCases((operation, input) => shared.call(operation, input), CASES);
