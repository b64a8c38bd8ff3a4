/** Servers as processes of their own, which these tests kill; ended with the test that started them. */
import { CloudHSMV2Client } from "@aws-sdk/client-cloudhsm-v2";
import { KMSClient } from "@aws-sdk/client-kms";
import { spawn } from "node:child_process";
import { onTestFinished } from "vitest";
import { KmsuserPasswords } from "../../src/kms/kmsuser.ts";
import { StoreBook } from "../../src/kms/store-book.ts";
import { openStore, type Store } from "../../src/store/database.ts";
import { openVault } from "../../src/store/vault.ts";
import type { Keystead } from "../api/harness.ts";
import { CHECKOUT, cleanEnvironment } from "../cli/process.ts";
import { eventually } from "../hsm/harness.ts";

const MAIN = `${CHECKOUT}dist/cli/main.js`;

export interface ServerProcess {
  readonly pid: number;
  readonly endpoint: string;
  /** The AWS clients and the management API, as the acts of test/api/harness.ts want them. */
  readonly keystead: Keystead;
  readonly output: { readonly stdout: string; readonly stderr: string };
  /** Send a signal. @returns the exit code, null when a signal ended it */
  end(signal: "SIGKILL" | "SIGTERM"): Promise<number | null>;
}

/** `keystead serve` on a data directory, ready for requests. */
export function serve(directory: string, ...flags: readonly string[]): Promise<ServerProcess> {
  const command = ["serve", "--data-dir", directory, "--port", "0", "--timing", "instant", ...flags];
  return start(command, directory);
}

/** Run a server command until it says that it is ready. */
export async function start(
  command: readonly string[],
  directory: string,
  env: NodeJS.ProcessEnv = {},
): Promise<ServerProcess> {
  const child = spawn(process.execPath, [MAIN, ...command], {
    env: cleanEnvironment(env),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const end = (signal: "SIGKILL" | "SIGTERM"): Promise<number | null> => {
    child.kill(signal);
    return ended;
  };
  onTestFinished(async () => {
    await end("SIGKILL");
  });
  const output = { stdout: "", stderr: "" };
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  await new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text;
      if (/^Ready\.$/m.test(output.stdout)) resolve();
    });
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`keystead ended with ${code}: ${output.stderr}`)));
  });
  const endpoint = /http:\/\/\S+/.exec(output.stdout)?.[0] ?? "";
  if (child.pid === undefined) throw new Error("no process");
  return { pid: child.pid, endpoint, keystead: clientsOf(endpoint, directory), output, end };
}

function clientsOf(endpoint: string, directory: string): Keystead {
  const credentials = { accessKeyId: "test", secretAccessKey: "test" };
  const client = { endpoint, region: "us-east-1", credentials, maxAttempts: 1 };
  const manage: Keystead["manage"] = async (method, path, body) => {
    const json = { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    const response = await fetch(`${endpoint}/_keystead/${path}`, {
      method,
      ...(body === undefined ? {} : json),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : (JSON.parse(text) as unknown) };
  };
  const none = (): never => {
    throw new Error("not in this process");
  };
  return {
    get server() {
      return none();
    },
    directory,
    kms: new KMSClient(client),
    cloudhsm: new CloudHSMV2Client(client),
    manage,
    operator: none,
  };
}

/** Every connected key store is logged in. */
export function ready({ keystead }: ServerProcess): Promise<void> {
  return eventually(
    "the server is ready",
    async () => (await keystead.manage("GET", "ready")).status === 200,
    30_000,
  );
}

/** What the directory of a server that does not run has recorded. */
export async function inspect<T>(directory: string, look: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore(directory);
  try {
    return await look(store);
  } finally {
    await store.close();
  }
}

interface Recorded {
  readonly state: string;
  /** The password that the token has, and its generation. */
  readonly password: string;
  readonly generation: number;
}

/** What is recorded of a key store. */
export function recorded(directory: string, storeId: string): Promise<Recorded> {
  return inspect(directory, async (store) => {
    const stores = new StoreBook(store);
    await stores.load();
    const keyStore = stores.get(storeId);
    if (keyStore === undefined) throw new Error(`no key store ${storeId}`);
    const passwords = new KmsuserPasswords(stores, openVault(directory), () => Date.now());
    return {
      state: keyStore.ConnectionState,
      password: passwords.current(keyStore),
      generation: keyStore.PasswordGeneration,
    };
  });
}
