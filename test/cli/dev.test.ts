/** The command line against the server it belongs to: `keystead dev`, and its first five minutes. */
import { existsSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { keystead, startDev } from "./process.ts";

let server: Awaited<ReturnType<typeof startDev>>;
let env: NodeJS.ProcessEnv = {};
let directory = "";

beforeAll(async () => {
  server = await startDev("--timing", "instant");
  env = { KEYSTEAD_ENDPOINT: server.endpoint };
  directory = /Tokens\s+(\S+)/.exec(server.box)?.[1] ?? "";
});

afterAll(async () => {
  expect(existsSync(directory)).toBe(true);
  expect(await server.close()).toBe(0);
  expect(existsSync(directory), "nothing is kept").toBe(false);
});

test("the box names the demo, and the server is ready", async () => {
  expect(server.box).toMatch(/Cluster +cluster-\w+ +ACTIVE +2 HSMs \(us-east-1a, us-east-1b\)/);
  expect(server.box).toMatch(/Key store +demo +cks-[0-9a-f]{17} +DISCONNECTED/);
  expect(server.box.endsWith("Ready.\n")).toBe(true);
  const { code, stdout } = await keystead(["status", "--ready", "--wait", "5s"], env);
  expect([code, stdout]).toEqual([0, `${server.endpoint} is ready\n`]);
});

test("a second server on the port, or one without its PKCS#11 module, exits 3 with one sentence", async () => {
  const { port } = new URL(server.endpoint);
  const second = await keystead(["dev", "--port", port]);
  expect(second.code).toBe(3);
  expect(second.stderr).toMatch(/^keystead: Port \d+ is in use; [^\n]*--port[^\n]*\n$/);
  const bare = await keystead(["dev", "--module", "/no/such/module.so", "--port", "0"]);
  expect(bare.code).toBe(3);
  expect(bare.stderr).toMatch(/^keystead: [^\n]*--module[^\n]*\n$/);
});

test("the demo connects, and fails as at AWS once the password was changed behind its back", async () => {
  const connected = await keystead(["connect", "demo"], env);
  expect([connected.code, connected.stdout]).toEqual([
    0,
    expect.stringMatching(/^demo \(cks-\w+\) is CONNECTED\n$/),
  ]);
  expect((await keystead(["disconnect", "demo"], env)).code).toBe(0);
  const admin = { ...env, CLOUDHSM_ROLE: "admin", CLOUDHSM_PIN: "admin:Adm1nDemo" };
  const changed = await keystead(
    [
      "hsm",
      "user",
      "change-password",
      "--username",
      "kmsuser",
      "--role",
      "crypto-user",
      "--password",
      "other1234",
    ],
    admin,
  );
  expect(JSON.parse(changed.stdout)).toMatchObject({ error_code: 0 });
  const broken = await keystead(["connect", "demo"], env);
  expect(broken.code).toBe(5);
  expect(broken.stderr).toContain("INVALID_CREDENTIALS");
  expect((await keystead(["disconnect", "demo"], env)).code).toBe(0);
});

test("pkcs11-env names the cluster's own configuration and the module", async () => {
  const { stdout } = await keystead(["pkcs11-env"], env);
  expect(stdout).toMatch(/^export SOFTHSM2_CONF=\S+softhsm2\.conf\nexport PKCS11_MODULE=\S+\n/);
  expect(existsSync(/SOFTHSM2_CONF=(\S+)/.exec(stdout)?.[1] ?? "")).toBe(true);
});

test("doctor finds this server and this machine in order", async () => {
  const { code, stdout } = await keystead(["doctor"], env);
  expect(stdout).toContain(`✓ server       ${server.endpoint} is ready`);
  expect(code).toBe(0);
});

test("a cluster in one command, waited for and listed; reset forgets it", async () => {
  const created = await keystead(["cluster", "create", "--activate", "--json"], env);
  const { clusterId, customerCaPem, adminPassword } = JSON.parse(created.stdout) as Record<string, string>;
  expect(customerCaPem).toContain("BEGIN CERTIFICATE");
  expect(adminPassword).toMatch(/^\w{12}$/);
  const waited = await keystead(["cluster", "wait", `${clusterId}`, "--for", "ACTIVE", "--hsms", "2"], env);
  expect(waited.stdout).toBe(`${clusterId} is ACTIVE with 2 ACTIVE HSMs\n`);
  expect((await keystead(["cluster", "list", "--quiet"], env)).stdout.split("\n")).toContain(clusterId);
  expect((await keystead(["reset", "--seed", "empty"], env)).code).toBe(0);
  expect((await keystead(["cluster", "list", "--quiet"], env)).stdout).toBe("");
});
