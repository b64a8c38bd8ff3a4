/**
 * The data directory: tokens, state database, vault key. Dev mode makes a temporary one,
 * removes it at the end and sweeps what killed runs left behind.
 */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refusal } from "./core/errors.ts";
import { isOwned } from "./store/database.ts";

const DEV_PREFIX = "keystead-dev-";
/** A directory younger than this may belong to a server that has not taken it yet. */
const SETTLED_MS = 2_000;

/** Remove the directories of dev servers that are gone; one that still runs owns its directory. */
export function sweepDevDirectories(): void {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(DEV_PREFIX))) {
    const directory = join(tmpdir(), name);
    const found = statSync(directory, { throwIfNoEntry: false });
    if (found?.uid !== process.getuid?.() || found === undefined) continue;
    // Asking who owns it takes the lock for a moment, which a starting server would find taken.
    if (Date.now() - found.birthtimeMs < SETTLED_MS) continue;
    if (!isOwned(directory)) rmSync(directory, { recursive: true, force: true });
  }
}

export function makeDevDirectory(): string {
  return mkdtempSync(join(tmpdir(), DEV_PREFIX));
}

/**
 * Make or check a kept data directory.
 * @throws Refusal exit 78 when it is unreadable, open to others, or holds tokens without a database
 */
export function prepareDataDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    throw new Refusal(
      `The data directory ${directory} cannot be made, read or written by this user; choose another --data-dir or fix its owner and mode.`,
      78,
    );
  }
  if ((statSync(directory).mode & 0o077) !== 0)
    throw new Refusal(
      `The data directory ${directory} is open to other users; run \`chmod 700 ${directory}\`, because it holds tokens and passwords.`,
      78,
    );
  requireDatabase(directory);
}

/** An empty database opens as a valid one: tokens without their database must not look like a fresh start. */
function requireDatabase(directory: string): void {
  const database = join(directory, "keystead.db");
  const hasTokens = ["clusters", "backups"]
    .map((name) => join(directory, name))
    .some((tokens) => existsSync(tokens) && readdirSync(tokens).length > 0);
  const hasState = existsSync(database) && statSync(database).size > 0;
  if (hasTokens && !hasState)
    throw new Refusal(
      `The data directory ${directory} has tokens but no state database; restore keystead.db from a backup, or move the clusters and backups directories away.`,
      78,
    );
}
