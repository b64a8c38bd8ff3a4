/** The verifier against AWS's own vectors, against the AWS SDK's signer, and against tampering (reliability T1). */
import { createHash, createHmac } from "node:crypto";
import { Agent } from "node:http";
import { KMSClient, DescribeKeyCommand, ListKeysCommand } from "@aws-sdk/client-kms";
import { CloudHSMV2Client, DeleteClusterCommand } from "@aws-sdk/client-cloudhsm-v2";
import { expect, test, vi } from "vitest";
import type { AwsError } from "../../src/core/errors.ts";
import { silent, type LogFields } from "../../src/core/logger.ts";
import type { Caller } from "../../src/core/operation.ts";
import type { SignedRequest } from "../../src/front/canonical.ts";
import { SignatureVerifier } from "../../src/front/sigv4.ts";
import { call, CREDENTIALS, REGION, startFront } from "./harness.ts";

const NOW = Date.UTC(2015, 7, 30, 12, 36);
const SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const ARN = "arn:aws:iam::000000000000:user/test";

function verifier(
  now = NOW,
  sessionToken?: string,
  warn: (fields: LogFields) => void = () => undefined,
): SignatureVerifier {
  const credential = {
    secretAccessKey: SECRET,
    account: "000000000000",
    arn: ARN,
    ...(sessionToken && { sessionToken }),
  };
  return new SignatureVerifier({
    regions: new Set(["us-east-1"]),
    credentials: new Map([["AKIDEXAMPLE", credential]]),
    log: { ...silent, warn },
    now: () => now,
  });
}

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect((error as AwsError).status).toBe(400);
    return `${(error as AwsError).code}: ${(error as AwsError).message}`;
  }
  return "accepted";
}

/** aws-sig-v4-test-suite, as published by AWS: [name, method, target, headers, signed headers, body, signature]. */
const VECTORS: readonly [string, string, string, Record<string, string>, string, string, string][] = [
  [
    "get-vanilla",
    "GET",
    "/",
    {},
    "host;x-amz-date",
    "",
    "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
  ],
  [
    "get-vanilla-query-order-key-case",
    "GET",
    "/?Param2=value2&Param1=value1",
    {},
    "host;x-amz-date",
    "",
    "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
  ],
  [
    "post-vanilla",
    "POST",
    "/",
    {},
    "host;x-amz-date",
    "",
    "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
  ],
  [
    "post-header-key-sort",
    "POST",
    "/",
    { "my-header1": "value1" },
    "host;my-header1;x-amz-date",
    "",
    "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
  ],
  [
    "get-header-value-trim",
    "GET",
    "/",
    { "my-header1": "value1", "my-header2": '"a   b   c"' },
    "host;my-header1;my-header2;x-amz-date",
    "",
    "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
  ],
  [
    "post-x-www-form-urlencoded",
    "POST",
    "/",
    { "content-type": "application/x-www-form-urlencoded" },
    "content-type;host;x-amz-date",
    "Param1=value1",
    "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
  ],
];

test.each(VECTORS)("AWS test vector %s", (_name, method, target, extra, signed, body, signature) => {
  const authorization = `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=${signed}, Signature=${signature}`;
  const headers = new Map(
    Object.entries({
      host: "example.amazonaws.com",
      "x-amz-date": "20150830T123600Z",
      ...extra,
      authorization,
    }),
  );
  const request: SignedRequest = { method, target, headers, body: Buffer.from(body) };
  expect(verifier().verify(request, "service")).toEqual({
    account: "000000000000",
    arn: ARN,
    accessKeyId: "AKIDEXAMPLE",
    region: "us-east-1",
  });
});

interface Recipe {
  readonly date?: string;
  readonly scope?: string;
  readonly signed?: string;
  readonly headers?: Record<string, string>;
  readonly drop?: string;
  readonly target?: string;
  readonly secret?: string;
}

const mac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();
const sha = (text: string): string => createHash("sha256").update(text).digest("hex");
const SCOPE = "20150830/us-east-1/kms/aws4_request";

/** An independent signer: signs exactly what the recipe says, right or wrong. */
function sign(recipe: Recipe = {}): {
  method: string;
  target: string;
  headers: Map<string, string>;
  body: Buffer;
} {
  const date = recipe.date ?? "20150830T123600Z";
  const scope = recipe.scope ?? SCOPE;
  const headers = new Map(
    Object.entries({
      "content-type": "application/x-amz-json-1.1",
      host: "localhost:4599",
      "x-amz-date": date,
      "x-amz-target": "TrentService.DescribeKey",
      ...recipe.headers,
    }),
  );
  if (recipe.drop !== undefined) headers.delete(recipe.drop);
  const signed = recipe.signed ?? [...headers.keys()].toSorted().join(";");
  const lines = signed.split(";").map((name) => `${name}:${headers.get(name) ?? ""}\n`);
  const body = '{"KeyId":"k"}';
  const [path = "/", query = ""] = (recipe.target ?? "/").split("?");
  const canonical = `POST\n${path}\n${query}\n${lines.join("")}\n${signed}\n${sha(body)}`;
  const [day = "", region = "", service = "", end = ""] = scope.split("/");
  const key = [region, service, end].reduce<Buffer>(mac, mac(`AWS4${recipe.secret ?? SECRET}`, day));
  const signature = mac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha(canonical)}`).toString("hex");
  headers.set(
    "authorization",
    `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/${scope}, SignedHeaders=${signed}, Signature=${signature}`,
  );
  return { method: "POST", target: recipe.target ?? "/", headers, body: Buffer.from(body) };
}

function edited(edit: (request: ReturnType<typeof sign>) => void, recipe?: Recipe): SignedRequest {
  const request = sign(recipe);
  edit(request);
  return request;
}

const replaceAuthorization = (from: string | RegExp, to: string) => (request: ReturnType<typeof sign>) =>
  request.headers.set("authorization", (request.headers.get("authorization") ?? "").replace(from, to));

const MISMATCH =
  /^InvalidSignatureException: The request signature we calculated does not match the signature you provided\. /;

test.each<[string, SignedRequest, RegExp]>([
  ["as signed", sign(), /^accepted$/],
  ["with a query", sign({ target: "/?a=b&c=" }), /^accepted$/],
  ["five minutes old", sign({ date: "20150830T123100Z" }), /^accepted$/],
  ["five minutes early", sign({ date: "20150830T124100Z" }), /^accepted$/],
  [
    "unsigned headers that are not x-amz-*",
    edited((r) => r.headers.set("amz-sdk-request", "attempt=1").set("x-amzn-trace-id", "1")),
    /^accepted$/,
  ],
  [
    "a Date header instead of X-Amz-Date",
    sign({ headers: { date: "20150830T123600Z" }, drop: "x-amz-date" }),
    /^accepted$/,
  ],
  ["tampered body", edited((r) => r.body.write("x", 2)), MISMATCH],
  ["tampered path", edited((r) => (r.target = "/x")), MISMATCH],
  ["added query", edited((r) => (r.target = "/?a=b")), MISMATCH],
  ["malformed query", edited((r) => (r.target = "/?a=%zz")), MISMATCH],
  ["tampered method", edited((r) => (r.method = "PUT")), MISMATCH],
  [
    "tampered target header",
    edited((r) => r.headers.set("x-amz-target", "TrentService.DisableKey")),
    MISMATCH,
  ],
  ["tampered host", edited((r) => r.headers.set("host", "evil")), MISMATCH],
  ["tampered content type", edited((r) => r.headers.set("content-type", "application/json")), MISMATCH],
  ["tampered date", edited((r) => r.headers.set("x-amz-date", "20150830T123601Z")), MISMATCH],
  ["a signed header taken away", edited((r) => r.headers.delete("content-type")), MISMATCH],
  [
    "an empty signed header taken away",
    edited((r) => r.headers.delete("x-empty"), { headers: { "x-empty": "" } }),
    MISMATCH,
  ],
  ["another secret", sign({ secret: "guess" }), MISMATCH],
  [
    "unsorted signed headers",
    edited(
      replaceAuthorization(/SignedHeaders=[^,]+/, "SignedHeaders=x-amz-target;x-amz-date;host;content-type"),
    ),
    /^accepted$/,
  ],
  ["fewer signed headers than signed", edited(replaceAuthorization("content-type;", "")), MISMATCH],
  ["claimed payload hash", sign({ headers: { "x-amz-content-sha256": "UNSIGNED-PAYLOAD" } }), /^accepted$/],
  ["upper-case signature", edited(replaceAuthorization(/[0-9a-f]{64}$/, "A".repeat(64))), MISMATCH],
  ["short signature", edited(replaceAuthorization(/[0-9a-f]{64}$/, "00")), MISMATCH],
  ["zero signature", edited(replaceAuthorization(/[0-9a-f]{64}$/, "0".repeat(64))), MISMATCH],
  [
    "unsigned x-amz-*",
    edited((r) => r.headers.set("x-amz-extra", "1")),
    /'x-amz-extra' must be a 'SignedHeader'/,
  ],
  [
    "unsigned x-amz-target",
    sign({ signed: "content-type;host;x-amz-date" }),
    /'x-amz-target' must be a 'SignedHeader'/,
  ],
  [
    "unsigned x-amz-date",
    sign({ signed: "content-type;host;x-amz-target" }),
    /'x-amz-date' must be a 'SignedHeader'/,
  ],
  [
    "unsigned host",
    sign({ signed: "content-type;x-amz-date;x-amz-target" }),
    /'Host' must be a 'SignedHeader'/,
  ],
  [
    "unsigned Date",
    sign({
      headers: { date: "20150830T123600Z" },
      drop: "x-amz-date",
      signed: "content-type;host;x-amz-target",
    }),
    /'Date' must be/,
  ],
  ["host absent", edited((r) => r.headers.delete("host")), MISMATCH],
  [
    "wrong service",
    sign({ scope: "20150830/us-east-1/cloudhsm/aws4_request" }),
    /^InvalidSignatureException: .*correct service: 'kms'/,
  ],
  [
    "wrong region",
    sign({ scope: "20150830/eu-west-1/kms/aws4_request" }),
    /^InvalidSignatureException: .*valid region/,
  ],
  [
    "wrong terminator",
    sign({ scope: "20150830/us-east-1/kms/aws5_request" }),
    /^InvalidSignatureException: .*valid terminator/,
  ],
  [
    "wrong scope date",
    sign({ scope: "20150829/us-east-1/kms/aws4_request" }),
    /^InvalidSignatureException: .*'20150829' != '20150830'/,
  ],
  [
    "expired",
    sign({ date: "20150830T123059Z" }),
    /^InvalidSignatureException: Signature expired: 20150830T123059Z is now earlier than 20150830T123100Z \(20150830T123600Z - 5 min\.\)$/,
  ],
  [
    "from the future",
    sign({ date: "20150830T124101Z" }),
    /^InvalidSignatureException: Signature not yet current: /,
  ],
  [
    "no Authorization",
    edited((r) => r.headers.delete("authorization")),
    /^MissingAuthenticationTokenException: Missing Authentication Token$/,
  ],
  [
    "presigned",
    edited((r) => {
      r.headers.delete("authorization");
      r.target = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0";
    }),
    /^IncompleteSignatureException: .*presigned/,
  ],
  [
    "another scheme",
    edited((r) => r.headers.set("authorization", "Bearer x")),
    /^IncompleteSignatureException: /,
  ],
  [
    "no parameters",
    edited((r) => r.headers.set("authorization", "AWS4-HMAC-SHA256 ")),
    /^IncompleteSignatureException: /,
  ],
  [
    "no Credential",
    edited(replaceAuthorization(/Credential=[^,]+, /, "")),
    /^IncompleteSignatureException: Authorization header requires 'Credential' parameter\.$/,
  ],
  [
    "two Signatures",
    edited(replaceAuthorization("Signature=", "Signature=0, Signature=")),
    /^IncompleteSignatureException: /,
  ],
  [
    "two Authorizations",
    edited(replaceAuthorization(/$/, ",AWS4-HMAC-SHA256 Credential=a")),
    /^(IncompleteSignature|InvalidSignature)Exception: /,
  ],
  [
    "short scope",
    edited(replaceAuthorization("/aws4_request", "")),
    /^IncompleteSignatureException: Credential must have exactly 5/,
  ],
  ["no date at all", sign({ drop: "x-amz-date" }), /^IncompleteSignatureException: .*existence of either/],
  [
    "a date that is none",
    sign({ date: "yesterday" }),
    /^IncompleteSignatureException: Date must be in ISO-8601/,
  ],
  [
    "unknown key",
    edited(replaceAuthorization("AKIDEXAMPLE", "AKIASTRANGER")),
    /^UnrecognizedClientException: The security token included in the request is invalid\.$/,
  ],
  [
    "a session token nobody gave",
    sign({ headers: { "x-amz-security-token": "t" } }),
    /^UnrecognizedClientException: /,
  ],
])("%s", (_name, request, expected) => {
  expect(code(() => verifier().verify(request, "kms"))).toMatch(expected);
});

test("a temporary credential needs its own session token, signed", () => {
  const temporary = verifier(NOW, "token");
  expect(code(() => temporary.verify(sign({ headers: { "x-amz-security-token": "token" } }), "kms"))).toBe(
    "accepted",
  );
  expect(code(() => temporary.verify(sign({ headers: { "x-amz-security-token": "other" } }), "kms"))).toMatch(
    /^Unrecognized/,
  );
  expect(code(() => temporary.verify(sign(), "kms"))).toMatch(/^Unrecognized/);
});

test("an unknown access key is logged once, with the way out", () => {
  const warned: LogFields[] = [];
  const strict = verifier(NOW, undefined, (fields) => warned.push(fields));
  const stranger = edited(replaceAuthorization("AKIDEXAMPLE", "AKIASTRANGER"));
  for (let round = 0; round < 3; round += 1) code(() => strict.verify(stranger, "kms"));
  expect(warned).toEqual([{ id: "AKIASTRANGER" }]);
});

test("the global STS region is accepted only where it is asked for", () => {
  const elsewhere = sign({ scope: "20150830/eu-west-1/kms/aws4_request" });
  const verify = (region?: string): Caller => verifier().verify(elsewhere, "kms", region);
  expect(code(() => verify("eu-west-1"))).toBe("accepted");
  expect(code(() => verify())).toMatch(/^InvalidSignatureException/);
});

test("the AWS SDK's own signatures are accepted for both services, wrong ones are not", async () => {
  await using server = await startFront({ auth: "sigv4" });
  const config = { endpoint: server.url, region: REGION, credentials: CREDENTIALS, maxAttempts: 1 };
  using kms = disposable(new KMSClient(config));
  const described = await kms.client.send(new DescribeKeyCommand({ KeyId: "schlüssel" }));
  expect(described.KeyMetadata).toMatchObject({ KeyId: "schlüssel", Arn: ARN });
  using hsm = disposable(new CloudHSMV2Client(config));
  const deleting = hsm.client.send(
    new DeleteClusterCommand({ ClusterId: "CloudHsmResourceNotFoundException" }),
  );
  await expect(deleting).rejects.toMatchObject({
    name: "CloudHsmResourceNotFoundException",
    message: "the text",
  });
  for (const [wrong, name] of [
    [{ credentials: { ...CREDENTIALS, secretAccessKey: "guess" } }, "InvalidSignatureException"],
    [{ credentials: { ...CREDENTIALS, accessKeyId: "AKIASTRANGER" } }, "UnrecognizedClientException"],
    [{ region: "eu-west-1" }, "InvalidSignatureException"],
  ] as const) {
    using stranger = disposable(new KMSClient({ ...config, ...wrong }));
    await expect(stranger.client.send(new ListKeysCommand({}))).rejects.toMatchObject({ name });
  }
});

function disposable<C extends { destroy(): void }>(client: C): Disposable & { readonly client: C } {
  return { client, [Symbol.dispose]: () => client.destroy() };
}

test("a signed request passes with the Host it signed, an unsigned one does not, whatever the mode", async () => {
  for (const auth of ["sigv4", "any"] as const) {
    await using server = await startFront({ auth, allowedHosts: [] });
    const lookup = vi.fn((_name: string, _options: object, done: (e: null, list: object[]) => void) =>
      done(null, [{ address: "127.0.0.1", family: 4 }]),
    );
    const requestHandler = { httpAgent: new Agent({ lookup: lookup as never }) };
    const config = {
      endpoint: `http://keystead.test:${server.port}`,
      region: REGION,
      requestHandler,
      maxAttempts: 1,
    };
    using signed = disposable(new KMSClient({ ...config, credentials: CREDENTIALS }));
    expect((await signed.client.send(new ListKeysCommand({}))).$metadata.httpStatusCode).toBe(200);
    using guessed = disposable(
      new KMSClient({ ...config, credentials: { ...CREDENTIALS, secretAccessKey: "guess" } }),
    );
    await expect(guessed.client.send(new ListKeysCommand({}))).rejects.toMatchObject({
      name: "AccessDeniedException",
      $metadata: { httpStatusCode: 403 },
    });
    expect(lookup).toHaveBeenCalled();
  }
});

test("sigv4: unsigned requests are refused, after the target and before the body", async () => {
  await using server = await startFront({ auth: "sigv4" });
  const refused = await call(server, "TrentService.DescribeKey", "{");
  expect([refused.status, await refused.json()]).toEqual([
    400,
    { __type: "MissingAuthenticationTokenException", message: "Missing Authentication Token" },
  ]);
  const unknown = await call(server, "TrentService.Nothing", "{");
  expect(await unknown.json()).toEqual({ __type: "UnknownOperationException" });
});

test("auth any: the caller is the account's root, under the access key the request names", async () => {
  await using server = await startFront();
  const authorization =
    "AWS4-HMAC-SHA256 Credential=AKIAANYBODY/20150830/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0";
  const response = await call(server, "TrentService.ListKeys", {}, { Authorization: authorization });
  expect(await response.json()).toMatchObject({ AccessKey: "AKIAANYBODY" });
});
