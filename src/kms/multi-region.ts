/** Multi-Region keys: never available in a custom key store (reference: kms-keys §3). */
import { AwsError } from "../core/errors.ts";
import type { Service } from "../core/operation.ts";
import { boolean, optional, string } from "../core/shape.ts";
import type { Key } from "./key.ts";
import { onKey, type KmsContext } from "./service.ts";
import { description, keyId, policyDocument, tags } from "./shapes.ts";
import { neverByArn } from "./unsupported.ts";

const region = string({ min: 1, max: 32, pattern: "^([a-z]+-){2,3}\\d+$" });

function notPrimary(_input: unknown, { key }: { readonly key: Key }): Promise<never> {
  return Promise.reject(
    new AwsError("UnsupportedOperationException", `${key.Arn} is not a multi-region primary key.`),
  );
}

/** As other refused operations, but a disabled key, or one pending deletion, is refused as such. */
const neverReplicated = { ...neverByArn, use: "replicate" } as const;

export const multiRegion: Service<KmsContext> = {
  ReplicateKey: onKey(
    neverReplicated,
    {
      KeyId: keyId,
      ReplicaRegion: region,
      Policy: optional(policyDocument),
      BypassPolicyLockoutSafetyCheck: optional(boolean()),
      Description: optional(description),
      Tags: optional(tags),
    },
    notPrimary,
  ),
  UpdatePrimaryRegion: onKey(
    { ...neverReplicated, output: "none" },
    { KeyId: keyId, PrimaryRegion: region },
    notPrimary,
  ),
};
