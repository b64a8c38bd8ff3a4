import { DescribeCustomKeyStoresCommand } from "@aws-sdk/client-kms";
import { expect, test } from "vitest";
import { refusal, startKeystead } from "./harness.ts";

async function burst(flags: object): Promise<string[]> {
  const keystead = await startKeystead({ ...flags });
  const describe = (): Promise<string> => refusal(keystead.kms.send(new DescribeCustomKeyStoresCommand({})));
  return Promise.all(Array.from({ length: 50 }, describe));
}

test("--quotas aws throttles key store operations as AWS does; otherwise nothing is throttled", async () => {
  const throttled = await burst({ quotas: "aws" });
  expect(new Set(throttled)).toEqual(new Set(["none", "ThrottlingException"]));
  expect(new Set(await burst({}))).toEqual(new Set(["none"]));
});
