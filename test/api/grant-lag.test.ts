/** `--grant-lag`: a new grant counts after a while, and at once for who shows its token (eventual consistency at AWS). */
import {
  CreateGrantCommand,
  DecryptCommand,
  EncryptCommand,
  KMSClient,
  ReEncryptCommand,
} from "@aws-sdk/client-kms";
import { expect, test } from "vitest";
import { connectedStore, refusal, startKeystead } from "./harness.ts";

const LAG_SECONDS = 300;
const grantee = "arn:aws:iam::000000000000:user/grantee";
const everything = {
  Version: "2012-10-17",
  Statement: { Effect: "Allow", Action: ["kms:*", "cloudhsm:*"], Resource: "*" },
};

test("a grant lags, except for its token", async () => {
  const keystead = await startKeystead({
    auth: "iam",
    grantLag: LAG_SECONDS,
    credentials: [
      { accessKeyId: "test", secretAccessKey: "test", name: "admin", policies: [everything] },
      { accessKeyId: "GRANTEE", secretAccessKey: "secret", name: "grantee" },
    ],
  });
  keystead.server.clock.freeze();
  const { keyArn: KeyId } = await connectedStore(keystead);
  const { CiphertextBlob } = await keystead.kms.send(
    new EncryptCommand({ KeyId, Plaintext: Buffer.from("x") }),
  );
  const { GrantToken = "" } = await keystead.kms.send(
    new CreateGrantCommand({
      KeyId,
      GranteePrincipal: grantee,
      Operations: ["Decrypt", "ReEncryptFrom", "ReEncryptTo"],
    }),
  );
  const kms = new KMSClient({
    endpoint: keystead.server.endpoint,
    region: "us-east-1",
    credentials: { accessKeyId: "GRANTEE", secretAccessKey: "secret" },
    maxAttempts: 1,
  });
  const decrypt = (...GrantTokens: string[]): Promise<string> =>
    refusal(kms.send(new DecryptCommand({ CiphertextBlob, GrantTokens })));
  const reEncrypt = (...GrantTokens: string[]): Promise<string> =>
    refusal(kms.send(new ReEncryptCommand({ CiphertextBlob, DestinationKeyId: KeyId, GrantTokens })));
  for (const act of [decrypt, reEncrypt]) {
    expect(await act()).toBe("AccessDeniedException");
    expect(await act(GrantToken)).toBe("none");
  }
  keystead.server.clock.advance((LAG_SECONDS - 1) * 1000);
  expect(await decrypt()).toBe("AccessDeniedException");
  keystead.server.clock.advance(1000);
  expect(await decrypt()).toBe("none");
  expect(await reEncrypt()).toBe("none");
});
