/**
 * All custom key stores, in the database and in memory. State columns change only by
 * compare-and-set; passwords are read through `kmsuser.ts` and never kept here in clear.
 */
import type { Selectable } from "kysely";
import type { Store, Trx } from "../store/database.ts";
import type { KeyStoreTable } from "../store/schema.ts";
import type { ConnectionErrorCode, ConnectionState } from "./connection-states.ts";

export type KeyStore = Omit<Selectable<KeyStoreTable>, "ConnectionState" | "ConnectionErrorCode"> & {
  readonly ConnectionState: ConnectionState;
  readonly ConnectionErrorCode: ConnectionErrorCode | null;
};

export class StoreBook {
  readonly #store: Store;
  readonly #stores = new Map<string, KeyStore>();

  constructor(store: Store) {
    this.#store = store;
  }

  async load(): Promise<void> {
    this.#stores.clear();
    const rows = await this.#store.db.selectFrom("key_stores").selectAll().execute();
    for (const row of rows) this.#stores.set(row.CustomKeyStoreId, row as KeyStore);
  }

  get(id: string): KeyStore | undefined {
    return this.#stores.get(id);
  }

  /** All stores, oldest first. */
  all(): KeyStore[] {
    return [...this.#stores.values()].toSorted(
      (a, b) => a.CreationDate - b.CreationDate || (a.CustomKeyStoreId < b.CustomKeyStoreId ? -1 : 1),
    );
  }

  byName(name: string): KeyStore | undefined {
    return this.all().find((keyStore) => keyStore.CustomKeyStoreName === name);
  }

  async add(keyStore: KeyStore): Promise<void> {
    await this.#store.db.insertInto("key_stores").values(keyStore).execute();
    this.#stores.set(keyStore.CustomKeyStoreId, keyStore);
  }

  /** The store's row goes, and what its journal still knows of the token becomes orphaned key material. */
  async remove(id: string): Promise<void> {
    await this.#store.transaction(async (trx) => {
      const intents = await trx
        .deleteFrom("key_intents")
        .where("CustomKeyStoreId", "=", id)
        .returning(["BackingKeyId", "KeyArn", "ClusterId", "RecordedAt"])
        .execute();
      const orphans = intents.map((intent) => ({ ...intent, Reason: "its key store was deleted" }));
      if (orphans.length > 0)
        await trx
          .insertInto("orphans")
          .values(orphans)
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      await trx.deleteFrom("key_stores").where("CustomKeyStoreId", "=", id).execute();
    });
    this.#stores.delete(id);
  }

  /** Change columns other than the state, by a transaction that also writes other tables when `also` is given. */
  async set(
    id: string,
    values: Partial<Omit<KeyStore, "CustomKeyStoreId" | "ConnectionState">>,
    also: (trx: Trx) => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    await this.#store.transaction(async (trx) => {
      await trx.updateTable("key_stores").set(values).where("CustomKeyStoreId", "=", id).execute();
      await also(trx);
    });
    const current = this.#stores.get(id);
    if (current !== undefined) this.#stores.set(id, { ...current, ...values });
  }

  /** Compare-and-set of the connection state. @returns false when the state was not `from` any more */
  async move(
    id: string,
    from: ConnectionState,
    to: ConnectionState,
    errorCode: ConnectionErrorCode | null = null,
  ): Promise<boolean> {
    const values = { ConnectionState: to, ConnectionErrorCode: errorCode };
    const result = await this.#store.db
      .updateTable("key_stores")
      .set(values)
      .where("CustomKeyStoreId", "=", id)
      .where("ConnectionState", "=", from)
      .executeTakeFirst();
    const current = this.#stores.get(id);
    if (result.numUpdatedRows === 0n || current === undefined) return false;
    this.#stores.set(id, { ...current, ...values });
    return true;
  }
}
