/** Shapes that several KMS operations share, named after the API model's shapes. */
import { blob, boolean, integer, list, map, oneOf, optional, string, structure } from "../core/shape.ts";

/** KeyIdType: a key id, key ARN, alias name or alias ARN. */
export const keyId = string({ min: 1, max: 2048 });
export const customKeyStoreId = string({ min: 1, max: 64 });
export const customKeyStoreName = string({ min: 1, max: 256 });
export const encryptionContext = map(string(), string());
export const grantTokens = list(string({ min: 1, max: 8192 }), { min: 0, max: 10 });
export const description = string({ min: 0, max: 8192 });
export const limit = integer({ min: 1, max: 1000 });
export const marker = string({ min: 1, max: 1024, pattern: "[\\u0020-\\u00FF]*" });
export const plaintext = blob({ min: 1, max: 4096, sensitive: true });
export const ciphertext = blob({ min: 1, max: 6144 });
export const numberOfBytes = integer({ min: 1, max: 1024 });
export const dataKeySpec = oneOf("AES_256", "AES_128");
export const encryptionAlgorithm = oneOf(
  "SYMMETRIC_DEFAULT",
  "RSAES_OAEP_SHA_1",
  "RSAES_OAEP_SHA_256",
  "SM2PKE",
);
export const dryRun = boolean();
export const dryRunModifiers = list(oneOf("IGNORE_CIPHERTEXT"));
/** RecipientInfo: a Nitro enclave's attestation. */
export const recipient = structure({
  KeyEncryptionAlgorithm: optional(oneOf("RSAES_OAEP_SHA_256")),
  AttestationDocument: optional(blob({ min: 1, max: 262144 })),
});
export const tags = list(
  structure({ TagKey: string({ min: 1, max: 128 }), TagValue: string({ min: 0, max: 256 }) }),
);
export const policyDocument = string({
  min: 1,
  max: 131072,
  pattern: "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+",
});

const MASTER_KEY_SPECS = [
  "RSA_2048",
  "RSA_3072",
  "RSA_4096",
  "ECC_NIST_P256",
  "ECC_NIST_P384",
  "ECC_NIST_P521",
  "ECC_SECG_P256K1",
  "SYMMETRIC_DEFAULT",
  "HMAC_224",
  "HMAC_256",
  "HMAC_384",
  "HMAC_512",
  "SM2",
] as const;
export const customerMasterKeySpec = oneOf(...MASTER_KEY_SPECS);
export const keySpec = oneOf(
  ...MASTER_KEY_SPECS,
  "ML_DSA_44",
  "ML_DSA_65",
  "ML_DSA_87",
  "ECC_NIST_EDWARDS25519",
);
export const keyUsage = oneOf("SIGN_VERIFY", "ENCRYPT_DECRYPT", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT");

/** CloudHsmClusterIdType. */
export const cloudHsmClusterId = string({ min: 19, max: 24, pattern: "cluster-[2-7a-zA-Z]{11,16}" });
export const keyStorePassword = string({ min: 7, max: 32, sensitive: true });
/** The Xks… members of external key stores, recognised so that they can be refused. */
export const externalKeyStoreMembers = {
  XksProxyUriEndpoint: optional(string({ min: 10, max: 128, pattern: "^https://[a-zA-Z0-9.-]+$" })),
  XksProxyUriPath: optional(
    string({
      min: 10,
      max: 128,
      pattern: "^(/[a-zA-Z0-9\\/_-]+/kms/xks/v\\d{1,2})$|^(/kms/xks/v\\d{1,2})$",
    }),
  ),
  XksProxyVpcEndpointServiceName: optional(
    string({
      min: 20,
      max: 64,
      pattern: "^(com|eu)\\.amazonaws\\.vpce\\.([a-z]+-){2,3}\\d+\\.vpce-svc-[0-9a-z]+$",
    }),
  ),
  XksProxyVpcEndpointServiceOwner: optional(string({ min: 12, max: 12, pattern: "[0-9]{12}" })),
  XksProxyAuthenticationCredential: optional(
    structure({
      AccessKeyId: string({ min: 20, max: 30, pattern: "^[A-Z2-7]+$", sensitive: true }),
      RawSecretAccessKey: string({ min: 43, max: 64, pattern: "^[a-zA-Z0-9\\/+=]+$", sensitive: true }),
    }),
  ),
  XksProxyConnectivity: optional(oneOf("PUBLIC_ENDPOINT", "VPC_ENDPOINT_SERVICE")),
} as const;
