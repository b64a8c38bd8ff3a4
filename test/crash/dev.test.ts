/** `keystead dev` killed leaves its directory behind; the next start sweeps it, and no running server's. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../api/harness.ts";
import { eventually, isRunning, workersOf } from "../hsm/harness.ts";
import { start, type ServerProcess } from "./harness.ts";

/** A dev server whose temporary directory is made below `parent`, away from other servers of this machine. */
function dev(parent: string): Promise<ServerProcess> {
  return start(["dev", "--port", "0", "--timing", "instant"], parent, { TMPDIR: parent });
}

function directories(parent: string): string[] {
  return readdirSync(parent).filter((name) => name.startsWith("keystead-dev-"));
}

test("the next dev server sweeps a killed one's directory, but not a running one's; at its end it removes its own", async () => {
  const parent = temporaryDirectory();
  const killed = await dev(parent);
  const [left = ""] = directories(parent);
  const workers = workersOf(killed.pid);
  await killed.end("SIGKILL");
  await eventually("its workers end", () => !workers.some(isRunning));
  expect(directories(parent)).toEqual([left]);
  const old = (name: string): boolean => Date.now() - statSync(join(parent, name)).birthtimeMs > 2_500;
  await eventually("the directory is not taken for a starting server's", () => old(left));

  const running = await dev(parent);
  const [own = ""] = directories(parent);
  expect(directories(parent)).toEqual([own]);
  expect(own).not.toBe(left);
  await eventually("the directory is old enough to be swept", () => old(own));
  const another = await dev(parent);
  expect(directories(parent)).toContain(own);
  expect(directories(parent).length).toBe(2);
  expect((await running.keystead.manage("GET", "ready")).status).toBe(200);
  expect(await another.end("SIGTERM")).toBe(0);
  expect(directories(parent)).toEqual([own]);
  expect(await running.end("SIGTERM")).toBe(0);
  expect(directories(parent)).toEqual([]);
});

test("dev servers that start at the same moment leave each other alone", async () => {
  const parent = temporaryDirectory();
  const servers = await Promise.all([dev(parent), dev(parent), dev(parent)]);
  expect(directories(parent).length).toBe(3);
  for (const { keystead } of servers) expect((await keystead.manage("GET", "ready")).status).toBe(200);
  expect(await Promise.all(servers.map((server) => server.end("SIGTERM")))).toEqual([0, 0, 0]);
  expect(directories(parent)).toEqual([]);
});
