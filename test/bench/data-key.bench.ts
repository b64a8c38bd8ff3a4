/**
 * `make bench`: GenerateDataKey and Decrypt over HTTP against an empty `node:http` JSON
 * echo, in interleaved rounds of one run, because only ratios mean anything on a shared
 * machine. The load comes from this process, which is itself near its limit on two cores;
 * so the figures are lower bounds of what the server can do.
 */
import { GenerateDataKeyCommand } from "@aws-sdk/client-kms";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished, test } from "vitest";
import { connectedStore, startKeystead } from "../api/harness.ts";
import { median, run, type Load } from "./load.ts";

const CONNECTIONS = 32;
const REQUESTS = 5_000;
const ROUNDS = 5;

async function echoServer(): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      JSON.parse(Buffer.concat(chunks).toString("utf8"));
      response.end('{"echo":true}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("GenerateDataKey and Decrypt against an echo", { timeout: 300_000 }, async () => {
  const keystead = await startKeystead({ auth: "any" });
  const { keyArn: KeyId } = await connectedStore(keystead);
  const made = await keystead.kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: "AES_256" }));
  const CiphertextBlob = Buffer.from(made.CiphertextBlob ?? []).toString("base64");
  const load = (operation: string, body: object, url = keystead.server.endpoint): Load => ({
    url,
    headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": `TrentService.${operation}` },
    body: JSON.stringify(body),
    connections: CONNECTIONS,
    requests: REQUESTS,
  });
  const dataKey = { KeyId, KeySpec: "AES_256" };
  const contenders: Readonly<Record<string, Load>> = {
    echo: load("echo", dataKey, await echoServer()),
    GenerateDataKey: load("GenerateDataKey", dataKey),
    Decrypt: load("Decrypt", { CiphertextBlob }),
    DescribeKey: load("DescribeKey", { KeyId }),
  };
  const rates = new Map(Object.keys(contenders).map((name) => [name, [] as number[]]));
  for (let round = 0; round <= ROUNDS; round += 1)
    for (const [name, contender] of Object.entries(contenders)) {
      const rate = await run(contender);
      // The first round warms up.
      if (round > 0) rates.get(name)?.push(rate);
    }
  const echo = median(rates.get("echo") ?? []);
  console.table(
    Object.fromEntries(
      [...rates].map(([name, all]) => [
        name,
        {
          "requests/s": Math.round(median(all)),
          "of echo": Number((median(all) / echo).toFixed(2)),
          "spread %": Math.round(((Math.max(...all) - Math.min(...all)) / median(all)) * 100),
        },
      ]),
    ),
  );
});
