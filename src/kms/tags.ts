/** Tags of keys, as CreateKey recorded them, and other metadata; changing it is not built yet. */
import type { Service } from "../core/operation.ts";
import { list, optional, string } from "../core/shape.ts";
import { onKey, type KmsContext } from "./service.ts";
import { keyId, limit, marker, tags as tagList } from "./shapes.ts";
import { pageOf } from "./short-list.ts";
import { later } from "./unsupported.ts";

interface Tag {
  readonly TagKey: string;
  readonly TagValue: string;
}

export const tags: Service<KmsContext> = {
  TagResource: later("TagResource", { KeyId: keyId, Tags: tagList }, "none"),
  UntagResource: later(
    "UntagResource",
    { KeyId: keyId, TagKeys: list(string({ min: 1, max: 128 })) },
    "none",
  ),
  ListResourceTags: onKey(
    { key: "KeyId", forms: "key-id-or-arn", use: "describe" },
    { KeyId: keyId, Limit: optional(limit), Marker: optional(marker) },
    async (input, { kms, key }) => {
      const row = await kms.store.db
        .selectFrom("keys")
        .select("Tags")
        .where("KeyId", "=", key.KeyId)
        .executeTakeFirst();
      const all = JSON.parse(row?.Tags ?? "[]") as Tag[];
      const { entries, paging } = pageOf("ListResourceTags", all, input, 50);
      return { Tags: entries, ...paging };
    },
  ),
  UpdateKeyDescription: later(
    "UpdateKeyDescription",
    { KeyId: keyId, Description: string({ min: 0, max: 8192 }) },
    "none",
  ),
  GetKeyLastUsage: later("GetKeyLastUsage", { KeyId: keyId }),
};
