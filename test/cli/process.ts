/** Running the built command line as users do: as a process of its own. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
const MAIN = `${CHECKOUT}dist/cli/main.js`;

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Environment without what would point the command at a server of this machine. */
export function cleanEnvironment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const env = Object.entries(process.env).filter(([name]) => !/^(KEYSTEAD|AWS|CLOUDHSM|npm)_/.test(name));
  return { ...Object.fromEntries(env), ...extra };
}

/** Run `keystead` with these arguments; stdin is empty and no terminal. */
export function keystead(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return run(process.execPath, [MAIN, ...args], { env: cleanEnvironment(env) });
}

export function run(
  command: string,
  args: readonly string[],
  options: { env: NodeJS.ProcessEnv; cwd?: string },
): Promise<Outcome> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}

interface DevServer {
  readonly endpoint: string;
  /** What it printed before `Ready.` */
  readonly box: string;
  close(): Promise<number | null>;
}

/** `keystead dev` on a free port, ready. */
export async function startDev(...flags: readonly string[]): Promise<DevServer> {
  const child = spawn(process.execPath, [MAIN, "dev", "--port", "0", ...flags], {
    env: cleanEnvironment(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = new Promise<number | null>((resolve) => child.once("close", resolve));
  let box = "";
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  await new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      box += text;
      if (/^Ready\.$/m.test(box)) resolve();
    });
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`keystead dev ended with ${code}: ${log}`)));
  });
  const endpoint = /AWS endpoint\s+(\S+)/.exec(box)?.[1] ?? "";
  return {
    endpoint,
    box,
    close: () => {
      child.kill("SIGTERM");
      return closed;
    },
  };
}
