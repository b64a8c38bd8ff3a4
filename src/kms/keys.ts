/** KMS keys: creation on the token, description, listing, and the states a user can set (reference: kms-keys §1, §4, §6). */
import { AwsError } from "../core/errors.ts";
import { arn, newKeyId } from "../core/ids.ts";
import type { Request, Service } from "../core/operation.ts";
import { boolean, integer, oneOf, optional, string, type Input } from "../core/shape.ts";
import { chosenId, requireFreeId } from "./chosen-id.ts";
import { makeKey } from "./key-creation.ts";
import { requireFittingUsage } from "./key-specs.ts";
import { requireTwoHsms } from "./key-store-rules.ts";
import type { Key } from "./key.ts";
import { openMarker, sealMarker } from "./markers.ts";
import { defaultPolicy, requireLegalPolicy } from "./policies.ts";
import {
  authorize,
  findKeyStore,
  onAccount,
  onKey,
  requireArrow,
  stateOf,
  type Kms,
  type KmsContext,
} from "./service.ts";
import * as shapes from "./shapes.ts";
import { requireLegalTags } from "./tags.ts";

const DAY_MS = 86_400_000;
const WAITING_PERIOD = { least: 7, most: 30 } as const;
const KEYS_PER_PAGE = 100;
/** KeyId pages after this text: no key id sorts before it. */
const FIRST = "";

const createMembers = {
  Policy: optional(shapes.policyDocument),
  Description: optional(shapes.description),
  KeyUsage: optional(shapes.keyUsage),
  CustomerMasterKeySpec: optional(shapes.customerMasterKeySpec),
  KeySpec: optional(shapes.keySpec),
  Origin: optional(oneOf("AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE")),
  CustomKeyStoreId: optional(shapes.customKeyStoreId),
  BypassPolicyLockoutSafetyCheck: optional(boolean()),
  Tags: optional(shapes.tags),
  MultiRegion: optional(boolean()),
  XksKeyId: optional(string({ min: 1, max: 128, pattern: "^[a-zA-Z0-9-_.]+$" })),
} as const;
type CreateInput = Input<typeof createMembers>;

const unsupported = (message: string): AwsError => new AwsError("UnsupportedOperationException", message);
const invalid = (message: string): AwsError => new AwsError("ValidationException", message);

/** @throws AwsError for members that contradict each other or that custom key stores do not support */
function requireStoreKey(input: CreateInput): string {
  const { Origin = "AWS_KMS", CustomKeyStoreId, KeyUsage = "ENCRYPT_DECRYPT" } = input;
  const spec = input.KeySpec ?? input.CustomerMasterKeySpec ?? "SYMMETRIC_DEFAULT";
  if (input.KeySpec !== undefined && input.CustomerMasterKeySpec !== undefined)
    throw invalid(
      "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.",
    );
  if (spec !== "SYMMETRIC_DEFAULT" && input.KeyUsage === undefined)
    throw invalid("You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.");
  requireFittingUsage(spec, KeyUsage);
  if (Origin !== "AWS_CLOUDHSM") throw otherOrigin(Origin, CustomKeyStoreId);
  if (CustomKeyStoreId === undefined)
    throw invalid("CustomKeyStoreId is required when Origin is AWS_CLOUDHSM.");
  if (input.XksKeyId !== undefined) throw invalid("XksKeyId cannot be used when Origin is AWS_CLOUDHSM.");
  if (spec !== "SYMMETRIC_DEFAULT")
    throw unsupported(`KeySpec ${spec} is not supported in a custom key store.`);
  if (input.MultiRegion === true) throw unsupported("Custom key stores do not support multi-Region keys.");
  return CustomKeyStoreId;
}

function otherOrigin(origin: string, customKeyStoreId: string | undefined): AwsError {
  if (customKeyStoreId !== undefined && origin !== "EXTERNAL_KEY_STORE")
    return invalid(`CustomKeyStoreId cannot be used when Origin is ${origin}.`);
  return unsupported(
    "keystead keeps keys of AWS CloudHSM key stores. Add --origin AWS_CLOUDHSM and --custom-key-store-id with a connected key store.",
  );
}

/** KMS keys per account and Region. */
const KEY_QUOTA = 100_000;

/** Keys with an id of the caller's choice are made one at a time: two of them may want the same. */
const CHOOSE_ID = "create a key with a chosen id";

function createKey(context: KmsContext & Request, keyStoreId: string, input: CreateInput): Promise<Key> {
  const { kms } = context;
  findKeyStore(kms, keyStoreId);
  const { chosen, Tags } = chosenId(input.Tags ?? []);
  const KeyId = chosen ?? newKeyId();
  const create = (): Promise<Key> =>
    kms.turns.run(keyStoreId, async () => {
      const keyStore = findKeyStore(kms, keyStoreId);
      requireArrow(keyStore, "use");
      await requireTwoHsms(kms, keyStore.CloudHsmClusterId);
      const { Policy = defaultPolicy(kms), BypassPolicyLockoutSafetyCheck: bypass } = input;
      if (input.Policy !== undefined)
        requireLegalPolicy(context, arn("kms", kms.region, kms.account, `key/${KeyId}`), Policy, bypass);
      requireLegalTags(Tags);
      if (chosen !== undefined) requireFreeId(kms, chosen);
      if (kms.keys.count >= KEY_QUOTA)
        throw new AwsError(
          "LimitExceededException",
          `You can have at most ${KEY_QUOTA} KMS keys in a Region.`,
        );
      return makeKey(kms, keyStore, { KeyId, Description: input.Description ?? "", Tags, Policy });
    });
  return chosen === undefined ? create() : kms.turns.run(CHOOSE_ID, create);
}

/** KeyMetadata of a key in an AWS CloudHSM key store (reference: kms-keys §1.3). */
function metadataOf(kms: Kms, key: Key): object {
  const state = stateOf(kms, key);
  return {
    AWSAccountId: kms.account,
    KeyId: key.KeyId,
    Arn: key.Arn,
    CreationDate: key.CreationDate / 1000,
    Enabled: state === "Enabled",
    Description: key.Description,
    KeyUsage: "ENCRYPT_DECRYPT",
    KeyState: state,
    DeletionDate: key.DeletionDate === undefined ? undefined : key.DeletionDate / 1000,
    Origin: "AWS_CLOUDHSM",
    CustomKeyStoreId: key.CustomKeyStoreId,
    CloudHsmClusterId: kms.keyStores.get(key.CustomKeyStoreId)?.CloudHsmClusterId,
    KeyManager: "CUSTOMER",
    CustomerMasterKeySpec: "SYMMETRIC_DEFAULT",
    KeySpec: "SYMMETRIC_DEFAULT",
    EncryptionAlgorithms: ["SYMMETRIC_DEFAULT"],
    MultiRegion: false,
  };
}

async function listKeys(kms: Kms, limit: number, marker: string | undefined): Promise<object> {
  const after = marker === undefined ? FIRST : openMarker("ListKeys", marker);
  const ids = await kms.keys.page(after, limit + 1);
  const page = ids.slice(0, limit);
  const last = page.at(-1);
  const truncated = ids.length > limit && last !== undefined;
  return {
    Keys: page.flatMap((id) => {
      const key = kms.keys.get(id);
      return key === undefined ? [] : [{ KeyId: key.KeyId, KeyArn: key.Arn }];
    }),
    Truncated: truncated,
    NextMarker: truncated ? sealMarker("ListKeys", last) : undefined,
  };
}

const byKeyId = { KeyId: shapes.keyId } as const;
const management = { key: "KeyId", forms: "key-id-or-arn" } as const;

export const keys: Service<KmsContext> = {
  CreateKey: onAccount(
    {
      coverage: { kind: "partial", note: "Origin AWS_CLOUDHSM only" },
    },
    createMembers,
    async (input, context) => {
      if (input.Tags !== undefined) authorize(context, "kms:TagResource", "*", input);
      const key = await createKey(context, requireStoreKey(input), input);
      return { KeyMetadata: metadataOf(context.kms, key) };
    },
  ),

  DescribeKey: onKey(
    { key: "KeyId", forms: "any", use: "describe" },
    { KeyId: shapes.keyId, GrantTokens: optional(shapes.grantTokens) },
    (_input, { kms, key }) => {
      kms.transitions.observe(key.CustomKeyStoreId);
      return Promise.resolve({ KeyMetadata: metadataOf(kms, key) });
    },
  ),

  ListKeys: onAccount(
    {},
    { Limit: optional(shapes.limit), Marker: optional(shapes.marker) },
    (input, { kms }) => listKeys(kms, input.Limit ?? KEYS_PER_PAGE, input.Marker),
  ),

  EnableKey: onKey(
    { ...management, use: "enableDisable", output: "none" },
    byKeyId,
    async (_input, { kms, key }) => {
      await kms.keys.change(key, { Enabled: true });
      return undefined;
    },
  ),

  DisableKey: onKey(
    { ...management, use: "enableDisable", output: "none" },
    byKeyId,
    async (_input, { kms, key }) => {
      await kms.keys.change(key, { Enabled: false });
      return undefined;
    },
  ),

  ScheduleKeyDeletion: onKey(
    { ...management, use: "scheduleDeletion" },
    { KeyId: shapes.keyId, PendingWindowInDays: optional(integer({ min: 1, max: 365 })) },
    async ({ PendingWindowInDays: days = WAITING_PERIOD.most }, { kms, key }) => {
      if (days < WAITING_PERIOD.least || days > WAITING_PERIOD.most)
        throw invalid(
          `PendingWindowInDays must be between ${WAITING_PERIOD.least} and ${WAITING_PERIOD.most} days.`,
        );
      const due = kms.clock.now() + days * DAY_MS;
      await kms.keys.change(key, { DeletionDate: due });
      return {
        KeyId: key.Arn,
        DeletionDate: due / 1000,
        KeyState: "PendingDeletion",
        PendingWindowInDays: days,
      };
    },
  ),

  CancelKeyDeletion: onKey(
    { ...management, use: "cancelDeletion" },
    byKeyId,
    async (_input, { kms, key }) => {
      // The scan may have taken the key a moment ago: a 200 here means that the key lives.
      await kms.keys.change(key, { DeletionDate: undefined, Enabled: false });
      return { KeyId: key.Arn };
    },
  ),
};
