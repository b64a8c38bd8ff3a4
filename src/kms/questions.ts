/**
 * What the guards of KMS ask an authorizer: the action, the resource, and the condition
 * keys of request and key. Nothing of this runs unless there is one (`--auth iam`).
 * https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
 */
import type { Ask, GrantFacts } from "../core/access.ts";
import type { Clock } from "../core/clock.ts";
import { conditionKeys, requestKeys, tagKeys } from "../core/condition-keys.ts";
import type { Request } from "../core/operation.ts";
import type { Key, Tag } from "./key.ts";

type Entries = ReturnType<typeof requestKeys>;
type Pairs = ReadonlyMap<string, string>;

/** Members of requests that condition keys are made of; each operation has some of them. */
export interface Asked {
  readonly KeyId?: string;
  readonly EncryptionContext?: Pairs;
  readonly EncryptionAlgorithm?: string;
  readonly Operations?: readonly string[];
  readonly GranteePrincipal?: string;
  readonly RetiringPrincipal?: string;
  readonly Constraints?: {
    readonly EncryptionContextSubset?: Pairs;
    readonly EncryptionContextEquals?: Pairs;
  };
  readonly BypassPolicyLockoutSafetyCheck?: boolean;
  readonly PendingWindowInDays?: number;
  readonly Tags?: readonly Tag[];
  readonly TagKeys?: readonly string[];
  readonly Origin?: string;
  readonly KeySpec?: string;
  readonly CustomerMasterKeySpec?: string;
  readonly KeyUsage?: string;
  readonly MultiRegion?: boolean;
  readonly GrantTokens?: readonly string[];
  /** Of ReEncrypt: whether both sides are the same key. */
  readonly sameKey?: boolean;
  /** Of RetireGrant: the grant itself, in place of all those of the key. */
  readonly grants?: readonly GrantFacts[];
}

/** What of KMS a question is put together from. */
interface World {
  readonly clock: Clock;
  readonly aliases: { all(keyId: string): readonly { readonly AliasName: string }[] };
  readonly grants: { inForce(keyId: string, now: number, tokens?: readonly string[]): readonly GrantFacts[] };
}

/** A question about no key: identity policies decide. */
export function accountQuestion(
  { clock }: Pick<World, "clock">,
  request: Request,
  action: string,
  resource: string,
  asked: Asked,
): Ask {
  const creates = request.operation === "CreateKey";
  const context = conditionKeys([
    ...requestKeys(request, clock.now()),
    ...requestConditions(request, asked),
    ...(creates ? creationConditions(asked) : []),
  ]);
  return { caller: request.caller, action, resource, context };
}

/** A question about a key: its policy and its grants count too. */
export function keyQuestion(
  { clock, aliases, grants }: World,
  request: Request,
  key: Key,
  action: string,
  asked: Asked,
): Ask {
  const encryptionContext = contextOf(asked);
  const context = conditionKeys([
    ...requestKeys(request, clock.now()),
    ...requestConditions(request, asked),
    ...encryptionConditions(encryptionContext),
    ...tagKeys("ResourceTag", pairs(key.Tags)),
    ["kms:KeyOrigin", "AWS_CLOUDHSM"],
    ["kms:KeySpec", "SYMMETRIC_DEFAULT"],
    ["kms:CustomerMasterKeySpec", "SYMMETRIC_DEFAULT"],
    ["kms:KeyUsage", "ENCRYPT_DECRYPT"],
    ["kms:CustomerMasterKeyUsage", "ENCRYPT_DECRYPT"],
    ["kms:MultiRegion", false],
    ["kms:ResourceAliases", aliases.all(key.KeyId).map((alias) => alias.AliasName)],
    ["kms:RequestAlias", aliasIn(asked.KeyId)],
  ]);
  return {
    caller: request.caller,
    action,
    resource: key.Arn,
    context,
    encryptionContext,
    keyPolicy: key.Policy,
    grants: asked.grants ?? grants.inForce(key.KeyId, clock.now(), asked.GrantTokens),
  };
}

function requestConditions({ caller, operation }: Request, asked: Asked): Entries {
  return [
    ["kms:CallerAccount", caller.account],
    ["kms:EncryptionAlgorithm", algorithmOf(operation, asked)],
    ["kms:ReEncryptOnSameKey", asked.sameKey],
    ["kms:BypassPolicyLockoutSafetyCheck", bypassOf(operation, asked)],
    ["kms:ScheduleKeyDeletionPendingWindowInDays", asked.PendingWindowInDays],
    ...(operation === "CreateGrant" ? grantConditions(asked) : []),
    ...tagKeys("RequestTag", pairs(asked.Tags ?? [])),
    ["aws:TagKeys", asked.TagKeys],
  ];
}

const WITH_ALGORITHM = new Set(["Encrypt", "Decrypt", "ReEncrypt"]);

function algorithmOf(operation: string, { EncryptionAlgorithm }: Asked): string | undefined {
  return WITH_ALGORITHM.has(operation) ? (EncryptionAlgorithm ?? "SYMMETRIC_DEFAULT") : undefined;
}

function bypassOf(
  operation: string,
  { BypassPolicyLockoutSafetyCheck: bypass = false }: Asked,
): boolean | undefined {
  return operation === "CreateKey" || operation === "PutKeyPolicy" ? bypass : undefined;
}

/** No AWS service ever calls keystead for a user, so no grant is for an AWS resource. */
function grantConditions({
  Operations,
  GranteePrincipal,
  RetiringPrincipal,
  Constraints = {},
}: Asked): Entries {
  return [
    ["kms:GrantOperations", Operations],
    ["kms:GranteePrincipal", GranteePrincipal],
    ["kms:RetiringPrincipal", RetiringPrincipal],
    ["kms:GrantConstraintType", Object.keys(Constraints)],
    ["kms:GrantIsForAWSResource", false],
  ];
}

function creationConditions(asked: Asked): Entries {
  const spec = asked.KeySpec ?? asked.CustomerMasterKeySpec ?? "SYMMETRIC_DEFAULT";
  const usage = asked.KeyUsage ?? "ENCRYPT_DECRYPT";
  return [
    ["kms:KeyOrigin", asked.Origin ?? "AWS_KMS"],
    ["kms:KeySpec", spec],
    ["kms:CustomerMasterKeySpec", spec],
    ["kms:KeyUsage", usage],
    ["kms:CustomerMasterKeyUsage", usage],
    ["kms:MultiRegion", asked.MultiRegion ?? false],
  ];
}

/** CreateGrant's encryption context is the one in its constraints. */
function contextOf({ EncryptionContext, Constraints = {} }: Asked): Pairs {
  return (
    EncryptionContext ??
    Constraints.EncryptionContextEquals ??
    Constraints.EncryptionContextSubset ??
    new Map<string, string>()
  );
}

function encryptionConditions(context: Pairs): Entries {
  const each = [...context].map(([name, value]): Entries[number] => [`kms:EncryptionContext:${name}`, value]);
  return [["kms:EncryptionContextKeys", [...context.keys()]], ...each];
}

function pairs(tags: readonly Tag[]): (readonly [string, string])[] {
  return tags.map((tag) => [tag.TagKey, tag.TagValue]);
}

/** `alias/name` when the request named the key by an alias or an alias ARN. */
function aliasIn(keyId: string | undefined): string | undefined {
  return keyId === undefined ? undefined : /^(?:arn:[^/]*:)?(alias\/.+)$/.exec(keyId)?.[1];
}
