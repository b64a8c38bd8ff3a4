/** `keystead hsm` against a stand-in server: what it sends, what it keeps, and cloudhsm-cli's envelope. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keystead } from "./process.ts";

interface Seen {
  readonly url: string;
  readonly body: Record<string, unknown>;
}

let seen: Seen[] = [];
let reply: object = {};
let clusters = ["cluster-abcdefghijk"];
let server: Server;
let env: NodeJS.ProcessEnv = {};
let runtime = "";

beforeEach(async () => {
  seen = [];
  clusters = ["cluster-abcdefghijk"];
  server = createServer((request, response) => {
    void text(request).then((body) => {
      response.setHeader("Content-Type", "application/json");
      if (request.method === "GET")
        return response.end(JSON.stringify({ clusters: clusters.map((ClusterId) => ({ ClusterId })) }));
      seen.push({ url: request.url ?? "", body: JSON.parse(body) as Record<string, unknown> });
      return response.end(JSON.stringify(reply));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  runtime = mkdtempSync(join(tmpdir(), "keystead-test-"));
  const { port } = server.address() as AddressInfo;
  env = { KEYSTEAD_ENDPOINT: `http://127.0.0.1:${port}`, XDG_RUNTIME_DIR: runtime };
});

afterEach(() => {
  server.close();
  rmSync(runtime, { recursive: true });
});

const ADMIN = ["--username", "admin", "--role", "admin"];

test("login keeps the session, later verbs send it, logout forgets it", async () => {
  reply = { error_code: 0, data: { username: "admin", role: "admin" }, session: "token-1" };
  const login = await keystead(["hsm", "login", ...ADMIN, "--password", "Adm1nDemo"], env);
  expect(login.code).toBe(0);
  expect(JSON.parse(login.stdout)).toEqual({ error_code: 0, data: { username: "admin", role: "admin" } });
  reply = { error_code: 0, data: "done" };
  await keystead(["hsm", "key", "list", "--filter", "attr.label=a", "--max-items", "3", "--verbose"], env);
  await keystead(["hsm", "logout"], env);
  await keystead(["hsm", "user", "list"], env);
  const url = "/_keystead/clusters/cluster-abcdefghijk/hsm";
  expect(seen).toEqual([
    { url, body: { command: "login", args: { username: "admin", role: "admin", password: "Adm1nDemo" } } },
    {
      url,
      body: {
        command: "key list",
        args: { filter: "attr.label=a", "max-items": "3", verbose: "true" },
        session: "token-1",
      },
    },
    { url, body: { command: "logout", args: {}, session: "token-1" } },
    { url, body: { command: "user list", args: {} } },
  ]);
});

test("a refusal is the envelope on stdout and exit 1", async () => {
  reply = { error_code: 1, data: "Nobody is logged in; run login first." };
  const { code, stdout, stderr } = await keystead(["hsm", "user", "delete", ...ADMIN], env);
  expect([code, stderr]).toEqual([1, ""]);
  expect(JSON.parse(stdout)).toEqual(reply);
});

test("CLOUDHSM_ROLE and CLOUDHSM_PIN are credentials of one command; a password may have colons", async () => {
  reply = { error_code: 0, data: {} };
  const create = ["hsm", "user", "create", "--username", "kmsuser", "--role", "crypto-user"];
  await keystead(create, {
    ...env,
    CLOUDHSM_ROLE: "admin",
    CLOUDHSM_PIN: "admin:a:b",
    KEYSTEAD_PASSWORD: "kmsPswd1",
  });
  expect(seen[0]?.body).toEqual({
    command: "user create",
    args: { username: "kmsuser", role: "crypto-user", password: "kmsPswd1" },
    credentials: { role: "admin", username: "admin", password: "a:b" },
  });
  const bad = await keystead(["hsm", "user", "list"], {
    ...env,
    CLOUDHSM_ROLE: "admin",
    CLOUDHSM_PIN: "admin",
  });
  expect(bad.code).toBe(2);
});

test("with several clusters one must be chosen", async () => {
  clusters = ["cluster-abcdefghijk", "cluster-bcdefghijkl"];
  const none = await keystead(["hsm", "user", "list"], env);
  expect(none.code).toBe(2);
  expect(none.stderr).toContain("choose one with --cluster-id: cluster-abcdefghijk, cluster-bcdefghijkl");
  reply = { error_code: 0, data: {} };
  await keystead(["hsm", "--cluster-id", "cluster-bcdefghijkl", "user", "list"], env);
  await keystead(["hsm", "user", "list", "--cluster-id", "cluster-bcdefghijkl"], env);
  expect(seen.map(({ url }) => url)).toEqual(Array(2).fill("/_keystead/clusters/cluster-bcdefghijkl/hsm"));
});
