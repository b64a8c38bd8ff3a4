/** TagResource, UntagResource, ListResourceTags, and the rules of tags that CreateKey shares (reference: kms-keys §6). */
import { AwsError } from "../core/errors.ts";
import type { Service } from "../core/operation.ts";
import { list, optional, string } from "../core/shape.ts";
import type { Key, Tag } from "./key.ts";
import { pageOf } from "./paging.ts";
import { onKey, type KmsContext } from "./service.ts";
import { keyId, limit, marker, tags as tagList } from "./shapes.ts";

const TAGS_PER_KEY = 50;
const TAGS_PER_PAGE = 50;

/** @throws AwsError TagException in AWS's words */
export function requireLegalTags(tags: readonly Tag[]): void {
  const names = tags.map((tag) => tag.TagKey);
  if (new Set(names).size < names.length) throw new AwsError("TagException", "Duplicate tag keys");
  if (names.length > TAGS_PER_KEY) throw new AwsError("TagException", "Too many tags");
  if (names.some((name) => name.toLowerCase().startsWith("aws:")))
    throw new AwsError("TagException", "Tags beginning with aws: are reserved");
}

/** The tags of `key` with others added; one of the same name is replaced. */
function withTags(key: Key, added: readonly Tag[]): readonly Tag[] {
  const names = new Set(added.map((tag) => tag.TagKey));
  const all = [...key.Tags.filter((tag) => !names.has(tag.TagKey)), ...added];
  if (all.length > TAGS_PER_KEY)
    throw new AwsError(
      "LimitExceededException",
      `${key.Arn} would have ${all.length} tags; a KMS key can have at most ${TAGS_PER_KEY}.`,
    );
  return all;
}

const managed = { key: "KeyId", forms: "key-id-or-arn", use: "manage", output: "none" } as const;

export const tags: Service<KmsContext> = {
  TagResource: onKey(managed, { KeyId: keyId, Tags: tagList }, async ({ Tags }, { kms, key }) => {
    requireLegalTags(Tags);
    await kms.keys.change(key, (current) => ({ Tags: withTags(current, Tags) }));
    return undefined;
  }),

  // A tag that is not there needs no removal: that is no error.
  UntagResource: onKey(
    managed,
    { KeyId: keyId, TagKeys: list(string({ min: 1, max: 128 })) },
    async ({ TagKeys }, { kms, key }) => {
      const names = new Set(TagKeys);
      await kms.keys.change(key, (current) => ({
        Tags: current.Tags.filter((tag) => !names.has(tag.TagKey)),
      }));
      return undefined;
    },
  ),

  ListResourceTags: onKey(
    { key: "KeyId", forms: "key-id-or-arn", use: "describe" },
    { KeyId: keyId, Limit: optional(limit), Marker: optional(marker) },
    async (input, { key }) => {
      const { entries, paging } = pageOf(
        { list: "ListResourceTags", of: key.KeyId, usual: TAGS_PER_PAGE },
        key.Tags,
        (tag) => tag.TagKey,
        input,
      );
      return { Tags: entries, ...paging };
    },
  ),
};
