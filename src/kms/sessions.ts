/** KMS's sessions on tokens: opening, closing, and looking at every key when one is opened. */
import type { HsmWorker } from "../hsm/client.ts";
import { KmsSession } from "../hsm/session.ts";
import { findKeyStore, type Kms } from "./service.ts";
import type { KeyStore } from "./store-book.ts";

/** Canaries are decrypted in groups, so that other work gets its turn. */
const CANARIES_AT_ONCE = 64;

export function openSession(kms: Kms, keyStoreId: string, worker: HsmWorker | undefined): KmsSession {
  const keyStore = findKeyStore(kms, keyStoreId);
  return new KmsSession(
    kms.tokens.of(keyStore.CloudHsmClusterId),
    worker,
    () => Promise.resolve(kms.passwords.current(findKeyStore(kms, keyStoreId))),
    { replaced: () => kms.health.forget(kms.keys.ofStore(keyStoreId)) },
  );
}

export async function closeSession(kms: Kms, keyStoreId: string): Promise<void> {
  const session = kms.sessions.get(keyStoreId);
  kms.sessions.delete(keyStoreId);
  await session?.close();
  kms.health.forget(kms.keys.ofStore(keyStoreId));
}

/** Every key's canary, so that a damaged or missing key is known before it is asked for. */
export async function checkCanaries(kms: Kms, keyStore: KeyStore, session: KmsSession): Promise<void> {
  const keys = kms.keys.ofStore(keyStore.CustomKeyStoreId);
  for (let at = 0; at < keys.length; at += CANARIES_AT_ONCE) {
    const group = keys.slice(at, at + CANARIES_AT_ONCE);
    const verdicts = await Promise.all(group.map((key) => kms.health.check(key, session)));
    for (const [index, verdict] of verdicts.entries())
      if (verdict !== "sound")
        kms.log.warn({ id: group[index]?.KeyId ?? "", reason: verdict }, "a key cannot be used");
  }
}
