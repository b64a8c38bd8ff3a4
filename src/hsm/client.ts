/**
 * The parent's side of one HSM worker: spawn, frames, deadlines. A worker that dies or
 * misses a deadline fails every call in flight with kind `worker` or `deadline` and is
 * never used again; replacing it is `session.ts`'s business.
 */
import { spawn, type ChildProcess } from "node:child_process";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
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
  readonly #child: ChildProcess;
  readonly #writer: FrameWriter;
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

  constructor(settings: WorkerSettings, observe: CallObserver) {
    this.#observe = observe;
    this.#child = launch(settings);
    const socket = this.#child.stdio[3] as Socket;
    this.#writer = new FrameWriter(socket);
    this.ready = new Promise((resolve, reject) => {
      const now = performance.now();
      const due = now + SLOW_DEADLINE_MS;
      this.#pending.set(0, { call: "start", started: now, due, resolve: () => resolve(), reject });
    });
    // A spare that dies unused is noticed by `alive`, not by an unhandled rejection.
    this.ready.catch(() => undefined);
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#sweeper.unref();
    this.exited = new Promise((resolve) => {
      this.#child.once("exit", resolve);
      this.#child.once("error", () => resolve());
    });
    void this.exited.then(() => this.#end("worker", "the HSM worker ended"));
    this.#listen(socket);
  }

  get alive(): boolean {
    return this.#ended === undefined;
  }

  get pid(): number | undefined {
    return this.#child.pid;
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
    if (this.alive) {
      this.#writer.flush();
      (this.#child.stdio[3] as Socket).end();
    }
    const killer = setTimeout(() => this.#child.kill("SIGKILL"), CALL_DEADLINE_MS);
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
      this.#writer.send(id, code, payload);
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
    this.#child.kill("SIGKILL");
    const inFlight = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of inFlight) pending.reject(this.#ended);
  }
}

/** What a worker may see of the server's environment: nothing but what a PKCS#11 module in front of another needs. */
function workerEnvironment(settings: WorkerSettings): NodeJS.ProcessEnv {
  const spy = Object.entries(process.env).filter(([name]) => name.startsWith("PKCS11SPY"));
  return {
    PATH: process.env["PATH"] ?? "/usr/bin:/bin",
    KEYSTEAD_WORKER: JSON.stringify(settings),
    ...Object.fromEntries(spy),
  };
}

/** The compiled worker, also when the parent itself runs from TypeScript sources (tests). */
function workerScript(): string {
  const here = fileURLToPath(import.meta.url);
  return here.endsWith(".ts")
    ? fileURLToPath(new URL("../../dist/hsm/worker.js", import.meta.url))
    : fileURLToPath(new URL("worker.js", import.meta.url));
}

function launch(settings: WorkerSettings): ChildProcess {
  const node = [process.execPath, "--disable-proto=delete", workerScript()];
  // Without the addon nothing in the worker can set its own limit.
  const capped =
    settings.backend === "native" ? node : ["prlimit", `--as=${settings.memoryLimit}`, "--core=0", ...node];
  const [command = process.execPath, ...args] = capped;
  return spawn(command, args, {
    env: workerEnvironment(settings),
    stdio: ["ignore", "ignore", "ignore", "pipe"],
    // Ctrl-C in a terminal reaches the whole process group; workers end when the server closes them.
    detached: true,
  });
}
