/**
 * The token header: SoftHSM's `token.object`, which holds both PINs and the key that wraps
 * every private object. SoftHSM truncates and rewrites it in place on every C_Login and
 * C_SetPIN without fsync, so a kill or a full disk at that moment destroys the token
 * (design/softhsm.md §2). Everything here keeps one known-good side copy beside it.
 *
 * All functions must run under the cluster's header lock.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { CKR, Pkcs11Error } from "./errors.ts";

const HEADER = "token.object";
/** Below this a rewrite in place may run out of space half-way (reliability §3.4). */
const LEAST_FREE_BYTES = 16 * 1024 * 1024;

/** SoftHSM's vendor attributes of a token object: label, serial, flags, SO PIN. */
const LABEL = 0x80005349n;
const FLAGS = 0x8000534bn;
const NEEDED_ATTRIBUTES: readonly bigint[] = [LABEL, 0x8000534an, FLAGS, 0x8000534cn];
/** The last one in the file; without it a cut header would pass for that of a token without a user PIN. */
const USER_PIN = 0x8000534dn;
const CKF_USER_PIN_INITIALIZED = 0x8n;

const KIND = { boolean: 1n, ulong: 2n, bytes: 3n } as const;

/** True when the file is whole: a generation, then attributes whose lengths add up to the file's size. */
export function isWholeHeader(bytes: Buffer): boolean {
  const attributes = readAttributes(bytes);
  if (attributes === undefined) return false;
  const flags = attributes.get(FLAGS);
  const userPin = flags?.length === 8 && (flags.readBigUInt64BE(0) & CKF_USER_PIN_INITIALIZED) !== 0n;
  return [...NEEDED_ATTRIBUTES, ...(userPin ? [USER_PIN] : [])].every((needed) => attributes.has(needed));
}

/** CKA_LABEL of the token that a header belongs to; undefined when the header is not whole. */
export function labelOf(home: string): string | undefined {
  const bytes = readIfThere(join(home, HEADER));
  if (bytes === undefined || !isWholeHeader(bytes)) return undefined;
  // A byte string's own length comes first; the label is padded with blanks.
  return readAttributes(bytes)?.get(LABEL)?.subarray(8).toString("utf8").trim();
}

/** Attribute type → its value as stored; undefined when lengths do not add up to the file's size. */
function readAttributes(bytes: Buffer): Map<bigint, Buffer> | undefined {
  const attributes = new Map<bigint, Buffer>();
  let at = 8;
  while (at + 16 <= bytes.length) {
    const kind = bytes.readBigUInt64BE(at + 8);
    const length = valueLength(bytes, at + 16, kind);
    if (length === undefined || at + 16 + length > bytes.length) return undefined;
    attributes.set(bytes.readBigUInt64BE(at), bytes.subarray(at + 16, at + 16 + length));
    at += 16 + length;
  }
  return at === bytes.length ? attributes : undefined;
}

function valueLength(bytes: Buffer, at: number, kind: bigint): number | undefined {
  if (kind === KIND.boolean) return 1;
  if (kind === KIND.ulong) return 8;
  if (kind !== KIND.bytes || at + 8 > bytes.length) return undefined;
  const length = bytes.readBigUInt64BE(at);
  return length > BigInt(bytes.length) ? undefined : 8 + Number(length);
}

/** The directory of the one token below `tokenDirectory`, or undefined when it is not there. */
export function tokenHome(tokenDirectory: string): string | undefined {
  if (!existsSync(tokenDirectory)) return undefined;
  const home = readdirSync(tokenDirectory, { withFileTypes: true }).find((entry) => entry.isDirectory());
  return home === undefined ? undefined : join(tokenDirectory, home.name);
}

function readIfThere(path: string): Buffer | undefined {
  return existsSync(path) ? readFileSync(path) : undefined;
}

/** fsync of a file, or of a directory's names. */
export function fsyncPath(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** tmp, fsync, rename, fsync directory: after it returns the file is either the old or the new one. */
function replaceFile(path: string, bytes: Buffer): void {
  const temporary = `${path}.new`;
  const file = openSync(temporary, "w", 0o600);
  try {
    writeSync(file, bytes);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  fsyncPath(dirname(path));
}

/**
 * Before any call that may rewrite the header: refresh the side copy from a whole header,
 * or restore the header from the side copy.
 * @param refresh false while a changed PIN is not proven: then the copy keeps the header from before
 * @throws Pkcs11Error CKR_GENERAL_ERROR when neither is whole, CKR_DEVICE_MEMORY when the disk is nearly full
 */
export function protectHeader(home: string, sideCopy: string, refresh: boolean): void {
  const { bavail, bsize } = statfsSync(home);
  if (bavail * bsize < LEAST_FREE_BYTES)
    throw new Pkcs11Error("token", CKR.DEVICE_MEMORY, "free space for a login");
  const header = readIfThere(join(home, HEADER));
  const copy = readIfThere(sideCopy);
  if (header !== undefined && isWholeHeader(header)) {
    if (refresh && !(copy?.equals(header) ?? false)) replaceFile(sideCopy, header);
    return;
  }
  if (copy === undefined || !isWholeHeader(copy))
    throw new Pkcs11Error("token", CKR.GENERAL_ERROR, "token header");
  replaceFile(join(home, HEADER), copy);
}

/**
 * After calls that rewrote the header: put it on disk and see that it is whole, because
 * SoftHSM reports success with a file of 0 bytes (design/softhsm.md §1).
 * @returns false when the header is not whole
 */
export function settleHeader(home: string): boolean {
  const header = readIfThere(join(home, HEADER));
  if (header === undefined || !isWholeHeader(header)) return false;
  fsyncPath(join(home, HEADER));
  if (existsSync(join(home, "generation"))) fsyncPath(join(home, "generation"));
  fsyncPath(home);
  return true;
}

/** Put the object files that `before` does not list, and the directory, on disk. */
export function syncNewObjects(home: string, before: ReadonlySet<string>): void {
  for (const name of objectFiles(home)) if (!before.has(name)) fsyncIfThere(join(home, name));
  fsyncPath(home);
}

/** A key that was destroyed since the directory was read has nothing left to put on disk. */
function fsyncIfThere(path: string): void {
  try {
    fsyncPath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/**
 * Move a token that was made in `staging` into its place: it appears whole or not at all.
 * @throws Pkcs11Error CKR_GENERAL_ERROR when what is in `staging` is no whole token
 */
export function adoptToken(staging: string, tokenDirectory: string): void {
  const home = tokenHome(staging);
  if (home === undefined || !settleHeader(home))
    throw new Pkcs11Error("token", CKR.GENERAL_ERROR, "token header of a new token");
  renameSync(home, join(tokenDirectory, basename(home)));
  fsyncPath(tokenDirectory);
}

/** Names of the object files of a token; SoftHSM names them by random UUID. */
export function objectFiles(home: string): Set<string> {
  return new Set(readdirSync(home).filter((name) => name.endsWith(".object") && name !== HEADER));
}
