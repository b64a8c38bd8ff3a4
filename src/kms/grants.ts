/** Grants: not built yet, so no grant exists and the lists of them are empty. */
import type { Service } from "../core/operation.ts";
import { list, oneOf, optional, string, structure } from "../core/shape.ts";
import { onAccount, onKey, type KmsContext } from "./service.ts";
import { dryRun, encryptionContext, grantTokens, keyId, limit, marker } from "./shapes.ts";
import { pageOf } from "./short-list.ts";
import { later } from "./unsupported.ts";

const grantId = string({ min: 1, max: 128 });
const principal = string({ min: 1, max: 256, pattern: "^[\\w+=,.@:/-]+$" });
const grantOperations = list(
  oneOf(
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
    "Sign",
    "Verify",
    "GetPublicKey",
    "CreateGrant",
    "RetireGrant",
    "DescribeKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "VerifyMac",
    "DeriveSharedSecret",
  ),
);

const pagingMembers = { Limit: optional(limit), Marker: optional(marker) };
const alwaysEmpty = { kind: "partial", note: "always empty: grants are not built yet" } as const;

/** The empty page; no marker was ever given out for it. */
function noGrants(operation: string) {
  return async (input: { readonly Limit?: number; readonly Marker?: string }): Promise<object> => ({
    Grants: [],
    ...pageOf(operation, [], input, 50).paging,
  });
}

export const grants: Service<KmsContext> = {
  CreateGrant: later("CreateGrant", {
    KeyId: keyId,
    GranteePrincipal: principal,
    RetiringPrincipal: optional(principal),
    Operations: grantOperations,
    Constraints: optional(
      structure({
        EncryptionContextSubset: optional(encryptionContext),
        EncryptionContextEquals: optional(encryptionContext),
      }),
    ),
    GrantTokens: optional(grantTokens),
    Name: optional(string({ min: 1, max: 256, pattern: "^[a-zA-Z0-9:/_-]+$" })),
    DryRun: optional(dryRun),
  }),
  ListGrants: onKey(
    { key: "KeyId", forms: "key-id-or-arn", use: "describe", coverage: alwaysEmpty },
    {
      KeyId: keyId,
      GrantId: optional(grantId),
      GranteePrincipal: optional(principal),
      ...pagingMembers,
    },
    noGrants("ListGrants"),
  ),
  ListRetirableGrants: onAccount(
    { coverage: alwaysEmpty },
    { RetiringPrincipal: principal, ...pagingMembers },
    noGrants("ListRetirableGrants"),
  ),
  RetireGrant: later(
    "RetireGrant",
    {
      GrantToken: optional(string({ min: 1, max: 8192 })),
      KeyId: optional(keyId),
      GrantId: optional(grantId),
      DryRun: optional(dryRun),
    },
    "none",
  ),
  RevokeGrant: later("RevokeGrant", { KeyId: keyId, GrantId: grantId, DryRun: optional(dryRun) }, "none"),
};
