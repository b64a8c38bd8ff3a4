/**
 * The KMS key: what is recorded of it, its derived KeyState, and the rules that say which
 * use is legal in which state (reference: kms-keys §3).
 */
import type { Selectable } from "kysely";
import { arn } from "../core/ids.ts";
import { AwsError } from "../core/errors.ts";
import type { KeyRef } from "../hsm/frames.ts";
import type { KeyTable } from "../store/schema.ts";
import { blobHeader } from "./ciphertext.ts";

export type KeyState = "Enabled" | "Disabled" | "PendingDeletion" | "Unavailable";

/** What an operation wants of a key; each use is a row of KEY_STATE_RULES. */
export type KeyUse =
  | "cryptographic"
  | "describe"
  | "manage"
  | "enableDisable"
  | "scheduleDeletion"
  | "cancelDeletion"
  | "grant"
  | "aliasTarget"
  | "replicate"
  | "unsupported";

export interface Tag {
  readonly TagKey: string;
  readonly TagValue: string;
}

export interface Key {
  readonly KeyId: string;
  readonly Arn: string;
  readonly CustomKeyStoreId: string;
  readonly BackingKeyId: string;
  readonly Description: string;
  /** The user's wish; what DescribeKey shows is derived. */
  readonly Enabled: boolean;
  /** Virtual milliseconds since the epoch. */
  readonly CreationDate: number;
  readonly DeletionDate: number | undefined;
  readonly Canary: Buffer;
  readonly Tags: readonly Tag[];
  /** The key policy, as it was given. */
  readonly Policy: string;
  /** CKA_ID and CKA_LABEL on the token. */
  readonly ref: KeyRef;
  /** The header of this key's ciphertexts, made once. */
  readonly header: Buffer;
}

/** What of a key follows from its ids, made once per key rather than per request. */
export function keyNames(
  keyId: string,
  backingKeyId: string,
  where: { region: string; account: string },
): Pick<Key, "Arn" | "ref" | "header"> {
  const keyArn = arn("kms", where.region, where.account, `key/${keyId}`);
  return {
    Arn: keyArn,
    ref: { id: Buffer.from(backingKeyId, "latin1"), label: Buffer.from(keyArn) },
    header: blobHeader(keyArn),
  };
}

export function keyOfRow(row: Selectable<KeyTable>, where: { region: string; account: string }): Key {
  return {
    KeyId: row.KeyId,
    CustomKeyStoreId: row.CustomKeyStoreId,
    BackingKeyId: row.BackingKeyId,
    Description: row.Description,
    Enabled: row.Enabled === 1,
    CreationDate: row.CreationDate,
    DeletionDate: row.DeletionDate ?? undefined,
    Canary: row.Canary,
    Tags: JSON.parse(row.Tags) as Tag[],
    Policy: row.Policy,
    ...keyNames(row.KeyId, row.BackingKeyId, where),
  };
}

/** First match wins (reference: kms-keys §3.1). */
export function keyState(key: Key, connected: boolean): KeyState {
  if (key.DeletionDate !== undefined) return "PendingDeletion";
  if (!connected) return "Unavailable";
  return key.Enabled ? "Enabled" : "Disabled";
}

type Rule = (keyArn: string) => AwsError;
const disabled: Rule = (keyArn) => new AwsError("DisabledException", `${keyArn} is disabled.`);
const invalidState =
  (what: string): Rule =>
  (keyArn) =>
    new AwsError("KMSInvalidStateException", `${keyArn} is ${what}.`);
const pendingDeletion = invalidState("pending deletion");
const notPendingDeletion = invalidState("not pending deletion");
const unavailable = invalidState("unavailable");

/** The exception of a use in a state; an absent cell is allowed. */
const KEY_STATE_RULES: Readonly<Record<KeyUse, Readonly<Partial<Record<KeyState, Rule>>>>> = {
  cryptographic: { Disabled: disabled, PendingDeletion: pendingDeletion, Unavailable: unavailable },
  describe: {},
  manage: { PendingDeletion: pendingDeletion },
  enableDisable: { PendingDeletion: pendingDeletion },
  scheduleDeletion: { PendingDeletion: pendingDeletion },
  cancelDeletion: {
    Enabled: notPendingDeletion,
    Disabled: notPendingDeletion,
    Unavailable: notPendingDeletion,
  },
  grant: { Disabled: disabled, PendingDeletion: pendingDeletion },
  // The key an alias is to name; what it named before may be in any state.
  aliasTarget: { PendingDeletion: pendingDeletion },
  // Refused in every state, but of these two AWS documents the state's exception.
  replicate: { Disabled: disabled, PendingDeletion: pendingDeletion },
  unsupported: {},
};

/** @throws AwsError the documented exception of this use in this state */
export function requireState(key: Key, state: KeyState, use: KeyUse): void {
  const refuse = KEY_STATE_RULES[use][state];
  if (refuse !== undefined) throw refuse(key.Arn);
}
