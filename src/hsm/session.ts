/**
 * KMS's session for one connected key store: one HSM worker that lives from connect to
 * disconnect, replaced when it dies, hangs or its token turns bad. Reads in flight are
 * retried once on the fresh worker, mutations never (architecture, *One process per
 * client application*).
 */
import type { HsmWorker } from "./client.ts";
import type { ClusterToken } from "./cluster-token.ts";
import { CKR, Pkcs11Error, isCkr } from "./errors.ts";
import type { KeyRef } from "./frames.ts";
import type { KeyObject } from "./manage.ts";

const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 2_000;
/** A refused PIN stays refused until somebody changes it, and each try has SoftHSM rewrite the header. */
const REFUSED_PIN_BACKOFF_MS = 60_000;
const REFUSED_PIN = [CKR.PIN_INCORRECT, CKR.PIN_INVALID, CKR.PIN_LEN_RANGE, CKR.PIN_EXPIRED, CKR.PIN_LOCKED];
/** A missing key may mean that the library lost sight of its token; a fresh worker is tried this seldom. */
const MISSING_KEY_RESTART_MS = 5_000;

export interface SessionEvents {
  /** The worker was replaced; key copies and canary verdicts start afresh. */
  replaced(): void;
}

export class KmsSession {
  readonly #token: ClusterToken;
  readonly #pin: () => Promise<string>;
  readonly #events: SessionEvents;
  #worker: HsmWorker | undefined;
  #replacing: Promise<HsmWorker> | undefined;
  #backoffMs = FIRST_BACKOFF_MS;
  #notBefore = 0;
  #lastFailure: Pkcs11Error | undefined;
  #startedAt: number;
  readonly #now: () => number;
  #closed = false;

  /**
   * @param worker logged in as kmsuser and indexed; undefined when the first one could not be had (restart)
   * @param now monotonic milliseconds, for back-off
   * @param pin the store's current password, for a replacement's C_Login; it is not kept here
   */
  constructor(
    token: ClusterToken,
    worker: HsmWorker | undefined,
    pin: () => Promise<string>,
    events: SessionEvents,
    now: () => number = () => performance.now(),
  ) {
    this.#now = now;
    this.#startedAt = now();
    this.#token = token;
    this.#worker = worker;
    this.#pin = pin;
    this.#events = events;
  }

  /** True when a worker is logged in and serving. */
  get serving(): boolean {
    return this.#worker?.alive === true;
  }

  /** Why there is no worker, for health reports. */
  get failure(): Pkcs11Error | undefined {
    return this.serving ? undefined : this.#lastFailure;
  }

  /** Process id of the serving worker, for health reports and fault tests. */
  get workerPid(): number | undefined {
    return this.#worker?.pid;
  }

  encrypt(key: KeyRef, aad: Uint8Array, plaintext: Uint8Array): Promise<Buffer> {
    return this.#read((worker) => worker.encrypt(key, aad, plaintext));
  }

  decrypt(key: KeyRef, aad: Uint8Array, sealed: Uint8Array): Promise<Buffer> {
    return this.#read((worker) => worker.decrypt(key, aad, sealed));
  }

  /** @returns `bytes` bytes of plaintext ‖ sealed */
  generateDataKey(key: KeyRef, aad: Uint8Array, bytes: number): Promise<Buffer> {
    return this.#read((worker) => worker.generateDataKey(key, aad, bytes));
  }

  generateRandom(bytes: number): Promise<Buffer> {
    return this.#read((worker) => worker.generateRandom(bytes));
  }

  /** C_GenerateKey; never retried, because whether a lost call acted is unknown. */
  async generateKey(id: string, label: string): Promise<KeyObject> {
    return (await this.#current()).manage("generateKey", { id, label });
  }

  async destroyKey(id: string, label: string): Promise<void> {
    await (await this.#current()).manage("destroyKey", { id, label });
  }

  /** Drop the worker's working copy of a key, as before a deletion. */
  async forget(id: string, label: string): Promise<void> {
    if (this.serving) await this.#worker?.manage("forget", { id, label });
  }

  /** C_GetTokenInfo through the serving worker. */
  async probe(): Promise<void> {
    await (await this.#current()).manage("probe", {});
  }

  /** C_Logout, then the process ends. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#replacing?.catch(() => undefined);
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker?.alive !== true) return;
    await worker.manage("logout", {}).catch(() => undefined);
    await worker.close();
  }

  async #read(call: (worker: HsmWorker) => Promise<Buffer>): Promise<Buffer> {
    // The common case allocates nothing but the call itself.
    const worker = this.#worker?.alive === true ? this.#worker : await this.#current();
    try {
      return await call(worker);
    } catch (error) {
      if (!this.#spoils(error)) throw error;
      if (worker === this.#worker) this.#discard(worker);
      return call(await this.#current());
    }
  }

  /** Errors after which the worker's state is not to be trusted. */
  #spoils(error: unknown): boolean {
    if (!(error instanceof Pkcs11Error)) return false;
    if (error.kind === "missing") return this.#now() - this.#startedAt > MISSING_KEY_RESTART_MS;
    return error.kind === "token" || error.kind === "worker" || error.kind === "deadline";
  }

  #discard(worker: HsmWorker): void {
    this.#worker = undefined;
    worker.kill();
  }

  #current(): Promise<HsmWorker> {
    if (this.#closed) return Promise.reject(new Pkcs11Error("worker", 0, "the session is closed"));
    if (this.#worker?.alive === true) return Promise.resolve(this.#worker);
    this.#replacing ??= this.#replace().finally(() => {
      this.#replacing = undefined;
    });
    return this.#replacing;
  }

  async #replace(): Promise<HsmWorker> {
    if (this.#now() < this.#notBefore && this.#lastFailure !== undefined) throw this.#lastFailure;
    try {
      const { worker } = await this.#token.serve([await this.#pin()]);
      this.#worker = worker;
      this.#startedAt = this.#now();
      this.#backoffMs = FIRST_BACKOFF_MS;
      this.#lastFailure = undefined;
      this.#events.replaced();
      return worker;
    } catch (error) {
      const failure = error instanceof Pkcs11Error ? error : new Pkcs11Error("worker", 0, "C_Login");
      this.#lastFailure = failure;
      const refused = isCkr(failure, ...REFUSED_PIN);
      this.#notBefore = this.#now() + (refused ? REFUSED_PIN_BACKOFF_MS : this.#backoffMs);
      this.#backoffMs = Math.min(this.#backoffMs * 2, LONGEST_BACKOFF_MS);
      throw failure;
    }
  }
}
