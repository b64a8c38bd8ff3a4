/**
 * The addon builds with nothing but what is on the machine: npm's configuration is empty, the
 * caches are empty, and the address of Node's headers is one where nobody listens.
 */
import { cpSync, existsSync, symlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryDirectory } from "../api/harness.ts";
import { CHECKOUT, run } from "./process.ts";

const headers = resolve(process.execPath, "../../include/node/node_api.h");
const hasHeaders = existsSync(headers);
if (!hasHeaders)
  process.stderr.write(`addon build skipped: there is no ${headers}, so it needs a download\n`);

/** `native/` without what was built there, and the packages beside it. */
function copyOfNative(): string {
  const directory = temporaryDirectory();
  const built = join(CHECKOUT, "native/build");
  cpSync(join(CHECKOUT, "native"), join(directory, "native"), {
    recursive: true,
    filter: (path) => path !== built,
  });
  symlinkSync(join(CHECKOUT, "node_modules"), join(directory, "node_modules"));
  return directory;
}

// Skipped only where Node's headers are not beside node; the message above says so.
describe.skipIf(!hasHeaders)("the addon", () => {
  test("is built without a download and without npm configuration", { timeout: 300_000 }, async () => {
    const directory = copyOfNative();
    const nowhere = "http://127.0.0.1:9";
    const { code, stdout, stderr } = await run(process.execPath, [join(directory, "native/build.mjs")], {
      cwd: directory,
      env: {
        PATH: `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`,
        HOME: temporaryDirectory(),
        JOBS: "max",
        npm_config_userconfig: "/dev/null",
        npm_config_globalconfig: "/dev/null",
        npm_config_disturl: nowhere,
        npm_config_dist_url: nowhere,
      },
    });
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(existsSync(join(directory, "native/build/Release/keystead.node"))).toBe(true);
  });
});
