/** A kill while backups are made and restored: afterwards each one is whole or not there, and the cluster is as it was. */
import {
  CreateHsmCommand,
  DescribeBackupsCommand,
  DescribeClustersCommand,
  type Backup,
} from "@aws-sdk/client-cloudhsm-v2";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { ADMIN_PASSWORD, readyCluster, temporaryDirectory, type Keystead } from "../api/harness.ts";
import { eventually } from "../hsm/harness.ts";
import { serve } from "./harness.ts";

const ROUNDS = 8;
/** From before the first file is written to after the last one. */
const STEP_MS = 8;

async function backups(keystead: Keystead): Promise<Backup[]> {
  return (await keystead.cloudhsm.send(new DescribeBackupsCommand({}))).Backups ?? [];
}

async function hsmStates(keystead: Keystead, clusterId: string): Promise<(string | undefined)[]> {
  const { Clusters } = await keystead.cloudhsm.send(
    new DescribeClustersCommand({ Filters: { clusterIds: [clusterId] } }),
  );
  return (Clusters?.[0]?.Hsms ?? []).map((hsm) => hsm.State);
}

const ADMIN = { username: "admin", role: "admin", password: ADMIN_PASSWORD };

/** @returns the error_code of the operator's command */
async function operate(
  keystead: Keystead,
  clusterId: string,
  command: string,
  args: object,
): Promise<number> {
  const { body } = await keystead.manage("POST", `clusters/${clusterId}/hsm`, { command, args });
  return (body as { error_code: number }).error_code;
}

test("killed while an HSM is added or a cluster restored, the server ends what it began", async () => {
  const directory = temporaryDirectory();
  let server = await serve(directory);
  const { clusterId } = await readyCluster(server.keystead, 1);
  for (let round = 0; round < ROUNDS; round += 1) {
    const { keystead } = server;
    const [newest] = await backups(keystead);
    const added = keystead.cloudhsm.send(
      new CreateHsmCommand({ ClusterId: clusterId, AvailabilityZone: "us-east-1b" }),
    );
    const restoring =
      newest === undefined
        ? Promise.resolve()
        : keystead.manage("POST", `backups/${newest.BackupId ?? ""}/restore`, { hsms: 1 });
    await Promise.race([Promise.allSettled([added, restoring]), sleep(STEP_MS * (round + 1))]);
    await server.end("SIGKILL");
    await Promise.allSettled([added, restoring]);

    server = await serve(directory);
    const after = server.keystead;
    await eventually("every HSM is ACTIVE", async () =>
      (await hsmStates(after, clusterId)).every((state) => state === "ACTIVE"),
    );
    await eventually("every backup is READY", async () =>
      (await backups(after)).every((backup) => backup.BackupState === "READY"),
    );
    const files = join(directory, "backups");
    const known = (await backups(after)).map((backup) => backup.BackupId ?? "");
    for (const id of known) expect(existsSync(join(files, id)), id).toBe(true);
    const there = existsSync(files) ? readdirSync(files) : [];
    expect(there.toSorted()).toEqual(known.toSorted());
    expect(await operate(after, clusterId, "login", ADMIN)).toBe(0);
  }
  const [newest] = await backups(server.keystead);
  const answer = await server.keystead.manage("POST", `backups/${newest?.BackupId ?? ""}/restore`, {
    hsms: 1,
  });
  expect(answer.status).toBe(201);
  const restored = (answer.body as { clusterId: string }).clusterId;
  expect(await operate(server.keystead, restored, "login", ADMIN)).toBe(0);
});
