/** The listener: hosts, targets, caps, timeouts, smuggling (reliability T3, T4, T20, T21). */
import { once } from "node:events";
import { createConnection } from "node:net";
import { expect, test } from "vitest";
import { hostAllowList } from "../../src/front/hosts.ts";
import { call, raw, startFront, statusOf } from "./harness.ts";

const JSON_HEADERS =
  "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: TrentService.ConnectCustomKeyStore\r\nConnection: close\r\n";

function post(first: string, headers: string, body = "{}"): string {
  return `${first}\r\n${headers}${JSON_HEADERS}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

test.each([
  ["localhost", true],
  ["LOCALHOST:4599", true],
  ["127.0.0.1:1", true],
  ["[::1]:4599", true],
  ["[::1]", true],
  ["keystead:4599", true],
  ["[fe80::1]:80", true],
  ["evil.example", false],
  ["localhost.evil.example", false],
  ["127.0.0.1.nip.io", false],
  ["evil@localhost", false],
  ["localhost:80:80", false],
  ["localhost, evil.example", false],
  ["", false],
])("Host %j on the allow-list: %s", (header, allowed) => {
  expect(hostAllowList(["Keystead", "fe80::1"])(header)).toBe(allowed);
});

test.each([
  ["loopback", post("POST / HTTP/1.1", "Host: localhost:4599\r\n"), 200],
  ["a configured name", post("POST / HTTP/1.1", "Host: keystead:4599\r\n"), 200],
  ["a rebound name", post("POST / HTTP/1.1", "Host: evil.example\r\n"), 403],
  [
    "a rebound name with a made-up signature",
    post("POST / HTTP/1.1", "Host: evil.example\r\nAuthorization: x\r\n"),
    403,
  ],
  [
    "management with a rebound name",
    "GET /_keystead/health HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer x\r\n\r\n",
    403,
  ],
  ["console with a rebound name", "GET /console/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403],
  ["two Hosts", post("POST / HTTP/1.1", "Host: localhost\r\nhost: localhost\r\n"), 400],
  ["no Host", post("POST / HTTP/1.1", ""), 400],
  ["an absolute target", post("POST http://evil.example/ HTTP/1.1", "Host: localhost\r\n"), 400],
  ["an asterisk", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400],
  ["another path", post("POST /other HTTP/1.1", "Host: localhost\r\n"), 404],
  [
    "a preflight",
    "OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n",
    404,
  ],
  ["a browser", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 404],
  ["CONNECT", "CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 0],
  ["Upgrade", "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 0],
  [
    "two lengths",
    "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    0,
  ],
  [
    "length and chunks",
    "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    0,
  ],
  ["a negative length", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 0],
  ["a folded header", "POST / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n", 0],
  ["NUL in a header", "POST / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", 0],
  ["no HTTP", "hello\r\n\r\n", 0],
  ["too many headers", `POST / HTTP/1.1\r\nHost: localhost\r\nX: ${"a".repeat(20_000)}\r\n\r\n`, 0],
])("%s", async (_name, bytes, status) => {
  await using server = await startFront({ allowedHosts: ["keystead"], limits: { lingerTimeout: 50 } });
  const answer = await raw(server.port, bytes);
  expect(statusOf(answer)).toBe(status);
  expect(answer.toLowerCase()).not.toContain("access-control-");
  if (status !== 0) expect(answer).toMatch(/^x-amzn-RequestId: [0-9a-f-]{36}\r$/m);
});

test("of two targets neither is chosen", async () => {
  await using server = await startFront();
  const answer = await raw(
    server.port,
    post("POST / HTTP/1.1", "Host: localhost\r\nX-Amz-Target: TrentService.EnableKey\r\n"),
  );
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(answer).toMatch(/\{"__type":"UnknownOperationException"\}$/);
});

test("a browser is shown the way to the health page; management paths go to management", async () => {
  await using server = await startFront();
  expect(await (await fetch(server.url)).text()).toContain("/_keystead/health");
  for (const path of [
    "/_keystead/health",
    "/_keystead",
    "/_localstack/health",
    "/console/",
    "/console",
    "/_keystead/x?y=1",
  ]) {
    const response = await fetch(server.url + path);
    expect([await response.text(), response.headers.has("x-amzn-requestid")]).toEqual(["management", true]);
  }
  expect((await fetch(`${server.url}/_keysteadx`)).status).toBe(404);
});

test("a body over the cap is refused from its Content-Length alone", async () => {
  await using server = await startFront({ limits: { lingerTimeout: 50 } });
  const bytes = `POST / HTTP/1.1\r\nHost: localhost\r\n${JSON_HEADERS}Content-Length: 1048577\r\n\r\n`;
  const answer = await raw(server.port, bytes);
  expect(statusOf(answer)).toBe(413);
  expect(answer).toContain('"__type":"RequestEntityTooLargeException"');
  const expecting = await raw(server.port, bytes.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"));
  expect(statusOf(expecting)).toBe(413);
});

test("a chunked body is refused when it passes the cap; one of exactly 1 MiB is read", async () => {
  await using server = await startFront({ limits: { lingerTimeout: 50 } });
  const head = `POST / HTTP/1.1\r\nHost: localhost\r\n${JSON_HEADERS}Transfer-Encoding: chunked\r\n\r\n`;
  const chunk = `80000\r\n${" ".repeat(0x80000)}\r\n`;
  const answer = await raw(server.port, `${head}${chunk}${chunk}1\r\nx\r\n`);
  expect(statusOf(answer)).toBe(413);
  const full = `{}${" ".repeat(1024 * 1024 - 2)}`;
  expect((await call(server, "TrentService.ConnectCustomKeyStore", full)).status).toBe(200);
  expect((await call(server, "TrentService.ConnectCustomKeyStore", `${full} `)).status).toBe(413);
});

test("slow headers and slow bodies are cut off", async () => {
  const limits = { headersTimeout: 100, requestTimeout: 200, connectionsCheckingInterval: 20 };
  await using server = await startFront({ limits });
  const started = Date.now();
  const slow = [
    raw(server.port, "POST / HTTP/1.1\r\nHost: localhost\r\n"),
    raw(server.port, ""),
    raw(server.port, `POST / HTTP/1.1\r\nHost: localhost\r\n${JSON_HEADERS}Content-Length: 10\r\n\r\n{`),
  ];
  expect((await Promise.all(slow)).map(statusOf)).toEqual([0, 0, 0]);
  expect(Date.now() - started).toBeLessThan(2_000);
  expect((await call(server, "TrentService.ConnectCustomKeyStore", {})).status).toBe(200);
});

test("a client that goes away in the middle of its body harms nobody", async () => {
  await using server = await startFront();
  const socket = createConnection(server.port, "127.0.0.1");
  socket.write(`POST / HTTP/1.1\r\nHost: localhost\r\n${JSON_HEADERS}Content-Length: 10\r\n\r\n{`);
  await once(socket, "connect");
  setTimeout(() => socket.resetAndDestroy(), 20);
  await once(socket, "close");
  expect((await call(server, "TrentService.ConnectCustomKeyStore", {})).status).toBe(200);
  expect(server.observed).toHaveLength(1);
});
