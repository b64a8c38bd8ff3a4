/**
 * A keystead server in this process on real SoftHSM tokens, with the AWS SDK's clients on
 * it and the acts that the stories of the AWS guide are made of.
 */
import { CloudHSMV2Client } from "@aws-sdk/client-cloudhsm-v2";
import {
  ConnectCustomKeyStoreCommand,
  CreateCustomKeyStoreCommand,
  CreateKeyCommand,
  DescribeCustomKeyStoresCommand,
  DisconnectCustomKeyStoreCommand,
  KMSClient,
  type ConnectionStateType,
  type CustomKeyStoresListEntry,
} from "@aws-sdk/client-kms";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { mayAnswer } from "../conformance/errors.ts";
import { startServer, type RunningServer } from "../../src/server.ts";

export const ADMIN_PASSWORD = "Adm1nTest";
export const KMSUSER_PASSWORD = "kmsPswd7";
const CREDENTIALS = { accessKeyId: "test", secretAccessKey: "test" };

export interface Keystead {
  readonly server: RunningServer;
  readonly directory: string;
  readonly kms: KMSClient;
  readonly cloudhsm: CloudHSMV2Client;
  /** A `/_keystead/` call; the parsed answer. */
  manage(method: string, path: string, body?: object): Promise<{ status: number; body: unknown }>;
  /** An operator's command as admin unless other credentials are given; its JSON envelope. */
  operator(
    clusterId: string,
    command: string,
    args?: Readonly<Record<string, string>>,
    credentials?: { role: string; username: string; password: string } | null,
    session?: string,
  ): Promise<{ error_code: number; data: unknown; session?: string }>;
}

export interface ReadyCluster {
  readonly clusterId: string;
  readonly customerCaPem: string;
}

/** Takes what is to be done at the end: of the test, or of the file for what its tests share. */
type AtEnd = (act: () => Promise<void> | void) => void;

/** A directory that is removed when the test is over. */
export function temporaryDirectory(atEnd: AtEnd = onTestFinished): string {
  const directory = mkdtempSync(join(tmpdir(), "keystead-test-"));
  atEnd(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Start a server that is closed when the test is over. Flags as in `keystead serve`. */
export async function startKeystead(
  flags: Readonly<Record<string, unknown>> = {},
  atEnd: AtEnd = onTestFinished,
): Promise<Keystead> {
  const directory = typeof flags["dataDir"] === "string" ? flags["dataDir"] : temporaryDirectory(atEnd);
  const config = loadConfig(
    { mode: "serve", port: 0, timing: "instant", logLevel: "error", ...flags, dataDir: directory },
    {},
  );
  const server = await startServer(config);
  atEnd(() => server.close());
  return connectClients(server, directory);
}

type Send = (args: object) => Promise<unknown>;

/** What is used of a client's middleware stack; its own types differ from service to service. */
interface Middlewares {
  add(
    wrap: (next: Send, context: { commandName?: string }) => Send,
    options: { step: "initialize"; name: string },
  ): void;
}

/** Every error an SDK client of a test gets must be one the model lists for that operation. */
function requireModelledErrors<C extends { readonly middlewareStack: unknown }>(client: C): C {
  const check = (operation: string, error: unknown): never => {
    if (error instanceof Error && "$metadata" in error && !mayAnswer(operation, error.name))
      throw new Error(`${operation} answered ${error.name}, which its model does not list`, { cause: error });
    throw error;
  };
  (client.middlewareStack as Middlewares).add(
    (next, { commandName = "" }) =>
      (args) =>
        next(args).catch((error: unknown) => check(commandName.replace(/Command$/, ""), error)),
    { step: "initialize", name: "modelledErrors" },
  );
  return client;
}

function connectClients(server: RunningServer, directory: string): Keystead {
  const { endpoint } = server;
  const client = { endpoint, region: "us-east-1", credentials: CREDENTIALS, maxAttempts: 1 };
  const manage: Keystead["manage"] = async (method, path, body) => {
    const response = await fetch(`${endpoint}/_keystead/${path}`, {
      method,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    const text = await response.text();
    return { status: response.status, body: text === "" ? undefined : (JSON.parse(text) as unknown) };
  };
  return {
    server,
    directory,
    kms: requireModelledErrors(new KMSClient(client)),
    cloudhsm: requireModelledErrors(new CloudHSMV2Client(client)),
    manage,
    operator: async (clusterId, command, args = {}, credentials, session) => {
      const admin = { role: "admin", username: "admin", password: ADMIN_PASSWORD };
      const who = session === undefined && credentials !== null ? { credentials: credentials ?? admin } : {};
      const { body } = await manage("POST", `clusters/${clusterId}/hsm`, {
        command,
        args,
        ...who,
        ...(session === undefined ? {} : { session }),
      });
      return body as { error_code: number; data: unknown; session?: string };
    },
  };
}

/** An ACTIVE cluster with `hsms` ACTIVE HSMs and a kmsuser. */
export async function readyCluster(keystead: Keystead, hsms = 2): Promise<ReadyCluster> {
  const { status, body } = await keystead.manage("POST", "clusters", {
    hsms,
    adminPassword: ADMIN_PASSWORD,
    kmsuserPassword: KMSUSER_PASSWORD,
    activate: true,
  });
  if (status >= 300) throw new Error(JSON.stringify(body));
  return body as ReadyCluster;
}

export async function createStore(
  keystead: Keystead,
  cluster: ReadyCluster,
  name = "ExampleKeyStore",
  password = KMSUSER_PASSWORD,
): Promise<string> {
  const { CustomKeyStoreId } = await keystead.kms.send(
    new CreateCustomKeyStoreCommand({
      CustomKeyStoreName: name,
      CloudHsmClusterId: cluster.clusterId,
      TrustAnchorCertificate: cluster.customerCaPem,
      KeyStorePassword: password,
    }),
  );
  if (CustomKeyStoreId === undefined) throw new Error("no CustomKeyStoreId");
  return CustomKeyStoreId;
}

export async function describeStore(keystead: Keystead, id: string): Promise<CustomKeyStoresListEntry> {
  const { CustomKeyStores } = await keystead.kms.send(
    new DescribeCustomKeyStoresCommand({ CustomKeyStoreId: id }),
  );
  const [entry] = CustomKeyStores ?? [];
  if (entry === undefined) throw new Error(`no key store ${id}`);
  return entry;
}

/** Describe until the store is in one of the states; 60 s at most. */
export async function waitForStore(
  keystead: Keystead,
  id: string,
  ...states: ConnectionStateType[]
): Promise<CustomKeyStoresListEntry> {
  const end = Date.now() + 60_000;
  for (;;) {
    const entry = await describeStore(keystead, id);
    if (entry.ConnectionState !== undefined && states.includes(entry.ConnectionState)) return entry;
    if (Date.now() > end) throw new Error(`the key store stayed ${entry.ConnectionState}`);
    await sleep(20);
  }
}

/** Connect and wait for the end of it. @returns CONNECTED, or the ConnectionErrorCode of FAILED */
export async function connectStore(keystead: Keystead, id: string): Promise<string> {
  await keystead.kms.send(new ConnectCustomKeyStoreCommand({ CustomKeyStoreId: id }));
  const entry = await waitForStore(keystead, id, "CONNECTED", "FAILED");
  return entry.ConnectionErrorCode ?? String(entry.ConnectionState);
}

export async function disconnectStore(keystead: Keystead, id: string): Promise<void> {
  await keystead.kms.send(new DisconnectCustomKeyStoreCommand({ CustomKeyStoreId: id }));
  await waitForStore(keystead, id, "DISCONNECTED");
}

/** @returns the new key's ARN */
export async function createKey(keystead: Keystead, storeId: string): Promise<string> {
  const { KeyMetadata } = await keystead.kms.send(
    new CreateKeyCommand({ Origin: "AWS_CLOUDHSM", CustomKeyStoreId: storeId }),
  );
  if (KeyMetadata?.Arn === undefined) throw new Error("no key ARN");
  return KeyMetadata.Arn;
}

/** A cluster, a connected store on it, and a key. */
export async function connectedStore(
  keystead: Keystead,
): Promise<{ cluster: ReadyCluster; storeId: string; keyArn: string }> {
  const cluster = await readyCluster(keystead);
  const storeId = await createStore(keystead, cluster);
  const state = await connectStore(keystead, storeId);
  if (state !== "CONNECTED") throw new Error(`connect ended in ${state}`);
  return { cluster, storeId, keyArn: await createKey(keystead, storeId) };
}

/** The `__type` of the exception a call is refused with; "none" when it is not. */
export async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "none";
  } catch (error) {
    return error instanceof Error ? error.name : String(error);
  }
}

/** True when a program is on PATH; tests that need one skip without it. */
export function hasProgram(name: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${name}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
