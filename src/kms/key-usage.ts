/**
 * The last cryptographic use of each key. Noted in memory on the request path and written
 * to the database now and then and at the end: a stop loses nothing, a crash loses the
 * uses since the last write, never an older record.
 */
import type { Request } from "../core/operation.ts";
import type { Store } from "../store/database.ts";
import type { Key } from "./key.ts";

interface LastUsage {
  readonly Operation: string;
  /** Virtual milliseconds since the epoch. */
  readonly Timestamp: number;
  readonly KmsRequestId: string;
}

export class KeyUsage {
  readonly #store: Store;
  readonly #last = new Map<string, LastUsage>();
  /** Noted since the last write. */
  #unwritten = new Map<string, LastUsage>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Read what was written; at start and after a reset. */
  async load(): Promise<void> {
    this.#last.clear();
    this.#unwritten.clear();
    const rows = await this.#store.db
      .selectFrom("keys")
      .select(["KeyId", "LastUsage"])
      .where("LastUsage", "is not", null)
      .execute();
    for (const { KeyId, LastUsage } of rows)
      if (LastUsage !== null) this.#last.set(KeyId, JSON.parse(LastUsage) as LastUsage);
  }

  /** A key was used with success. */
  note({ KeyId }: Key, request: Pick<Request, "operation" | "requestId">, Timestamp: number): void {
    const use = { Operation: request.operation, Timestamp, KmsRequestId: request.requestId };
    this.#last.set(KeyId, use);
    this.#unwritten.set(KeyId, use);
  }

  of({ KeyId }: Key): LastUsage | undefined {
    return this.#last.get(KeyId);
  }

  forget(keyId: string): void {
    this.#last.delete(keyId);
    this.#unwritten.delete(keyId);
  }

  /** Write what was noted since the last time, in one transaction. */
  async flush(): Promise<void> {
    if (this.#unwritten.size === 0) return;
    const noted = this.#unwritten;
    this.#unwritten = new Map();
    try {
      await this.#store.transaction(async (trx) => {
        for (const [KeyId, use] of noted) {
          const LastUsage = JSON.stringify(use);
          await trx.updateTable("keys").set({ LastUsage }).where("KeyId", "=", KeyId).execute();
        }
      });
    } catch (error) {
      this.#unwritten = new Map([...noted, ...this.#unwritten]);
      throw error;
    }
  }
}
