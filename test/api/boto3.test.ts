/** boto3 as an outside oracle: its own parsing, retries, paginators and exceptions. Skipped where it is not installed. */
import { execFile, execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { connectedStore, startKeystead } from "./harness.ts";

const SCRIPT = `
import json, os, time, boto3
from botocore.config import Config
made = lambda service: boto3.client(service, endpoint_url=os.environ["ENDPOINT"], region_name="us-east-1",
    aws_access_key_id="test", aws_secret_access_key="test", config=Config(retries={"total_max_attempts": 2}))
kms, hsm = made("kms"), made("cloudhsmv2")
key, store = os.environ["KEY"], os.environ["STORE"]
context = {"tenant": "acme"}
data = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context)
plain = kms.decrypt(CiphertextBlob=data["CiphertextBlob"], EncryptionContext=context)["Plaintext"]
assert plain == data["Plaintext"] and len(plain) == 32
try:
    kms.decrypt(CiphertextBlob=data["CiphertextBlob"])
    raise SystemExit("decrypted in another context")
except kms.exceptions.InvalidCiphertextException:
    pass
for _ in range(3):
    kms.create_key(Origin="AWS_CLOUDHSM", CustomKeyStoreId=store)
pages = list(kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 2}))
assert sum(len(page["Keys"]) for page in pages) == 4 and len(pages) == 2
try:
    kms.describe_key(KeyId="alias/none")
    raise SystemExit("described an alias that is not there")
except kms.exceptions.NotFoundException:
    pass
clusters = list(hsm.get_paginator("describe_clusters").paginate())
assert clusters[0]["Clusters"][0]["State"] == "ACTIVE"
try:
    hsm.create_hsm(ClusterId="cluster-aaaaaaaaaaa", AvailabilityZone="us-east-1a")
    raise SystemExit("made an HSM of a cluster that is not there")
except hsm.exceptions.CloudHsmResourceNotFoundException:
    pass
kms.disconnect_custom_key_store(CustomKeyStoreId=store)
state = lambda: kms.describe_custom_key_stores(CustomKeyStoreId=store)["CustomKeyStores"][0]["ConnectionState"]
for _ in range(500):
    if state() == "DISCONNECTED":
        break
    time.sleep(0.02)
try:
    kms.encrypt(KeyId=key, Plaintext=b"x")
    raise SystemExit("encrypted while disconnected")
except kms.exceptions.KMSInvalidStateException:
    pass
print(json.dumps({"pages": len(pages), "state": state()}))
`;

function hasBoto3(): boolean {
  try {
    execFileSync("python3", ["-c", "import boto3"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

test.skipIf(!hasBoto3())("boto3 works with a connected key store (skipped without boto3)", async () => {
  const keystead = await startKeystead();
  const { storeId, keyArn } = await connectedStore(keystead);
  const env = { ...process.env, ENDPOINT: keystead.server.endpoint, KEY: keyArn, STORE: storeId };
  const output = await new Promise<string>((resolve, reject) => {
    execFile("python3", ["-c", SCRIPT], { env, timeout: 60_000 }, (error, stdout, stderr) =>
      error === null ? resolve(stdout) : reject(new Error(stderr)),
    );
  });
  expect(JSON.parse(output)).toEqual({ pages: 2, state: "DISCONNECTED" });
});
