/** The other custom key store operations: members, answers and refusals (reference: custom-key-stores §1, §2). */
import { expect, test } from "vitest";
import { createStore, KMSUSER_PASSWORD, readyCluster } from "../api/harness.ts";
import { covers, expectSaid, invalid, runCases, sharedServer, type Answer, type Case } from "./harness.ts";

const shared = sharedServer(async (keystead) => {
  const cluster = await readyCluster(keystead);
  const other = await readyCluster(keystead);
  return { cluster, other, storeId: await createStore(keystead, cluster, "First") };
});
const call = (operation: string, input?: unknown): Promise<Answer> => shared.call(operation, input);

const CLUSTER = "cluster-[2-7a-zA-Z]{11,16}";
const UNKNOWN = "cluster-aaaaaaaaaaa";
const NO_STORE = "cks-00000000000000000";
const long = (length: number): string => "x".repeat(length);

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

runCases(call, OTHERS);

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
  call("CreateCustomKeyStore", {
    CustomKeyStoreName: "Short-lived",
    CloudHsmClusterId: shared.other.clusterId,
    TrustAnchorCertificate: shared.other.customerCaPem,
    KeyStorePassword: KMSUSER_PASSWORD,
    ...change,
  });

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
