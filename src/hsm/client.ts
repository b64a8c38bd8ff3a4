/**
 * The parent's side of one HSM worker: spawn, frames, deadlines. A worker that dies or
 * misses a deadline fails every call in flight with kind `worker` or `deadline` and is
 * never used again; replacing it is `session.ts`'s business.
 */
import type { Socket } from "node:net";
import { Pkcs11Error, type Pkcs11ErrorKind } from "./errors.ts";
import {
  FrameReader,
  FrameWriter,
  STATUS,
  VERB,
  packCount,
  packDataKey,
  type Frame,
  type KeyRef,
} from "./frames.ts";
import { killChild, launch, type Launched } from "./launch.ts";
import type { ManageVerb, ManageVerbs, WorkerSettings } from "./manage.ts";

/** Deadline of a call, in milliseconds. */
const CALL_DEADLINE_MS = 5_000;
/** C_Initialize and indexing read every key file of the token: 0.7 s each at 10,000 keys. */
const SLOW_DEADLINE_MS = 20_000;
const SLOW_VERBS: ReadonlySet<ManageVerb> = new Set(["initialize", "index", "listKeys"]);
/** Deadlines are checked this often rather than by a timer per call. */
const SWEEP_MS = 250;

/** Called with every PKCS#11-level call's outcome, for metrics. */
export interface CallObserver {
  (call: string, rv: string, seconds: number): void;
}

interface Pending {
  readonly call: string;
  readonly started: number;
  readonly due: number;
  readonly resolve: (payload: Buffer) => void;
  readonly reject: (error: Pkcs11Error) => void;
}

export class HsmWorker {
  /** Undefined when no process could be started: such a worker has ended before it began. */
  readonly #launched: Launched | undefined;
  readonly #writer: FrameWriter | undefined;
  readonly #pending = new Map<number, Pending>();
  readonly #observe: CallObserver;
  readonly #sweeper: NodeJS.Timeout;
  #nextId = 1;
  #ended: Pkcs11Error | undefined;
  /** Once the worker has a cluster, its death is its token's doing rather than a failed start. */
  #assigned = false;
  /** Resolves when both libraries are loaded; rejects when the process cannot get there. */
  readonly ready: Promise<void>;
  /** Resolves when the process is gone. */
  readonly exited: Promise<void>;

  /** Never throws: a worker that cannot be started has ended, with kind `start`. */
  constructor(settings: WorkerSettings, observe: CallObserver) {
    this.#observe = observe;
    const launched = launch(settings);
    this.#launched = launched;
    this.#writer = launched === undefined ? undefined : new FrameWriter(launched.socket);
    this.ready = new Promise((resolve, reject) => {
      const now = performance.now();
      const due = now + SLOW_DEADLINE_MS;
      this.#pending.set(0, { call: "start", started: now, due, resolve: () => resolve(), reject });
    });
    // A spare that dies unused is noticed by `alive`, not by an unhandled rejection.
    this.ready.catch(() => undefined);
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#sweeper.unref();
    this.exited = exitOf(launched);
    if (launched === undefined) {
      this.#end("worker", "no process could be started");
      return;
    }
    void this.exited.then(() => this.#end("worker", "the HSM worker ended"));
    this.#listen(launched.socket);
  }

  get alive(): boolean {
    return this.#ended === undefined;
  }

  get pid(): number | undefined {
    return this.#launched?.child.pid;
  }

  /** Run a management verb. @throws Pkcs11Error */
  async manage<V extends ManageVerb>(
    verb: V,
    args: ManageVerbs[V]["args"],
  ): Promise<ManageVerbs[V]["result"]> {
    const payload = Buffer.from(JSON.stringify({ verb, args }));
    const deadline = SLOW_VERBS.has(verb) ? SLOW_DEADLINE_MS : CALL_DEADLINE_MS;
    const answer = await this.#call(VERB.manage, payload, verb, deadline);
    return JSON.parse(answer.toString("utf8")) as ManageVerbs[V]["result"];
  }

  /** Give the worker its cluster and call C_Initialize. @throws Pkcs11Error kind start when it was dead already */
  async initialize(conf: string): Promise<void> {
    await this.manage("assign", { conf });
    this.#assigned = true;
    await this.manage("initialize", {});
  }

  /** @returns `iv ‖ ciphertext ‖ tag` */
  encrypt(key: KeyRef, aad: Uint8Array, plaintext: Uint8Array): Promise<Buffer> {
    return this.#call(VERB.encrypt, packDataKey(key, aad, plaintext), "encrypt", CALL_DEADLINE_MS);
  }

  decrypt(key: KeyRef, aad: Uint8Array, sealed: Uint8Array): Promise<Buffer> {
    return this.#call(VERB.decrypt, packDataKey(key, aad, sealed), "decrypt", CALL_DEADLINE_MS);
  }

  /** @returns `bytes` bytes of plaintext ‖ sealed */
  generateDataKey(key: KeyRef, aad: Uint8Array, bytes: number): Promise<Buffer> {
    const payload = packDataKey(key, aad, packCount(bytes));
    return this.#call(VERB.generateDataKey, payload, "generateDataKey", CALL_DEADLINE_MS);
  }

  generateRandom(bytes: number): Promise<Buffer> {
    return this.#call(VERB.generateRandom, packCount(bytes), "generateRandom", CALL_DEADLINE_MS);
  }

  /** Let the process end by itself: closing the socket is its sign, after the frames already sent. */
  async close(): Promise<void> {
    if (this.#launched === undefined) return;
    const { child, socket } = this.#launched;
    if (this.alive) {
      this.#writer?.flush();
      socket.end();
    }
    const killer = setTimeout(() => killChild(child), CALL_DEADLINE_MS);
    await this.exited;
    clearTimeout(killer);
  }

  /** End the process at once, for a worker that hangs or is poisoned. */
  kill(): void {
    this.#end("worker", "the HSM worker was ended");
  }

  #call(code: number, payload: Buffer, call: string, deadlineMs: number): Promise<Buffer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = this.#nextId;
    this.#nextId = (this.#nextId % 0xffff_fffe) + 1;
    return new Promise((resolve, reject) => {
      const started = performance.now();
      this.#pending.set(id, { call, started, due: started + deadlineMs, resolve, reject });
      this.#writer?.send(id, code, payload);
    });
  }

  #listen(socket: Socket): void {
    const reader = new FrameReader();
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const frame of reader.push(chunk)) this.#settle(frame);
      } catch {
        this.#end("worker", "the HSM worker sent a broken frame");
      }
    });
    socket.on("error", () => this.#end("worker", "the HSM worker's socket failed"));
  }

  #settle(frame: Frame): void {
    const pending = this.#pending.get(frame.id);
    if (pending === undefined) return;
    this.#pending.delete(frame.id);
    const seconds = (performance.now() - pending.started) / 1000;
    if (frame.code !== STATUS.error) {
      this.#observe(pending.call, "CKR_OK", seconds);
      pending.resolve(frame.payload);
      return;
    }
    const {
      kind,
      rv,
      function: fn,
    } = JSON.parse(frame.payload.toString("utf8")) as {
      kind: Pkcs11ErrorKind;
      rv: number;
      function: string;
    };
    const error = new Pkcs11Error(kind, rv, fn);
    this.#observe(pending.call, rv === 0 ? kind : `0x${rv.toString(16)}`, seconds);
    pending.reject(error);
  }

  #sweep(): void {
    const now = performance.now();
    for (const pending of this.#pending.values())
      if (pending.due < now) {
        // A worker that is stuck in one call cannot serve the others: all of them end here.
        this.#end("deadline", `${pending.call} missed its deadline`);
        return;
      }
  }

  #end(kind: "worker" | "deadline", what: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = new Pkcs11Error(this.#assigned ? kind : "start", 0, what);
    clearInterval(this.#sweeper);
    if (this.#launched !== undefined) killChild(this.#launched.child);
    const inFlight = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of inFlight) pending.reject(this.#ended);
  }
}

/** Resolves when the process is gone, or was never there. */
function exitOf(launched: Launched | undefined): Promise<void> {
  return new Promise((resolve) => {
    launched?.child.once("exit", () => resolve());
    launched?.child.once("error", () => resolve());
    if (launched === undefined) resolve();
  });
}
