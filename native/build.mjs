/**
 * Builds the addon with node-gyp: called by the Makefile and by npm when the package is
 * installed. node-gyp would download Node's headers; where they lie beside the running
 * node, as in Debian's and Node's own packages, it is told so and needs no network.
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The Makefile builds the addon as a step of its own, after the packages are installed. */
if (process.env.KEYSTEAD_SKIP_ADDON === "1" && process.env.npm_lifecycle_event === "install") process.exit(0);

const prefix = resolve(process.execPath, "../..");
const headers = existsSync(join(prefix, "include/node/node_api.h")) ? { npm_config_nodedir: prefix } : {};
const nodeGyp = createRequire(import.meta.url).resolve("node-gyp/bin/node-gyp.js");
execFileSync(process.execPath, [nodeGyp, "rebuild", "--directory", dirname(fileURLToPath(import.meta.url))], {
  env: { ...process.env, ...headers },
  stdio: "inherit",
});
