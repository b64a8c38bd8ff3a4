/**
 * What `make build` would do, asked with `make -n` in a directory of empty sources and stamps:
 * nothing when nothing changed (so that the second `make run` starts at once), and otherwise
 * only the steps of what changed.
 */
import { cpSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { hasProgram, temporaryDirectory } from "../api/harness.ts";
import { CHECKOUT, run } from "./process.ts";

const ABI = process.versions.modules;
const SOURCES = [
  "package.json",
  "package-lock.json",
  ".npmrc",
  "tsconfig.json",
  "src/a.ts",
  "native/a.cc",
  "native/binding.gyp",
];
const STAMPS = [".make/system", `.make/npm-${ABI}`, `.make/addon-${ABI}`, ".make/typescript"];

const hasMake = hasProgram("make");
if (!hasMake) process.stderr.write("make -n skipped: there is no make on PATH\n");

function touch(directory: string, path: string, seconds: number): void {
  mkdirSync(dirname(join(directory, path)), { recursive: true });
  writeFileSync(join(directory, path), "");
  utimesSync(join(directory, path), seconds, seconds);
}

/** A checkout right after a build: every stamp is younger than what it depends on. */
function builtCheckout(): string {
  const directory = temporaryDirectory();
  cpSync(join(CHECKOUT, "Makefile"), join(directory, "Makefile"));
  for (const path of SOURCES) touch(directory, path, 1_000_000);
  STAMPS.forEach((path, at) => touch(directory, path, 1_000_010 + at));
  return directory;
}

/** The commands, as make would run them. */
async function commands(directory: string): Promise<string> {
  // Without the variables of the make that runs this suite.
  const env = { PATH: `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}` };
  const { code, stdout, stderr } = await run("make", ["-n", "build"], { cwd: directory, env });
  expect(code, stderr).toBe(0);
  return stdout;
}

// Skipped only on machines without make; the message above says so.
describe.skipIf(!hasMake)("make build", () => {
  test("does nothing when nothing has changed", async () => {
    // The colon is the recipe of `build` itself: the shell's own no-op.
    expect(await commands(builtCheckout())).toBe(":\n");
  });

  test.each([
    ["src/a.ts", /tsc -p/, /npm install|native\/build\.mjs/],
    ["native/a.cc", /native\/build\.mjs/, /npm install|tsc -p/],
    ["package-lock.json", /npm install[^]*native\/build\.mjs[^]*tsc -p/, /apt-get/],
  ])("after a change of %s runs its steps only", async (changed, steps, others) => {
    const directory = builtCheckout();
    touch(directory, changed, 2_000_000);
    const would = await commands(directory);
    expect(would).toMatch(steps);
    expect(would).not.toMatch(others);
  });
});
