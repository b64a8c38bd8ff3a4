/**
 * The unmodified AWS CLI does its own part against keystead: it follows our page markers,
 * retries what AWS's clients retry, and does not retry what they do not.
 */
import { DescribeCustomKeyStoresCommand } from "@aws-sdk/client-kms";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  connectedStore,
  createKey,
  hasProgram,
  readyCluster,
  refusal,
  startKeystead,
  type Keystead,
} from "../api/harness.ts";
import { cleanEnvironment, run } from "./process.ts";

const KEYS = 5;
const awsCli = hasProgram("aws");
if (!awsCli) process.stderr.write("AWS CLI tests skipped: there is no AWS CLI (aws) on PATH\n");

/** The CLI with its defaults: no configuration of this machine. */
function aws(keystead: Keystead, ...args: readonly string[]): ReturnType<typeof run> {
  const env = cleanEnvironment({
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    AWS_DEFAULT_REGION: "us-east-1",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    AWS_PAGER: "",
  });
  return run("aws", [...args, "--endpoint-url", keystead.server.endpoint, "--output", "json"], { env });
}

/** How many requests of an operation the server has answered, with any code or with this one. */
async function requests(keystead: Keystead, operation: string, code = '[^"]*'): Promise<number> {
  const text = await (await fetch(`${keystead.server.endpoint}/_keystead/metrics`)).text();
  const series = new RegExp(
    `^keystead_requests_total\\{operation="${operation}",code="${code}"[^}]*\\} (\\d+)$`,
    "gm",
  );
  return [...text.matchAll(series)].reduce((sum, [, count]) => sum + Number(count), 0);
}

// Skipped only on machines without the AWS CLI; the message above says so.
describe.skipIf(!awsCli)("the AWS CLI", () => {
  let keystead: Keystead;
  const ends: (() => Promise<void> | void)[] = [];

  beforeAll(async () => {
    keystead = await startKeystead({}, (act) => ends.push(act));
    const { storeId } = await connectedStore(keystead);
    for (let made = 1; made < KEYS; made += 1) await createKey(keystead, storeId);
    await readyCluster(keystead);
  });
  afterAll(async () => {
    for (const end of ends.toReversed()) await end();
  });

  test("lists all keys page by page", async () => {
    const { stdout, stderr } = await aws(
      keystead,
      ..."kms list-keys --page-size 2 --query length(Keys)".split(" "),
    );
    expect(stdout.trim(), stderr).toBe(String(KEYS));
    expect(await requests(keystead, "ListKeys")).toBe(3);
  });

  test("lists all clusters page by page", async () => {
    const command = "cloudhsmv2 describe-clusters --page-size 1 --query length(Clusters)";
    const { stdout, stderr } = await aws(keystead, ...command.split(" "));
    expect(stdout.trim(), stderr).toBe("2");
    expect(await requests(keystead, "DescribeClusters")).toBe(2);
  });

  test("does not retry a modelled 400", async () => {
    const unknown = "11111111-2222-3333-4444-555555555555";
    const { code, stderr } = await aws(keystead, "kms", "describe-key", "--key-id", unknown);
    expect(code).not.toBe(0);
    expect(stderr).toContain("NotFoundException");
    expect(await requests(keystead, "DescribeKey")).toBe(1);
  });
});

// Skipped only on machines without the AWS CLI; the message above says so.
test.skipIf(!awsCli)("the AWS CLI retries ThrottlingException until it is served", async () => {
  const keystead = await startKeystead({ quotas: "aws" });
  const describing = Array.from({ length: 7 }, () => aws(keystead, "kms", "describe-custom-key-stores"));
  const all = Promise.all(describing);
  // On a slow machine seven CLIs start too slowly to be throttled: calls of our own use up the
  // rate until the first CLI has been refused.
  let ours = 0;
  let refused = 0;
  do {
    const answer = await refusal(keystead.kms.send(new DescribeCustomKeyStoresCommand({})));
    if (answer === "ThrottlingException") ours += 1;
    refused = await requests(keystead, "DescribeCustomKeyStores", "ThrottlingException");
  } while (refused === ours);
  for (const { code, stdout, stderr } of await all) {
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ CustomKeyStores: [] });
  }
  expect(await requests(keystead, "DescribeCustomKeyStores", "OK")).toBeGreaterThanOrEqual(7);
});
