/** Key rotation: never available in a custom key store (reference: kms-keys §3, code 7). */
import type { Service } from "../core/operation.ts";
import { integer, oneOf, optional } from "../core/shape.ts";
import { onKey, type KmsContext } from "./service.ts";
import { keyId, limit, marker } from "./shapes.ts";
import { neverByArn, wrongOrigin } from "./unsupported.ts";

const withoutOutput = { ...neverByArn, output: "none" } as const;

export const rotation: Service<KmsContext> = {
  EnableKeyRotation: onKey(
    withoutOutput,
    { KeyId: keyId, RotationPeriodInDays: optional(integer({ min: 90, max: 2560 })) },
    wrongOrigin,
  ),
  DisableKeyRotation: onKey(withoutOutput, { KeyId: keyId }, wrongOrigin),
  GetKeyRotationStatus: onKey(neverByArn, { KeyId: keyId }, wrongOrigin),
  ListKeyRotations: onKey(
    neverByArn,
    {
      KeyId: keyId,
      IncludeKeyMaterial: optional(oneOf("ALL_KEY_MATERIAL", "ROTATIONS_ONLY")),
      Limit: optional(limit),
      Marker: optional(marker),
    },
    wrongOrigin,
  ),
  RotateKeyOnDemand: onKey(neverByArn, { KeyId: keyId }, wrongOrigin),
};
