/** CreateGrant, ListGrants, ListRetirableGrants, RetireGrant, RevokeGrant (reference: kms-keys §6). */
import { AwsError } from "../core/errors.ts";
import type { Service } from "../core/operation.ts";
import { optional, string, type Input } from "../core/shape.ts";
import { endDryRun } from "./dry-run.ts";
import { unknownToken, type Grant } from "./grant-book.ts";
import { grantShapes, requireGrantId, requirePrincipal, wishOf } from "./grant-rules.ts";
import { pageOf } from "./paging.ts";
import { authorizeKey, findKey, onAccount, onKey, type Kms, type KmsContext } from "./service.ts";
import { dryRun, grantTokens, keyId, limit, marker } from "./shapes.ts";

const GRANTS_PER_PAGE = 50;
const pagingMembers = { Limit: optional(limit), Marker: optional(marker) } as const;

function entryOf(kms: Kms, grant: Grant): object {
  const { EncryptionContextSubset: subset, EncryptionContextEquals: equals } = grant.Constraints;
  const constraints = {
    ...(subset === undefined ? {} : { EncryptionContextSubset: Object.fromEntries(subset) }),
    ...(equals === undefined ? {} : { EncryptionContextEquals: Object.fromEntries(equals) }),
  };
  return {
    KeyId: kms.keys.get(grant.KeyId)?.Arn,
    GrantId: grant.GrantId,
    Name: grant.Name,
    CreationDate: grant.CreationDate / 1000,
    GranteePrincipal: grant.GranteePrincipal,
    RetiringPrincipal: grant.RetiringPrincipal,
    IssuingAccount: grant.IssuingAccount,
    Operations: grant.Operations,
    Constraints: Object.keys(constraints).length === 0 ? undefined : constraints,
  };
}

/** The page of grants, in the order of their ids. */
function pageOfGrants(
  kms: Kms,
  list: string,
  of: string,
  grants: readonly Grant[],
  input: { readonly Limit?: number; readonly Marker?: string },
): object {
  const { entries, paging } = pageOf(
    { list, of, usual: GRANTS_PER_PAGE },
    grants,
    (grant) => grant.GrantId,
    input,
  );
  return { Grants: entries.map((grant) => entryOf(kms, grant)), ...paging };
}

const retireMembers = {
  GrantToken: optional(string({ min: 1, max: 8192 })),
  KeyId: optional(keyId),
  GrantId: optional(grantShapes.id),
  DryRun: optional(dryRun),
} as const;

/** The grant that RetireGrant names by its token, or by its key's ARN and its id. */
function retired(kms: Kms, { GrantToken, KeyId, GrantId }: Input<typeof retireMembers>): Grant {
  if (GrantToken !== undefined && KeyId === undefined && GrantId === undefined) {
    const grant = kms.grants.ofToken(GrantToken);
    if (grant === undefined) throw unknownToken();
    return grant;
  }
  if (GrantToken !== undefined || KeyId === undefined || GrantId === undefined)
    throw new AwsError("ValidationException", "Specify either GrantToken, or KeyId and GrantId.");
  if (!KeyId.startsWith("arn:"))
    throw new AwsError("InvalidArnException", `${KeyId} is not a key ARN, which RetireGrant needs.`);
  return requireGrant(kms, findKey(kms, KeyId, "key-id-or-arn").KeyId, GrantId);
}

/** @throws AwsError InvalidGrantIdException, NotFoundException */
function requireGrant(kms: Kms, key: string, grantId: string): Grant {
  requireGrantId(grantId);
  const grant = kms.grants.get(grantId);
  if (grant?.KeyId !== key) throw new AwsError("NotFoundException", `Grant ID ${grantId} not found`);
  return grant;
}

export const grants: Service<KmsContext> = {
  CreateGrant: onKey(
    { key: "KeyId", forms: "key-id-or-arn", use: "grant" },
    {
      KeyId: keyId,
      GranteePrincipal: grantShapes.principal,
      RetiringPrincipal: optional(grantShapes.principal),
      Operations: grantShapes.operations,
      Constraints: optional(grantShapes.constraints),
      GrantTokens: optional(grantTokens),
      Name: optional(grantShapes.name),
      DryRun: optional(dryRun),
    },
    async (input, { kms, key }) => {
      const wish = wishOf(key, input);
      endDryRun(input);
      const issuer = `arn:${key.Arn.split(":")[1] ?? "aws"}:iam::${kms.account}:root`;
      const grant = await kms.grants.create(key, wish, issuer, kms.clock.now());
      return { GrantToken: kms.grants.token(grant), GrantId: grant.GrantId };
    },
  ),

  ListGrants: onKey(
    { key: "KeyId", forms: "key-id-or-arn", use: "describe" },
    {
      KeyId: keyId,
      GrantId: optional(grantShapes.id),
      GranteePrincipal: optional(grantShapes.principal),
      ...pagingMembers,
    },
    async (input, { kms, key }) => {
      const { GrantId, GranteePrincipal } = input;
      if (GrantId !== undefined) requireGrantId(GrantId);
      const wanted = kms.grants
        .ofKey(key.KeyId)
        .filter((grant) => GrantId === undefined || grant.GrantId === GrantId)
        .filter((grant) => GranteePrincipal === undefined || grant.GranteePrincipal === GranteePrincipal);
      return pageOfGrants(kms, "ListGrants", key.KeyId, wanted, input);
    },
  ),

  ListRetirableGrants: onAccount(
    {},
    { RetiringPrincipal: grantShapes.principal, ...pagingMembers },
    async (input, { kms }) => {
      requirePrincipal(input.RetiringPrincipal);
      const wanted = kms.grants.all().filter((grant) => grant.RetiringPrincipal === input.RetiringPrincipal);
      return pageOfGrants(kms, "ListRetirableGrants", "", wanted, input);
    },
  ),

  RetireGrant: onAccount(
    { output: "none", authorized: "inside" },
    retireMembers,
    async (input, { kms, ...request }) => {
      const grant = retired(kms, input);
      const key = kms.keys.get(grant.KeyId);
      // Who may retire a grant is the grant's to say; other grants of the key do not count.
      if (key !== undefined) authorizeKey(kms, request, key, "kms:RetireGrant", { grants: [grant] });
      endDryRun(input);
      await kms.grants.remove(grant);
      return undefined;
    },
  ),

  RevokeGrant: onKey(
    { key: "KeyId", forms: "key-id-or-arn", use: "describe", output: "none" },
    { KeyId: keyId, GrantId: grantShapes.id, DryRun: optional(dryRun) },
    async (input, { kms, key }) => {
      const grant = requireGrant(kms, key.KeyId, input.GrantId);
      endDryRun(input);
      await kms.grants.remove(grant);
      return undefined;
    },
  ),
};
