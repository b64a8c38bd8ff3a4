/** Imported key material: never available in a custom key store (reference: kms-keys §3, code 9). */
import type { Service } from "../core/operation.ts";
import { oneOf, optional, string, timestamp } from "../core/shape.ts";
import { onKey, type KmsContext } from "./service.ts";
import { ciphertext, keyId } from "./shapes.ts";
import { neverByArn, wrongOrigin } from "./unsupported.ts";

const keyMaterialId = string({ min: 64, max: 64, pattern: "^[a-f0-9]+$" });

export const importedMaterial: Service<KmsContext> = {
  GetParametersForImport: onKey(
    neverByArn,
    {
      KeyId: keyId,
      WrappingAlgorithm: oneOf(
        "RSAES_PKCS1_V1_5",
        "RSAES_OAEP_SHA_1",
        "RSAES_OAEP_SHA_256",
        "RSA_AES_KEY_WRAP_SHA_1",
        "RSA_AES_KEY_WRAP_SHA_256",
        "SM2PKE",
      ),
      WrappingKeySpec: oneOf("RSA_2048", "RSA_3072", "RSA_4096", "SM2"),
    },
    wrongOrigin,
  ),
  ImportKeyMaterial: onKey(
    neverByArn,
    {
      KeyId: keyId,
      ImportToken: ciphertext,
      EncryptedKeyMaterial: ciphertext,
      ValidTo: optional(timestamp()),
      ExpirationModel: optional(oneOf("KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE")),
      ImportType: optional(oneOf("NEW_KEY_MATERIAL", "EXISTING_KEY_MATERIAL")),
      KeyMaterialDescription: optional(string({ min: 0, max: 256, pattern: "^[a-zA-Z0-9:/_\\s.-]+$" })),
      KeyMaterialId: optional(keyMaterialId),
    },
    wrongOrigin,
  ),
  DeleteImportedKeyMaterial: onKey(
    neverByArn,
    { KeyId: keyId, KeyMaterialId: optional(keyMaterialId) },
    wrongOrigin,
  ),
};
