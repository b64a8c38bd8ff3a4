/** CreateAlias, UpdateAlias, DeleteAlias, ListAliases (reference: kms-keys §6). */
import { AwsError } from "../core/errors.ts";
import { arn } from "../core/ids.ts";
import type { Request, Service } from "../core/operation.ts";
import { optional, string } from "../core/shape.ts";
import type { Alias } from "./alias-book.ts";
import { aliasNotFound } from "./key-ids.ts";
import { pageOf } from "./paging.ts";
import { authorize, authorizeKey, findKey, onAccount, onKey, type Kms, type KmsContext } from "./service.ts";
import { keyId, limit, marker } from "./shapes.ts";

const aliasName = string({ min: 1, max: 256, pattern: "^[a-zA-Z0-9:/_-]+$" });
const PREFIX = "alias/";
/** AWS's own aliases; nobody else can make, move or delete them. */
const RESERVED = "alias/aws/";
const ALIASES_PER_PAGE = 50;

/** @throws AwsError for a name that no alias of a customer can have */
function requireLegalName(name: string): void {
  if (!name.startsWith(PREFIX))
    throw new AwsError(
      "ValidationException",
      'Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
    );
  if (name.startsWith(RESERVED)) throw new AwsError("NotAuthorizedException");
  if (name === PREFIX)
    throw new AwsError("InvalidAliasNameException", `${PREFIX} must be followed by a name.`);
}

function arnOf(kms: Kms, name: string): string {
  return arn("kms", kms.region, kms.account, name);
}

function entryOf(kms: Kms, alias: Alias): object {
  return {
    AliasName: alias.AliasName,
    AliasArn: arnOf(kms, alias.AliasName),
    TargetKeyId: alias.TargetKeyId,
    CreationDate: alias.CreationDate / 1000,
    LastUpdatedDate: alias.LastUpdatedDate / 1000,
  };
}

/** An alias is a resource of its own, for identity policies; moving or deleting it concerns its key too. */
function authorizeAlias(context: KmsContext & Request, name: string): void {
  const { kms, operation } = context;
  authorize(context, `kms:${operation}`, arnOf(kms, name), {});
  const key = kms.keys.get(kms.aliases.get(name)?.TargetKeyId ?? "");
  if (key !== undefined) authorizeKey(kms, context, key, `kms:${operation}`);
}

const target = { key: "TargetKeyId", forms: "alias-target", use: "aliasTarget", output: "none" } as const;
const targetMembers = { AliasName: aliasName, TargetKeyId: keyId } as const;

export const aliases: Service<KmsContext> = {
  CreateAlias: onKey(target, targetMembers, async ({ AliasName }, { key, ...context }) => {
    const { kms } = context;
    requireLegalName(AliasName);
    authorize(context, "kms:CreateAlias", arnOf(kms, AliasName), {});
    if (!(await kms.aliases.create(AliasName, key, kms.clock.now())))
      throw new AwsError(
        "AlreadyExistsException",
        `An alias with the name ${arnOf(kms, AliasName)} already exists`,
      );
    return undefined;
  }),

  // Keys of custom key stores are all alike: old and new target have the same type and usage.
  UpdateAlias: onKey(target, targetMembers, async ({ AliasName }, { key, ...context }) => {
    const { kms } = context;
    requireLegalName(AliasName);
    authorizeAlias(context, AliasName);
    if (!(await kms.aliases.update(AliasName, key, kms.clock.now()))) throw aliasNotFound(AliasName, kms);
    return undefined;
  }),

  DeleteAlias: onAccount(
    { output: "none", authorized: "inside" },
    { AliasName: aliasName },
    async ({ AliasName }, context) => {
      const { kms } = context;
      requireLegalName(AliasName);
      authorizeAlias(context, AliasName);
      if (!(await kms.aliases.remove(AliasName))) throw aliasNotFound(AliasName, kms);
      return undefined;
    },
  ),

  ListAliases: onAccount(
    {},
    { KeyId: optional(keyId), Limit: optional(limit), Marker: optional(marker) },
    async (input, { kms }) => {
      const key = input.KeyId === undefined ? undefined : findKey(kms, input.KeyId, "key-id-or-arn");
      const { entries, paging } = pageOf(
        { list: "ListAliases", of: key?.KeyId ?? "", usual: ALIASES_PER_PAGE },
        kms.aliases.all(key?.KeyId),
        (alias) => alias.AliasName,
        input,
      );
      return { Aliases: entries.map((alias) => entryOf(kms, alias)), ...paging };
    },
  ),
};
