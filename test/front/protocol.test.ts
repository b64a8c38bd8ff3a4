/** The AWS JSON 1.1 protocol: answers, framework errors, error bodies (reference: wire-protocol §2, §4). */
import { expect, test } from "vitest";
import type { LogFields, Logger } from "../../src/core/logger.ts";
import { silent } from "../../src/core/logger.ts";
import { call, startFront } from "./harness.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("a structure is answered as JSON with a request id", async () => {
  await using server = await startFront();
  const response = await call(server, "TrentService.DescribeKey", { KeyId: "k" });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/x-amz-json-1.1");
  expect(response.headers.get("x-amzn-requestid")).toMatch(UUID);
  expect(await response.json()).toEqual({
    KeyMetadata: { KeyId: "k", Arn: "arn:aws:iam::000000000000:root", Description: "hello" },
  });
});

test("bytes go in and out as base64, maps as objects", async () => {
  await using server = await startFront();
  const sealed = await call(server, "TrentService.Encrypt", { KeyId: "k", Plaintext: "aGVsbG8=" });
  expect(await sealed.json()).toEqual({ KeyId: "k", CiphertextBlob: "aGVsbG8=" });
  const body = '{"Context":{"__proto__":"a","b":"c"}}';
  const listed = await call(server, "TrentService.ListKeys", body);
  expect(await listed.text()).toBe(
    '{"Keys":[{"Bytes":"aGk="}],"Map":{"__proto__":"a","b":"c"},"AccessKey":""}',
  );
});

test("no output shape: empty body of length 0; an empty output shape: {}", async () => {
  await using server = await startFront();
  const none = await call(server, "TrentService.EnableKey", { KeyId: "k" });
  expect([none.status, none.headers.get("content-length"), await none.text()]).toEqual([200, "0", ""]);
  const empty = await call(server, "TrentService.ConnectCustomKeyStore", {});
  expect([empty.status, await empty.text()]).toEqual([200, "{}"]);
});

test.each([
  ["TrentService.Decrypt", "NotFoundException", 400, { __type: "NotFoundException", message: "the text" }],
  ["TrentService.Decrypt", "empty", 400, { __type: "InvalidCiphertextException" }],
  [
    "TrentService.Decrypt",
    "AccessDeniedException",
    400,
    { __type: "AccessDeniedException", Message: "the text" },
  ],
  [
    "TrentService.Decrypt",
    "KMSInternalException",
    500,
    { __type: "KMSInternalException", message: "the text" },
  ],
  [
    "BaldrApiService.DeleteCluster",
    "CloudHsmResourceNotFoundException",
    400,
    { __type: "CloudHsmResourceNotFoundException", Message: "the text" },
  ],
  [
    "BaldrApiService.DeleteCluster",
    "ValidationException",
    400,
    { __type: "ValidationException", message: "the text" },
  ],
])("%s answers %s with %i", async (target, code, status, body) => {
  await using server = await startFront();
  const response = await call(server, target, { KeyId: code, ClusterId: code });
  expect(response.status).toBe(status);
  expect(await response.json()).toEqual(body);
});

test("an unexpected error is the service's 500 with a fixed sentence; details are in the log only", async () => {
  const logged: LogFields[] = [];
  const log: Logger = { ...silent, error: (fields) => logged.push(fields) };
  await using server = await startFront({ log });
  const sentence =
    "The request was rejected because an internal exception occurred. The request can be retried.";
  const kms = await call(server, "TrentService.Decrypt", { KeyId: "crash" });
  expect([kms.status, await kms.json()]).toEqual([
    500,
    { __type: "KMSInternalException", message: sentence },
  ]);
  const hsm = await call(server, "BaldrApiService.DeleteCluster", { ClusterId: "crash" });
  expect([hsm.status, await hsm.json()]).toEqual([
    500,
    { __type: "CloudHsmInternalFailureException", Message: sentence },
  ]);
  expect(logged[0]?.reason).toBe("/secret/path: SELECT * FROM keys");
  expect(logged[0]?.stack).toContain("TypeError");
  expect(logged[0]?.requestId).toBe(kms.headers.get("x-amzn-requestid"));
});

const list = "Start of list found where not expected";
const object = "Start of structure or map found where not expected.";
const nested = (levels: number): string => `{"Names":${"[".repeat(levels)}${"]".repeat(levels)}}`;

test.each<[name: string, body: string | Uint8Array, text: string | undefined]>([
  ["empty", "", undefined],
  ["open", "{", undefined],
  ["trailing comma", '{"Limit":1,}', undefined],
  ["null", "null", undefined],
  ["string", '"x"', undefined],
  ["list", "[]", list],
  ["BOM", "\ufeff{}", undefined],
  ["invalid UTF-8", Buffer.from('{"Names":["\xff"]}', "latin1"), undefined],
  ["overlong UTF-8", Buffer.from('{"Names":["\xc0\xaf"]}', "latin1"), undefined],
  ["lone surrogate", '{"Names":["\\ud800"]}', undefined],
  ["65 levels", nested(64), undefined],
  ["10,000 levels", nested(10_000), undefined],
  ["500,000 levels", nested(500_000), undefined],
  ["64 levels", nested(63), list],
  ["string for integer", '{"Limit":"1"}', "STRING_VALUE can not be converted to an Integer"],
  ["boolean for integer", '{"Limit":true}', "TRUE_VALUE can not be converted to an Integer"],
  ["infinity", '{"Limit":1e999}', undefined],
  ["beyond 32 bits", '{"Limit":2147483648}', undefined],
  ["object for integer", '{"Limit":{}}', object],
  ["number in list", '{"Names":[1]}', "NUMBER_VALUE can not be converted to a String"],
  ["string for list", '{"Names":"a"}', "Expected list or null"],
  ["object for list", '{"Names":{}}', object],
  ["string for map", '{"Context":"a"}', "Expected null"],
  ["string for structure", '{"Inner":"a"}', "Expected null"],
])("SerializationException: %s", async (_name, body, text) => {
  await using server = await startFront();
  const response = await call(server, "TrentService.ListKeys", body);
  expect(response.status).toBe(400);
  const expected = { __type: "SerializationException" };
  expect(await response.json()).toEqual(text === undefined ? expected : { ...expected, message: text });
});

test("brackets inside strings do not count as levels", async () => {
  await using server = await startFront();
  const response = await call(server, "TrentService.ListKeys", { Names: [`"${"[".repeat(100)}\\`] });
  expect(response.status).toBe(200);
});

test.each([
  "TrentService.Nothing",
  "TrentService.constructor",
  "TrentService.__proto__",
  "TrentService.encrypt",
  "trentservice.Encrypt",
  "Encrypt",
  "TrentService",
  "",
  "TrentService.DescribeKey, TrentService.EnableKey",
])("UnknownOperationException without text for target %j", async (target) => {
  await using server = await startFront();
  const response = await call(server, target, {});
  expect(response.status).toBe(400);
  expect(await response.text()).toBe('{"__type":"UnknownOperationException"}');
});

test.each([
  ["application/x-amz-json-1.1", 200],
  ["application/json", 200],
  ["Application/JSON; charset=UTF-8", 200],
  ['application/x-amz-json-1.1;charset="utf-8"', 200],
  ["application/x-amz-json-1.0", 404],
  ["application/json; charset=utf-16", 404],
  ["application/jsonp", 404],
  ["text/plain", 404],
  ["text/plain; application/json", 404],
  ["multipart/form-data; boundary=x", 404],
])("content type %s is answered with %i", async (type, status) => {
  await using server = await startFront();
  const response = await call(server, "TrentService.ConnectCustomKeyStore", "{}", { "Content-Type": type });
  expect(response.status).toBe(status);
  expect((await response.text()).trim()).toBe(status === 200 ? "{}" : "<UnknownOperationException/>");
});

test("validation comes after the type errors and lists every violation", async () => {
  await using server = await startFront();
  const response = await call(server, "TrentService.Encrypt", { Plaintext: "MTIzNDU2Nzg5" });
  expect(await response.json()).toEqual({
    __type: "ValidationException",
    message:
      "2 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null; " +
      "Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 8",
  });
});

test("every AWS request is observed once, without its contents", async () => {
  await using server = await startFront();
  await call(server, "TrentService.EnableKey", { KeyId: "k" });
  await call(server, "TrentService.Decrypt", { KeyId: "NotFoundException" });
  await call(server, "TrentService.Secret", {});
  expect(
    server.observed.map(({ service, operation, code, status }) => [service, operation, code, status]),
  ).toEqual([
    ["kms", "EnableKey", "OK", 200],
    ["kms", "Decrypt", "NotFoundException", 400],
    ["unknown", "Unknown", "UnknownOperationException", 400],
  ]);
});
