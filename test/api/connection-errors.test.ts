/**
 * The ConnectionErrorCodes of the cluster and its network, each from real state, with the
 * repair that AWS documents for it (reference: custom-key-stores §7). Those of kmsuser and
 * of the token are in connection-errors-user.test.ts and connection-errors-token.test.ts.
 */
import {
  CreateHsmCommand,
  DeleteClusterCommand,
  DeleteHsmCommand,
  DescribeClustersCommand,
  type Cluster,
} from "@aws-sdk/client-cloudhsm-v2";
import { DeleteCustomKeyStoreCommand, DescribeKeyCommand } from "@aws-sdk/client-kms";
import { expect, test, vi } from "vitest";
import {
  createStore,
  describeStore,
  disconnectStore,
  readyCluster,
  refusal,
  startKeystead,
  type Keystead,
} from "./harness.ts";
import {
  disconnectedStory,
  disconnectFailed,
  expectFailedConnect,
  expectRepaired,
} from "./connection-story.ts";

/** Undefined when it is deleted. */
async function describeCluster(keystead: Keystead, clusterId: string): Promise<Cluster | undefined> {
  const { Clusters } = await keystead.cloudhsm.send(
    new DescribeClustersCommand({ Filters: { clusterIds: [clusterId] } }),
  );
  return Clusters?.[0];
}

async function deleteHsms(keystead: Keystead, clusterId: string): Promise<void> {
  for (const { HsmId } of (await describeCluster(keystead, clusterId))?.Hsms ?? [])
    await keystead.cloudhsm.send(new DeleteHsmCommand({ ClusterId: clusterId, HsmId: String(HsmId) }));
  await vi.waitFor(async () => expect((await describeCluster(keystead, clusterId))?.Hsms).toEqual([]), {
    timeout: 20_000,
  });
}

async function deleteCluster(keystead: Keystead, clusterId: string): Promise<void> {
  await deleteHsms(keystead, clusterId);
  await keystead.cloudhsm.send(new DeleteClusterCommand({ ClusterId: clusterId }));
  await vi.waitFor(async () => expect(await describeCluster(keystead, clusterId)).toBeUndefined(), {
    timeout: 20_000,
  });
}

async function createHsm(keystead: Keystead, clusterId: string, AvailabilityZone: string): Promise<void> {
  await keystead.cloudhsm.send(new CreateHsmCommand({ ClusterId: clusterId, AvailabilityZone }));
  await vi.waitFor(
    async () => {
      const { Hsms = [] } = (await describeCluster(keystead, clusterId)) ?? {};
      expect(Hsms.find((hsm) => hsm.AvailabilityZone === AvailabilityZone)?.State).toBe("ACTIVE");
    },
    { timeout: 20_000 },
  );
}

interface Subnet {
  readonly SubnetId: string;
  readonly AvailabilityZone: string;
  readonly CidrBlock: string;
  readonly AvailableIpAddressCount: number;
}

/** The subnet of an Availability Zone of us-east-1. */
async function subnetIn(keystead: Keystead, zone: string): Promise<Subnet> {
  const { body } = await keystead.manage("GET", "subnets");
  const subnet = (body as { subnets: Subnet[] }).subnets.find((one) => one.AvailabilityZone === zone);
  if (subnet === undefined) throw new Error(`no subnet in ${zone}`);
  return subnet;
}

async function keyState(keystead: Keystead, KeyId: string): Promise<string> {
  const { KeyMetadata } = await keystead.kms.send(new DescribeKeyCommand({ KeyId }));
  return String(KeyMetadata?.KeyState);
}

test("CLUSTER_NOT_FOUND: the cluster was deleted and no backup of it is restored; FAILED can be disconnected, a store with keys stays, one without can be deleted, and a new cluster with a new store connects", async () => {
  const keystead = await startKeystead();
  const story = await disconnectedStory(keystead);
  const emptyCluster = await readyCluster(keystead);
  const emptyStore = await createStore(keystead, emptyCluster, "WithoutKeys");
  for (const { storeId, cluster } of [story, { storeId: emptyStore, cluster: emptyCluster }]) {
    await deleteCluster(keystead, cluster.clusterId);
    await expectFailedConnect(keystead, { storeId, cluster }, "CLUSTER_NOT_FOUND");
    await disconnectFailed(keystead, storeId);
  }
  const remove = (CustomKeyStoreId: string): Promise<string> =>
    refusal(keystead.kms.send(new DeleteCustomKeyStoreCommand({ CustomKeyStoreId })));
  expect(await remove(story.storeId)).toBe("CustomKeyStoreHasCMKsException");
  expect(await keyState(keystead, story.keyArn)).toBe("Unavailable");
  expect(await remove(emptyStore)).toBe("none");
  expect(await refusal(describeStore(keystead, emptyStore))).toBe("CustomKeyStoreNotFoundException");
  const cluster = await readyCluster(keystead);
  const storeId = await createStore(keystead, cluster, "WithoutKeys");
  await expectRepaired(keystead, { storeId, cluster });
});

test("INSUFFICIENT_CLOUDHSM_HSMS: all HSMs deleted, new ones created; one ACTIVE HSM is enough to connect", async () => {
  const keystead = await startKeystead();
  const story = await disconnectedStory(keystead);
  const { clusterId } = story.cluster;
  await deleteHsms(keystead, clusterId);
  await expectFailedConnect(keystead, story, "INSUFFICIENT_CLOUDHSM_HSMS");
  await disconnectFailed(keystead, story.storeId);
  await createHsm(keystead, clusterId, "us-east-1b");
  await expectRepaired(keystead, story);
  await createHsm(keystead, clusterId, "us-east-1c");
  await disconnectStore(keystead, story.storeId);
  await expectRepaired(keystead, story);
});

test("SUBNET_NOT_FOUND: a subnet of the cluster deleted; a new one in its place has another id and repairs nothing, a new cluster with a new store connects", async () => {
  const keystead = await startKeystead();
  const story = await disconnectedStory(keystead);
  const { SubnetId, AvailabilityZone, CidrBlock } = await subnetIn(keystead, "us-east-1c");
  expect((await keystead.manage("DELETE", `subnets/${SubnetId}`)).status).toBe(200);
  await expectFailedConnect(keystead, story, "SUBNET_NOT_FOUND");
  await disconnectFailed(keystead, story.storeId);
  expect((await keystead.manage("POST", "subnets", { AvailabilityZone, CidrBlock })).status).toBe(201);
  await expectFailedConnect(keystead, story, "SUBNET_NOT_FOUND");
  await disconnectFailed(keystead, story.storeId);
  const cluster = await readyCluster(keystead);
  const storeId = await createStore(keystead, cluster, "OnTheNewCluster");
  await expectRepaired(keystead, { storeId, cluster });
  expect(await keyState(keystead, story.keyArn)).toBe("Unavailable");
});

test("INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET: a subnet filled up; one freed address is enough", async () => {
  const keystead = await startKeystead();
  const story = await disconnectedStory(keystead);
  const { SubnetId } = await subnetIn(keystead, "us-east-1c");
  const fill = async (free: number): Promise<void> => {
    expect((await keystead.manage("POST", `subnets/${SubnetId}/fill`, { free })).status).toBe(200);
  };
  await fill(0);
  await expectFailedConnect(keystead, story, "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET");
  await disconnectFailed(keystead, story.storeId);
  await fill(1);
  await expectRepaired(keystead, story);
  expect((await subnetIn(keystead, "us-east-1c")).AvailableIpAddressCount).toBe(0);
});
