/** Creating, describing and connecting key stores: what is refused at once, and what is idempotent (reference: custom-key-stores §2, §3). */
import {
  DeleteClusterCommand,
  DeleteHsmCommand,
  DescribeClustersCommand,
  type Hsm,
} from "@aws-sdk/client-cloudhsm-v2";
import {
  ConnectCustomKeyStoreCommand,
  CreateCustomKeyStoreCommand,
  DescribeCustomKeyStoresCommand,
  UpdateCustomKeyStoreCommand,
  type CreateCustomKeyStoreCommandInput,
  type DescribeCustomKeyStoresCommandInput,
  type DescribeCustomKeyStoresCommandOutput,
} from "@aws-sdk/client-kms";
import { expect, test, vi } from "vitest";
import { openStore, type Store } from "../../src/store/database.ts";
import {
  connectStore,
  createStore,
  describeStore,
  disconnectStore,
  KMSUSER_PASSWORD,
  readyCluster,
  refusal,
  startKeystead,
  temporaryDirectory,
  type Keystead,
  type ReadyCluster,
} from "./harness.ts";
import {
  disconnectedStory,
  expectNoStoreNetwork,
  expectRepaired,
  expectStoreNetwork,
} from "./connection-story.ts";

function creation(cluster: ReadyCluster): CreateCustomKeyStoreCommandInput {
  return {
    CustomKeyStoreName: "ExampleKeyStore",
    CloudHsmClusterId: cluster.clusterId,
    TrustAnchorCertificate: cluster.customerCaPem,
    KeyStorePassword: KMSUSER_PASSWORD,
  };
}

function refusedCreation(
  keystead: Keystead,
  cluster: ReadyCluster,
  change: Partial<CreateCustomKeyStoreCommandInput>,
): Promise<string> {
  const input = { ...creation(cluster), ...change };
  return refusal(keystead.kms.send(new CreateCustomKeyStoreCommand(input)));
}

function refusedConnect(keystead: Keystead, CustomKeyStoreId: string): Promise<string> {
  return refusal(keystead.kms.send(new ConnectCustomKeyStoreCommand({ CustomKeyStoreId })));
}

/** A fast failure is told by the exception alone. */
async function expectUntouched(keystead: Keystead, storeId: string): Promise<void> {
  const entry = await describeStore(keystead, storeId);
  expect(entry.ConnectionState).toBe("DISCONNECTED");
  expect(entry.ConnectionErrorCode).toBeUndefined();
}

/** Change the state database as no API can, while no server owns it. */
async function editing(directory: string, edit: (store: Store) => Promise<void>): Promise<void> {
  const store = await openStore(directory);
  try {
    await edit(store);
  } finally {
    await store.close();
  }
}

test("creating the same store again returns it while it is DISCONNECTED; anything else in its way is refused", async () => {
  const keystead = await startKeystead();
  const cluster = await readyCluster(keystead);
  const other = await readyCluster(keystead);
  const storeId = await createStore(keystead, cluster);
  expect(await createStore(keystead, cluster)).toBe(storeId);
  expect(await refusedCreation(keystead, cluster, { KeyStorePassword: "another77" })).toBe(
    "CustomKeyStoreNameInUseException",
  );
  expect(await refusedCreation(keystead, other, {})).toBe("CustomKeyStoreNameInUseException");
  expect(await refusedCreation(keystead, cluster, { CustomKeyStoreName: "Second" })).toBe(
    "CloudHsmClusterInUseException",
  );
  await createStore(keystead, other, "Other");
  const rename = new UpdateCustomKeyStoreCommand({
    CustomKeyStoreId: storeId,
    NewCustomKeyStoreName: "Other",
  });
  expect(await refusal(keystead.kms.send(rename))).toBe("CustomKeyStoreNameInUseException");
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  expect(await refusedCreation(keystead, cluster, {})).toBe("CustomKeyStoreNameInUseException");
});

test("creation checks the type, the cluster, its HSMs and its trust anchor", async () => {
  const keystead = await startKeystead();
  const cluster = await readyCluster(keystead, 1);
  const other = await readyCluster(keystead);
  const oneHsm = "CloudHsmClusterInvalidConfigurationException";
  expect(await refusedCreation(keystead, cluster, {})).toBe(oneHsm);
  expect(await refusedCreation(keystead, other, { TrustAnchorCertificate: cluster.customerCaPem })).toBe(
    "IncorrectTrustAnchorException",
  );
  expect(await refusedCreation(keystead, other, { TrustAnchorCertificate: "no certificate" })).toBe(
    "IncorrectTrustAnchorException",
  );
  expect(await refusedCreation(keystead, other, { CloudHsmClusterId: "cluster-aaaaaaaaaaa" })).toBe(
    "CloudHsmClusterNotFoundException",
  );
  const { body } = await keystead.manage("POST", "clusters", {});
  const { clusterId } = body as { clusterId: string };
  expect(await refusedCreation(keystead, other, { CloudHsmClusterId: clusterId })).toBe(
    "CloudHsmClusterNotActiveException",
  );
  expect(await refusedCreation(keystead, other, { CustomKeyStoreType: "EXTERNAL_KEY_STORE" })).toBe(
    "UnsupportedOperationException",
  );
  for (const member of ["CloudHsmClusterId", "TrustAnchorCertificate", "KeyStorePassword"])
    expect(await refusedCreation(keystead, other, { [member]: undefined })).toBe("ValidationException");
});

test("Describe takes an id or a name, not both, and pages", async () => {
  const keystead = await startKeystead();
  const first = await createStore(keystead, await readyCluster(keystead), "First");
  const second = await createStore(keystead, await readyCluster(keystead), "Second");
  const describe = (
    input: DescribeCustomKeyStoresCommandInput,
  ): Promise<DescribeCustomKeyStoresCommandOutput> =>
    keystead.kms.send(new DescribeCustomKeyStoresCommand(input));
  expect((await describe({ CustomKeyStoreName: "Second" })).CustomKeyStores).toMatchObject([
    { CustomKeyStoreId: second, CustomKeyStoreName: "Second", CustomKeyStoreType: "AWS_CLOUDHSM" },
  ]);
  expect(await refusal(describe({ CustomKeyStoreId: first, CustomKeyStoreName: "First" }))).toBe(
    "ValidationException",
  );
  expect(await refusal(describe({ CustomKeyStoreId: "cks-00000000000000000" }))).toBe(
    "CustomKeyStoreNotFoundException",
  );
  expect(await refusal(describe({ CustomKeyStoreName: "Third" }))).toBe("CustomKeyStoreNotFoundException");
  const page = await describe({ Limit: 1 });
  expect(page).toMatchObject({ Truncated: true, CustomKeyStores: [{ CustomKeyStoreId: first }] });
  const rest = await describe({ Marker: String(page.NextMarker) });
  expect(rest).toMatchObject({ Truncated: false, CustomKeyStores: [{ CustomKeyStoreId: second }] });
});

test("Connect to a cluster that is not ACTIVE is refused at once", async () => {
  const keystead = await startKeystead();
  const { storeId, cluster } = await disconnectedStory(keystead);
  const ClusterId = cluster.clusterId;
  const hsms = async (): Promise<Hsm[]> => {
    const filter = { Filters: { clusterIds: [ClusterId] } };
    return (await keystead.cloudhsm.send(new DescribeClustersCommand(filter))).Clusters?.[0]?.Hsms ?? [];
  };
  for (const { HsmId } of await hsms())
    await keystead.cloudhsm.send(new DeleteHsmCommand({ ClusterId, HsmId: String(HsmId) }));
  await vi.waitFor(async () => expect(await hsms()).toEqual([]), { timeout: 20_000 });
  // Held in DELETE_IN_PROGRESS.
  const hold = { progression: "manual", times: 100_000 };
  await keystead.manage("PUT", "transitions/cloudhsmv2::cluster", hold);
  await keystead.cloudhsm.send(new DeleteClusterCommand({ ClusterId }));
  expect(await refusedConnect(keystead, storeId)).toBe("CloudHsmClusterNotActiveException");
  await expectUntouched(keystead, storeId);
});

/** What somebody with rights in EC2 can do to a cluster, and keystead has no API for. */
const BROKEN_NETWORKS = {
  "the security group's outbound rule was removed": (store: Store, clusterId: string) =>
    store.db
      .updateTable("security_groups")
      .set({ Rules: "[]" })
      .where("GroupName", "=", `cloudhsm-cluster-${clusterId}-sg`)
      .execute(),
  "the security group was deleted": (store: Store, clusterId: string) =>
    store.db
      .deleteFrom("security_groups")
      .where("GroupName", "=", `cloudhsm-cluster-${clusterId}-sg`)
      .execute(),
  "an HSM's interface left the security group": (store: Store) =>
    store.db
      .updateTable("network_interfaces")
      .set({ Groups: "[]" })
      .where("Description", "like", "CloudHSM managed ENI%")
      .execute(),
  "its subnets are in one Availability Zone": (store: Store, clusterId: string) =>
    store.db
      .updateTable("clusters")
      .set({ SubnetMapping: JSON.stringify({ "us-east-1a": "subnet-0123456789abcdef0" }) })
      .where("ClusterId", "=", clusterId)
      .execute(),
} as const;

test.each(Object.entries(BROKEN_NETWORKS))(
  "Connect to a cluster is refused at once when %s",
  async (_what, breakNetwork) => {
    const directory = temporaryDirectory();
    const before = await startKeystead({ dataDir: directory });
    const { storeId, cluster } = await disconnectedStory(before);
    await before.server.close();
    await editing(directory, async (store) => {
      await breakNetwork(store, cluster.clusterId);
    });
    const keystead = await startKeystead({ dataDir: directory });
    expect(await refusedConnect(keystead, storeId)).toBe("CloudHsmClusterInvalidConfigurationException");
    await expectUntouched(keystead, storeId);
  },
);

test("an eleventh key store is refused", async () => {
  const directory = temporaryDirectory();
  const before = await startKeystead({ dataDir: directory });
  const cluster = await readyCluster(before);
  await createStore(before, cluster);
  await before.server.close();
  await editing(directory, async ({ db }) => {
    const row = await db.selectFrom("key_stores").selectAll().executeTakeFirstOrThrow();
    const nine = Array.from({ length: 9 }, (_, index) => ({
      ...row,
      CustomKeyStoreId: `cks-0000000000000000${index}`,
      CustomKeyStoreName: `copy ${index}`,
    }));
    await db.insertInto("key_stores").values(nine).execute();
  });
  const keystead = await startKeystead({ dataDir: directory });
  expect(await refusedCreation(keystead, cluster, { CustomKeyStoreName: "Eleventh" })).toBe(
    "LimitExceededException",
  );
});

test("Disconnect while CONNECTING ends the connect and takes its network away; the password was not touched", async () => {
  const keystead = await startKeystead();
  const story = await disconnectedStory(keystead);
  const { storeId, cluster } = story;
  await keystead.manage("POST", "clock/freeze");
  await keystead.manage("PUT", "transitions/kms::custom-key-store", { progression: "time", seconds: 60 });
  expect(await refusedConnect(keystead, storeId)).toBe("none");
  // Held where AWS's minutes are simulated: everything of the network is there by then.
  await vi.waitFor(() => expectStoreNetwork(keystead, storeId, cluster.clusterId), { timeout: 20_000 });
  expect((await describeStore(keystead, storeId)).ConnectionState).toBe("CONNECTING");
  await keystead.manage("DELETE", "transitions/kms::custom-key-store");
  await disconnectStore(keystead, storeId);
  await expectUntouched(keystead, storeId);
  await expectNoStoreNetwork(keystead, storeId, cluster.clusterId);
  await expectRepaired(keystead, story);
});
