/** The management API over HTTP, on fakes: who may call, what is validated, what errors look like. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { Clock } from "../../src/core/clock.ts";
import { AwsError, Refusal } from "../../src/core/errors.ts";
import { silent } from "../../src/core/logger.ts";
import { Transitions } from "../../src/core/transitions.ts";
import { createManagement } from "../../src/manage/app.ts";
import { createMetrics } from "../../src/manage/metrics.ts";
import type { ManageServices } from "../../src/manage/services.ts";
import type { OperatorRequest, StoreSummary } from "../../src/manage/wire.ts";

const STORE: StoreSummary = {
  CustomKeyStoreId: "cks-1234567890abcdef0",
  CustomKeyStoreName: "demo",
  ConnectionState: "CONNECTED",
  CloudHsmClusterId: "cluster-abcdefghijk",
  hsms: 2,
  keys: 1,
  steps: [],
};

interface Recorder {
  readonly calls: unknown[][];
  readonly services: ManageServices;
}

function fakes(changes: Partial<ManageServices> = {}): Recorder {
  const calls: unknown[][] = [];
  const record =
    (name: string) =>
    (...args: unknown[]): Promise<void> => {
      calls.push([name, ...args]);
      return Promise.resolve();
    };
  const stores = (): Promise<StoreSummary[]> => Promise.resolve([STORE]);
  const clock = new Clock();
  const subnet = {
    SubnetId: "subnet-1",
    VpcId: "vpc-1",
    AvailabilityZone: "us-east-1a",
    CidrBlock: "10.0.0.0/24",
    AvailableIpAddressCount: 251,
  };
  const services: ManageServices = {
    version: "1.2.3",
    info: () => ({
      endpoint: "http://127.0.0.1:1",
      region: "us-east-1",
      account: "000000000000",
      auth: "sigv4",
      dev: true,
      modulePath: "/module.so",
      dataDirectory: "/data",
    }),
    health: () =>
      Promise.resolve({ services: { kms: "running" }, unusableKeys: [], orphanedKeyMaterial: [] }),
    ready: () => Promise.resolve({ ready: false, reasons: ["the token does not answer"] }),
    reset: record("reset"),
    clock,
    transitions: new Transitions(clock, "dev"),
    network: {
      subnets: () => Promise.resolve([subnet]),
      createSubnet: async (wish) => {
        await record("createSubnet")(wish);
        return subnet;
      },
      deleteSubnet: record("deleteSubnet"),
      fillSubnet: record("fillSubnet"),
      securityGroups: () => Promise.resolve([]),
      networkInterfaces: () => Promise.resolve([]),
    },
    clusters: {
      list: () => Promise.resolve([]),
      create: async (wish) => {
        await record("create")(wish);
        return { clusterId: STORE.CloudHsmClusterId };
      },
      initialize: async (clusterId, passwords) => {
        await record("initialize")(clusterId, passwords);
        return { clusterId };
      },
      restore: async (wish) => {
        await record("restore")(wish);
        return { clusterId: STORE.CloudHsmClusterId };
      },
      backups: () => Promise.resolve([]),
      operate: async (clusterId: string, request: OperatorRequest) => {
        await record("operate")(clusterId, request);
        return { error_code: 1, data: "refused" };
      },
      pkcs11: () => Promise.resolve({ module: "/module.so", clusters: [] }),
    },
    kms: { stores, connect: record("connect"), disconnect: record("disconnect") },
    metrics: createMetrics(stores).registry,
    log: silent,
    ...changes,
  };
  return { calls, services };
}

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen(services: ManageServices): Promise<string> {
  const server = createServer(createManagement(services));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function send(
  base: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; json: Record<string, unknown>; headers: Headers }> {
  const response = await fetch(`${base}${path}`, {
    method,
    headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  return {
    status: response.status,
    json: (await response.json()) as Record<string, unknown>,
    headers: response.headers,
  };
}

test("health answers under both names in LocalStack's form", async () => {
  const base = await listen(fakes().services);
  for (const path of ["/_keystead/health", "/_localstack/health"]) {
    const { status, json } = await send(base, "GET", path);
    expect(status).toBe(200);
    expect(json).toEqual({
      services: { kms: "running" },
      edition: "keystead",
      version: "1.2.3",
      unusableKeys: [],
      orphanedKeyMaterial: [],
    });
  }
});

test("health names no keys to callers without the token", async () => {
  const base = await listen(fakes({ managementToken: "s3cret-token" }).services);
  const open = await send(base, "GET", "/_keystead/health");
  expect(Object.keys(open.json)).toEqual(["services", "edition", "version"]);
  const trusted = await send(base, "GET", "/_keystead/health", undefined, {
    Authorization: "Bearer s3cret-token",
  });
  expect(trusted.json).toHaveProperty("unusableKeys");
});

test("ready is 503 with its reasons until it is ready", async () => {
  const base = await listen(fakes().services);
  const { status, json } = await send(base, "GET", "/_keystead/ready");
  expect(status).toBe(503);
  expect(json).toEqual({ ready: false, reasons: ["the token does not answer"] });
});

test("with a management token only health and ready are open", async () => {
  const { services, calls } = fakes({ managementToken: "s3cret-token" });
  const base = await listen(services);
  expect((await send(base, "GET", "/_keystead/health")).status).toBe(200);
  expect((await send(base, "GET", "/_keystead/ready")).status).toBe(503);
  for (const path of ["info", "metrics", "stores", "clusters", "clock", "pkcs11"]) {
    const { status, json } = await send(base, "GET", `/_keystead/${path}`);
    expect([path, status]).toEqual([path, 401]);
    expect(json["error"]).toContain("KEYSTEAD_MANAGEMENT_TOKEN");
  }
  for (const wrong of ["Bearer other", "Bearer s3cret-token2", "Basic s3cret-token", "s3cret-token"])
    expect((await send(base, "POST", "/_keystead/reset", {}, { Authorization: wrong })).status).toBe(401);
  expect(calls).toEqual([]);
  const good = await send(base, "GET", "/_keystead/info", undefined, {
    Authorization: "Bearer s3cret-token",
  });
  expect(good.status).toBe(200);
});

test("a page of another origin is refused, our own is not, and no CORS header is ever sent", async () => {
  const { services, calls } = fakes();
  const base = await listen(services);
  for (const Origin of ["http://evil.example", "null", "https://127.0.0.1:1"]) {
    const { status, headers } = await send(base, "POST", "/_keystead/reset", undefined, { Origin });
    expect([Origin, status]).toEqual([Origin, 403]);
    expect(headers.get("access-control-allow-origin")).toBeNull();
  }
  expect(calls).toEqual([]);
  const own = await send(base, "POST", "/_keystead/reset?seed=empty", undefined, { Origin: base });
  expect(own.status).toBe(200);
  expect(own.headers.get("access-control-allow-origin")).toBeNull();
  expect(calls).toEqual([["reset", "empty"]]);
});

test.each([
  ["POST", "/_keystead/reset?seed=other", undefined, 400, '"demo" or "empty"'],
  ["POST", "/_keystead/clock/advance", { by: -1 }, 400, '"by"'],
  ["POST", "/_keystead/clock/advance", { by: "soon" }, 400, "not a duration"],
  ["POST", "/_keystead/clock/advance", {}, 400, '"by"'],
  ["POST", "/_keystead/clock/advance", { by: null }, 400, '"by"'],
  ["POST", "/_keystead/clock/advance", { by: Number.NaN }, 400, '"by"'],
  ["POST", "/_keystead/clock/advance", '{"by": NaN}', 400, "not JSON"],
  ["POST", "/_keystead/clock/advance", '{"by": 1e999}', 400, '"by"'],
  ["POST", "/_keystead/clock/advance", { by: 1e308 }, 400, "9999-12-31"],
  ["POST", "/_keystead/clock/advance", { by: 1e15 }, 400, "9999-12-31"],
  ["POST", "/_keystead/clock/advance", { by: "3650000d" }, 400, "9999-12-31"],
  ["POST", "/_keystead/clock/advance", { by: "100000000d" }, 400, "too long"],
  ["POST", "/_keystead/clock/advance", { by: `${"9".repeat(400)}d` }, 400, "too long"],
  ["POST", "/_keystead/clock/advance", { by: "-8d" }, 400, "not a duration"],
  ["POST", "/_keystead/clock/advance", { by: "NaN" }, 400, "not a duration"],
  ["POST", "/_keystead/clock/advance", { by: "" }, 400, "not a duration"],
  ["POST", "/_keystead/clock/advance", "{broken", 400, "not JSON"],
  ["POST", "/_keystead/subnets/s/fill", { free: 1.5 }, 400, '"free"'],
  ["POST", "/_keystead/subnets", { AvailabilityZone: "a", Other: 1 }, 400, "Other"],
  ["POST", "/_keystead/clusters", { hsms: 0 }, 400, '"hsms"'],
  ["POST", "/_keystead/clusters/c/hsm", { command: "" }, 400, '"command"'],
  ["PUT", "/_keystead/transitions/no-such", { progression: "immediate" }, 404, "no lifecycle"],
  ["PUT", "/_keystead/transitions/cloudhsmv2::hsm", { progression: "manual", times: 0 }, 400, '"times"'],
  ["PUT", "/_keystead/transitions/cloudhsmv2::hsm", { progression: "time", seconds: -1 }, 400, '"seconds"'],
  ["GET", "/_keystead/nothing", undefined, 404, "README"],
])("%s %s with %j is refused with one sentence", async (method, path, body, status, part) => {
  const { services, calls } = fakes();
  services.clock.freeze();
  const before = services.clock.now();
  const answer = await send(await listen(services), method, path, body);
  expect(answer.status).toBe(status);
  expect(answer.json["error"]).toContain(part);
  expect(calls).toEqual([]);
  expect(services.clock.now(), "the clock has not moved").toBe(before);
});

test("a body over 64 KiB is refused", async () => {
  const base = await listen(fakes().services);
  const { status, json } = await send(base, "POST", "/_keystead/clock/advance", { by: "x".repeat(70_000) });
  expect(status).toBe(413);
  expect(json["error"]).toContain("64 KiB");
});

test("errors of the services become their HTTP status, and an unexpected one tells nothing", async () => {
  const cases: [Error, number, string | undefined][] = [
    [
      new AwsError("CustomKeyStoreNotFoundException", "no such store"),
      404,
      "CustomKeyStoreNotFoundException",
    ],
    [new AwsError("CustomKeyStoreInvalidStateException"), 409, "CustomKeyStoreInvalidStateException"],
    [new AwsError("ValidationException", "wrong"), 400, "ValidationException"],
    [new Refusal("use something else"), 400, undefined],
    [new Error("PIN 1234 leaked"), 500, undefined],
  ];
  for (const [error, status, code] of cases) {
    const { services } = fakes();
    const base = await listen({
      ...services,
      kms: { ...services.kms, connect: () => Promise.reject(error) },
    });
    const answer = await send(base, "POST", "/_keystead/stores/demo/connect", {});
    expect(answer.status).toBe(status);
    expect(answer.json["code"]).toBe(code);
    expect(String(answer.json["error"])).not.toContain("1234");
  }
});

test("the clock is moved by seconds or a duration, frozen and reset", async () => {
  const { services } = fakes();
  const base = await listen(services);
  await send(base, "POST", "/_keystead/clock/freeze", {});
  const before = services.clock.now();
  await send(base, "POST", "/_keystead/clock/advance", { by: "P8D" });
  const { json } = await send(base, "POST", "/_keystead/clock/advance", { by: 10 });
  expect(services.clock.now() - before).toBe(8 * 86_400_000 + 10_000);
  expect(json).toMatchObject({ frozen: true, now: new Date(services.clock.now()).toISOString() });
  await send(base, "POST", "/_keystead/clock/reset", {});
  expect(services.clock.frozen).toBe(false);
});

test("transitions are set per lifecycle and return to the preset", async () => {
  const base = await listen(fakes().services);
  const path = "/_keystead/transitions/kms::custom-key-store";
  const preset = (await send(base, "GET", "/_keystead/transitions")).json["kms::custom-key-store"];
  const manual = { progression: "manual", times: 3 };
  expect((await send(base, "PUT", path, manual)).json).toEqual({ "kms::custom-key-store": manual });
  expect((await send(base, "DELETE", path)).json).toEqual({ "kms::custom-key-store": preset });
});

test("the operator's envelope passes through, refused or not", async () => {
  const { services, calls } = fakes();
  const request = { command: "user create", args: { username: "kmsuser" }, session: "token" };
  const { status, json } = await send(
    await listen(services),
    "POST",
    "/_keystead/clusters/cluster-abcdefghijk/hsm",
    request,
  );
  expect(status).toBe(200);
  expect(json).toEqual({ error_code: 1, data: "refused" });
  expect(calls).toEqual([["operate", "cluster-abcdefghijk", request]]);
});

test("metrics name requests, PKCS#11 calls and the state of every store", async () => {
  const metrics = createMetrics(() => Promise.resolve([STORE]));
  metrics.request("Decrypt", "OK", 0.002);
  metrics.pkcs11Call("C_Login", "CKR_OK", 0.01);
  const { services } = fakes({ metrics: metrics.registry });
  const text = await (await fetch(`${await listen(services)}/_keystead/metrics`)).text();
  expect(text).toContain('keystead_requests_total{operation="Decrypt",code="OK"} 1');
  expect(text).toContain('keystead_request_seconds_count{operation="Decrypt"} 1');
  expect(text).toContain('keystead_pkcs11_call_seconds_count{function="C_Login",rv="CKR_OK"} 1');
  expect(text).toContain('keystead_store_state{store="cks-1234567890abcdef0",state="CONNECTED"} 1');
});
