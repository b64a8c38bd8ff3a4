/**
 * The state database: SQLite through Kysely, one writer, one exclusive owner per data
 * directory. Nothing else in the process may open these files: POSIX locks are dropped
 * when any descriptor of the file is closed (design/reliability.md F13).
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { Kysely, Migrator, SqliteDialect, sql, type Transaction } from "kysely";
import { Refusal } from "../core/errors.ts";
import { MIGRATIONS } from "./migrations.ts";
import type { Schema } from "./schema.ts";
import { WriteNotices } from "./writes.ts";

/** A connection or a transaction on it; inside a transaction use only the latter. */
export type Db = Kysely<Schema>;
export type Trx = Transaction<Schema>;

export interface Store {
  readonly db: Db;
  /** All-or-nothing; the commit is on disk (synchronous=FULL) when it resolves. */
  transaction<T>(body: (trx: Trx) => Promise<T>): Promise<T>;
  /** Who is told that a table was written to. */
  readonly writes: WriteNotices;
  close(): Promise<void>;
}

/**
 * Take the data directory and open its database, migrating it to this program's version.
 * @throws Refusal exit 75 when another server owns the directory, 78 when the database is newer than the program or damaged
 */
export async function openStore(directory: string): Promise<Store> {
  const release = takeOwnership(directory);
  try {
    const sqlite = new Database(join(directory, "keystead.db"));
    sqlite.pragma("journal_mode = WAL");
    sqlite.pragma("synchronous = FULL");
    sqlite.pragma("foreign_keys = ON");
    sqlite.pragma("secure_delete = ON");
    const writes = new WriteNotices();
    const db = new Kysely<Schema>({ dialect: new SqliteDialect({ database: sqlite }), plugins: [writes] });
    await migrate(db, directory);
    return {
      db,
      writes,
      transaction: (body) => db.transaction().execute(body),
      close: async () => {
        await db.destroy();
        release();
      },
    };
  } catch (error) {
    release();
    if (isDamage(error))
      throw new Refusal(
        `The state database ${join(directory, "keystead.db")} is damaged; restore it from a backup of the data directory.`,
        78,
        { cause: error },
      );
    throw error;
  }
}

function isDamage(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === "string" && /^SQLITE_(?:NOTADB|CORRUPT)/.test(code);
}

async function migrate(db: Db, directory: string): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve({ ...MIGRATIONS }) },
  });
  const { error } = await migrator.migrateToLatest();
  if (error === undefined) return;
  const known = Object.keys(MIGRATIONS);
  const unknown = await appliedBeyond(db, known);
  if (unknown.length === 0) throw error;
  throw new Refusal(
    `The data directory ${directory} was written by a newer keystead (${unknown.join(", ")}); use that version or another directory.`,
    78,
  );
}

async function appliedBeyond(db: Db, known: readonly string[]): Promise<string[]> {
  const rows = await sql<{ name: string }>`select name from kysely_migration`.execute(db);
  return rows.rows.map((row) => row.name).filter((name) => !known.includes(name));
}

/** An exclusive SQLite lock on a file of its own: it ends with the process, even by kill -9. */
function takeOwnership(directory: string): () => void {
  const lock = new Database(join(directory, "owner.lock"), { timeout: 0 });
  // Beside the lock, not in it: reading the locked file from here would drop the lock (F13).
  const holder = join(directory, "owner.pid");
  try {
    lock.exec("begin exclusive");
    writeFileSync(holder, `${process.pid}\n`, { mode: 0o600 });
    return () => {
      if (lock.open) lock.close();
    };
  } catch (error) {
    lock.close();
    if ((error as { code?: string }).code !== "SQLITE_BUSY") throw error;
    throw new Refusal(
      `The data directory ${directory} is in use by another keystead server (process ${holderOf(holder)}); stop that one or name another --data-dir.`,
      75,
    );
  }
}

/** True while a server owns the directory. */
export function isOwned(directory: string): boolean {
  if (!existsSync(join(directory, "owner.lock"))) return false;
  try {
    takeOwnership(directory)();
    return false;
  } catch {
    return true;
  }
}

function holderOf(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "unknown";
  }
}
