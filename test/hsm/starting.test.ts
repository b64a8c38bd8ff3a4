/** Workers that cannot be started at all: the server hears of it and lives on. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { HsmWorker } from "../../src/hsm/client.ts";
import { Pkcs11Error } from "../../src/hsm/errors.ts";
import type { WorkerSettings } from "../../src/hsm/manage.ts";
import { Spares } from "../../src/hsm/spares.ts";
import { CLUSTER, MODULE, SO_PIN, kindOf } from "./harness.ts";

const SETTINGS: WorkerSettings = { modulePath: MODULE, backend: "native", memoryLimit: 1536 * 1024 * 1024 };
/** Longer than one environment variable may be: spawn throws E2BIG, as it would ENOMEM. */
const UNSTARTABLE: WorkerSettings = { ...SETTINGS, modulePath: "x".repeat(3_000_000) };

afterEach(() => {
  vi.unstubAllEnvs();
});

test("a process that spawn refuses is a worker that has ended, kind start", async () => {
  const worker = new HsmWorker(UNSTARTABLE, () => undefined);
  expect([worker.alive, worker.pid]).toEqual([false, undefined]);
  await expect(worker.ready).rejects.toBeInstanceOf(Pkcs11Error);
  expect(await kindOf(worker.ready)).toBe("start");
  expect(await kindOf(worker.generateRandom(1))).toBe("start");
  expect(await kindOf(worker.initialize("/nonexistent"))).toBe("start");
  worker.kill();
  await worker.exited;
  await worker.close();
});

test("a command that is not there is kind start too", async () => {
  vi.stubEnv("PATH", "/nonexistent");
  const worker = new HsmWorker({ ...SETTINGS, backend: "graphene" }, () => undefined);
  expect(await kindOf(worker.ready)).toBe("start");
  await worker.close();
});

test("spares that cannot be started are asked for again at the next take, and no sooner", async () => {
  const spares = new Spares(UNSTARTABLE, 2, () => undefined);
  for (let round = 0; round < 3; round += 1) expect(await kindOf(spares.take())).toBe("start");
  await spares.close();
});

/** A server's token layer that runs out of descriptors, and then gets them back. */
const OUT_OF_DESCRIPTORS = `
  const { openSync, closeSync } = await import("node:fs");
  const { setTimeout: sleep } = await import("node:timers/promises");
  const { Spares } = await import(process.argv[1] + "/spares.js");
  const { Tokens } = await import(process.argv[1] + "/tokens.js");
  const [, , directory, modulePath, cluster, pin] = process.argv;
  const kinds = [];
  const kindOf = (call) => call.then(() => "none", (error) => error.kind ?? error.code);
  process.stdout.write("");
  const spares = new Spares({ modulePath, backend: "native", memoryLimit: 1610612736 }, 2, () => undefined);
  const tokens = new Tokens({ directory, modulePath, backend: "native", spares });
  (await spares.take()).kill();
  await sleep(300);
  const open = [];
  try { for (;;) open.push(openSync("/dev/null", "r")); } catch (error) { kinds.push(error.code); }
  // The first takes have spares; their refills and the last take have not.
  for (let round = 0; round < 4; round += 1) {
    kinds.push(await kindOf(spares.take().then((worker) => worker.kill())));
    await sleep(50);
  }
  for (const file of open) closeSync(file);
  kinds.push(await kindOf(tokens.of(cluster).initialize(pin)));
  await spares.close();
  console.log(JSON.stringify(kinds));
`;

test("without descriptors a take is refused, the process lives, and workers come back with them", () => {
  const directory = mkdtempSync(join(tmpdir(), "keystead-test-"));
  const hsm = join(import.meta.dirname, "../../dist/hsm");
  const script = ["--input-type=module", "-e", OUT_OF_DESCRIPTORS, hsm, directory, MODULE, CLUSTER, SO_PIN];
  const limited = 'exec prlimit --nofile=64 "$0" "$@"';
  const run = spawnSync("sh", ["-c", limited, process.execPath, ...script], {
    encoding: "utf8",
    timeout: 30_000,
  });
  rmSync(directory, { recursive: true, force: true });
  expect([run.status, run.stderr]).toEqual([0, ""]);
  const [limit, ...kinds] = JSON.parse(run.stdout) as string[];
  expect(limit).toBe("EMFILE");
  expect(kinds.at(-2)).toBe("start");
  expect(kinds.at(-1)).toBe("none");
});
