/**
 * What the guards of CloudHSM ask an authorizer. Identity policies alone decide, on the
 * cluster or backup that the request names.
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudhsm.html
 */
import type { Ask } from "../core/access.ts";
import type { Clock } from "../core/clock.ts";
import { conditionKeys, requestKeys, tagKeys } from "../core/condition-keys.ts";
import { arn } from "../core/ids.ts";
import type { Request } from "../core/operation.ts";

interface Tag {
  readonly Key: string;
  readonly Value: string;
}

/** Members of requests that a question is made of; each operation has some of them. */
interface Asked {
  readonly ClusterId?: string;
  readonly BackupId?: string;
  readonly SourceBackupId?: string;
  readonly ResourceId?: string;
  readonly ResourceArn?: string;
  readonly TagList?: readonly Tag[];
  readonly TagKeyList?: readonly string[];
}

interface Where {
  readonly region: string;
  readonly account: string;
  readonly clock: Clock;
}

/** @param tags of the resource, as far as the guard has it at hand */
export function question(where: Where, request: Request, input: object, tags: readonly Tag[] = []): Ask {
  const asked: Asked = input;
  const context = conditionKeys([
    ...requestKeys(request, where.clock.now()),
    ...tagKeys("RequestTag", pairs(asked.TagList ?? [])),
    ["aws:TagKeys", asked.TagKeyList],
    ...tagKeys("ResourceTag", pairs(tags)),
  ]);
  const action = `cloudhsm:${request.operation}`;
  return { caller: request.caller, action, resource: resourceOf(where, asked), context };
}

function pairs(tags: readonly Tag[]): (readonly [string, string])[] {
  return tags.map((tag) => [tag.Key, tag.Value]);
}

function resourceOf({ region, account }: Where, asked: Asked): string {
  const { ClusterId, BackupId, SourceBackupId, ResourceId, ResourceArn } = asked;
  const id = ClusterId ?? BackupId ?? SourceBackupId ?? ResourceId ?? ResourceArn;
  if (id === undefined || id.startsWith("arn:")) return id ?? "*";
  return arn("cloudhsm", region, account, `${id.startsWith("backup-") ? "backup" : "cluster"}/${id}`);
}
