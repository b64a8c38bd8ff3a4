/** The file of an operator's session token: for its owner alone. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { SessionFile } from "../../src/cli/operator-session.ts";

let runtime = "";
beforeEach(() => {
  runtime = mkdtempSync(join(tmpdir(), "keystead-test-"));
  vi.stubEnv("XDG_RUNTIME_DIR", runtime);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(runtime, { recursive: true });
});

test("a token is kept per server and cluster, readable by its owner only", () => {
  const file = new SessionFile("http://127.0.0.1:4599", "cluster-a");
  expect(file.read()).toBeUndefined();
  file.write("token-1");
  file.write("token-2");
  expect(file.read()).toBe("token-2");
  expect(new SessionFile("http://127.0.0.1:4599", "cluster-b").read()).toBeUndefined();
  expect(new SessionFile("http://127.0.0.1:4600", "cluster-a").read()).toBeUndefined();
  const directory = join(runtime, "keystead");
  const [name = ""] = readdirSync(directory);
  expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  file.remove();
  expect(file.read()).toBeUndefined();
});

test("a directory that others may enter is refused", () => {
  mkdirSync(join(runtime, "keystead"));
  chmodSync(join(runtime, "keystead"), 0o755);
  expect(() => new SessionFile("e", "c")).toThrow(/only you can read/);
});

test("a link in the directory's place is refused", () => {
  mkdirSync(join(runtime, "elsewhere"), { mode: 0o700 });
  symlinkSync(join(runtime, "elsewhere"), join(runtime, "keystead"));
  expect(() => new SessionFile("e", "c")).toThrow(/only you can read/);
});
