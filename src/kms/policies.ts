/** Key policies: recorded by CreateKey and shown here; not enforced, and not to be changed yet. */
import { AwsError } from "../core/errors.ts";
import type { Service } from "../core/operation.ts";
import { boolean, optional, string } from "../core/shape.ts";
import { onKey, type KmsContext } from "./service.ts";
import { keyId, limit, marker, policyDocument } from "./shapes.ts";
import { pageOf } from "./short-list.ts";
import { later } from "./unsupported.ts";

const policyName = string({ min: 1, max: 128, pattern: "[\\w]+" });

/** The only name a key policy can have. */
const DEFAULT = "default";
const described = { key: "KeyId", forms: "key-id-or-arn", use: "describe" } as const;

export const policies: Service<KmsContext> = {
  GetKeyPolicy: onKey(
    described,
    { KeyId: keyId, PolicyName: optional(policyName) },
    async ({ PolicyName = DEFAULT }, { kms, key }) => {
      if (PolicyName !== DEFAULT)
        throw new AwsError("NotFoundException", `No such policy exists: ${PolicyName}`);
      const row = await kms.store.db
        .selectFrom("keys")
        .select("Policy")
        .where("KeyId", "=", key.KeyId)
        .executeTakeFirst();
      return { Policy: row?.Policy, PolicyName };
    },
  ),
  PutKeyPolicy: later(
    "PutKeyPolicy",
    {
      KeyId: keyId,
      PolicyName: optional(policyName),
      Policy: policyDocument,
      BypassPolicyLockoutSafetyCheck: optional(boolean()),
    },
    "none",
  ),
  ListKeyPolicies: onKey(
    described,
    { KeyId: keyId, Limit: optional(limit), Marker: optional(marker) },
    async (input) => {
      const { entries, paging } = pageOf("ListKeyPolicies", [DEFAULT], input, 100);
      return { PolicyNames: entries, ...paging };
    },
  ),
};
