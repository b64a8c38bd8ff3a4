/** AWS STS GetCallerIdentity on the same port. */
import { expect, test } from "vitest";
import { startFront, type Running } from "./harness.ts";

function form(server: Running, body: string, headers: object = {}): Promise<Response> {
  const type = "application/x-www-form-urlencoded; charset=utf-8";
  return fetch(server.url, { method: "POST", headers: { "Content-Type": type, ...headers }, body });
}

test("GetCallerIdentity answers who the caller is, in XML", async () => {
  await using server = await startFront();
  const response = await form(server, "Action=GetCallerIdentity&Version=2011-06-15");
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/xml"]);
  const text = await response.text();
  expect(text).toContain("<Arn>arn:aws:iam::000000000000:root</Arn>");
  expect(text).toContain("<UserId>000000000000</UserId><Account>000000000000</Account>");
  expect(text).toContain(`<RequestId>${response.headers.get("x-amzn-requestid")}</RequestId>`);
  expect(server.observed).toMatchObject([{ service: "sts", operation: "GetCallerIdentity", code: "OK" }]);
});

test.each(["Action=AssumeRole&RoleArn=x", "Action=<script>", "Version=2011-06-15", ""])(
  "anything else is 501: %j",
  async (body) => {
    await using server = await startFront();
    const response = await form(server, body);
    expect(response.status).toBe(501);
    expect(await response.text()).toMatch(/^<ErrorResponse .*<Code>NotImplemented<\/Code>/);
    expect(server.observed).toMatchObject([{ operation: "Unknown", code: "NotImplemented" }]);
  },
);

test("with sigv4 an unsigned or badly signed call is refused in the Query protocol's words", async () => {
  await using server = await startFront({ auth: "sigv4" });
  const unsigned = await form(server, "Action=GetCallerIdentity");
  expect([unsigned.status, await unsigned.text()]).toEqual([
    403,
    expect.stringContaining(
      "<Code>MissingAuthenticationToken</Code><Message>Missing Authentication Token</Message>",
    ),
  ]);
  const Authorization =
    "AWS4-HMAC-SHA256 Credential=AKIA/x/us-east-1/sts/aws4_request, SignedHeaders=host, Signature=0";
  const stranger = await form(server, "Action=GetCallerIdentity", { Authorization });
  expect([stranger.status, await stranger.text()]).toEqual([
    403,
    expect.stringContaining("<Code>InvalidClientTokenId</Code>"),
  ]);
});
