/**
 * Whether the key material on the token is the key that was made there. SoftHSM's key files
 * carry no checksum: a damaged one may load as another key and encrypt silently
 * (design/reliability.md F7). Each key's canary, a ciphertext made at creation, tells.
 */
import { Pkcs11Error } from "../hsm/errors.ts";
import type { KmsSession } from "../hsm/session.ts";
import { associatedData } from "./ciphertext.ts";
import type { Key } from "./key.ts";

/** What a canary encrypts; not a secret. */
export const CANARY_PLAINTEXT = Buffer.from("keystead canary");

/**
 * Functions that fail because of one key's object rather than of the token: a half-made or
 * damaged object is refused by mechanism, length or decryption of its attributes.
 */
const KEY_FUNCTIONS: ReadonlySet<string> = new Set([
  "C_CopyObject",
  "C_DecryptInit",
  "C_Decrypt",
  "C_GetAttributeValue",
]);

export type KeyVerdict = "unchecked" | "sound" | "missing" | "ambiguous" | "damaged";

export class KeyHealth {
  readonly #verdicts = new Map<string, KeyVerdict>();

  verdict(key: Key): KeyVerdict {
    return this.#verdicts.get(key.KeyId) ?? "unchecked";
  }

  /** Ask the token again at the next use; after a worker was replaced or a store reconnected. */
  forget(keys: Iterable<Key>): void {
    for (const key of keys) this.#verdicts.delete(key.KeyId);
  }

  clear(): void {
    this.#verdicts.clear();
  }

  /** Keys that cannot be used, with the reason, for health reports. */
  unsound(): { keyId: string; verdict: KeyVerdict }[] {
    return [...this.#verdicts]
      .filter(([, verdict]) => verdict !== "sound" && verdict !== "unchecked")
      .map(([keyId, verdict]) => ({ keyId, verdict }));
  }

  /** Decrypt the key's canary on the token. @throws Pkcs11Error for faults of the token itself */
  async check(key: Key, session: KmsSession): Promise<KeyVerdict> {
    const verdict = await ask(key, session);
    this.#verdicts.set(key.KeyId, verdict);
    return verdict;
  }
}

async function ask(key: Key, session: KmsSession): Promise<KeyVerdict> {
  try {
    const plaintext = await session.decrypt(key.ref, associatedData(key.header), key.Canary);
    return plaintext.equals(CANARY_PLAINTEXT) ? "sound" : "damaged";
  } catch (error) {
    if (!(error instanceof Pkcs11Error)) throw error;
    if (error.kind === "missing" || error.kind === "ambiguous") return error.kind;
    if (error.kind === "tag" || (error.kind === "token" && KEY_FUNCTIONS.has(error.function)))
      return "damaged";
    throw error;
  }
}
