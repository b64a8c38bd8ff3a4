/** The key that Decrypt and ReEncrypt work with: the one that the ciphertext names. */
import { AwsError } from "../core/errors.ts";
import { parseBlob } from "./ciphertext.ts";
import type { Key } from "./key.ts";
import { findKey, type Kms } from "./service.ts";

interface SourceWish {
  readonly CiphertextBlob?: Buffer;
  /** What the request calls KeyId or SourceKeyId. */
  readonly given: string | undefined;
  readonly DryRun?: boolean;
  readonly DryRunModifiers?: readonly "IGNORE_CIPHERTEXT"[];
}

interface Source {
  readonly key: Key;
  readonly sealed: Buffer;
}

const invalid = (message: string): AwsError => new AwsError("ValidationException", message);

/** @throws AwsError for a ciphertext that is not ours, names no key, or another key than the request */
export function sourceOf(
  kms: Kms,
  { CiphertextBlob, given, DryRun, DryRunModifiers = [] }: SourceWish,
): Source {
  const expected = given === undefined ? undefined : findKey(kms, given, "any");
  if (DryRunModifiers.length > 0) {
    if (DryRun !== true) throw invalid("DryRunModifiers can be used only together with DryRun.");
    if (expected === undefined) throw invalid("The key ID is required when the ciphertext is ignored.");
    // A dry run ends before anything is decrypted.
    return { key: expected, sealed: Buffer.alloc(0) };
  }
  if (CiphertextBlob === undefined) throw invalid("CiphertextBlob is required.");
  const parsed = parseBlob(CiphertextBlob);
  if (parsed === undefined) throw new AwsError("InvalidCiphertextException");
  const key = kms.keys.get(parsed.keyArn.slice(parsed.keyArn.lastIndexOf("/") + 1));
  if (key?.Arn !== parsed.keyArn)
    throw new AwsError(
      "AccessDeniedException",
      "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.",
    );
  if (expected !== undefined && expected !== key)
    throw new AwsError(
      "IncorrectKeyException",
      "The key ID in the request does not identify a CMK that can perform this operation.",
    );
  return { key, sealed: parsed.sealed };
}
