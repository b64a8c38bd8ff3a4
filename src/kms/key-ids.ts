/** Key ids in the forms a client may send, and AWS's errors for those that name nothing (reference: kms-keys §5.1). */
import { AwsError } from "../core/errors.ts";
import { arn } from "../core/ids.ts";

/**
 * Cryptographic operations and DescribeKey take aliases; most management operations do not,
 * and what an alias is to name has an exception of its own.
 */
export type KeyIdForms = "any" | "key-id-or-arn" | "alias-target";

const KEY_ID = /^(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/i;
const ARN = /^arn:aws[\w-]*:kms:([^:]*):([^:]*):(key|alias)\/(.+)$/;

interface Where {
  readonly region: string;
  readonly account: string;
}

/** The account and Region with their aliases. */
interface Names extends Where {
  readonly aliases: { get(name: string): { readonly TargetKeyId: string } | undefined };
}

/** A key id to look up, and the exception when there is no such key. */
interface Resolution {
  readonly keyId: string;
  readonly notFound: AwsError;
}

const notFound = (message: string): AwsError => new AwsError("NotFoundException", message);

export function aliasNotFound(name: string, { region, account }: Where): AwsError {
  return notFound(`Alias ${arn("kms", region, account, name)} is not found.`);
}

/** @throws AwsError NotFoundException for text that cannot name a key of this account and Region */
export function resolveKeyId(text: string, forms: KeyIdForms, where: Names): Resolution {
  const parsed = ARN.exec(text);
  if (parsed === null) return resolveName(text, forms, where);
  const [, region = "", account = "", kind = "", name = ""] = parsed;
  if (region !== where.region) throw notFound(`Invalid arn ${region}`);
  // What another account has exists there or not; from here it cannot be seen.
  const foreign = account !== where.account;
  if (kind === "alias" && foreign && forms === "any") throw notFound(`Alias ${text} is not found.`);
  if (kind === "alias") return resolveAlias(`alias/${name}`, forms, where);
  if (foreign) throw notFound(`Key '${text}' does not exist`);
  return { keyId: name, notFound: notFound(`Key '${text}' does not exist`) };
}

function resolveName(text: string, forms: KeyIdForms, where: Names): Resolution {
  if (text.startsWith("alias/")) return resolveAlias(text, forms, where);
  // Operations that take aliases have no InvalidArnException in the API model.
  if (text.startsWith("arn:"))
    throw new AwsError(
      forms === "key-id-or-arn" ? "InvalidArnException" : "NotFoundException",
      `Invalid arn ${text}`,
    );
  // A key may have been created with an id that is no UUID, so every text is looked up.
  if (!KEY_ID.test(text)) return { keyId: text, notFound: notFound(`Invalid keyId '${text}'`) };
  const keyArn = arn("kms", where.region, where.account, `key/${text}`);
  return { keyId: text, notFound: notFound(`Key '${keyArn}' does not exist`) };
}

function resolveAlias(name: string, forms: KeyIdForms, where: Names): Resolution {
  if (forms === "alias-target")
    throw new AwsError("ValidationException", "Aliases must refer to keys. Not aliases");
  if (forms === "key-id-or-arn") throw notFound(`Invalid keyId '${name}'`);
  const absent = aliasNotFound(name, where);
  const alias = where.aliases.get(name);
  if (alias === undefined) throw absent;
  return { keyId: alias.TargetKeyId, notFound: absent };
}
