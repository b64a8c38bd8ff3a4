/** Identifiers have AWS's formats (reference: wire-protocol §6). */
import { expect, test } from "vitest";
import * as ids from "../../src/core/ids.ts";

test.each([
  [ids.newClusterId(), /^cluster-[2-7a-z]{11}$/],
  [ids.newHsmId(), /^hsm-[2-7a-z]{11}$/],
  [ids.newKeyStoreId(), /^cks-[0-9a-f]{17}$/],
  [ids.newKeyId(), /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/],
  [ids.newBackingKeyId(), /^[0-9a-f]{64}$/],
  [ids.newNetworkInterfaceId(), /^eni-[0-9a-f]{17}$/],
  [ids.newKmsUserPassword(), /^[A-Za-z0-9]{32}$/],
])("%s", (id, format) => {
  expect(id).toMatch(format);
});

test("an ARN has the partition of its Region", () => {
  expect(ids.arn("kms", "us-east-1", "000000000000", "key/k")).toBe(
    "arn:aws:kms:us-east-1:000000000000:key/k",
  );
  expect(ids.arn("kms", "cn-north-1", "0", "key/k")).toMatch(/^arn:aws-cn:/);
  expect(ids.arn("kms", "us-gov-west-1", "0", "key/k")).toMatch(/^arn:aws-us-gov:/);
});
