/**
 * Where the operator's session token lives between two commands: a file that only its
 * owner can read, one per server and cluster. Whoever can read it is logged in, so a
 * directory that belongs to somebody else is refused.
 */
import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refusal } from "../core/errors.ts";

const ENVIRONMENT = 3;
const GROUP_AND_OTHERS = 0o077;

export class SessionFile {
  readonly #path: string;

  constructor(endpoint: string, clusterId: string) {
    const name = createHash("sha256").update(`${endpoint} ${clusterId}`).digest("hex").slice(0, 32);
    this.#path = join(ownDirectory(), name);
  }

  read(): string | undefined {
    try {
      return readFileSync(this.#path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  write(token: string): void {
    // A new file renamed over the old one: its mode is right from its first byte.
    const fresh = `${this.#path}.${process.pid}`;
    writeFileSync(fresh, token, { mode: 0o600, flag: "wx" });
    renameSync(fresh, this.#path);
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }
}

function ownDirectory(): string {
  const uid = process.getuid?.() ?? 0;
  const runtime = process.env["XDG_RUNTIME_DIR"];
  const directory = runtime === undefined ? join(tmpdir(), `keystead-${uid}`) : join(runtime, "keystead");
  mkdirSync(directory, { mode: 0o700, recursive: true });
  const { mode, uid: owner } = lstatSync(directory);
  const isDirectory = lstatSync(directory).isDirectory();
  if (!isDirectory || owner !== uid || (mode & GROUP_AND_OTHERS) !== 0)
    throw new Refusal(
      `${directory} must be a directory that only you can read, since operator sessions are kept there; remove it, or set XDG_RUNTIME_DIR.`,
      ENVIRONMENT,
    );
  return directory;
}
