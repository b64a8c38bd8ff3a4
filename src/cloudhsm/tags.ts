/** TagResource, UntagResource and ListTags of clusters and backups. */
import { AwsError } from "../core/errors.ts";
import { optional } from "../core/shape.ts";
import type { Service } from "../core/operation.ts";
import { findBackup, updateBackup } from "./backup-book.ts";
import { findCluster, updateCluster, type Tag } from "./clusters.ts";
import { notFound, onAccount, type CloudHsm, type CloudHsmContext } from "./context.ts";
import { page } from "./paging.ts";
import * as shapes from "./shapes.ts";

const MOST_TAGS = 50;

export const tagOperations: Service<CloudHsmContext> = {
  TagResource: onAccount(
    {},
    { ResourceId: shapes.resourceId, TagList: shapes.tagList },
    async ({ ResourceId, TagList }, { cloudhsm }) => {
      checkTags(TagList);
      await changeTags(cloudhsm, ResourceId, (tags) => {
        const kept = tags.filter((tag) => !TagList.some(({ Key }) => Key === tag.Key));
        const all = [...kept, ...TagList];
        if (all.length > MOST_TAGS)
          throw new AwsError(
            "CloudHsmResourceLimitExceededException",
            `The resource ${ResourceId} can have at most ${MOST_TAGS} tags.`,
          );
        return all;
      });
      return {};
    },
  ),

  UntagResource: onAccount(
    {},
    { ResourceId: shapes.resourceId, TagKeyList: shapes.tagKeyList },
    async ({ ResourceId, TagKeyList }, { cloudhsm }) => {
      await changeTags(cloudhsm, ResourceId, (tags) => tags.filter((tag) => !TagKeyList.includes(tag.Key)));
      return {};
    },
  ),

  ListTags: onAccount(
    {},
    {
      ResourceId: shapes.resourceId,
      NextToken: optional(shapes.nextToken),
      MaxResults: optional(shapes.atMost(100)),
    },
    async (input, { cloudhsm }) => {
      const { TagList } = await requireResource(cloudhsm, input.ResourceId);
      const { items, ...rest } = page("ListTags", TagList, input);
      return { TagList: items, ...rest };
    },
  ),
};

/** @throws AwsError CloudHsmTagException for a key given twice or reserved by AWS */
export function checkTags(tags: readonly Tag[]): void {
  const keys = tags.map((tag) => tag.Key);
  if (new Set(keys).size < keys.length)
    throw new AwsError("CloudHsmTagException", "A tag key may be given only once.");
  if (keys.some((key) => key.toLowerCase().startsWith("aws:")))
    throw new AwsError("CloudHsmTagException", "Tag keys that start with aws: are reserved.");
}

interface Tagged {
  readonly TagList: readonly Tag[];
  write(tags: readonly Tag[]): Promise<void>;
}

/** @throws AwsError CloudHsmResourceNotFoundException */
async function requireResource(cloudhsm: CloudHsm, id: string): Promise<Tagged> {
  const { db } = cloudhsm.store;
  const tagged = id.startsWith("backup-") ? await findBackup(db, id) : await findCluster(db, id);
  if (tagged === undefined) throw notFound(`The resource ${id} does not exist.`);
  return {
    TagList: tagged.TagList,
    write: (TagList) =>
      "BackupId" in tagged ? updateBackup(db, tagged, { TagList }) : updateCluster(db, tagged, { TagList }),
  };
}

async function changeTags(
  cloudhsm: CloudHsm,
  id: string,
  change: (tags: readonly Tag[]) => readonly Tag[],
): Promise<void> {
  await requireResource(cloudhsm, id);
  await cloudhsm.mutexes.run(id, async () => {
    const resource = await requireResource(cloudhsm, id);
    await resource.write(change(resource.TagList));
  });
}
