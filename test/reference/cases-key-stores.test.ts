/** Custom key store operations: members, answers and refusals (reference: custom-key-stores §1, §2, §3, wire-protocol §4.6). */
import { CreateClusterCommand, CreateHsmCommand } from "@aws-sdk/client-cloudhsm-v2";
import { expect, test, vi } from "vitest";
import {
  ADMIN_PASSWORD,
  createStore,
  KMSUSER_PASSWORD,
  readyCluster,
  type Keystead,
  type ReadyCluster,
} from "../api/harness.ts";
import { covers, expectSaid, invalid, runCases, sharedServer, type Answer, type Case } from "./harness.ts";

const WAIT = { timeout: 20_000 };

/** Active, but all its subnets are in one Availability Zone. */
async function oneZoneCluster(keystead: Keystead): Promise<string> {
  const { body } = await keystead.manage("GET", "subnets");
  const [subnet] = (body as { subnets: { SubnetId: string }[] }).subnets;
  const SubnetIds = [subnet?.SubnetId ?? ""];
  const { Cluster } = await keystead.cloudhsm.send(
    new CreateClusterCommand({ HsmType: "hsm2m.medium", SubnetIds }),
  );
  const ClusterId = Cluster?.ClusterId ?? "";
  const hsm = new CreateHsmCommand({ ClusterId, AvailabilityZone: "us-east-1a" });
  await vi.waitFor(() => keystead.cloudhsm.send(hsm), WAIT);
  const passwords = { adminPassword: ADMIN_PASSWORD, kmsuserPassword: KMSUSER_PASSWORD };
  await vi.waitFor(async () => {
    expect((await keystead.manage("POST", `clusters/${ClusterId}/init`, passwords)).status).toBe(200);
  }, WAIT);
  return ClusterId;
}

const shared = sharedServer(async (keystead) => {
  const cluster = await readyCluster(keystead);
  const other = await readyCluster(keystead);
  const oneHsm = await readyCluster(keystead, 1);
  const { body } = await keystead.manage("POST", "clusters", {});
  const { clusterId: notActive } = body as { clusterId: string };
  const storeId = await createStore(keystead, cluster, "First");
  return { cluster, other, oneHsm, notActive, storeId };
});
const call = (operation: string, input?: unknown): Promise<Answer> => shared.call(operation, input);

/** What CreateCustomKeyStore needs for a store on `cluster`, changed. */
function creation(cluster: ReadyCluster, change: object = {}): object {
  return {
    CustomKeyStoreName: "Second",
    CloudHsmClusterId: cluster.clusterId,
    TrustAnchorCertificate: cluster.customerCaPem,
    KeyStorePassword: KMSUSER_PASSWORD,
    ...change,
  };
}
const on =
  (which: "cluster" | "other" | "oneHsm", change: object = {}): (() => object) =>
  () =>
    creation(shared[which], change);

const CLUSTER = "cluster-[2-7a-zA-Z]{11,16}";
const UNKNOWN = "cluster-aaaaaaaaaaa";
const NO_STORE = "cks-00000000000000000";
const long = (length: number): string => "x".repeat(length);
const named = (more: object): object => ({ CustomKeyStoreName: "n", ...more });

const CREATE: readonly Case[] = [
  [
    "cks-2.1-name-required",
    "CreateCustomKeyStore",
    [{}, invalid.absent("customKeyStoreName")],
    [{ CustomKeyStoreName: null }, invalid.absent("customKeyStoreName")],
  ],
  [
    "cks-2.1-name-length",
    "CreateCustomKeyStore",
    [{ CustomKeyStoreName: "" }, invalid.shorter("customKeyStoreName", 1, "")],
    [{ CustomKeyStoreName: long(257) }, invalid.longer("customKeyStoreName", 256, long(257))],
  ],
  [
    "cks-2.1-type-enum",
    "CreateCustomKeyStore",
    [named({ CustomKeyStoreType: "OTHER" }), invalid.oneOf("customKeyStoreType", "OTHER")],
  ],
  [
    "cks-2.1-cluster-id-length",
    "CreateCustomKeyStore",
    [
      named({ CloudHsmClusterId: "cluster-aaaaaaaaaa" }),
      /^ValidationException: 2 validation errors detected: .*length greater than or equal to 19; /,
    ],
    [
      named({ CloudHsmClusterId: `cluster-${"a".repeat(17)}` }),
      /^ValidationException: 2 validation errors detected: .*length less than or equal to 24; /,
    ],
  ],
  [
    "cks-2.1-cluster-id-pattern cks-12-guide-cluster-id wire-4.6-example-cluster",
    "CreateCustomKeyStore",
    [
      named({ CloudHsmClusterId: "cluster-1a23b4cdefg" }),
      invalid.pattern("cloudHsmClusterId", CLUSTER, "cluster-1a23b4cdefg"),
    ],
  ],
  [
    "cks-2.1-anchor-length wire-4.6-anchor-echoed",
    "CreateCustomKeyStore",
    [named({ TrustAnchorCertificate: "" }), invalid.shorter("trustAnchorCertificate", 1, "")],
    [
      named({ TrustAnchorCertificate: long(5001) }),
      invalid.longer("trustAnchorCertificate", 5000, long(5001)),
    ],
  ],
  [
    "cks-2.1-password-length wire-4.6-example-password",
    "CreateCustomKeyStore",
    [named({ KeyStorePassword: "abc" }), invalid.shorter("keyStorePassword", 7)],
    [named({ KeyStorePassword: long(33) }), invalid.longer("keyStorePassword", 32)],
  ],
  [
    "cks-2.1-missing-cluster",
    "CreateCustomKeyStore",
    [on("other", { CloudHsmClusterId: undefined }), "ValidationException"],
  ],
  [
    "cks-2.1-missing-anchor",
    "CreateCustomKeyStore",
    [on("other", { TrustAnchorCertificate: undefined }), "ValidationException"],
  ],
  [
    "cks-2.1-missing-password",
    "CreateCustomKeyStore",
    [on("other", { KeyStorePassword: undefined }), "ValidationException"],
  ],
  [
    "cks-2.1-xks-members",
    "CreateCustomKeyStore",
    [
      on("other", { XksProxyUriEndpoint: "https://xks.example.com" }),
      /^ValidationException: XksProxyUriEndpoint/,
    ],
    [on("other", { XksProxyConnectivity: "PUBLIC_ENDPOINT" }), /^ValidationException: XksProxyConnectivity/],
  ],
  [
    "cks-2.1-xks-constraints",
    "CreateCustomKeyStore",
    [
      named({ XksProxyUriEndpoint: "http://xks.example.com" }),
      /at 'xksProxyUriEndpoint' failed .*pattern: \^https:/,
    ],
    [named({ XksProxyVpcEndpointServiceOwner: "1" }), /at 'xksProxyVpcEndpointServiceOwner' failed/],
    [named({ XksProxyConnectivity: "X" }), invalid.oneOf("xksProxyConnectivity", "X")],
    [
      named({ XksProxyAuthenticationCredential: { AccessKeyId: "A" } }),
      /Value at 'xksProxyAuthenticationCredential.accessKeyId' failed .*greater than or equal to 20/,
    ],
  ],
  [
    "cks-2.1-ClusterNotFound cks-3-exists-create",
    "CreateCustomKeyStore",
    [on("other", { CloudHsmClusterId: UNKNOWN }), "CloudHsmClusterNotFoundException"],
  ],
  [
    "cks-2.1-ClusterNotActive cks-3-active-create hsm-3-kms-wants-ACTIVE",
    "CreateCustomKeyStore",
    [
      () => creation(shared.other, { CloudHsmClusterId: shared.notActive }),
      "CloudHsmClusterNotActiveException",
    ],
  ],
  [
    "cks-2.1-IncorrectTrustAnchor",
    "CreateCustomKeyStore",
    [
      () => creation(shared.other, { TrustAnchorCertificate: shared.cluster.customerCaPem }),
      "IncorrectTrustAnchorException",
    ],
    [on("other", { TrustAnchorCertificate: "no certificate" }), "IncorrectTrustAnchorException"],
  ],
  [
    "cks-2.1-InvalidConfiguration cks-2.1-two-hsms",
    "CreateCustomKeyStore",
    [on("oneHsm"), "CloudHsmClusterInvalidConfigurationException"],
  ],
  [
    "cks-2.1-order",
    "CreateCustomKeyStore",
    [{ CustomKeyStoreName: "First", KeyStorePassword: "abc" }, invalid.shorter("keyStorePassword", 7)],
    [{ CustomKeyStoreName: "First" }, /^ValidationException: CloudHsmClusterId, /],
    [
      on("other", { CustomKeyStoreName: "First", CloudHsmClusterId: UNKNOWN }),
      "CustomKeyStoreNameInUseException",
    ],
    [
      () => creation(shared.other, { CloudHsmClusterId: shared.notActive, TrustAnchorCertificate: "x" }),
      "CloudHsmClusterNotActiveException",
    ],
    [on("cluster", { TrustAnchorCertificate: "x" }), "CloudHsmClusterInUseException"],
    [on("oneHsm", { TrustAnchorCertificate: "x" }), "CloudHsmClusterInvalidConfigurationException"],
  ],
];

const BY_ID = ["ConnectCustomKeyStore", "DisconnectCustomKeyStore", "DeleteCustomKeyStore"] as const;
const noId: [object, string] = [{}, invalid.absent("customKeyStoreId")];
const notFound: [object, string] = [{ CustomKeyStoreId: NO_STORE }, "CustomKeyStoreNotFoundException"];
const update =
  (more: object): (() => object) =>
  () => ({ CustomKeyStoreId: shared.storeId, ...more });

const OTHERS: readonly Case[] = [
  [
    "cks-2.2-id-length",
    "DescribeCustomKeyStores",
    [{ CustomKeyStoreId: "" }, invalid.shorter("customKeyStoreId", 1, "")],
    [{ CustomKeyStoreId: long(65) }, invalid.longer("customKeyStoreId", 64, long(65))],
  ],
  [
    "cks-2.2-name-length",
    "DescribeCustomKeyStores",
    [{ CustomKeyStoreName: long(257) }, invalid.longer("customKeyStoreName", 256, long(257))],
  ],
  [
    "cks-2.2-limit-range wire-4.6-example-limit",
    "DescribeCustomKeyStores",
    [{ Limit: 0 }, invalid.less("limit", 1, 0)],
    [{ Limit: 1001 }, invalid.more("limit", 1000, 1001)],
  ],
  [
    "cks-2.2-marker-pattern",
    "DescribeCustomKeyStores",
    [{ Marker: "€" }, invalid.pattern("marker", String.raw`[\u0020-\u00FF]*`, "€")],
    [{ Marker: long(1025) }, invalid.longer("marker", 1024, long(1025))],
  ],
  ["cks-2.2-InvalidMarker", "DescribeCustomKeyStores", [{ Marker: "mine" }, "InvalidMarkerException"]],
  [
    "cks-2.2-both",
    "DescribeCustomKeyStores",
    [update({ CustomKeyStoreName: "First" }), "ValidationException"],
  ],
  ["cks-2.2-unknown-id", "DescribeCustomKeyStores", notFound],
  [
    "cks-2.2-unknown-name",
    "DescribeCustomKeyStores",
    [{ CustomKeyStoreName: "no" }, "CustomKeyStoreNotFoundException"],
  ],
  ["cks-2.3-id-required", "UpdateCustomKeyStore", noId],
  ["cks-2.3-NotFound", "UpdateCustomKeyStore", notFound],
  ["cks-2.4-id-required wire-4.6-example-connect", BY_ID[0], noId],
  ["cks-2.4-NotFound", BY_ID[0], notFound],
  ["cks-2.5-id-required", BY_ID[1], noId],
  ["cks-2.5-NotFound", BY_ID[1], notFound],
  ["cks-2.6-id-required", BY_ID[2], noId],
  ["cks-2.6-NotFound", BY_ID[2], notFound],
  [
    "cks-2.3-constraints",
    "UpdateCustomKeyStore",
    [update({ NewCustomKeyStoreName: "" }), invalid.shorter("newCustomKeyStoreName", 1, "")],
    [update({ KeyStorePassword: "abc" }), invalid.shorter("keyStorePassword", 7)],
    [
      update({ CloudHsmClusterId: "cluster-1a23b4cdefg" }),
      invalid.pattern("cloudHsmClusterId", CLUSTER, "cluster-1a23b4cdefg"),
    ],
  ],
  [
    "cks-2.3-xks-members",
    "UpdateCustomKeyStore",
    [update({ XksProxyConnectivity: "PUBLIC_ENDPOINT" }), /^ValidationException: XksProxyConnectivity/],
  ],
  [
    "cks-2.3-ClusterNotFound",
    "UpdateCustomKeyStore",
    [update({ CloudHsmClusterId: UNKNOWN }), "CloudHsmClusterNotFoundException"],
  ],
  [
    "cks-2.3-ClusterNotRelated",
    "UpdateCustomKeyStore",
    [() => update({ CloudHsmClusterId: shared.other.clusterId })(), "CloudHsmClusterNotRelatedException"],
  ],
  // A store has no ARN, and no id that an operation on keys would know.
  ["cks-1-no-tags", "TagResource", [() => ({ KeyId: shared.storeId, Tags: [] }), "NotFoundException"]],
  [
    "cks-1-no-alias",
    "CreateAlias",
    [() => ({ AliasName: "alias/store", TargetKeyId: shared.storeId }), "NotFoundException"],
  ],
];

runCases(call, [...CREATE, ...OTHERS]);

async function described(id: string): Promise<Record<string, unknown>> {
  const { body } = await call("DescribeCustomKeyStores", { CustomKeyStoreId: id });
  return (body["CustomKeyStores"] as Record<string, unknown>[])[0] ?? {};
}

test(
  covers(
    "cks-2.2-{members,no-xks,no-password} cks-2.1-{disconnected,type-default,anchor-verbatim} cks-12-creation-date",
    "an entry of Describe",
  ),
  async () => {
    expect(await described(shared.storeId)).toEqual({
      CustomKeyStoreId: shared.storeId,
      CustomKeyStoreName: "First",
      CloudHsmClusterId: shared.cluster.clusterId,
      TrustAnchorCertificate: shared.cluster.customerCaPem,
      ConnectionState: "DISCONNECTED",
      CreationDate: expect.any(Number) as number,
      CustomKeyStoreType: "AWS_CLOUDHSM",
    });
  },
);

test(
  covers("cks-1-trust-anchor-fixed cks-2.3-nothing", "nothing is changed by what cannot be changed"),
  async () => {
    const before = await described(shared.storeId);
    const CustomKeyStoreId = shared.storeId;
    // Members that the model does not have here are ignored.
    const input = { CustomKeyStoreId, TrustAnchorCertificate: "x", CustomKeyStoreType: "EXTERNAL_KEY_STORE" };
    expectSaid(await call("UpdateCustomKeyStore", input), "ok");
    expect(await described(shared.storeId)).toEqual(before);
  },
);

const inNewStore = (change: object = {}): Promise<Answer> =>
  call("CreateCustomKeyStore", creation(shared.other, { CustomKeyStoreName: "Short-lived", ...change }));

test(
  covers(
    "cks-1-id-format cks-1-delete-keeps-cluster cks-2.1-password-any-characters cks-2.2-{all,by-id,by-name,truncated} cks-10-synchronous cks-2.6-empty cks-2.6-cluster-free cks-12-empty-object wire-2-empty-output",
    "a store's life",
  ),
  async () => {
    const users = await shared.keystead.operator(shared.other.clusterId, "user list");
    const { body } = await inNewStore({ KeyStorePassword: "any thing: goes!" });
    const CustomKeyStoreId = String(body["CustomKeyStoreId"]);
    expect(CustomKeyStoreId).toMatch(/^cks-[0-9a-f]{17}$/);
    const list = async (input: object): Promise<[unknown[], Record<string, unknown>]> => {
      const { CustomKeyStores, ...paging } = (await call("DescribeCustomKeyStores", input)).body;
      return [
        (CustomKeyStores as { CustomKeyStoreName: string }[]).map((one) => one.CustomKeyStoreName),
        paging,
      ];
    };
    expect(await list({})).toEqual([["First", "Short-lived"], { Truncated: false }]);
    expect(await list({ CustomKeyStoreId })).toEqual([["Short-lived"], { Truncated: false }]);
    expect(await list({ CustomKeyStoreName: "Short-lived" })).toEqual([
      ["Short-lived"],
      { Truncated: false },
    ]);
    const NextMarker = expect.any(String) as string;
    expect(await list({ Limit: 1 })).toEqual([["First"], { Truncated: true, NextMarker }]);
    for (const [operation, more] of [
      ["UpdateCustomKeyStore", { NewCustomKeyStoreName: "Renamed" }],
      ["DeleteCustomKeyStore", {}],
    ] as const) {
      const answer = await call(operation, { CustomKeyStoreId, ...more });
      expect([answer.status, answer.text]).toEqual([200, "{}"]);
      if (operation === "UpdateCustomKeyStore") expect((await list({}))[0]).toEqual(["First", "Renamed"]);
    }
    expect((await list({}))[0]).toEqual(["First"]);
    expect(await shared.keystead.operator(shared.other.clusterId, "user list")).toEqual(users);
    expectSaid(await inNewStore(), "ok");
  },
);

test(covers("hsm-5-compare-der", "a trust anchor that is the same certificate in other lines"), async () => {
  const spaced = `${shared.other.customerCaPem.trim().replaceAll("\n", "\r\n")}\r\n\r\n`;
  await call("DeleteCustomKeyStore", { CustomKeyStoreId: await storeNamed("Short-lived") });
  expectSaid(await inNewStore({ TrustAnchorCertificate: spaced }), "ok");
});

async function storeNamed(CustomKeyStoreName: string): Promise<string> {
  const { body } = await call("DescribeCustomKeyStores", { CustomKeyStoreName });
  return String((body["CustomKeyStores"] as { CustomKeyStoreId: string }[])[0]?.CustomKeyStoreId);
}

test(covers("cks-3-network-create", "a cluster whose subnets are in one Availability Zone"), async () => {
  const CloudHsmClusterId = await oneZoneCluster(shared.keystead);
  const answer = await call("CreateCustomKeyStore", creation(shared.other, { CloudHsmClusterId }));
  expectSaid(answer, /^CloudHsmClusterInvalidConfigurationException: .*private subnets in at least two/);
});

test(covers("cks-3-hsms-{distinct-zones,active-only}", "which HSMs count"), async () => {
  const ClusterId = shared.oneHsm.clusterId;
  const add = (AvailabilityZone: string) =>
    shared.keystead.cloudhsm.send(new CreateHsmCommand({ ClusterId, AvailabilityZone }));
  const refused = async (): Promise<void> =>
    expectSaid(
      await call("CreateCustomKeyStore", creation(shared.oneHsm)),
      "CloudHsmClusterInvalidConfigurationException",
    );
  const create = async (): Promise<void> =>
    expectSaid(await call("CreateCustomKeyStore", creation(shared.oneHsm)), "ok");
  await add("us-east-1a");
  await refused();
  const hold = { progression: "manual", times: 100_000 };
  await shared.keystead.manage("PUT", "transitions/cloudhsmv2::hsm", hold);
  await add("us-east-1b");
  await refused();
  await shared.keystead.manage("DELETE", "transitions/cloudhsmv2::hsm");
  await add("us-east-1c");
  await vi.waitFor(create, WAIT);
});
