/**
 * The README's AWS CLI session, word for word, against `keystead dev` with its default
 * timing. Skipped where there is no AWS CLI, because it cannot be run without one.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CHECKOUT, cleanEnvironment, run, startDev } from "./process.ts";

const awsCli = spawnSync("aws", ["--version"]).status === 0;
if (!awsCli) process.stderr.write("README session skipped: there is no AWS CLI (aws) on PATH\n");

function session(): string {
  const readme = readFileSync(join(CHECKOUT, "README.md"), "utf8");
  const block = /<!-- session -->\n+```sh\n([\s\S]*?)\n```/.exec(readme)?.[1];
  if (block === undefined) throw new Error("README.md has no <!-- session --> block");
  return block;
}

// Skipped only on machines without the AWS CLI; the message above says so.
describe.skipIf(!awsCli)("the README's session", () => {
  let server: Awaited<ReturnType<typeof startDev>>;
  let directory = "";
  beforeAll(async () => {
    server = await startDev();
    // Under the checkout, so that npx finds `keystead` as it does for the reader.
    mkdirSync(join(CHECKOUT, ".make"), { recursive: true });
    directory = mkdtempSync(join(CHECKOUT, ".make/session-"));
  });
  afterAll(async () => {
    rmSync(directory, { recursive: true, force: true });
    expect(await server.close()).toBe(0);
  });

  test("runs from an empty account to the last decrypt", { timeout: 300_000 }, async () => {
    const { code, stdout, stderr } = await run("bash", ["-eu", "-o", "pipefail", "-c", session()], {
      cwd: directory,
      env: cleanEnvironment({ KEYSTEAD_ENDPOINT: server.endpoint }),
    });
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    // Both decrypts printed the same 32-byte data key.
    const plaintexts = stdout.match(/^[A-Za-z0-9+/]{43}=$/gm) ?? [];
    expect(plaintexts).toHaveLength(2);
    expect(plaintexts[0]).toBe(plaintexts[1]);
    // The audit showed the key: label = key ARN, and material that never left the token.
    expect(stdout).toMatch(/label: +arn:aws:kms:us-east-1:000000000000:key\/[0-9a-f-]{36}/);
    expect(stdout).toMatch(/Access: +sensitive, always sensitive, never extractable, local/);
  });
});
