/** CreateCustomKeyStore: members, refusals and their order, which HSMs count (reference: custom-key-stores §2.1, §3, wire-protocol §4.6). */
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
  await createStore(keystead, cluster, "First");
  return { cluster, other, oneHsm, notActive };
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

runCases(call, CREATE);

test(covers("hsm-5-compare-der", "a trust anchor that is the same certificate in other lines"), async () => {
  const spaced = `${shared.other.customerCaPem.trim().replaceAll("\n", "\r\n")}\r\n\r\n`;
  const input = creation(shared.other, { CustomKeyStoreName: "Compared", TrustAnchorCertificate: spaced });
  expectSaid(await call("CreateCustomKeyStore", input), "ok");
});

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
