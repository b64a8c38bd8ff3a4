/**
 * Signatures, MACs, key agreement and data key pairs: keys of custom key stores are
 * symmetric encryption keys, so all of it is refused (reference: kms-keys §3, rows 7 and U).
 */
import { AwsError } from "../core/errors.ts";
import type { Service } from "../core/operation.ts";
import { blob, oneOf, optional } from "../core/shape.ts";
import { onKey, type KmsContext } from "./service.ts";
import { ciphertext, dryRun, encryptionContext, grantTokens, keyId, plaintext, recipient } from "./shapes.ts";
import { never, wrongOrigin, wrongUsage } from "./unsupported.ts";

const macAlgorithm = oneOf("HMAC_SHA_224", "HMAC_SHA_256", "HMAC_SHA_384", "HMAC_SHA_512");
const messageType = oneOf("RAW", "DIGEST", "EXTERNAL_MU");
const signingAlgorithm = oneOf(
  "RSASSA_PSS_SHA_256",
  "RSASSA_PSS_SHA_384",
  "RSASSA_PSS_SHA_512",
  "RSASSA_PKCS1_V1_5_SHA_256",
  "RSASSA_PKCS1_V1_5_SHA_384",
  "RSASSA_PKCS1_V1_5_SHA_512",
  "ECDSA_SHA_256",
  "ECDSA_SHA_384",
  "ECDSA_SHA_512",
  "SM2DSA",
  "ML_DSA_SHAKE_256",
  "ED25519_SHA_512",
  "ED25519_PH_SHA_512",
);
const dataKeyPairSpec = oneOf(
  "RSA_2048",
  "RSA_3072",
  "RSA_4096",
  "ECC_NIST_P256",
  "ECC_NIST_P384",
  "ECC_NIST_P521",
  "ECC_SECG_P256K1",
  "SM2",
  "ECC_NIST_EDWARDS25519",
);

/** Members that all of these operations have. */
const common = { KeyId: keyId, GrantTokens: optional(grantTokens), DryRun: optional(dryRun) };
const signing = {
  ...common,
  Message: plaintext,
  MessageType: optional(messageType),
  SigningAlgorithm: signingAlgorithm,
};
const mac = { ...common, Message: plaintext, MacAlgorithm: macAlgorithm };
const dataKeyPair = {
  ...common,
  KeyPairSpec: dataKeyPairSpec,
  EncryptionContext: optional(encryptionContext),
};

export const asymmetric: Service<KmsContext> = {
  Sign: onKey(never, signing, wrongUsage("Sign")),
  Verify: onKey(never, { ...signing, Signature: ciphertext }, wrongUsage("Verify")),
  GenerateMac: onKey(never, mac, wrongUsage("GenerateMac")),
  VerifyMac: onKey(never, { ...mac, Mac: ciphertext }, wrongUsage("VerifyMac")),
  DeriveSharedSecret: onKey(
    never,
    {
      ...common,
      KeyAgreementAlgorithm: oneOf("ECDH"),
      PublicKey: blob({ min: 1, max: 8192 }),
      Recipient: optional(recipient),
    },
    wrongUsage("DeriveSharedSecret"),
  ),
  GenerateDataKeyPair: onKey(never, { ...dataKeyPair, Recipient: optional(recipient) }, wrongOrigin),
  GenerateDataKeyPairWithoutPlaintext: onKey(never, dataKeyPair, wrongOrigin),
  // The text AWS sends for a symmetric key is not known (reference: kms-keys §7).
  GetPublicKey: onKey(never, { KeyId: keyId, GrantTokens: optional(grantTokens) }, (_input, { key }) =>
    Promise.reject(
      new AwsError(
        "UnsupportedOperationException",
        `${key.Arn} key spec is SYMMETRIC_DEFAULT which is not valid for GetPublicKey.`,
      ),
    ),
  ),
};
