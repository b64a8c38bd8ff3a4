/**
 * What keeps one cluster's token header: the side copy beside the token, and the marks of
 * PIN changes that no login has proven yet. CKR_OK of C_SetPIN is no evidence (reliability
 * F2), so while a mark stands the side copy keeps the header from before the change. The
 * marks are files, because a crash between C_SetPIN and the proof must not lose them.
 *
 * Everything here must run under the cluster's header lock.
 */
import { closeSync, existsSync, fsyncSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CKR, Pkcs11Error, isCkr } from "./errors.ts";
import { fsyncPath, protectHeader, settleHeader, tokenHome } from "./header.ts";
import type { Role } from "./manage.ts";

const ROLES: readonly Role[] = ["so", "user"];
/** Answers with which C_SetPIN and C_InitPIN say that they have left the PIN alone. */
const REFUSALS = [CKR.PIN_INCORRECT, CKR.PIN_INVALID, CKR.PIN_LEN_RANGE, CKR.PIN_LOCKED, CKR.ARGUMENTS_BAD];

export class HeaderGuard {
  readonly #directory: string;
  readonly #tokens: string;

  /** @param directory the cluster's; @param tokens the one below it that holds the token */
  constructor(directory: string, tokens: string) {
    this.#directory = directory;
    this.#tokens = tokens;
  }

  /** Before any call that may rewrite the header. @throws Pkcs11Error when no whole header is to be had */
  protect(): void {
    const home = tokenHome(this.#tokens);
    if (home === undefined) throw new Pkcs11Error("token", CKR.TOKEN_NOT_PRESENT, "token directory");
    const proven = ROLES.every((role) => !existsSync(this.#mark(role)));
    protectHeader(home, join(this.#directory, "token.object.copy"), proven);
  }

  /** @throws Pkcs11Error when a rewrite left no whole header; the side copy is put back first. */
  settle(): void {
    const home = tokenHome(this.#tokens);
    const whole = home !== undefined && settleHeader(home);
    // Restores the header from the side copy when it is not whole, else refreshes the copy.
    this.protect();
    if (!whole) throw new Pkcs11Error("token", CKR.GENERAL_ERROR, "token header after a rewrite");
  }

  /** Run `act`, which changes the PIN of `role`; until a login proves it, the side copy stays as it is. */
  async changing<T>(role: Role, act: () => Promise<T>): Promise<T> {
    const mark = this.#mark(role);
    const earlier = existsSync(mark);
    makeDurably(mark, this.#directory);
    try {
      return await act();
    } catch (error) {
      // Otherwise a refusal would hold back the copy of a later change of the other role's PIN.
      if (!earlier && isCkr(error, ...REFUSALS)) rmSync(mark, { force: true });
      throw error;
    }
  }

  /** A fresh worker has logged in as `role`: the header as it is holds a PIN that is known. */
  proven(role: Role): void {
    // Not flushed: a mark that comes back after a crash only waits for one more login.
    rmSync(this.#mark(role), { force: true });
  }

  /** The header is that of a token which was put into place just now. */
  fresh(): void {
    for (const role of ROLES) this.proven(role);
  }

  #mark(role: Role): string {
    return join(this.#directory, `pin-change.${role}`);
  }
}

function makeDurably(path: string, directory: string): void {
  const file = openSync(path, "w", 0o600);
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  fsyncPath(directory);
}
