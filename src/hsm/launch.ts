/**
 * The start of an HSM worker's process. Running out of descriptors, processes or memory is
 * an answer here rather than an exception: whoever asked for a worker is told, and the
 * server goes on with the workers it has.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import type { WorkerSettings } from "./manage.ts";

export interface Launched {
  readonly child: ChildProcess;
  /** The parent's end of the inherited socket. */
  readonly socket: Socket;
}

/** @returns undefined when there is no process, or none that could be talked to */
export function launch(settings: WorkerSettings): Launched | undefined {
  const child = trySpawn(settings);
  if (child === undefined) return undefined;
  // Failures of spawn and of kill are events; one that nobody hears would end the server.
  child.on("error", () => undefined);
  // After EMFILE and ENFILE Node leaves a child without stdio, whatever the type says.
  const socket = (child.stdio as ChildProcess["stdio"] | undefined)?.[3];
  if (socket instanceof Socket) return { child, socket };
  killChild(child);
  return undefined;
}

/** SIGKILL, unless there is no process: a kill of process 0 would be one of the server's own group. */
export function killChild(child: ChildProcess): void {
  if (child.pid !== undefined) child.kill("SIGKILL");
}

function trySpawn(settings: WorkerSettings): ChildProcess | undefined {
  const node = [process.execPath, "--disable-proto=delete", workerScript()];
  // Without the addon nothing in the worker can set its own limit.
  const capped =
    settings.backend === "native" ? node : ["prlimit", `--as=${settings.memoryLimit}`, "--core=0", ...node];
  const [command = process.execPath, ...args] = capped;
  try {
    return spawn(command, args, {
      env: workerEnvironment(settings),
      stdio: ["ignore", "ignore", "ignore", "pipe"],
      // Ctrl-C in a terminal reaches the whole process group; workers end when the server closes them.
      detached: true,
    });
  } catch {
    // ENOMEM and the like are thrown; EMFILE, EAGAIN and ENOENT are events.
    return undefined;
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
