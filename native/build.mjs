/**
 * Builds the addon with node-gyp: called by the Makefile and by npm when the package is
 * installed. node-gyp would download Node's headers; where they lie beside the running
 * node, as in Debian's and Node's own packages, it is told so and needs no network.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

/** True when the addon is there and younger than everything it is made of. */
function isBuilt() {
  const addon = join(here, "build/Release/keystead.node");
  if (!existsSync(addon)) return false;
  const sources = readdirSync(here).filter((name) => /\.(cc|h|gyp|mjs)$/.test(name));
  const built = statSync(addon).mtimeMs;
  return sources.every((name) => statSync(join(here, name)).mtimeMs <= built);
}

/**
 * As npm's install script it does no more than is needed: the Makefile builds the addon as a
 * step of its own, and `npx keystead` in the checkout installs the package by a link, which
 * must not take the addon away from a server that is running.
 */
const installing = process.env.npm_lifecycle_event === "install";
if (installing && (process.env.KEYSTEAD_SKIP_ADDON === "1" || isBuilt())) process.exit(0);

const prefix = resolve(process.execPath, "../..");
const headers = existsSync(join(prefix, "include/node/node_api.h")) ? { npm_config_nodedir: prefix } : {};
const nodeGyp = createRequire(import.meta.url).resolve("node-gyp/bin/node-gyp.js");
execFileSync(process.execPath, [nodeGyp, "rebuild", "--directory", here], {
  env: { ...process.env, ...headers },
  stdio: "inherit",
});
