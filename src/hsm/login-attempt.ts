/** A login of the server's own as kmsuser, which may go on to a rotation of the password (architecture, *Connect*). */
import type { HsmWorker } from "./client.ts";
import { Pkcs11Error } from "./errors.ts";

export interface LoggedIn {
  readonly worker: HsmWorker;
  /** Which of the PINs tried the token accepted. */
  readonly accepted: string;
}

interface LoginActs {
  login(pins: readonly string[]): Promise<LoggedIn>;
  /** Run what changes the PIN: until a login proves it, the side copy stays as it was. */
  changing(act: () => Promise<null>): Promise<null>;
  settle(): void;
  serving(worker: HsmWorker, accepted: string): Promise<LoggedIn>;
}

/** What a rotation tells the store of passwords, durably, before and after the irreversible act. */
export interface RotationJournal {
  pending(next: string): Promise<void>;
  commit(): Promise<void>;
}

/** A kmsuser login that holds the header lock until `end`, so that nobody changes the PIN in between. */
export class LoginAttempt {
  readonly #acts: LoginActs;
  readonly #release: () => void;
  #worker: HsmWorker | undefined;

  constructor(acts: LoginActs, release: () => void) {
    this.#acts = acts;
    this.#release = release;
  }

  /** Genuine C_Login with the first of `pins` the token accepts. @returns that PIN */
  async login(pins: readonly string[]): Promise<string> {
    const { worker, accepted } = await this.#acts.login(pins);
    this.#worker = worker;
    return accepted;
  }

  /**
   * The rotation protocol (architecture, *Connect*): journal → C_SetPIN → fsync and size →
   * login with the new PIN in a fresh worker → commit. @returns the fresh worker, which serves
   */
  async rotate(current: string, next: string, journal: RotationJournal): Promise<HsmWorker> {
    const changing = this.#worker;
    if (changing === undefined) throw new Pkcs11Error("argument", 0, "C_SetPIN without a login");
    await journal.pending(next);
    await this.#acts.changing(() => changing.manage("setPin", { current, next }));
    this.#acts.settle();
    const { worker } = await this.#acts.login([next]);
    try {
      await journal.commit();
      return (await this.#acts.serving(worker, next)).worker;
    } catch (error) {
      worker.kill();
      throw error;
    }
  }

  /** Close the worker that logged in first and give the header lock back. */
  async end(): Promise<void> {
    await this.#worker?.close();
    this.#worker = undefined;
    this.#release();
  }
}
