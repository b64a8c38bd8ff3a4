/**
 * All KMS keys, in the database and, for the request path, in memory. One server owns the
 * database, so memory is the committed state; every change is written first.
 */
import { sql, type Updateable } from "kysely";
import { AwsError } from "../core/errors.ts";
import { Mutex } from "../core/mutex.ts";
import type { Db, Store } from "../store/database.ts";
import type { KeyTable } from "../store/schema.ts";
import { keyOfRow, type Key, type Tag } from "./key.ts";

/** Random 96-bit IVs: at most 2^32 encryptions per key (SP 800-38D §8.3). */
const ENCRYPTION_LIMIT = 2 ** 32;
/** Reserved at a time, so that a crash wastes at most this many and reuses none. */
const RESERVATION = 65_536;

/** What of a key may change after its creation. */
export interface KeyChange {
  readonly Enabled?: boolean;
  readonly DeletionDate?: number | undefined;
  readonly Description?: string;
  readonly Tags?: readonly Tag[];
  readonly Policy?: string;
}

interface Counter {
  used: number;
  reserved: number;
  reserving: Promise<void> | undefined;
}

export interface NewKey {
  readonly KeyId: string;
  readonly CustomKeyStoreId: string;
  readonly BackingKeyId: string;
  readonly Description: string;
  readonly CreationDate: number;
  readonly Canary: Buffer;
  readonly Tags: readonly Tag[];
  readonly Policy: string;
}

export class KeyBook {
  readonly #store: Store;
  readonly #where: { region: string; account: string };
  readonly #keys = new Map<string, Key>();
  readonly #counters = new Map<string, Counter>();
  /** Changes take turns, so that none is computed from what another is about to replace. */
  readonly #changes = new Mutex();

  constructor(store: Store, where: { region: string; account: string }) {
    this.#store = store;
    this.#where = where;
  }

  /** Read all keys; at start and after a reset. */
  async load(): Promise<void> {
    this.#keys.clear();
    this.#counters.clear();
    for (const row of await this.#store.db.selectFrom("keys").selectAll().execute()) {
      this.#keys.set(row.KeyId, keyOfRow(row, this.#where));
      this.#count(row.KeyId, row.EncryptionsReserved);
    }
  }

  get(keyId: string): Key | undefined {
    return this.#keys.get(keyId);
  }

  /** How many keys there are. */
  get count(): number {
    return this.#keys.size;
  }

  /** Keys of one key store, in no particular order. */
  ofStore(customKeyStoreId: string): Key[] {
    return [...this.#keys.values()].filter((key) => key.CustomKeyStoreId === customKeyStoreId);
  }

  /** At most `count` key ids after `after`, in the order ListKeys pages through. */
  async page(after: string, count: number): Promise<string[]> {
    const rows = await this.#store.db
      .selectFrom("keys")
      .select("KeyId")
      .where("KeyId", ">", after)
      .orderBy("KeyId")
      .limit(count)
      .execute();
    return rows.map((row) => row.KeyId);
  }

  /** Commit a key that was made on the token, closing its creation intent in the same transaction. */
  async add(key: NewKey): Promise<Key> {
    const row = {
      ...key,
      Enabled: 1,
      DeletionDate: null,
      EncryptionsReserved: 0,
      Tags: JSON.stringify(key.Tags),
      LastUsage: null,
    };
    await this.#store.transaction(async (trx) => {
      await trx.insertInto("keys").values(row).execute();
      await trx.deleteFrom("key_intents").where("BackingKeyId", "=", key.BackingKeyId).execute();
    });
    const added = keyOfRow({ ...row, Canary: key.Canary }, this.#where);
    this.#keys.set(added.KeyId, added);
    this.#count(added.KeyId, 0);
    return added;
  }

  /**
   * Change a key; `change` may be computed from what the key is when its turn comes.
   * @throws AwsError NotFoundException when the key was deleted meanwhile
   */
  change(key: Key, change: KeyChange | ((current: Key) => KeyChange)): Promise<void> {
    return this.#changes.run(async () => {
      const before = this.#require(key);
      const wanted = typeof change === "function" ? change(before) : change;
      await this.#store.db
        .updateTable("keys")
        .set(columnsOf({ ...before, ...wanted }))
        .where("KeyId", "=", key.KeyId)
        .execute();
      // A due deletion may have removed the key since it was looked up: then it stays removed.
      this.#keys.set(key.KeyId, { ...this.#require(key), ...wanted });
    });
  }

  #require(key: Key): Key {
    const current = this.#keys.get(key.KeyId);
    if (current === undefined) throw new AwsError("NotFoundException", `Key '${key.Arn}' does not exist`);
    return current;
  }

  /** Remove a key whose waiting period is over; `db` is the caller's transaction. */
  async remove(db: Db, key: Key): Promise<void> {
    await db.deleteFrom("keys").where("KeyId", "=", key.KeyId).execute();
  }

  /** After the commit of a `remove`: a transaction that failed leaves the key where it was. */
  forget(keyId: string): void {
    this.#keys.delete(keyId);
    this.#counters.delete(keyId);
  }

  /** Keys whose deletion date is not after `now`. */
  async due(now: number): Promise<Key[]> {
    const rows = await this.#store.db
      .selectFrom("keys")
      .select("KeyId")
      .where("DeletionDate", "<=", now)
      .execute();
    return rows.flatMap((row) => this.#keys.get(row.KeyId) ?? []);
  }

  /**
   * Count one encryption under a key. Resolves at once while the reserved block lasts.
   * @throws AwsError LimitExceededException when the key has used up its 2^32 encryptions
   */
  countEncryption(key: Key): Promise<void> | undefined {
    const counter = this.#counters.get(key.KeyId);
    if (counter === undefined) return undefined;
    if (counter.used < counter.reserved) {
      counter.used += 1;
      return undefined;
    }
    return this.#reserveAndCount(key, counter);
  }

  async #reserveAndCount(key: Key, counter: Counter): Promise<void> {
    while (counter.used >= counter.reserved) {
      counter.reserving ??= this.#reserve(key, counter).finally(() => {
        counter.reserving = undefined;
      });
      await counter.reserving;
    }
    counter.used += 1;
  }

  async #reserve(key: Key, counter: Counter): Promise<void> {
    if (counter.reserved + RESERVATION > ENCRYPTION_LIMIT)
      throw new AwsError(
        "LimitExceededException",
        `${key.Arn} has reached the 2^32 encryptions that random AES-GCM initialisation vectors allow under one key. Create a new key.`,
      );
    await this.#store.db
      .updateTable("keys")
      .set({ EncryptionsReserved: sql`EncryptionsReserved + ${RESERVATION}` })
      .where("KeyId", "=", key.KeyId)
      .execute();
    counter.reserved += RESERVATION;
  }

  #count(keyId: string, reserved: number): void {
    // What an earlier run reserved may have been used, so it counts as used.
    this.#counters.set(keyId, { used: reserved, reserved, reserving: undefined });
  }
}

/** The columns that may change. */
function columnsOf(key: Key): Pick<Updateable<KeyTable>, keyof KeyChange> {
  return {
    Enabled: key.Enabled ? 1 : 0,
    DeletionDate: key.DeletionDate ?? null,
    Description: key.Description,
    Tags: JSON.stringify(key.Tags),
    Policy: key.Policy,
  };
}
