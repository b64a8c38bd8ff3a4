import { expect, test } from "vitest";
import { Rates } from "../../src/kms/rates.ts";

function throttled(act: () => void): boolean {
  try {
    act();
    return false;
  } catch (error) {
    expect(error).toMatchObject({ code: "ThrottlingException", status: 400 });
    return true;
  }
}

test("each custom key store operation has five a second of its own", () => {
  let now = 0;
  const rates = new Rates(true, () => now);
  const take = (operation: string): boolean => throttled(() => rates.keyStoreOperation(operation));
  expect(Array.from({ length: 6 }, () => take("ConnectCustomKeyStore"))).toEqual([
    ...Array.from({ length: 5 }, () => false),
    true,
  ]);
  expect(take("DescribeCustomKeyStores")).toBe(false);
  now = 200;
  expect(take("ConnectCustomKeyStore")).toBe(false);
  expect(take("ConnectCustomKeyStore")).toBe(true);
});

test("cryptographic requests have 1,800 a second for each key store", () => {
  const rates = new Rates(true, () => 0);
  for (let count = 0; count < 1_800; count += 1) rates.cryptographic("cks-1");
  expect(throttled(() => rates.cryptographic("cks-1"))).toBe(true);
  expect(throttled(() => rates.cryptographic("cks-2"))).toBe(false);
});

test("without AWS's quotas nothing is throttled", () => {
  const rates = new Rates(false, () => 0);
  for (let count = 0; count < 10_000; count += 1) rates.cryptographic("cks-1");
});
