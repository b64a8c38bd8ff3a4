/** SoftHSM tokens of the suite's own, without a server: the layer that `src/hsm` is. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { loadConfig } from "../../src/config.ts";
import type { ClusterToken } from "../../src/hsm/cluster-token.ts";
import type { KeyRef } from "../../src/hsm/frames.ts";
import type { Backend } from "../../src/hsm/manage.ts";
import { KmsSession } from "../../src/hsm/session.ts";
import { Tokens } from "../../src/hsm/tokens.ts";

export const CLUSTER = "cluster-abcdefghij2";
export const SO_PIN = "Adm1nCanary";
export const USER_PIN = "kmsCanary7";

/** The PKCS#11 module the server would use on this machine. */
export const MODULE = loadConfig({ mode: "dev" }, {}).module;

export function openTokens(directory: string, backend: Backend = "native"): Tokens {
  return new Tokens({ directory, modulePath: MODULE, backend });
}

/** Initialise the cluster's token and give it a kmsuser. */
export async function makeToken(tokens: Tokens, clusterId = CLUSTER): Promise<ClusterToken> {
  const token = tokens.of(clusterId);
  await token.initialize(SO_PIN);
  await token.initUserPin(SO_PIN, USER_PIN);
  return token;
}

/** A session as a connected key store has it; the first call logs in. */
export function openSession(token: ClusterToken, pin: string = USER_PIN): KmsSession {
  return new KmsSession(token, undefined, () => Promise.resolve(pin), { replaced: () => undefined });
}

let made = 0;

/** Names of a key that is not there yet; CKA_ID has 64 bytes as in the product. */
export function newKeyNames(): { id: string; label: string; ref: KeyRef } {
  made += 1;
  const id = made.toString(16).padStart(64, "0");
  const label = `arn:aws:kms:us-east-1:000000000000:key/${made}`;
  return { id, label, ref: { id: Buffer.from(id, "latin1"), label: Buffer.from(label) } };
}

export async function makeKey(session: KmsSession): Promise<KeyRef> {
  const { id, label, ref } = newKeyNames();
  await session.generateKey(id, label);
  return ref;
}

/** SoftHSM's directory of the token. */
export function homeOf(token: ClusterToken): string {
  const tokens = join(token.directory, "tokens");
  const [home] = readdirSync(tokens);
  if (home === undefined) throw new Error("no token directory");
  return join(tokens, home);
}

export function headerPath(token: ClusterToken): string {
  return join(homeOf(token), "token.object");
}

export function sideCopyPath(token: ClusterToken): string {
  return join(token.directory, "token.object.copy");
}

/** The `kind` of a Pkcs11Error; "none" when the call succeeds. */
export async function kindOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "none";
  } catch (error) {
    return String((error as { kind?: unknown }).kind ?? error);
  }
}

/** Wait until `condition` holds; an error that names `what` after `milliseconds`. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  milliseconds = 10_000,
): Promise<void> {
  const end = Date.now() + milliseconds;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${milliseconds} ms: ${what}`);
    await sleep(20);
  }
}

/** A process that runs, and is not only waiting for its parent to notice its end. */
export function isRunning(pid: number): boolean {
  return !/^(?:Z|X|gone)/.test(statOf(pid)[0] ?? "gone");
}

/** Fields of /proc/<pid>/stat behind the command: state, parent, …; `gone` when there is no such process. */
function statOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ") ?? ["gone"];
  } catch {
    return ["gone"];
  }
}

/** HSM workers among the children of a process, oldest first. */
export function workersOf(parent: number): number[] {
  // Start time is field 22 of stat, in clock ticks since boot.
  const startOf = (pid: number): number => Number(statOf(pid)[19]);
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => Number(statOf(pid)[1]) === parent && isRunning(pid) && isWorker(pid))
    .toSorted((a, b) => startOf(a) - startOf(b) || a - b);
}

function isWorker(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("hsm/worker.js");
  } catch {
    return false;
  }
}
