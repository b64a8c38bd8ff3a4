/** The HSM workers that this test process started, found in /proc as an operator would find them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const FOUND_WITHIN_MS = 20_000;

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // The process ended meanwhile.
    return otherwise;
  }
}

/** Process ids of the children of this process whose environment names a PKCS#11 library. */
function childrenWith(module: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => readOr(`/proc/${pid}/status`, "").includes(`\nPPid:\t${process.pid}\n`))
    .filter((pid) => readOr(`/proc/${pid}/environ`, "").includes(JSON.stringify(module)))
    .map(Number);
}

/** Of a server that has nothing connected there are only these (src/hsm/tokens.ts). */
const WARM_SPARES = 2;

/** The warm spares of a server that has nothing connected, fully started. */
export async function warmSpares(module: string): Promise<number[]> {
  const end = Date.now() + FOUND_WITHIN_MS;
  for (;;) {
    const found = childrenWith(module);
    const started = found.filter((pid) => readOr(`/proc/${pid}/maps`, "").includes("libsofthsm2"));
    if (found.length === WARM_SPARES && started.length === WARM_SPARES) return found;
    if (Date.now() > end) throw new Error(`${started.length} of ${found.length} workers started`);
    await sleep(20);
  }
}

/** `kill -9`, and wait until the processes are gone and this process knows it. */
export async function killAndReap(pids: readonly number[]): Promise<void> {
  for (const pid of pids) process.kill(pid, "SIGKILL");
  const end = Date.now() + FOUND_WITHIN_MS;
  while (pids.some((pid) => existsSync(`/proc/${pid}`))) {
    if (Date.now() > end) throw new Error("the workers did not end");
    await sleep(20);
  }
}

/** SIGSTOP every worker there is, and each new one as it appears. @returns what lets them all go on */
export function stopWorkers(module: string): () => void {
  const stopped = new Set<number>();
  const signal = (pid: number, name: "SIGSTOP" | "SIGCONT"): void => {
    try {
      process.kill(pid, name);
    } catch {
      // It was ended meanwhile, as a worker that misses its deadline is.
    }
  };
  const stop = (): void => {
    for (const pid of childrenWith(module).filter((one) => !stopped.has(one))) {
      signal(pid, "SIGSTOP");
      stopped.add(pid);
    }
  };
  stop();
  const timer = setInterval(stop, 10);
  return () => {
    clearInterval(timer);
    for (const pid of stopped) signal(pid, "SIGCONT");
  };
}
