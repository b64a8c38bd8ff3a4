/** `npx keystead` in the checkout: npm installs the package by a link first, and must leave the built addon alone. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../api/harness.ts";
import { CHECKOUT, cleanEnvironment, run } from "./process.ts";

const addon = join(CHECKOUT, "native/build/Release/keystead.node");

test("a first npx in the checkout does not build the addon again", async () => {
  const before = statSync(addon).mtimeMs;
  // An empty cache is what makes it the first time.
  const env = cleanEnvironment({ npm_config_cache: temporaryDirectory() });
  const { code, stdout } = await run("npx", ["keystead", "version"], { cwd: CHECKOUT, env });
  expect(code).toBe(0);
  expect(stdout).toMatch(/^\d+\.\d+\.\d+$/m);
  expect(statSync(addon).mtimeMs).toBe(before);
});

test("the install script builds nothing when the addon is there", async () => {
  const before = statSync(addon).mtimeMs;
  const env = cleanEnvironment({ npm_lifecycle_event: "install" });
  const { code } = await run(process.execPath, [join(CHECKOUT, "native/build.mjs")], { cwd: CHECKOUT, env });
  expect(code).toBe(0);
  expect(existsSync(addon)).toBe(true);
  expect(statSync(addon).mtimeMs).toBe(before);
});
