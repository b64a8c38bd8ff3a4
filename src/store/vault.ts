/**
 * The vault seals passwords at rest: AES-256-GCM under a key file that only the owner can
 * read. Its associated data binds a ciphertext to its row, so that a password cannot be
 * moved to another store or cluster. It protects against a leaked database, not against a
 * leaked volume (design/reliability.md §6).
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Refusal } from "../core/errors.ts";

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export class Vault {
  readonly #key: Buffer;

  constructor(key: Buffer) {
    this.#key = key;
  }

  /** @param binding what the secret belongs to, for example the row's id and generation */
  seal(secret: string, ...binding: readonly string[]): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce).setAAD(associated(binding));
    return Buffer.concat([nonce, cipher.update(secret, "utf8"), cipher.final(), cipher.getAuthTag()]);
  }

  /** @throws Error when the ciphertext is not this vault's or belongs to another row */
  open(sealed: Uint8Array, ...binding: readonly string[]): string {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
    const decipher = createDecipheriv("aes-256-gcm", this.#key, bytes.subarray(0, NONCE_BYTES))
      .setAAD(associated(binding))
      .setAuthTag(bytes.subarray(-TAG_BYTES));
    const body = bytes.subarray(NONCE_BYTES, -TAG_BYTES);
    return Buffer.concat([decipher.update(body), decipher.final()]).toString("utf8");
  }
}

function associated(binding: readonly string[]): Buffer {
  return Buffer.from(JSON.stringify(binding));
}

/** Open the data directory's vault, making its key file on first use. @throws Refusal for a damaged key file */
export function openVault(directory: string): Vault {
  const path = join(directory, "vault.key");
  if (!existsSync(path)) {
    const file = openSync(path, "wx", 0o600);
    writeSync(file, randomBytes(KEY_BYTES));
    fsyncSync(file);
    closeSync(file);
  }
  const key = readFileSync(path);
  if (key.length !== KEY_BYTES)
    throw new Refusal(
      `${path} is not a vault key of ${KEY_BYTES} bytes; restore it from a backup of the data directory.`,
      78,
    );
  return new Vault(key);
}
