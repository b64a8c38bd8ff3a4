/** A key id of the caller's choice: the tag `_custom_id_` at CreateKey, LocalStack's convention. */
import { AwsError } from "../core/errors.ts";
import type { Tag } from "./key.ts";
import type { Kms } from "./service.ts";

const TAG = "_custom_id_";
const LEGAL = /^[A-Za-z0-9-]{1,128}$/;

/**
 * The chosen id, if any, and the tags that stay: the one with the id is not stored.
 * @throws AwsError ValidationException for a text that can be no key id
 */
export function chosenId(tags: readonly Tag[]): { chosen: string | undefined; Tags: readonly Tag[] } {
  const chosen = tags.find((tag) => tag.TagKey === TAG)?.TagValue;
  if (chosen !== undefined && !LEGAL.test(chosen))
    throw new AwsError(
      "ValidationException",
      `The value of the tag ${TAG} must be 1 to 128 letters, digits and hyphens.`,
    );
  return { chosen, Tags: tags.filter((tag) => tag.TagKey !== TAG) };
}

/** @throws AwsError AlreadyExistsException */
export function requireFreeId(kms: Kms, keyId: string): void {
  const taken = kms.keys.get(keyId);
  if (taken !== undefined) throw new AwsError("AlreadyExistsException", `Key '${taken.Arn}' already exists`);
}
