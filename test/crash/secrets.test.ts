/** Passwords appear nowhere that outlives the call: not in the log, not in the output, not in the data directory's files. */
import {
  CreateCustomKeyStoreCommand,
  DecryptCommand,
  EncryptCommand,
  UpdateCustomKeyStoreCommand,
} from "@aws-sdk/client-kms";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { connectStore, createKey, disconnectStore, refusal, temporaryDirectory } from "../api/harness.ts";
import { workersOf } from "../hsm/harness.ts";
import { recorded, serve } from "./harness.ts";

const ADMIN = "AdminCanary4Grep";
const KMSUSER = "KmsuserCanary4Grep";
const WRONG = "WrongCanary4Grep";
/** Longer than the API allows. */
const MALFORMED = "MalformedCanary4Grep".repeat(2);
const PLAINTEXT = "PlaintextCanary4Grep";

/** All files below a directory with their bytes. */
function filesBelow(directory: string): [path: string, bytes: Buffer][] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => [path, readFileSync(path)]);
}

/** A secret as it is, and as an encoder or a hex dump would show it. */
function forms(secret: string): Buffer[] {
  const bytes = Buffer.from(secret);
  return [
    bytes,
    Buffer.from(secret, "utf16le"),
    Buffer.from(bytes.toString("hex")),
    Buffer.from(bytes.toString("base64").replace(/.{0,2}=*$/, "")),
  ];
}

function expectNowhere(secrets: readonly string[], places: readonly [string, Buffer][]): void {
  const hits = places.flatMap(([place, bytes]) =>
    secrets
      .filter((secret) => forms(secret).some((form) => bytes.includes(form)))
      .map((secret) => [secret, place]),
  );
  expect(hits).toEqual([]);
}

test("passwords and plaintexts are in no log line, no output, no file and no process's environment", async () => {
  const directory = temporaryDirectory();
  const server = await serve(directory, "--log-level", "debug");
  const { keystead } = server;
  const made = await keystead.manage("POST", "clusters", {
    hsms: 2,
    adminPassword: ADMIN,
    kmsuserPassword: KMSUSER,
    activate: true,
  });
  expect(made.status).toBeLessThan(300);
  const { clusterId, customerCaPem } = made.body as { clusterId: string; customerCaPem: string };
  const wish = {
    CustomKeyStoreName: "canary",
    CloudHsmClusterId: clusterId,
    TrustAnchorCertificate: customerCaPem,
  };
  const malformed = new CreateCustomKeyStoreCommand({ ...wish, KeyStorePassword: MALFORMED });
  const refused: unknown = await keystead.kms.send(malformed).catch((error: unknown) => error);
  expect(refused).toMatchObject({ name: "ValidationException" });
  expect(String(refused)).not.toContain(MALFORMED);
  const create = new CreateCustomKeyStoreCommand({ ...wish, KeyStorePassword: KMSUSER });
  const { CustomKeyStoreId = "" } = await keystead.kms.send(create);
  expect(await connectStore(keystead, CustomKeyStoreId)).toBe("CONNECTED");
  const KeyId = await createKey(keystead, CustomKeyStoreId);
  const { CiphertextBlob } = await keystead.kms.send(
    new EncryptCommand({ KeyId, Plaintext: Buffer.from(PLAINTEXT), EncryptionContext: { purpose: "grep" } }),
  );
  await refusal(keystead.kms.send(new DecryptCommand({ CiphertextBlob })));
  await keystead.kms.send(new DecryptCommand({ CiphertextBlob, EncryptionContext: { purpose: "grep" } }));
  await disconnectStore(keystead, CustomKeyStoreId);
  // A refused login is what a careless log would quote.
  await keystead.kms.send(new UpdateCustomKeyStoreCommand({ CustomKeyStoreId, KeyStorePassword: WRONG }));
  expect(await connectStore(keystead, CustomKeyStoreId)).toBe("INVALID_CREDENTIALS");
  await disconnectStore(keystead, CustomKeyStoreId);
  const login = { role: "admin", username: "admin", password: WRONG };
  await keystead.manage("POST", `clusters/${clusterId}/hsm`, {
    command: "user list",
    args: {},
    credentials: login,
  });
  await keystead.manage("POST", `clusters/${clusterId}/hsm`, {
    command: "user change-password",
    args: { username: "kmsuser", role: "crypto-user", password: KMSUSER },
    credentials: { role: "admin", username: "admin", password: ADMIN },
  });
  await keystead.kms.send(new UpdateCustomKeyStoreCommand({ CustomKeyStoreId, KeyStorePassword: KMSUSER }));
  expect(await connectStore(keystead, CustomKeyStoreId)).toBe("CONNECTED");

  const processes = [server.pid, ...workersOf(server.pid)].flatMap((pid) =>
    ["environ", "cmdline"].map((file): [string, Buffer] => {
      const path = `/proc/${pid}/${file}`;
      return [path, readFileSync(path)];
    }),
  );
  const whileRunning = filesBelow(directory);
  expect(await server.end("SIGKILL")).toBeNull();
  const { password: rotated } = await recorded(directory, CustomKeyStoreId);
  expect(rotated).toMatch(/^[A-Za-z0-9]{32}$/);
  const secrets = [ADMIN, KMSUSER, WRONG, MALFORMED, PLAINTEXT, rotated];
  const { stdout, stderr } = server.output;
  expect(stderr).toContain("connect");
  expectNowhere(secrets, [
    ["stdout", Buffer.from(stdout)],
    ["log", Buffer.from(stderr)],
    ...processes,
    ...whileRunning,
    ...filesBelow(directory),
  ]);
  for (const line of stderr.trim().split("\n")) expect(() => JSON.parse(line) as unknown).not.toThrow();
});

test("everything in a data directory is for its owner only", async () => {
  const directory = temporaryDirectory();
  const server = await serve(directory);
  const made = await server.keystead.manage("POST", "clusters", {
    hsms: 1,
    adminPassword: ADMIN,
    kmsuserPassword: KMSUSER,
    activate: true,
  });
  expect(made.status).toBeLessThan(300);
  const open = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter(
    (name) => (statSync(join(directory, name)).mode & 0o077) !== 0,
  );
  expect(open).toEqual([]);
});
