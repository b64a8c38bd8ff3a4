import { CloudHSMV2Client, DescribeClustersCommand } from "@aws-sdk/client-cloudhsm-v2";
import {
  DecryptCommand,
  DescribeCustomKeyStoresCommand,
  DescribeKeyCommand,
  EncryptCommand,
  KMSClient,
  ListKeysCommand,
} from "@aws-sdk/client-kms";
import { expect, test } from "vitest";
import { connectedStore, refusal, startKeystead, temporaryDirectory, type Keystead } from "./harness.ts";

const OTHER_ACCOUNT = "111122223333";
const credentials = [
  { accessKeyId: "test", secretAccessKey: "test" },
  { accessKeyId: "other", secretAccessKey: "secret", account: OTHER_ACCOUNT },
];

/** The same server as another account, or in another Region. */
function elsewhere(keystead: Keystead, region: string, accessKeyId: "test" | "other"): Keystead {
  const { endpoint } = keystead.server;
  const secretAccessKey = accessKeyId === "test" ? "test" : "secret";
  const client = { endpoint, region, credentials: { accessKeyId, secretAccessKey }, maxAttempts: 1 };
  const account = accessKeyId === "test" ? "000000000000" : OTHER_ACCOUNT;
  const prefix = `worlds/${account}/${region}/`;
  const manage: Keystead["manage"] = (method, path, body) =>
    keystead.manage(method, `${prefix}${path}`, body);
  return { ...keystead, kms: new KMSClient(client), cloudhsm: new CloudHSMV2Client(client), manage };
}

async function visible(keystead: Keystead): Promise<[stores: number, keys: number, clusters: number]> {
  const { CustomKeyStores } = await keystead.kms.send(new DescribeCustomKeyStoresCommand({}));
  const { Keys } = await keystead.kms.send(new ListKeysCommand({}));
  const { Clusters } = await keystead.cloudhsm.send(new DescribeClustersCommand({}));
  return [CustomKeyStores?.length ?? -1, Keys?.length ?? -1, Clusters?.length ?? -1];
}

test("accounts and Regions are worlds of their own, and come back after a restart", async () => {
  const dataDir = temporaryDirectory();
  const first = await startKeystead({ dataDir, credentials });
  const home = await connectedStore(first);
  const other = elsewhere(first, "us-east-1", "other");
  const region = elsewhere(first, "eu-west-1", "test");
  expect(await visible(first)).toEqual([1, 1, 1]);
  expect(await visible(other)).toEqual([0, 0, 0]);
  expect(await visible(region)).toEqual([0, 0, 0]);

  const european = await connectedStore(region);
  expect(european.keyArn).toMatch(/^arn:aws:kms:eu-west-1:000000000000:key\//);
  const { CiphertextBlob } = await region.kms.send(
    new EncryptCommand({ KeyId: european.keyArn, Plaintext: Buffer.from("from Europe") }),
  );
  expect(await visible(first)).toEqual([1, 1, 1]);
  const describe = (keystead: Keystead, KeyId: string): Promise<string> =>
    refusal(keystead.kms.send(new DescribeKeyCommand({ KeyId })));
  expect(await describe(first, european.keyArn)).toBe("NotFoundException");
  expect(await describe(other, home.keyArn)).toBe("NotFoundException");
  expect(await refusal(first.kms.send(new DecryptCommand({ CiphertextBlob })))).toBe("AccessDeniedException");
  await first.server.close();

  const second = await startKeystead({ dataDir, credentials });
  const again = elsewhere(second, "eu-west-1", "test");
  const { Plaintext } = await again.kms.send(new DecryptCommand({ CiphertextBlob }));
  expect(Buffer.from(Plaintext ?? []).toString()).toBe("from Europe");
  expect(await visible(elsewhere(second, "us-east-1", "other"))).toEqual([0, 0, 0]);
});

test("a Region that does not exist is no scope for a signature", async () => {
  const keystead = await startKeystead();
  const nowhere = elsewhere(keystead, "xx-nowhere-1", "test");
  expect(await refusal(nowhere.kms.send(new ListKeysCommand({})))).toBe("InvalidSignatureException");
});
