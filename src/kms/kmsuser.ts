/**
 * The passwords KMS knows of kmsuser: the one a connect tries, the one a rotation is about
 * to set, and the former ones. All sealed; a value that was replaced stays sealed as
 * `former` and is never used by a connect, so that a wrong UpdateCustomKeyStore ends in
 * INVALID_CREDENTIALS as at AWS (architecture, *Connect*).
 */
import type { Vault } from "../store/vault.ts";
import type { Trx } from "../store/database.ts";
import type { KeyStore, StoreBook } from "./store-book.ts";

export class KmsuserPasswords {
  readonly #stores: StoreBook;
  readonly #vault: Vault;
  readonly #now: () => number;

  constructor(stores: StoreBook, vault: Vault, now: () => number) {
    this.#stores = stores;
    this.#vault = vault;
    this.#now = now;
  }

  seal(keyStoreId: string, generation: number, password: string): Buffer {
    return this.#vault.seal(password, keyStoreId, String(generation));
  }

  current(keyStore: KeyStore): string {
    return this.#open(keyStore.PasswordSealed, keyStore.CustomKeyStoreId, keyStore.PasswordGeneration);
  }

  /** What a connect tries, in order: a recorded rotation's password first, then the current one. */
  candidates(keyStore: KeyStore): string[] {
    const pending = this.#pending(keyStore);
    return pending === undefined ? [this.current(keyStore)] : [pending, this.current(keyStore)];
  }

  /** UpdateCustomKeyStore: from now on this is the only password tried; `also` changes in the same transaction. */
  async replace(
    keyStore: KeyStore,
    password: string,
    also: Partial<Pick<KeyStore, "CustomKeyStoreName" | "CloudHsmClusterId">> = {},
  ): Promise<void> {
    // Two generations on, so that a pending password's generation is never used again.
    await this.#become(keyStore, password, keyStore.PasswordGeneration + 2, also);
  }

  /** Write-ahead of a rotation; on disk when it resolves. */
  async recordPending(keyStore: KeyStore, next: string): Promise<void> {
    const sealed = this.seal(keyStore.CustomKeyStoreId, keyStore.PasswordGeneration + 1, next);
    await this.#stores.set(keyStore.CustomKeyStoreId, { PendingSealed: sealed });
  }

  /** The token accepted `accepted` (the pending or the current password): settle the record. */
  async settle(keyStore: KeyStore, accepted: string): Promise<void> {
    const pending = this.#pending(keyStore);
    if (pending === undefined) return;
    if (accepted === pending) await this.#become(keyStore, accepted, keyStore.PasswordGeneration + 1);
    else await this.#keepPending(keyStore, pending);
  }

  /** The token was asked with a login and took the current password, so the pending one never came into force. */
  async #keepPending(keyStore: KeyStore, pending: string): Promise<void> {
    const id = keyStore.CustomKeyStoreId;
    // The skipped generation belongs to the former password now.
    const generation = keyStore.PasswordGeneration + 2;
    const sealed = this.seal(id, generation, this.current(keyStore));
    const values = { PasswordSealed: sealed, PendingSealed: null, PasswordGeneration: generation };
    await this.#stores.set(id, values, (trx) =>
      this.#former(trx, id, keyStore.PasswordGeneration + 1, pending),
    );
  }

  async #become(
    keyStore: KeyStore,
    password: string,
    generation: number,
    also: Partial<Pick<KeyStore, "CustomKeyStoreName" | "CloudHsmClusterId">> = {},
  ): Promise<void> {
    const id = keyStore.CustomKeyStoreId;
    const pending = this.#pending(keyStore);
    const sealed = this.seal(id, generation, password);
    const values = { ...also, PasswordSealed: sealed, PendingSealed: null, PasswordGeneration: generation };
    await this.#stores.set(id, values, async (trx) => {
      await this.#former(trx, id, keyStore.PasswordGeneration, this.current(keyStore));
      if (pending !== undefined && pending !== password)
        await this.#former(trx, id, keyStore.PasswordGeneration + 1, pending);
    });
  }

  async #former(trx: Trx, id: string, generation: number, password: string): Promise<void> {
    const row = {
      CustomKeyStoreId: id,
      PasswordGeneration: generation,
      PasswordSealed: this.seal(id, generation, password),
      ReplacedAt: this.#now(),
    };
    await trx.insertInto("former_passwords").values(row).execute();
  }

  #pending(keyStore: KeyStore): string | undefined {
    if (keyStore.PendingSealed === null) return undefined;
    return this.#open(keyStore.PendingSealed, keyStore.CustomKeyStoreId, keyStore.PasswordGeneration + 1);
  }

  #open(sealed: Buffer, id: string, generation: number): string {
    return this.#vault.open(sealed, id, String(generation));
  }
}
