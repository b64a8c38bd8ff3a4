/** What is left of the wire protocol: statuses, headers, order of checks, formats of ids (reference: wire-protocol). */
import { expect, test } from "vitest";
import { AwsError } from "../../src/core/errors.ts";
import * as ids from "../../src/core/ids.ts";
import { Rates } from "../../src/kms/rates.ts";
import { KNOWN_ERRORS } from "../conformance/errors.ts";
import { covers, expectSaid, invalid, sharedServer, type Answer } from "./harness.ts";

const shared = sharedServer(() => Promise.resolve({}));
const call = (operation: string, input?: unknown): Promise<Answer> => shared.call(operation, input);
const baldr = (operation: string): string => `BaldrApiService.${operation}`;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const SERVER_FAULTS = [
  "CloudHsmInternalFailureException",
  "DependencyTimeoutException",
  "InternalFailure",
  "KMSInternalException",
  "KeyUnavailableException",
];

test(covers("wire-2-request-id wire-2-no-error-type-needed", "headers of answers"), async () => {
  for (const [operation, input] of [
    ["ListKeys", {}],
    ["ListKeys", { Limit: 0 }],
    ["Nothing", {}],
    [baldr("DescribeClusters"), {}],
  ] as const) {
    const { headers, status, body } = await call(operation, input);
    expect(headers.get("x-amzn-requestid")).toMatch(UUID);
    expect(headers.get("content-type")).toBe("application/x-amz-json-1.1");
    expect(headers.has("x-amzn-errortype")).toBe(false);
    expect(Object.hasOwn(body, "__type")).toBe(status !== 200);
  }
});

test(covers("wire-4.2-{400,500,503}", "the status of every exception"), () => {
  const statusOf = (code: string): number => new AwsError(code).status;
  const all = [...KNOWN_ERRORS, ...SERVER_FAULTS];
  expect([...new Set(all.filter((code) => statusOf(code) === 500))].toSorted()).toEqual(SERVER_FAULTS);
  expect(statusOf("ServiceUnavailable")).toBe(503);
  const rest = all.filter((code) => !SERVER_FAULTS.includes(code));
  expect([...new Set(rest.map(statusOf))]).toEqual([400]);
});

test(covers("wire-4.3-then-operation", "the model is asked before the operation"), async () => {
  // The store does not exist either, and the number of bytes is missing by meaning.
  const wrong = { CustomKeyStoreId: "" };
  expectSaid(await call("GenerateRandom", wrong), invalid.shorter("customKeyStoreId", 1, ""));
});

test(covers("wire-4.4-content-type", "a content type that is absent or JSON 1.0: 404 in XML"), async () => {
  const { endpoint } = shared.keystead.server;
  const target = { "X-Amz-Target": "TrentService.ListKeys" };
  for (const headers of [target, { ...target, "Content-Type": "application/x-amz-json-1.0" }]) {
    // Bytes, because fetch gives a text a content type of its own.
    const response = await fetch(endpoint, { method: "POST", headers, body: Buffer.from("{}") });
    expect([response.status, (await response.text()).trim()]).toEqual([404, "<UnknownOperationException/>"]);
  }
});

test(covers("wire-4.5-throttled", "the guide's sentence"), () => {
  const rates = new Rates(true, () => 0);
  const take = (): void => rates.keyStoreOperation("DescribeCustomKeyStores");
  for (let count = 0; count < 5; count += 1) take();
  const sentence =
    "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.";
  expect(take).toThrow(
    expect.objectContaining({ code: "ThrottlingException", status: 400, message: sentence }),
  );
});

const FORMATS: readonly [made: string, format: RegExp][] = [
  [ids.newKeyStoreId(), /^cks-[0-9a-f]{17}$/],
  [ids.newClusterId(), /^cluster-[2-7a-z]{11}$/],
  [ids.newHsmId(), /^hsm-[2-7a-z]{11}$/],
  [ids.newBackupId(), /^backup-[2-7a-z]{11}$/],
  [ids.newNetworkInterfaceId(), /^eni-[0-9a-f]{17}$/],
  [ids.newSecurityGroupId(), /^sg-[0-9a-f]{17}$/],
  [ids.newSubnetId(), /^subnet-[0-9a-f]{17}$/],
  [ids.newBackingKeyId(), /^[0-9a-f]{64}$/],
];

test(covers("wire-6-ids wire-6-backing-key-id", "ids have AWS's formats"), () => {
  for (const [made, format] of FORMATS) expect(made).toMatch(format);
});
