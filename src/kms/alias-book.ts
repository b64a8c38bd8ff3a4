/**
 * All aliases, in the database and, for the request path, in memory: an alias is resolved
 * without a wait. They go with their key: the database deletes them in the same transaction.
 */
import { AwsError } from "../core/errors.ts";
import { Mutex } from "../core/mutex.ts";
import type { Store } from "../store/database.ts";
import type { AliasTable } from "../store/schema.ts";
import { requireRow } from "./key-row.ts";
import type { Key } from "./key.ts";

export type Alias = Readonly<AliasTable>;

/** Aliases of one KMS key (quota). */
const ALIASES_PER_KEY = 50;

export class AliasBook {
  readonly #store: Store;
  readonly #aliases = new Map<string, Alias>();
  /** Checks and writes take turns: a name is taken once, a quota is never passed. */
  readonly #turn = new Mutex();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Read all aliases; at start and after a reset. */
  async load(): Promise<void> {
    this.#aliases.clear();
    for (const row of await this.#store.db.selectFrom("aliases").selectAll().execute())
      this.#aliases.set(row.AliasName, row);
  }

  get(name: string): Alias | undefined {
    return this.#aliases.get(name);
  }

  /** All aliases, or those of one key. */
  all(keyId?: string): Alias[] {
    const all = [...this.#aliases.values()];
    return keyId === undefined ? all : all.filter((alias) => alias.TargetKeyId === keyId);
  }

  /** @returns false when the name is taken. @throws AwsError LimitExceededException, NotFoundException */
  create(name: string, key: Key, now: number): Promise<boolean> {
    return this.#turn.run(async () => {
      if (this.#aliases.has(name)) return false;
      const alias = { AliasName: name, TargetKeyId: key.KeyId, CreationDate: now, LastUpdatedDate: now };
      await this.#point(alias, key);
      return true;
    });
  }

  /** @returns false when there is no such alias. @throws AwsError LimitExceededException, NotFoundException */
  update(name: string, key: Key, now: number): Promise<boolean> {
    return this.#turn.run(async () => {
      const alias = this.#aliases.get(name);
      if (alias === undefined) return false;
      await this.#point({ ...alias, TargetKeyId: key.KeyId, LastUpdatedDate: now }, key);
      return true;
    });
  }

  /** @returns false when there is no such alias */
  remove(name: string): Promise<boolean> {
    return this.#turn.run(async () => {
      await this.#store.db.deleteFrom("aliases").where("AliasName", "=", name).execute();
      return this.#aliases.delete(name);
    });
  }

  /** The key was deleted, and its aliases with it. */
  forget(keyId: string): void {
    for (const { AliasName } of this.all(keyId)) this.#aliases.delete(AliasName);
  }

  async #point(alias: Alias, key: Key): Promise<void> {
    const others = this.all(key.KeyId).filter((other) => other.AliasName !== alias.AliasName);
    if (others.length >= ALIASES_PER_KEY)
      throw new AwsError(
        "LimitExceededException",
        `${key.Arn} has ${ALIASES_PER_KEY} aliases, which is the most a KMS key can have.`,
      );
    await this.#store.transaction(async (trx) => {
      await requireRow(trx, key);
      await trx
        .insertInto("aliases")
        .values(alias)
        .onConflict((conflict) => conflict.column("AliasName").doUpdateSet(alias))
        .execute();
    });
    this.#aliases.set(alias.AliasName, alias);
  }
}
