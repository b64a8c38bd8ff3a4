/** The command line without a server: help, usage, and one sentence with the fix when none answers. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { keystead } from "./process.ts";

/** Nothing listens on the discard port. */
const NOBODY = { KEYSTEAD_ENDPOINT: "http://127.0.0.1:9" };

test.each([
  ["stores"],
  ["env"],
  ["status", "--ready"],
  ["wait", "demo", "--for", "CONNECTED"],
  ["connect", "demo"],
  ["disconnect", "demo"],
  ["cluster", "list"],
  ["cluster", "wait", "cluster-abcdefghijk", "--for", "ACTIVE"],
  ["hsm", "user", "list"],
  ["subnet", "list"],
  ["clock", "show"],
  ["transitions", "get"],
  ["reset"],
  ["pkcs11-env"],
])("%s %s without a server exits 3 with one sentence", async (...args) => {
  const { code, stdout, stderr } = await keystead(args, NOBODY);
  expect(code).toBe(3);
  expect(stdout).toBe("");
  expect(stderr).toBe(
    'keystead: No keystead server answers at http://127.0.0.1:9; start one with "make run" or "keystead dev", or name yours with --endpoint.\n',
  );
});

test.each([
  [["nonsense"], "unknown command"],
  [["wait", "demo"], "--for"],
  [["wait", "demo", "--for", "BROKEN"], "Allowed choices"],
  [["clock", "advance", "soon"], "not a duration"],
  [["serve"], "--data-dir"],
  [["hsm", "user", "create", "--username", "kmsuser"], "--role"],
  [["explain", "NO_SUCH_CODE"], "USER_NOT_FOUND"],
  [["hsm", "--cluster-id", "c", "login", "--username", "admin", "--role", "admin"], "KEYSTEAD_PASSWORD"],
  [[], "Usage: keystead"],
])("%j is usage: exit 2 and what is wrong", async (args, part) => {
  const { code, stdout, stderr } = await keystead(args, NOBODY);
  expect(code).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toContain(part);
  expect(stderr).not.toContain("at async");
});

test.each([
  ["--help"],
  ["hsm", "--help"],
  ["hsm", "user", "create", "--help"],
  ["cluster", "wait", "--help"],
])("%s %s is help on stdout", async (...args) => {
  const { code, stdout, stderr } = await keystead(args);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^Usage: keystead/);
});

test("version is package.json's", async () => {
  const { stdout } = await keystead(["version"]);
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect((await keystead(["--version"])).stdout).toBe(stdout);
});

test("explain works without a server, as text and as JSON", async () => {
  const text = await keystead(["explain", "user_locked_out"], NOBODY);
  expect(text.code).toBe(0);
  expect(text.stdout).toContain("user change-password --username kmsuser --role crypto-user");
  const json = await keystead(["--json", "explain", "USER_LOCKED_OUT"], NOBODY);
  expect(JSON.parse(json.stdout)).toMatchObject({ code: "USER_LOCKED_OUT" });
});

/** A stand-in for the server that gives one answer to everything. */
async function withAnswer(answer: object, body: (endpoint: string) => Promise<void>): Promise<void> {
  const server = createServer((_request, response) => {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await body(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.close();
  }
}

function withStore(store: object, body: (endpoint: string) => Promise<void>): Promise<void> {
  const whole = {
    CustomKeyStoreId: "cks-1",
    CustomKeyStoreName: "demo",
    hsms: 2,
    keys: 0,
    steps: [],
    ...store,
  };
  return withAnswer({ stores: [whole] }, body);
}

test("env points the three services and both region variables at the server", async () => {
  const info = { region: "eu-west-1", accessKeyId: "test", secretAccessKey: "it's" };
  await withAnswer(info, async (endpoint) => {
    const KEYSTEAD = { KEYSTEAD_ENDPOINT: endpoint };
    const { stdout } = await keystead(["env"], KEYSTEAD);
    expect(stdout.split("\n")).toEqual([
      `export AWS_ENDPOINT_URL_KMS=${endpoint}`,
      `export AWS_ENDPOINT_URL_CLOUDHSM_V2=${endpoint}`,
      `export AWS_ENDPOINT_URL_STS=${endpoint}`,
      "export AWS_REGION=eu-west-1",
      "export AWS_DEFAULT_REGION=eu-west-1",
      "export AWS_ACCESS_KEY_ID=test",
      String.raw`export AWS_SECRET_ACCESS_KEY='it'\''s'`,
      "export AWS_EC2_METADATA_DISABLED=true",
      `export KEYSTEAD_ENDPOINT=${endpoint}`,
      "",
    ]);
    const fish = await keystead(["env", "--shell", "fish"], KEYSTEAD);
    expect(fish.stdout).toContain("set -gx AWS_REGION eu-west-1\n");
    const powershell = await keystead(["env", "--shell", "powershell"], KEYSTEAD);
    expect(powershell.stdout).toContain("$Env:AWS_SECRET_ACCESS_KEY = 'it''s'\n");
    const dotenv = await keystead(["env", "--format", "dotenv"], KEYSTEAD);
    expect(dotenv.stdout).toContain("\nAWS_DEFAULT_REGION=eu-west-1\n");
    const json = await keystead(["env", "--format", "json"], KEYSTEAD);
    expect(JSON.parse(json.stdout)).toMatchObject({ AWS_ENDPOINT_URL_KMS: endpoint });
  });
});

test("env of a server with credentials of its own says so and prints none", async () => {
  await withAnswer({ region: "eu-west-1" }, async (KEYSTEAD_ENDPOINT) => {
    const { stdout, stderr } = await keystead(["env"], { KEYSTEAD_ENDPOINT });
    expect(stdout).not.toContain("AWS_ACCESS_KEY_ID");
    expect(stderr).toContain("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to yours");
  });
});

test("wait exits 5 with the repair when the store FAILED", async () => {
  const store = { ConnectionState: "FAILED", ConnectionErrorCode: "USER_NOT_FOUND", CloudHsmClusterId: "c" };
  await withStore(store, async (KEYSTEAD_ENDPOINT) => {
    const { code, stderr } = await keystead(["wait", "demo", "--for", "CONNECTED"], { KEYSTEAD_ENDPOINT });
    expect(code).toBe(5);
    expect(stderr).toContain("FAILED with USER_NOT_FOUND");
    expect(stderr).toContain("user create --username kmsuser --role crypto-user");
  });
});

test("wait exits 4 when the time is over and shows the step it saw", async () => {
  const steps = [
    { step: "find-cluster", outcome: "done", seconds: 0.1 },
    { step: "log-in", outcome: "running", seconds: 0.2 },
  ];
  const store = { ConnectionState: "CONNECTING", CloudHsmClusterId: "c", steps };
  await withStore(store, async (KEYSTEAD_ENDPOINT) => {
    const { code, stderr } = await keystead(["wait", "cks-1", "--for", "CONNECTED", "--timeout", "300ms"], {
      KEYSTEAD_ENDPOINT,
    });
    expect(code).toBe(4);
    expect(stderr).toMatch(/^  ✓ find-cluster  0\.1 s$/m);
    expect(stderr).toContain("is CONNECTING (log-in) and not CONNECTED after 0.3 s");
  });
});

test("stores prints a table, --json one document, --quiet ids", async () => {
  const store = { ConnectionState: "CONNECTED", CloudHsmClusterId: "cluster-x" };
  await withStore(store, async (KEYSTEAD_ENDPOINT) => {
    const table = await keystead(["stores"], { KEYSTEAD_ENDPOINT });
    expect(table.stdout).toBe(
      "NAME  ID     STATE      CLUSTER    HSMS  KEYS\ndemo  cks-1  CONNECTED  cluster-x  2     0\n",
    );
    const json = await keystead(["stores", "--json"], { KEYSTEAD_ENDPOINT });
    expect(JSON.parse(json.stdout)).toMatchObject({ stores: [{ CustomKeyStoreName: "demo" }] });
    expect((await keystead(["stores", "--quiet"], { KEYSTEAD_ENDPOINT })).stdout).toBe("cks-1\n");
  });
});
