/**
 * Physical deletion after the waiting period, by a scan of due rows and never by a timer
 * per key. KMS deletes the metadata first and then tries, once, to delete the key material;
 * what cannot be reached stays behind as orphaned key material (reference: kms-keys §4).
 */
import { reason } from "../core/errors.ts";
import { Pkcs11Error } from "../hsm/errors.ts";
import { closeIntent } from "./key-creation.ts";
import type { Key } from "./key.ts";
import type { Kms } from "./service.ts";

/** Delete every key that is due. */
export async function deleteDueKeys(kms: Kms): Promise<void> {
  for (const key of await kms.keys.due(kms.clock.now()))
    try {
      await kms.turns.run(key.CustomKeyStoreId, () => deleteIfDue(kms, key.KeyId));
    } catch (error) {
      // One key that cannot be deleted now must not keep the others from it.
      kms.log.error({ id: key.KeyId, reason: reason(error) }, "a due key could not be deleted");
    }
}

async function deleteIfDue(kms: Kms, keyId: string): Promise<void> {
  const key = kms.keys.get(keyId);
  if (key?.DeletionDate === undefined || key.DeletionDate > kms.clock.now()) return;
  const keyStore = kms.keyStores.get(key.CustomKeyStoreId);
  if (keyStore === undefined) return;
  const intent = {
    BackingKeyId: key.BackingKeyId,
    Kind: "destroy",
    KeyId: key.KeyId,
    KeyArn: key.Arn,
    CustomKeyStoreId: key.CustomKeyStoreId,
    ClusterId: keyStore.CloudHsmClusterId,
    RecordedAt: kms.clock.now(),
  };
  await kms.store.transaction(async (trx) => {
    await trx.insertInto("key_intents").values(intent).execute();
    await kms.keys.remove(trx, key);
  });
  // The database deletes aliases and grants with their key.
  for (const book of [kms.keys, kms.aliases, kms.grants, kms.usage]) book.forget(key.KeyId);
  const failure = await destroyMaterial(kms, key, keyStore.CloudHsmClusterId);
  if (failure !== undefined) await recordOrphan(kms, key, keyStore.CloudHsmClusterId, failure);
  await closeIntent(kms, key.BackingKeyId);
}

/** @returns why the key material is still there, or undefined when it is gone */
async function destroyMaterial(kms: Kms, key: Key, clusterId: string): Promise<string | undefined> {
  const session = kms.sessions.get(key.CustomKeyStoreId);
  if (session === undefined) return "the key store was not connected";
  try {
    if (!(await kms.standings.usable(clusterId))) return "the cluster was out of reach";
    await kms.tokens.of(clusterId).durably(() => session.destroyKey(key.BackingKeyId, key.Arn));
    return undefined;
  } catch (error) {
    return error instanceof Pkcs11Error && error.kind === "missing" ? undefined : reason(error);
  }
}

async function recordOrphan(kms: Kms, key: Key, clusterId: string, why: string): Promise<void> {
  kms.log.warn({ id: key.BackingKeyId, cluster: clusterId, reason: why }, "orphaned key material");
  await kms.store.db
    .insertInto("orphans")
    .values({
      BackingKeyId: key.BackingKeyId,
      KeyArn: key.Arn,
      ClusterId: clusterId,
      Reason: why,
      RecordedAt: kms.clock.now(),
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}
