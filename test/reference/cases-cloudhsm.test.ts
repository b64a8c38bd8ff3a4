/** CloudHSM V2 operations on the wire: members, constraints, the shapes of answers (reference: cloudhsm-v2 §1, §2, §9). */
import { expect, test } from "vitest";
import { covers, invalid, runCases, said, sharedServer, type Answer, type Case } from "./harness.ts";

const shared = sharedServer(() => Promise.resolve({}));
const call = (operation: string, input?: unknown): Promise<Answer> => shared.call(operation, input);
const baldr = (operation: string): string => `BaldrApiService.${operation}`;

const CLUSTER = "cluster-aaaaaaaaaaa";
const subnets = (count: number): string[] => Array.from({ length: count }, () => "subnet-0123456789abcdef0");
const cluster = (more: object): object => ({ HsmType: "hsm2m.medium", SubnetIds: subnets(1), ...more });
const long = (length: number): string => "a".repeat(length);
const zone = "[a-z]{2}(-(gov))?-(east|west|north|south|central){1,2}-\\d[a-z]";
const tags = (count: number): object[] =>
  Array.from({ length: count }, (_, index) => ({ Key: `k${index}`, Value: "" }));
const tag = (Key: string, Value: string): object => ({ ResourceId: CLUSTER, TagList: [{ Key, Value }] });
const hsm = (AvailabilityZone: string): object => ({ ClusterId: CLUSTER, AvailabilityZone });
const certs = (SignedCert: string): object => ({ ClusterId: CLUSTER, SignedCert, TrustAnchor: "x" });

const filters = (count: number): object =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`f${index}`, ["x"]]));

const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  DeleteCluster: ["clusterId"],
  ModifyCluster: ["clusterId"],
  CreateHsm: ["clusterId", "availabilityZone"],
  DeleteHsm: ["clusterId"],
  DeleteBackup: ["backupId"],
  RestoreBackup: ["backupId"],
  ModifyBackupAttributes: ["backupId", "neverExpires"],
  CopyBackupToRegion: ["destinationRegion", "backupId"],
  ListTags: ["resourceId"],
  TagResource: ["resourceId", "tagList"],
  UntagResource: ["resourceId", "tagKeyList"],
};

test(covers("hsm-2-required", "members that the model requires"), async () => {
  for (const [operation, members] of Object.entries(REQUIRED)) {
    const missing = [...said(await call(baldr(operation))).matchAll(/Value null at '(\w+)'/g)];
    expect([operation, missing.map(([, member]) => member)]).toEqual([operation, members]);
  }
});

const CLOUDHSM: readonly Case[] = [
  [
    "hsm-1-zone",
    baldr("CreateHsm"),
    [hsm("nowhere"), invalid.pattern("availabilityZone", zone, "nowhere")],
    [hsm("us-east-1a"), "CloudHsmResourceNotFoundException"],
  ],
  [
    "hsm-1-hsm-type-pattern",
    baldr("CreateCluster"),
    [
      cluster({ HsmType: "medium" }),
      invalid.pattern("hsmType", "((p|)hsm[0-9][a-z.]*\\.[a-zA-Z]+)", "medium"),
    ],
    [cluster({ HsmType: `hsm2.${long(28)}` }), invalid.longer("hsmType", 32, `hsm2.${long(28)}`)],
  ],
  [
    "hsm-2-CreateCluster-required",
    baldr("CreateCluster"),
    [{}, /^ValidationException: 2 validation errors detected: .*'hsmType' .*'subnetIds' .*not be null$/],
  ],
  [
    "hsm-2-CreateCluster-subnets-count",
    baldr("CreateCluster"),
    [cluster({ SubnetIds: [] }), invalid.shorter("subnetIds", 1)],
    [cluster({ SubnetIds: subnets(11) }), invalid.longer("subnetIds", 10)],
    [
      cluster({ SubnetIds: ["net-1"] }),
      invalid.pattern("subnetIds.1.member", "subnet-[0-9a-fA-F]{8,17}", "net-1"),
    ],
  ],
  [
    "hsm-2-CreateCluster-enums",
    baldr("CreateCluster"),
    [cluster({ NetworkType: "IPV6" }), invalid.oneOf("networkType", "IPV6")],
    [cluster({ Mode: "BOTH" }), invalid.oneOf("mode", "BOTH")],
    [
      cluster({ BackupRetentionPolicy: { Type: "WEEKS", Value: "7" } }),
      invalid.oneOf("backupRetentionPolicy.type", "WEEKS"),
    ],
    [
      cluster({ BackupRetentionPolicy: { Type: "DAYS", Value: "1000" } }),
      invalid.longer("backupRetentionPolicy.value", 3, "1000"),
    ],
  ],
  [
    "hsm-2-CreateCluster-tags",
    baldr("CreateCluster"),
    [cluster({ TagList: [] }), invalid.shorter("tagList", 1)],
    [cluster({ TagList: tags(51) }), invalid.longer("tagList", 50)],
  ],
  [
    "hsm-2-DescribeClusters-max",
    baldr("DescribeClusters"),
    [{ MaxResults: 0 }, invalid.less("maxResults", 1, 0)],
    [{ MaxResults: 26 }, invalid.more("maxResults", 25, 26)],
  ],
  [
    "hsm-2-DescribeClusters-token",
    baldr("DescribeClusters"),
    [{ NextToken: long(257) }, invalid.longer("nextToken", 256, long(257))],
  ],
  [
    "hsm-2-DescribeClusters-filters-count",
    baldr("DescribeClusters"),
    [{ Filters: filters(31) }, invalid.longer("filters", 30)],
    [{ Filters: filters(30) }, "CloudHsmInvalidRequestException"],
  ],
  [
    "hsm-2-ListTags-max",
    baldr("ListTags"),
    [{ ResourceId: CLUSTER, MaxResults: 0 }, invalid.less("maxResults", 1, 0)],
    [{ ResourceId: CLUSTER, MaxResults: 101 }, invalid.more("maxResults", 100, 101)],
    [{ ResourceId: CLUSTER, MaxResults: 100 }, "CloudHsmResourceNotFoundException"],
  ],
  [
    "hsm-2-DescribeBackups-max",
    baldr("DescribeBackups"),
    [{ MaxResults: 0 }, invalid.less("maxResults", 1, 0)],
    [{ MaxResults: 51 }, invalid.more("maxResults", 50, 51)],
  ],
  [
    "hsm-2-InitializeCluster-members",
    baldr("InitializeCluster"),
    [{ ClusterId: CLUSTER, TrustAnchor: "x" }, invalid.absent("signedCert")],
    [{ ClusterId: CLUSTER, SignedCert: "x" }, invalid.absent("trustAnchor")],
    [certs(long(20_001)), invalid.longer("signedCert", 20_000, long(20_001))],
    [certs("ä"), invalid.pattern("signedCert", "[a-zA-Z0-9+-/=\\s]*", "ä")],
  ],
  [
    "hsm-2-TagResource-length",
    baldr("TagResource"),
    [tag("", "v"), invalid.shorter("tagList.1.member.key", 1, "")],
    [tag(long(129), "v"), invalid.longer("tagList.1.member.key", 128, long(129))],
    [tag("k", long(257)), invalid.longer("tagList.1.member.value", 256, long(257))],
    [tag("k", ""), "CloudHsmResourceNotFoundException"],
  ],
  [
    "hsm-2-TagResource-id",
    baldr("TagResource"),
    [
      { ResourceId: "hsm-aaaaaaaaaaa", TagList: tags(1) },
      invalid.pattern("resourceId", "(?:cluster|backup)-[2-7a-zA-Z]{11,16}", "hsm-aaaaaaaaaaa"),
    ],
    [{ ResourceId: "backup-aaaaaaaaaaa", TagList: tags(1) }, "CloudHsmResourceNotFoundException"],
  ],
];

runCases(call, CLOUDHSM);

test(covers("hsm-2-Message", "CloudHSM exceptions spell Message, validation message"), async () => {
  const unknown = await call(baldr("DeleteCluster"), { ClusterId: CLUSTER });
  expect([said(unknown).split(":")[0], Object.keys(unknown.body)]).toEqual([
    "CloudHsmResourceNotFoundException",
    ["__type", "Message"],
  ]);
  expect(Object.keys((await call(baldr("DeleteCluster"))).body)).toEqual(["__type", "message"]);
});

interface ClusterAnswer {
  readonly Hsms: readonly Readonly<Record<string, unknown>>[];
}

test(
  covers(
    "hsm-1-{hsm,eni,subnet-group} hsm-2-{Cluster-members,Hsm-members,timestamps} hsm-9-hsm-info hsm-7-appliance-user",
    "an ACTIVE cluster with an HSM",
  ),
  async () => {
    const { keystead } = shared;
    const made = await keystead.manage("POST", "clusters", { hsms: 1, activate: true });
    const { clusterId } = made.body as { clusterId: string };
    const { body } = await call(baldr("DescribeClusters"), { Filters: { clusterIds: [clusterId] } });
    const [shown] = body["Clusters"] as (ClusterAnswer & Record<string, unknown>)[];
    expect(Object.keys(shown ?? {}).toSorted()).toEqual([
      "BackupPolicy",
      "BackupRetentionPolicy",
      "Certificates",
      "ClusterId",
      "CreateTimestamp",
      "HsmType",
      "Hsms",
      "Mode",
      "NetworkType",
      "SecurityGroup",
      "State",
      "SubnetMapping",
      "TagList",
      "VpcId",
    ]);
    expect(shown?.["CreateTimestamp"]).toBeCloseTo(keystead.server.clock.now() / 1000, -2);
    expect(shown?.["SecurityGroup"]).toMatch(/^sg-[0-9a-f]{17}$/);
    expect(shown?.Hsms).toEqual([
      {
        AvailabilityZone: "us-east-1a",
        ClusterId: clusterId,
        SubnetId: expect.stringMatching(/^subnet-[0-9a-f]{17}$/) as string,
        EniId: expect.stringMatching(/^eni-[0-9a-f]{17}$/) as string,
        EniIp: expect.stringMatching(/^172\.31\./) as string,
        HsmId: expect.stringMatching(/^hsm-[2-7a-z]{11}$/) as string,
        HsmType: "hsm2m.medium",
        State: "ACTIVE",
        StateMessage: "HSM created.",
      },
    ]);
    const { data } = await keystead.operator(clusterId, "cluster hsm-info");
    const [info] = (data as { hsms: Record<string, unknown>[] }).hsms;
    expect(Object.keys(info ?? {})).toEqual(
      expect.arrayContaining(["vendor", "model", "serial-number", "firmware-version-major", "fips-state"]),
    );
    const appliance = { username: "app_user", role: "internal(APPLIANCE_USER)" };
    const users = await keystead.operator(clusterId, "user list");
    expect((users.data as { users: object[] }).users).toContainEqual(expect.objectContaining(appliance));
    const login = { ...appliance, password: "password1" };
    expect((await keystead.operator(clusterId, "login", login, null)).error_code).toBe(1);
  },
);
