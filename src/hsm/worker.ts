/**
 * The HSM worker: the entry of the child process that is one client application of one
 * cluster (architecture, *One process per client application*). It owns one PKCS#11
 * library, its sessions and its login, answers frames on descriptor 3, and ends when that
 * socket closes. It knows nothing of AWS.
 */
import { Socket } from "node:net";
import { loadAddon, nativeBackend, type DataKeyBackend, type NativeAddon } from "./crypto.ts";
import { Pkcs11Error } from "./errors.ts";
import { FrameReader, FrameWriter, STATUS, VERB, unpackDataKey, type Frame } from "./frames.ts";
import { grapheneBackend } from "./graphene-backend.ts";
import type { ManageVerb, ManageVerbs, WorkerSettings } from "./manage.ts";
import { Token, TokenModule } from "./token.ts";

const SOCKET_FD = 3;

/** Everything the process holds between frames. */
class Worker {
  readonly #settings: WorkerSettings;
  readonly #addon: NativeAddon | undefined;
  readonly #module: TokenModule;
  #token: Token | undefined;
  #backend: DataKeyBackend | undefined;

  constructor(settings: WorkerSettings) {
    this.#settings = settings;
    // The graphene backend must work without the addon; its memory cap then comes from prlimit.
    if (settings.backend === "native") {
      this.#addon = loadAddon();
      this.#addon.limitMemory(settings.memoryLimit);
    }
    this.#module = new TokenModule(settings.modulePath);
  }

  readonly manage: { [V in ManageVerb]: (args: ManageVerbs[V]["args"]) => ManageVerbs[V]["result"] } = {
    assign: ({ conf }) => {
      // On the main thread, so that the library's getenv sees it.
      process.env["SOFTHSM2_CONF"] = conf;
      return null;
    },
    initialize: () => {
      this.#module.initialize();
      return null;
    },
    open: ({ label, serial }) => {
      this.#token = new Token(this.#module, this.#module.findSlot(label, serial));
      return { serial: this.#token.serial };
    },
    initToken: ({ label, soPin }) => ({ serial: this.#module.initToken(label, soPin) }),
    login: ({ role, pin }) => {
      this.#opened().login(role, pin);
      return null;
    },
    logout: () => {
      this.#opened().logout();
      return null;
    },
    setPin: ({ current, next }) => {
      this.#opened().setPin(current, next);
      return null;
    },
    initPin: ({ pin }) => {
      this.#opened().initPin(pin);
      return null;
    },
    index: () => {
      this.#backend ??= this.#newBackend();
      return { keys: this.#backend.index() };
    },
    generateKey: ({ id, label }) => this.#opened().generateKey(id, label),
    listKeys: () => this.#opened().listKeys(),
    destroyKey: ({ id, label }) => {
      this.#backend?.forget(keyRef(id, label));
      this.#opened().destroyKey(id, label);
      return null;
    },
    forget: ({ id, label }) => {
      this.#backend?.forget(keyRef(id, label));
      return null;
    },
    probe: () => {
      this.#opened().probe();
      return null;
    },
  };

  dataKey(code: number, payload: Buffer): Buffer {
    const backend = this.#backend;
    if (backend === undefined) throw new Pkcs11Error("token", 0x101, "C_Encrypt");
    if (code === VERB.generateRandom) return backend.generateRandom(payload.readUInt16BE(0));
    const { aad, data, ...key } = unpackDataKey(payload);
    switch (code) {
      case VERB.encrypt:
        return backend.encrypt(key, aad, data);
      case VERB.decrypt:
        return backend.decrypt(key, aad, data);
      case VERB.generateDataKey:
        return backend.generateDataKey(key, aad, data.readUInt16BE(0));
      default:
        throw new Pkcs11Error("argument", 0, `verb ${code}`);
    }
  }

  #opened(): Token {
    if (this.#token === undefined) throw new Pkcs11Error("argument", 0, "no token is open");
    return this.#token;
  }

  #newBackend(): DataKeyBackend {
    const { slot } = this.#opened();
    return this.#addon === undefined
      ? grapheneBackend(slot)
      : nativeBackend(this.#addon, this.#settings.modulePath, slot.handle);
  }
}

function keyRef(id: string, label: string): { id: Buffer; label: Buffer } {
  return { id: Buffer.from(id, "latin1"), label: Buffer.from(label) };
}

function answer(worker: Worker, frame: Frame, writer: FrameWriter): void {
  try {
    if (frame.code === VERB.manage) {
      const { verb, args } = JSON.parse(frame.payload.toString("utf8")) as { verb: ManageVerb; args: never };
      const result = worker.manage[verb](args);
      writer.send(frame.id, STATUS.json, Buffer.from(JSON.stringify(result)));
    } else {
      writer.send(frame.id, STATUS.bytes, worker.dataKey(frame.code, frame.payload));
    }
  } catch (error) {
    writer.send(frame.id, STATUS.error, Buffer.from(JSON.stringify(describe(error))));
  }
}

/** Only kind, number and function cross the boundary: no message of a library, which could quote an argument. */
function describe(error: unknown): { kind: string; rv: number; function: string } {
  if (error instanceof Pkcs11Error) return { kind: error.kind, rv: error.rv, function: error.function };
  return { kind: "worker", rv: 0, function: error instanceof Error ? error.name : "unknown" };
}

function main(): void {
  // A signal to the server's process group must not end a worker in the middle of a token write:
  // the parent closes the socket when it is done.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"] as const)
    process.on(signal, () => undefined);
  const settings = JSON.parse(process.env["KEYSTEAD_WORKER"] ?? "{}") as WorkerSettings;
  const worker = new Worker(settings);
  const socket = new Socket({ fd: SOCKET_FD, readable: true, writable: true });
  const reader = new FrameReader();
  const writer = new FrameWriter(socket);
  socket.on("data", (chunk) => {
    for (const frame of reader.push(chunk)) answer(worker, frame, writer);
  });
  socket.on("close", () => process.exit(0));
  socket.on("error", () => process.exit(0));
  // Frame 0 says that both libraries are loaded and the worker may be given a cluster.
  writer.send(0, STATUS.json, Buffer.from("null"));
}

main();
