/** Key ids in the forms a client may send, and AWS's errors for those that name nothing (reference: kms-keys §5.1). */
import { AwsError } from "../core/errors.ts";
import { arn } from "../core/ids.ts";

/** Cryptographic operations and DescribeKey take aliases; most management operations do not. */
export type KeyIdForms = "any" | "key-id-or-arn";

const KEY_ID = /^(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/i;
const ARN = /^arn:aws[\w-]*:kms:([^:]*):([^:]*):(key|alias)\/(.+)$/;

interface Where {
  readonly region: string;
  readonly account: string;
}

/** A key id to look up, and the exception when there is no such key. */
interface Resolution {
  readonly keyId: string;
  readonly notFound: AwsError;
}

const notFound = (message: string): AwsError => new AwsError("NotFoundException", message);

/** @throws AwsError NotFoundException for text that cannot name a key of this account and Region */
export function resolveKeyId(text: string, forms: KeyIdForms, where: Where): Resolution {
  const parsed = ARN.exec(text);
  if (parsed === null) return resolveName(text, forms, where);
  const [, region = "", account = "", kind = "", name = ""] = parsed;
  if (region !== where.region) throw notFound(`Invalid arn ${region}`);
  if (kind === "alias") return resolveName(`alias/${name}`, forms, where);
  // A key of another account exists there or not; from here it cannot be seen.
  if (account !== where.account) throw notFound(`Key '${text}' does not exist`);
  return { keyId: name, notFound: notFound(`Key '${text}' does not exist`) };
}

function resolveName(text: string, forms: KeyIdForms, where: Where): Resolution {
  if (text.startsWith("alias/") && forms === "any")
    throw notFound(`Alias ${arn("kms", where.region, where.account, text)} is not found.`);
  if (text.startsWith("arn:")) throw new AwsError("InvalidArnException", `Invalid arn ${text}`);
  if (!KEY_ID.test(text)) throw notFound(`Invalid keyId '${text}'`);
  const keyArn = arn("kms", where.region, where.account, `key/${text}`);
  return { keyId: text, notFound: notFound(`Key '${keyArn}' does not exist`) };
}
