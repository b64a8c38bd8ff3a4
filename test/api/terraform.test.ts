/**
 * The order in which terraform-provider-aws calls (design notes on its source): no client
 * of ours stands between these requests and the answers the provider waits for.
 */
import {
  CreateClusterCommand,
  CreateHsmCommand,
  DeleteHsmCommand,
  DescribeClustersCommand,
  type Cluster,
} from "@aws-sdk/client-cloudhsm-v2";
import {
  CreateCustomKeyStoreCommand,
  CreateKeyCommand,
  DeleteCustomKeyStoreCommand,
  DescribeCustomKeyStoresCommand,
  DescribeKeyCommand,
  GetKeyPolicyCommand,
  ListResourceTagsCommand,
  ScheduleKeyDeletionCommand,
} from "@aws-sdk/client-kms";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  ADMIN_PASSWORD,
  connectStore,
  KMSUSER_PASSWORD,
  refusal,
  startKeystead,
  type Keystead,
} from "./harness.ts";

async function read(keystead: Keystead, id: string): Promise<Cluster> {
  const { Clusters } = await keystead.cloudhsm.send(
    new DescribeClustersCommand({ Filters: { clusterIds: [id] } }),
  );
  const [cluster] = Clusters ?? [];
  if (cluster === undefined) throw new Error(`no cluster ${id}`);
  return cluster;
}

/** The provider's StateChangeConf: pending states go on, any other unexpected state is an error. */
async function waitForCluster(
  keystead: Keystead,
  id: string,
  pending: string[],
  target: string,
): Promise<Cluster> {
  for (;;) {
    const cluster = await read(keystead, id);
    if (cluster.State === target) return cluster;
    if (!pending.includes(String(cluster.State))) throw new Error(`unexpected state ${cluster.State}`);
    await sleep(20);
  }
}

async function addHsm(keystead: Keystead, ClusterId: string, AvailabilityZone: string): Promise<void> {
  const { Hsm } = await keystead.cloudhsm.send(new CreateHsmCommand({ ClusterId, AvailabilityZone }));
  for (;;) {
    const hsm = (await read(keystead, ClusterId)).Hsms?.find((one) => one.HsmId === Hsm?.HsmId);
    if (hsm?.State === "ACTIVE") return;
    expect(hsm?.State).toBe("CREATE_IN_PROGRESS");
    await sleep(20);
  }
}

test("terraform apply and destroy find the states and members they wait for", async () => {
  const keystead = await startKeystead();
  const { body } = await keystead.manage("GET", "subnets");
  const { subnets } = body as { subnets: { SubnetId: string }[] };
  // aws_cloudhsm_v2_cluster
  const created = await keystead.cloudhsm.send(
    new CreateClusterCommand({
      HsmType: "hsm2m.medium",
      SubnetIds: subnets.map((one) => one.SubnetId),
    }),
  );
  const id = created.Cluster?.ClusterId ?? "";
  const pending = ["CREATE_IN_PROGRESS", "INITIALIZE_IN_PROGRESS"];
  const cluster = await waitForCluster(keystead, id, pending, "UNINITIALIZED");
  expect(cluster).toMatchObject({
    VpcId: expect.any(String) as string,
    SecurityGroup: expect.any(String) as string,
  });
  // aws_cloudhsm_v2_hsm, then the certificates it exports
  await addHsm(keystead, id, "us-east-1a");
  const { Certificates } = await read(keystead, id);
  for (const name of [
    "ClusterCsr",
    "AwsHardwareCertificate",
    "HsmCertificate",
    "ManufacturerHardwareCertificate",
  ])
    expect(Certificates).toHaveProperty(name);
  // the step of its own: sign, initialize, activate
  const init = await keystead.manage("POST", `clusters/${id}/init`, {
    adminPassword: ADMIN_PASSWORD,
    kmsuserPassword: KMSUSER_PASSWORD,
  });
  const { customerCaPem } = init.body as { customerCaPem: string };
  expect((await read(keystead, id)).Certificates).toHaveProperty("ClusterCertificate");
  await addHsm(keystead, id, "us-east-1b");
  // aws_kms_custom_key_store
  const { CustomKeyStoreId = "" } = await keystead.kms.send(
    new CreateCustomKeyStoreCommand({
      CustomKeyStoreName: "example",
      CloudHsmClusterId: id,
      KeyStorePassword: KMSUSER_PASSWORD,
      TrustAnchorCertificate: customerCaPem,
    }),
  );
  expect(CustomKeyStoreId.length).toBeLessThanOrEqual(22);
  await keystead.kms.send(new DescribeCustomKeyStoresCommand({ CustomKeyStoreId }));
  expect(await connectStore(keystead, CustomKeyStoreId)).toBe("CONNECTED");
  // aws_kms_key
  const key = await keystead.kms.send(
    new CreateKeyCommand({
      CustomKeyStoreId,
      Origin: "AWS_CLOUDHSM",
      KeySpec: "SYMMETRIC_DEFAULT",
      KeyUsage: "ENCRYPT_DECRYPT",
      BypassPolicyLockoutSafetyCheck: false,
      Tags: [{ TagKey: "made-by", TagValue: "terraform" }],
    }),
  );
  const KeyId = key.KeyMetadata?.KeyId ?? "";
  expect((await keystead.kms.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata?.KeyState).toBe("Enabled");
  const { Policy } = await keystead.kms.send(new GetKeyPolicyCommand({ KeyId, PolicyName: "default" }));
  expect(JSON.parse(Policy ?? "")).toHaveProperty("Statement");
  const { Tags } = await keystead.kms.send(new ListResourceTagsCommand({ KeyId }));
  expect(Tags).toEqual([{ TagKey: "made-by", TagValue: "terraform" }]);
  // destroy
  const scheduled = await keystead.kms.send(
    new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }),
  );
  expect(scheduled.KeyState).toBe("PendingDeletion");
  // The provider ignores this refusal; the key store stays, as at AWS.
  expect(await refusal(keystead.kms.send(new DeleteCustomKeyStoreCommand({ CustomKeyStoreId })))).toBe(
    "CustomKeyStoreInvalidStateException",
  );
  for (const hsm of (await read(keystead, id)).Hsms ?? [])
    await keystead.cloudhsm.send(new DeleteHsmCommand({ ClusterId: id, HsmId: hsm.HsmId ?? "" }));
  await expect.poll(async () => (await read(keystead, id)).Hsms?.length, { timeout: 10_000 }).toBe(0);
});
