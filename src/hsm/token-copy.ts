/**
 * Copies of token directories. A token directory is relocatable, so a copy of its files is a
 * backup (design/softhsm.md §1). Key object files are written once, in several steps, when the
 * key is made; the header is rewritten in place. So whoever copies a token in use must keep out
 * the making of keys and hold the header lock.
 */
import { constants } from "node:fs";
import { chmod, copyFile, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CKR, Pkcs11Error } from "./errors.ts";
import { tokenHome } from "./header.ts";

/** Every file is flushed; some at a time, as a token may have thousands of keys. */
const FILES_AT_ONCE = 16;

/**
 * Copy a token's own directory `home` into the directory `to`, under the same name. Where `to`
 * is not there yet, it appears whole or not at all.
 */
export async function copyTokenDirectory(home: string, to: string): Promise<void> {
  const making = makingOf(to);
  await rm(making, { recursive: true, force: true });
  try {
    await copyFiles(home, join(making, basename(home)));
    await flush(making);
    await rm(to, { recursive: true, force: true });
    await rename(making, to);
    await flush(dirname(to));
  } finally {
    await rm(making, { recursive: true, force: true });
  }
}

function makingOf(to: string): string {
  return `${to}.new`;
}

/** Remove the copy `to`, and what an interrupted run has left of it. */
export async function removeCopy(to: string): Promise<void> {
  for (const path of [makingOf(to), to]) await rm(path, { recursive: true, force: true });
}

/** Copy what `copyTokenDirectory` left in the directory `from` to the directory `to`. @throws Pkcs11Error when it is not there */
export async function copyBackupFiles(from: string, to: string): Promise<void> {
  const home = tokenHome(from);
  if (home === undefined) throw new Pkcs11Error("token", CKR.TOKEN_NOT_PRESENT, "backup");
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  await copyTokenDirectory(home, to);
}

async function copyFiles(home: string, copy: string): Promise<void> {
  await mkdir(copy, { recursive: true, mode: 0o700 });
  const names = await readdir(home);
  for (let at = 0; at < names.length; at += FILES_AT_ONCE)
    await Promise.all(
      names.slice(at, at + FILES_AT_ONCE).map((name) => copyDurably(join(home, name), join(copy, name))),
    );
  await flush(copy);
}

async function copyDurably(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE);
  } catch (error) {
    // A key that is destroyed while others are copied is a key that is gone.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  await chmod(to, 0o600);
  await flush(to);
}

async function flush(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
