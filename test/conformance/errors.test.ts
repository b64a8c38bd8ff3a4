import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { KNOWN_ERRORS, mayAnswer } from "./errors.ts";

test("the services throw no exception that neither model nor framework has", () => {
  const files = ["kms", "cloudhsm", "core"].flatMap((room) =>
    readdirSync(join("src", room)).map((name) => join("src", room, name)),
  );
  expect(files.length).toBeGreaterThan(50);
  const thrown = files.flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/new AwsError\(\s*"(\w+)"/g)].map((match) => match[1] ?? ""),
  );
  expect(thrown.length).toBeGreaterThan(50);
  expect([...new Set(thrown)].filter((code) => !KNOWN_ERRORS.has(code))).toEqual([]);
});

test("the check tells a listed exception from one that is not", () => {
  expect(mayAnswer("Encrypt", "DisabledException")).toBe(true);
  expect(mayAnswer("Encrypt", "ValidationException")).toBe(true);
  expect(mayAnswer("Encrypt", "CustomKeyStoreNotFoundException")).toBe(false);
});
