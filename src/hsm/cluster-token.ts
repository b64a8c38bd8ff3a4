/**
 * One cluster's token: its directory, its header lock, and every PKCS#11 act on it, each
 * run by a short-lived HSM worker so that it sees the PINs as they are now (architecture,
 * *One header lock per token*). Copy → act → fsync → verify in a fresh worker → refresh.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Mutex } from "../core/mutex.ts";
import type { HsmWorker } from "./client.ts";
import { CKR, Pkcs11Error, isCkr } from "./errors.ts";
import { HeaderGuard } from "./header-guard.ts";
import { adoptToken, labelOf, objectFiles, syncNewObjects, tokenHome } from "./header.ts";
import type { KeyObject, Role } from "./manage.ts";
import { configuration } from "./configuration.ts";
import { LoginAttempt, type LoggedIn } from "./login-attempt.ts";
import type { Spares } from "./spares.ts";
import { copyBackupFiles, copyTokenDirectory } from "./token-copy.ts";

export type { KeyObject, Role } from "./manage.ts";

export class ClusterToken {
  readonly clusterId: string;
  readonly directory: string;
  readonly #spares: Spares;
  /** The header lock: one process at a time inside C_Initialize, C_Login, C_SetPIN and the like. */
  readonly #lock = new Mutex();
  /**
   * One at a time of whatever makes or destroys key objects through a session, and of backups.
   * Taken before the header lock by those who need both: a session whose worker died logs in
   * anew, under the header lock, in the midst of making a key.
   */
  readonly #objects = new Mutex();
  readonly #header: HeaderGuard;

  constructor(clusterId: string, directory: string, spares: Spares) {
    this.clusterId = clusterId;
    this.directory = directory;
    this.#spares = spares;
    this.#header = new HeaderGuard(directory, this.#tokens);
  }

  /** SOFTHSM2_CONF of this cluster. */
  get conf(): string {
    return join(this.directory, "softhsm2.conf");
  }

  /** True when a token directory is where it should be, readable or not. */
  present(): boolean {
    return tokenHome(this.#tokens) !== undefined;
  }

  /**
   * The token's label, by which the library finds it: the id of the cluster it was initialised
   * for. A restored cluster's token keeps it, because a new label would need C_InitToken,
   * which destroys all keys.
   */
  get label(): string {
    const home = tokenHome(this.#tokens);
    return (home === undefined ? undefined : labelOf(home)) ?? this.clusterId;
  }

  /**
   * C_InitToken in a staging directory, then a rename into place.
   * @returns the token's serial number
   * @throws Pkcs11Error argument when there is a token already: nothing here ever re-initialises one
   */
  initialize(soPin: string): Promise<string> {
    return this.#lock.run(async () => {
      if (this.present()) throw new Pkcs11Error("argument", 0, "C_InitToken on an initialised token");
      const staging = this.#emptyStaging();
      const conf = join(this.directory, "staging.conf");
      writeFileSync(conf, configuration(staging), { mode: 0o600 });
      const worker = await this.#spares.take();
      try {
        await worker.initialize(conf);
        const { serial } = await worker.manage("initToken", { label: this.clusterId, soPin });
        await worker.close();
        adoptToken(staging, this.#tokens);
        this.#header.fresh();
        this.#protect();
        return serial;
      } finally {
        worker.kill();
        rmSync(staging, { recursive: true, force: true });
        rmSync(conf, { force: true });
      }
    });
  }

  /** C_Login and C_Logout. @throws Pkcs11Error CKR_PIN_INCORRECT, CKR_USER_PIN_NOT_INITIALIZED … */
  verify(role: Role, pin: string): Promise<void> {
    return this.#lock.run(() => this.#loggedIn(role, pin, () => Promise.resolve()));
  }

  /** C_Login, C_SetPIN, and a login with the new PIN from a fresh worker. */
  changePin(role: Role, current: string, next: string): Promise<void> {
    return this.#lock.run(async () => {
      await this.#loggedIn(role, current, (worker) =>
        this.#header.changing(role, () => worker.manage("setPin", { current, next })),
      );
      await this.#loggedIn(role, next, () => Promise.resolve());
    });
  }

  /** C_Login(CKU_SO), C_InitPIN, and a login with the new user PIN from a fresh worker. */
  initUserPin(soPin: string, userPin: string): Promise<void> {
    return this.#lock.run(async () => {
      await this.#loggedIn("so", soPin, (worker) =>
        this.#header.changing("user", () => worker.manage("initPin", { pin: userPin })),
      );
      await this.#loggedIn("user", userPin, () => Promise.resolve());
    });
  }

  /** All secret key objects, seen as kmsuser. */
  listKeys(userPin: string): Promise<readonly KeyObject[]> {
    return this.#lock.run(() => this.#loggedIn("user", userPin, (worker) => worker.manage("listKeys", {})));
  }

  /** Destroy exactly one key object as kmsuser. @throws Pkcs11Error missing or ambiguous */
  destroyKey(userPin: string, id: string, label: string): Promise<void> {
    return this.#lock.run(() =>
      this.#loggedIn("user", userPin, async (worker) => {
        await worker.manage("destroyKey", { id, label });
      }),
    );
  }

  /**
   * A worker that is logged in as kmsuser with the first of `pins` the token accepts, and
   * has indexed its keys: the client application that serves a connected key store.
   */
  serve(pins: readonly string[]): Promise<LoggedIn> {
    return this.#lock.run(async () => {
      const { worker, accepted } = await this.#login("user", pins);
      return this.#serving(worker, accepted);
    });
  }

  /**
   * Take the header lock for a login that may go on to a rotation. The caller must `end` it.
   * When `deadline` aborts before the login has succeeded, its worker is ended.
   */
  async beginLogin(deadline: AbortSignal): Promise<LoginAttempt> {
    const release = await this.#lock.hold();
    return new LoginAttempt(
      {
        login: (pins) => this.#login("user", pins, deadline),
        changing: (act) => this.#header.changing("user", act),
        settle: () => this.#header.settle(),
        serving: (worker, accepted) => this.#serving(worker, accepted),
      },
      release,
    );
  }

  /**
   * Run `act`, which makes or destroys key objects on this token, and put what it did on
   * disk: SoftHSM never calls fsync (design/softhsm.md §2). No backup is made meanwhile.
   */
  durably<T>(act: () => Promise<T>): Promise<T> {
    return this.#objects.run(async () => {
      const home = tokenHome(this.#tokens);
      const before = home === undefined ? new Set<string>() : objectFiles(home);
      const result = await act();
      if (home !== undefined) syncNewObjects(home, before);
      return result;
    });
  }

  /**
   * Copy the token as it is now to the directory `to`, which appears whole or not at all. Only
   * files are read, so a key store that is connected goes on working; the header lock keeps
   * every rewrite of the header, and with it of the PINs, out of the copy, and the lock of the
   * objects keeps half-written keys out of it.
   * @throws Pkcs11Error when there is no token, or no whole header of it
   */
  backup(to: string): Promise<void> {
    const copy = async (): Promise<void> => {
      this.#protect();
      const home = tokenHome(this.#tokens);
      if (home === undefined) throw new Pkcs11Error("token", CKR.TOKEN_NOT_PRESENT, "token directory");
      await copyTokenDirectory(home, to);
    };
    return this.#objects.run(() => this.#lock.run(copy));
  }

  /**
   * Put the token that `backup` left in `from` into this cluster's place. A token that is there
   * is one that an interrupted run has restored, because the rename is the last step.
   * @throws Pkcs11Error when the backup holds no whole token
   */
  restore(from: string): Promise<void> {
    return this.#lock.run(async () => {
      if (this.present()) return;
      const staging = this.#emptyStaging();
      try {
        await copyBackupFiles(from, staging);
        adoptToken(staging, this.#tokens);
        this.#header.fresh();
        this.#protect();
      } finally {
        rmSync(staging, { recursive: true, force: true });
      }
    });
  }

  /** Remove the token with everything on it; only for a cluster that was deleted. */
  remove(): Promise<void> {
    return this.#lock.run(() => {
      rmSync(this.directory, { recursive: true, force: true });
      return Promise.resolve();
    });
  }

  get #tokens(): string {
    return join(this.directory, "tokens");
  }

  /** A place to make a token in, beside the directory that it is moved to. */
  #emptyStaging(): string {
    const staging = join(this.directory, "staging");
    rmSync(staging, { recursive: true, force: true });
    for (const directory of [staging, this.#tokens]) mkdirSync(directory, { recursive: true, mode: 0o700 });
    return staging;
  }

  #protect(): void {
    this.#header.protect();
    const wanted = configuration(this.#tokens);
    if (!existsSync(this.conf) || readFileSync(this.conf, "utf8") !== wanted)
      writeFileSync(this.conf, wanted, { mode: 0o600 });
  }

  /** A fresh worker on this token, opened and not logged in. */
  async #open(deadline?: AbortSignal): Promise<HsmWorker> {
    this.#protect();
    const worker = await this.#spares.take(deadline);
    try {
      await worker.initialize(this.conf);
      await worker.manage("open", { label: this.label, serial: null });
      return worker;
    } catch (error) {
      worker.kill();
      // The directory is there and its header is whole, yet the library does not show the token.
      if (isCkr(error, CKR.TOKEN_NOT_PRESENT) && this.present())
        throw new Pkcs11Error("token", CKR.GENERAL_ERROR, "C_GetSlotList");
      throw error;
    }
  }

  /** C_Login with the first PIN that is accepted; a refused one only leads to the next. */
  async #login(role: Role, pins: readonly string[], deadline?: AbortSignal): Promise<LoggedIn> {
    const worker = await this.#open(deadline);
    try {
      for (const [index, pin] of pins.entries()) {
        try {
          await worker.manage("login", { role, pin });
          this.#header.proven(role);
          this.#header.settle();
          return { worker, accepted: pin };
        } catch (error) {
          // SoftHSM rewrites the header for a wrong PIN too.
          if (worker.alive) this.#header.settle();
          if (index === pins.length - 1 || !isCkr(error, CKR.PIN_INCORRECT)) throw error;
        }
      }
      throw new Pkcs11Error("argument", 0, "C_Login without a PIN");
    } catch (error) {
      worker.kill();
      throw error;
    }
  }

  async #serving(worker: HsmWorker, accepted: string): Promise<LoggedIn> {
    try {
      await worker.manage("index", {});
      return { worker, accepted };
    } catch (error) {
      worker.kill();
      throw error;
    }
  }

  async #loggedIn<T>(role: Role, pin: string, body: (worker: HsmWorker) => Promise<T>): Promise<T> {
    const { worker } = await this.#login(role, [pin]);
    try {
      const result = await body(worker);
      await worker.manage("logout", {});
      return result;
    } finally {
      await worker.close();
      this.#header.settle();
    }
  }
}
