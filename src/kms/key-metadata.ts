/** UpdateKeyDescription and GetKeyLastUsage (reference: kms-keys §6). */
import type { Service } from "../core/operation.ts";
import { onKey, type KmsContext } from "./service.ts";
import { description, keyId } from "./shapes.ts";

export const keyMetadata: Service<KmsContext> = {
  UpdateKeyDescription: onKey(
    { key: "KeyId", forms: "key-id-or-arn", use: "manage", output: "none" },
    { KeyId: keyId, Description: description },
    async ({ Description }, { kms, key }) => {
      await kms.keys.change(key, { Description });
      return undefined;
    },
  ),

  GetKeyLastUsage: onKey(
    {
      key: "KeyId",
      forms: "key-id-or-arn",
      use: "describe",
      coverage: {
        kind: "partial",
        note: "no CloudTrailEventId: there is no CloudTrail; a crash of the server forgets the uses of its last ten seconds",
      },
    },
    { KeyId: keyId },
    async (_input, { kms, key }) => {
      const last = kms.usage.of(key);
      const created = key.CreationDate / 1000;
      return {
        KeyId: key.KeyId,
        KeyLastUsage: last === undefined ? undefined : { ...last, Timestamp: last.Timestamp / 1000 },
        // Uses are recorded from a key's creation on.
        TrackingStartDate: created,
        KeyCreationDate: created,
      };
    },
  ),
};
