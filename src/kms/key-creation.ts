/**
 * Making a key on the token, so that neither a crash nor an error leaves a KMS key without
 * key material or key material without an intent: journal → C_GenerateKey → fsync →
 * attributes and canary → commit (design/reliability.md §3.3).
 */
import { newBackingKeyId } from "../core/ids.ts";
import { AwsError, reason } from "../core/errors.ts";
import { CKR, Pkcs11Error } from "../hsm/errors.ts";
import type { KeyObject } from "../hsm/manage.ts";
import type { KmsSession } from "../hsm/session.ts";
import { associatedData } from "./ciphertext.ts";
import { CANARY_PLAINTEXT } from "./key-health.ts";
import { keyNames, type Key } from "./key.ts";
import type { NewKey } from "./key-book.ts";
import type { Kms } from "./service.ts";
import type { KeyStore } from "./store-book.ts";
import { clusterUnreachable, cryptographicError } from "./token-errors.ts";

type Wish = Pick<NewKey, "KeyId" | "Description" | "Tags" | "Policy">;

/** What the template asked for, read back from the token before the key counts as made. */
const REQUIRED: Readonly<Record<string, boolean>> = {
  token: true,
  private: true,
  sensitive: true,
  "always-sensitive": true,
  extractable: false,
  "never-extractable": true,
  local: true,
  encrypt: true,
  decrypt: true,
  wrap: false,
  unwrap: false,
  derive: false,
  sign: false,
  verify: false,
};

function requireTemplate(made: KeyObject): void {
  const wrong = Object.entries(REQUIRED).filter(([name, value]) => made.attributes[name] !== value);
  if (wrong.length > 0 || made.attributes["key-length-bytes"] !== 32)
    throw new Pkcs11Error("token", CKR.FUNCTION_FAILED, "C_GenerateKey template");
}

/** @throws AwsError KMSInternalException or KMSInvalidStateException; then nothing remains of the key */
export async function makeKey(kms: Kms, keyStore: KeyStore, wish: Wish): Promise<Key> {
  const session = kms.sessions.get(keyStore.CustomKeyStoreId);
  if (session === undefined || !(await kms.standings.usable(keyStore.CloudHsmClusterId)))
    throw clusterUnreachable();
  const ids = { KeyId: wish.KeyId, BackingKeyId: newBackingKeyId() };
  const names = keyNames(ids.KeyId, ids.BackingKeyId, kms);
  await kms.store.db
    .insertInto("key_intents")
    .values({
      ...ids,
      Kind: "create",
      KeyArn: names.Arn,
      CustomKeyStoreId: keyStore.CustomKeyStoreId,
      ClusterId: keyStore.CloudHsmClusterId,
      RecordedAt: kms.clock.now(),
    })
    .execute();
  try {
    const token = kms.tokens.of(keyStore.CloudHsmClusterId);
    requireTemplate(await token.durably(() => session.generateKey(ids.BackingKeyId, names.Arn)));
    const Canary = await makeCanary(session, names);
    const CreationDate = kms.clock.now();
    return await kms.keys.add({
      ...wish,
      ...ids,
      CustomKeyStoreId: keyStore.CustomKeyStoreId,
      CreationDate,
      Canary,
    });
  } catch (error) {
    await abandon(kms, session, ids.BackingKeyId, names.Arn);
    throw creationError(error);
  }
}

async function makeCanary(session: KmsSession, names: Pick<Key, "ref" | "header">): Promise<Buffer> {
  const aad = associatedData(names.header);
  const canary = await session.encrypt(names.ref, aad, CANARY_PLAINTEXT);
  const back = await session.decrypt(names.ref, aad, canary);
  if (!back.equals(CANARY_PLAINTEXT))
    throw new Pkcs11Error("token", CKR.FUNCTION_FAILED, "canary of a new key");
  return canary;
}

/** Remove what was made; what cannot be removed now stays in the journal for the next connect. */
async function abandon(kms: Kms, session: KmsSession, backingKeyId: string, label: string): Promise<void> {
  try {
    await session.destroyKey(backingKeyId, label);
  } catch (error) {
    if (!(error instanceof Pkcs11Error) || error.kind !== "missing") {
      kms.log.warn(
        { id: backingKeyId, reason: reason(error) },
        "a half-made key is swept at the next connect",
      );
      return;
    }
  }
  await closeIntent(kms, backingKeyId);
}

export async function closeIntent(kms: Kms, backingKeyId: string): Promise<void> {
  await kms.store.db.deleteFrom("key_intents").where("BackingKeyId", "=", backingKeyId).execute();
}

/**
 * A token that fails to generate is an internal error (reference: kms-keys §1.2 row 14); so
 * is a worker that dies over it, because a creation is not tried again here.
 */
function creationError(error: unknown): unknown {
  if (error instanceof Pkcs11Error && (error.kind === "start" || error.kind === "worker"))
    return new AwsError("KMSInternalException", "The key could not be created.", { cause: error });
  const mapped = cryptographicError(error);
  return mapped instanceof AwsError || !(error instanceof Error)
    ? mapped
    : new AwsError("KMSInternalException", "The key could not be created.", { cause: error });
}

/**
 * Settle the journal of a key store that is logged in: creations that were interrupted
 * leave key material nobody was told of, and due deletions are finished. In the store's
 * turn, so that no intent found belongs to a creation or deletion that is under way.
 */
export function settleIntents(kms: Kms, keyStore: KeyStore, session: KmsSession): Promise<void> {
  return kms.turns.run(keyStore.CustomKeyStoreId, async () => {
    const intents = await kms.store.db
      .selectFrom("key_intents")
      .selectAll()
      .where("CustomKeyStoreId", "=", keyStore.CustomKeyStoreId)
      .execute();
    for (const intent of intents) await abandon(kms, session, intent.BackingKeyId, intent.KeyArn);
  });
}
