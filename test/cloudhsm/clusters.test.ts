/** The BaldrApiService operations on clusters, HSMs and tags. */
import { describe, expect, test } from "vitest";
import { resumeClusters } from "../../src/cloudhsm/drivers.ts";
import { baldrApiService } from "../../src/cloudhsm/service.ts";
import { bench, type Bench, type ClusterView, type HsmView } from "./harness.ts";

const UNKNOWN = "cluster-aaaaaaaaaaa";

async function subnetIds(b: Bench): Promise<string[]> {
  return (await b.cloudhsm.network.subnets()).map((subnet) => subnet.SubnetId);
}
async function create(b: Bench, more: object = {}): Promise<ClusterView> {
  const { Cluster } = await b.call("CreateCluster", {
    HsmType: "hsm2m.medium",
    SubnetIds: await subnetIds(b),
    ...more,
  });
  return Cluster;
}
async function created(b: Bench): Promise<string> {
  const { ClusterId } = await create(b);
  await b.idle(ClusterId);
  return ClusterId;
}
const show = (b: Bench, id: string) => b.show(id);
async function withHsm(b: Bench): Promise<{ id: string; hsm: HsmView }> {
  const id = await created(b);
  const { Hsm } = await b.call("CreateHsm", { ClusterId: id, AvailabilityZone: "us-east-1a" });
  await b.idle(Hsm.HsmId);
  return { id, hsm: Hsm };
}

test("the table has all 18 operations", () => {
  expect(Object.keys(baldrApiService)).toHaveLength(18);
});

describe("CreateCluster", () => {
  test("answers CREATE_IN_PROGRESS with defaults, then UNINITIALIZED and never further by itself", async () => {
    const b = await bench();
    const cluster = await create(b, { TagList: [{ Key: "a", Value: "" }] });
    expect(cluster).toMatchObject({
      BackupPolicy: "DEFAULT",
      BackupRetentionPolicy: { Type: "DAYS", Value: "90" },
      Certificates: {},
      HsmType: "hsm2m.medium",
      Hsms: [],
      Mode: "FIPS",
      NetworkType: "IPV4",
      State: "CREATE_IN_PROGRESS",
      TagList: [{ Key: "a", Value: "" }],
    });
    expect(cluster.ClusterId).toMatch(/^cluster-[2-7a-z]{11}$/);
    expect(cluster).not.toHaveProperty("PreCoPassword");
    expect(Object.keys(cluster.SubnetMapping)).toEqual(["us-east-1a", "us-east-1b", "us-east-1c"]);
    await b.idle(cluster.ClusterId);
    expect((await show(b, cluster.ClusterId)).State).toBe("UNINITIALIZED");
    const group = await b.cloudhsm.network.securityGroupByName(`cloudhsm-cluster-${cluster.ClusterId}-sg`);
    const peer = { Protocol: "tcp", FromPort: 2223, ToPort: 2225, Peer: group?.GroupId };
    expect(group?.Rules).toEqual([
      { Direction: "inbound", ...peer },
      { Direction: "outbound", ...peer },
    ]);
    expect(cluster.SecurityGroup).toBe(group?.GroupId);
  });

  test.each([
    [
      "hsm1.medium",
      { HsmType: "hsm1.medium" },
      "CloudHsmInvalidRequestException",
      "Provided HsmType is not supported.",
    ],
    [
      "an unknown backup",
      { SourceBackupId: "backup-aaaaaaaaaaa" },
      "CloudHsmResourceNotFoundException",
      /The backup backup-aaaaaaaaaaa does not exist/,
    ],
    [
      "an unknown subnet",
      { SubnetIds: ["subnet-00000000"] },
      "CloudHsmResourceNotFoundException",
      /does not exist/,
    ],
    [
      "6 days",
      { BackupRetentionPolicy: { Type: "DAYS", Value: "6" } },
      "CloudHsmInvalidRequestException",
      /7 to 379/,
    ],
    [
      "380 days",
      { BackupRetentionPolicy: { Type: "DAYS", Value: "380" } },
      "CloudHsmInvalidRequestException",
      /7 to 379/,
    ],
    ["no days", { BackupRetentionPolicy: { Type: "DAYS" } }, "CloudHsmInvalidRequestException", /7 to 379/],
    ["a reserved tag", { TagList: [{ Key: "aws:x", Value: "" }] }, "CloudHsmTagException", /reserved/],
    ["no subnet", { SubnetIds: [] }, "ValidationException", /length greater than or equal to 1/],
  ])("refuses %s", async (_name, input, code, message) => {
    const b = await bench();
    const answer = await b.refused("CreateCluster", {
      HsmType: "hsm2m.medium",
      SubnetIds: await subnetIds(b),
      ...input,
    });
    expect(answer.code).toBe(code);
    expect(answer.message).toMatch(message);
    expect((await b.call("DescribeClusters", {})).Clusters).toEqual([]);
  });

  test("refuses two subnets of one Availability Zone", async () => {
    const b = await bench();
    const { SubnetId } = await b.cloudhsm.network.createSubnet({ AvailabilityZone: "us-east-1a" });
    const SubnetIds = [...(await subnetIds(b)), SubnetId];
    const { code, message } = await b.refused("CreateCluster", {
      HsmType: "hsm2m.medium",
      SubnetIds: [...new Set(SubnetIds)],
    });
    expect([code, message]).toEqual([
      "CloudHsmInvalidRequestException",
      expect.stringMatching(/More than one subnet/),
    ]);
  });
});

describe("DescribeClusters", () => {
  test("filters: alternatives within one, all of them together, unknown names refused", async () => {
    const b = await bench();
    const [one, two] = [await created(b), await created(b)];
    const { VpcId } = await show(b, one);
    const found = async (Filters: object) =>
      (await b.call("DescribeClusters", { Filters })).Clusters.map((c) => c.ClusterId);
    expect(await found({})).toEqual([one, two]);
    expect(await found({ clusterIds: [two] })).toEqual([two]);
    expect(await found({ clusterIds: [UNKNOWN] })).toEqual([]);
    expect(await found({ states: ["ACTIVE", "UNINITIALIZED"], vpcIds: [VpcId] })).toEqual([one, two]);
    expect(await found({ states: ["ACTIVE"], clusterIds: [one] })).toEqual([]);
    expect((await b.refused("DescribeClusters", { Filters: { name: ["x"] } })).code).toBe(
      "CloudHsmInvalidRequestException",
    );
  });

  test("pages, and refuses a token that it did not issue", async () => {
    const b = await bench();
    const all = [await created(b), await created(b), await created(b)];
    const first = await b.call("DescribeClusters", { MaxResults: 2 });
    expect(first.Clusters.map((c) => c.ClusterId)).toEqual(all.slice(0, 2));
    const last = await b.call("DescribeClusters", { MaxResults: 2, NextToken: first.NextToken });
    expect(last.Clusters.map((c) => c.ClusterId)).toEqual(all.slice(2));
    expect(last).not.toHaveProperty("NextToken");
    for (const NextToken of ["x", Buffer.from("ListTags:1").toString("base64url"), `${first.NextToken}=`])
      expect((await b.refused("DescribeClusters", { NextToken })).code).toBe(
        "CloudHsmInvalidRequestException",
      );
  });

  test("a manual progression goes on when the cluster has been described so often", async () => {
    const b = await bench();
    b.cloudhsm.transitions.set("cloudhsmv2::cluster", { progression: "manual", times: 2 });
    const { ClusterId } = await create(b);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await show(b, ClusterId)).State).toBe("CREATE_IN_PROGRESS");
    expect((await show(b, ClusterId)).State).toBe("CREATE_IN_PROGRESS");
    await b.idle(ClusterId);
    expect((await show(b, ClusterId)).State).toBe("UNINITIALIZED");
  });

  test("AWS timing runs on the virtual clock", async () => {
    const b = await bench({ timing: "aws" });
    const { ClusterId } = await create(b);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await show(b, ClusterId)).State).toBe("CREATE_IN_PROGRESS");
    b.clock.advance(91_000);
    await b.idle(ClusterId);
    expect((await show(b, ClusterId)).State).toBe("UNINITIALIZED");
  });
});

describe("ModifyCluster and DeleteCluster", () => {
  test("the retention changes, the HSM type cannot", async () => {
    const b = await bench();
    const ClusterId = await created(b);
    const changed = await b.call("ModifyCluster", {
      ClusterId,
      BackupRetentionPolicy: { Type: "DAYS", Value: "007" },
    });
    expect(changed.Cluster.BackupRetentionPolicy.Value).toBe("7");
    expect((await b.call("ModifyCluster", { ClusterId, HsmType: "hsm2m.medium" })).Cluster.State).toBe(
      "UNINITIALIZED",
    );
    expect((await b.refused("ModifyCluster", { ClusterId, HsmType: "hsm1.medium" })).message).toBe(
      "Provided HsmType is not supported.",
    );
    expect((await b.refused("ModifyCluster", { ClusterId })).code).toBe("CloudHsmInvalidRequestException");
  });

  test("only a cluster without HSMs is deleted; then it, its group and its token are gone", async () => {
    const b = await bench();
    const { id, hsm } = await withHsm(b);
    expect((await b.refused("DeleteCluster", { ClusterId: id })).message).toMatch(/still contains HSMs/);
    await b.call("DeleteHsm", { ClusterId: id, HsmId: hsm.HsmId });
    await b.idle(hsm.HsmId);
    const { Cluster } = await b.call("DeleteCluster", { ClusterId: id });
    expect(Cluster).toMatchObject({
      State: "DELETE_IN_PROGRESS",
      StateMessage: "The cluster is being deleted.",
    });
    await b.idle(id);
    expect(await show(b, id)).toBeUndefined();
    expect(await b.cloudhsm.network.securityGroups()).toEqual([]);
    expect(b.tokens.of(id).calls).toContain("remove");
    expect((await b.refused("DeleteCluster", { ClusterId: id })).code).toBe(
      "CloudHsmResourceNotFoundException",
    );
  });

  test.each([
    ["DeleteCluster", {}],
    ["ModifyCluster", { HsmType: "hsm2m.medium" }],
    ["CreateHsm", { AvailabilityZone: "us-east-1a" }],
    ["DeleteHsm", { HsmId: "hsm-aaaaaaaaaaa" }],
    ["InitializeCluster", { SignedCert: "x", TrustAnchor: "x" }],
  ])("%s of an unknown cluster", async (name, input) => {
    const b = await bench();
    expect(await b.refused(name, { ClusterId: UNKNOWN, ...input })).toEqual({
      code: "CloudHsmResourceNotFoundException",
      message: `The cluster ${UNKNOWN} does not exist.`,
    });
  });
});

describe("CreateHsm and DeleteHsm", () => {
  test("an HSM takes an address and an interface of the cluster's group, and gives them back", async () => {
    const b = await bench();
    const { id, hsm } = await withHsm(b);
    expect(hsm).toMatchObject({
      State: "CREATE_IN_PROGRESS",
      EniIp: "172.31.0.4",
      AvailabilityZone: "us-east-1a",
      ClusterId: id,
    });
    const cluster = await show(b, id);
    expect(cluster.Hsms).toMatchObject([{ HsmId: hsm.HsmId, State: "ACTIVE", StateMessage: "HSM created." }]);
    expect(await b.cloudhsm.network.networkInterfaces({ group: cluster.SecurityGroup })).toMatchObject([
      { NetworkInterfaceId: hsm.EniId, PrivateIpAddress: hsm.EniIp },
    ]);
    await b.call("DeleteHsm", { ClusterId: id, EniId: hsm.EniId });
    expect((await b.refused("DeleteHsm", { ClusterId: id, EniId: hsm.EniId })).code).toMatch(
      /^CloudHsm(InvalidRequest|ResourceNotFound)/,
    );
    await b.idle(hsm.HsmId);
    expect((await show(b, id)).Hsms).toEqual([]);
    expect((await show(b, id)).Certificates).toEqual({});
    expect(await b.cloudhsm.network.networkInterfaces()).toEqual([]);
  });

  test("before activation there is one HSM at most, in AWS's words", async () => {
    const b = await bench();
    const { id } = await withHsm(b);
    expect(await b.refused("CreateHsm", { ClusterId: id, AvailabilityZone: "us-east-1b" })).toEqual({
      code: "CloudHsmInvalidRequestException",
      message: `Cluster '${id}' already contains an HSM but has not yet been fully activated`,
    });
  });

  test("two CreateHsm at the same moment: one wins", async () => {
    const b = await bench();
    const id = await created(b);
    const ask = () => b.call("CreateHsm", { ClusterId: id, AvailabilityZone: "us-east-1a" });
    const outcomes = await Promise.allSettled([ask(), ask(), ask()]);
    expect(outcomes.filter((one) => one.status === "fulfilled")).toHaveLength(1);
  });

  test("after activation: several in one zone, up to 28, by address; a full subnet is refused", async () => {
    const b = await bench();
    const id = await b.ready();
    const ask = (input: object) =>
      b.call("CreateHsm", { ClusterId: id, AvailabilityZone: "us-east-1b", ...input });
    expect((await ask({ IpAddress: "172.31.16.99" })).Hsm.EniIp).toBe("172.31.16.99");
    for (let count = 2; count < 28; count += 1) await ask({});
    expect((await b.refused("CreateHsm", { ClusterId: id, AvailabilityZone: "us-east-1b" })).message).toMatch(
      /28 HSMs/,
    );
    expect((await show(b, id)).State).toBe("ACTIVE");
  });

  test.each([
    ["another zone", { AvailabilityZone: "us-east-1f" }, /no subnet in the Availability Zone/],
    ["an address elsewhere", { IpAddress: "10.0.0.1" }, /not usable/],
    ["a full subnet", { AvailabilityZone: "us-east-1c" }, /no free IP address/],
  ])("CreateHsm refuses %s", async (_name, input, sentence) => {
    const b = await bench();
    const id = await created(b);
    await b.cloudhsm.network.fillSubnet((await show(b, id)).SubnetMapping["us-east-1c"]!, 0);
    const answer = await b.refused("CreateHsm", { ClusterId: id, AvailabilityZone: "us-east-1a", ...input });
    expect(answer).toEqual({
      code: "CloudHsmInvalidRequestException",
      message: expect.stringMatching(sentence),
    });
  });

  test.each([[{}], [{ HsmId: "hsm-aaaaaaaaaaa", EniIp: "10.0.0.1" }]])(
    "DeleteHsm names exactly one: %j",
    async (input) => {
      const b = await bench();
      const { id } = await withHsm(b);
      expect((await b.refused("DeleteHsm", { ClusterId: id, ...input })).message).toMatch(/exactly one/);
      expect((await b.refused("DeleteHsm", { ClusterId: id, EniIp: "10.9.9.9" })).code).toBe(
        "CloudHsmResourceNotFoundException",
      );
    },
  );

  test("the last HSM of an ACTIVE cluster may go; the cluster stays ACTIVE and takes a new one", async () => {
    const b = await bench();
    const id = await b.ready();
    const hsm = (await show(b, id)).Hsms[0]!;
    await b.call("DeleteHsm", { ClusterId: id, EniIp: hsm.EniIp });
    await b.idle(hsm.HsmId);
    expect(await show(b, id)).toMatchObject({ State: "ACTIVE", Hsms: [] });
    expect(await b.hsm(id, "user list")).toMatchObject({
      error_code: 1,
      data: expect.stringMatching(/no active HSM/),
    });
    const { Hsm } = await b.call("CreateHsm", { ClusterId: id, AvailabilityZone: "us-east-1c" });
    await b.idle(Hsm.HsmId);
    expect((await show(b, id)).Hsms).toMatchObject([{ State: "ACTIVE", AvailabilityZone: "us-east-1c" }]);
  });
});

describe("tags", () => {
  test("set, replaced, paged, removed", async () => {
    const b = await bench();
    const ResourceId = await created(b);
    const tags = (...keys: string[]) => keys.map((Key) => ({ Key, Value: Key }));
    await b.call("TagResource", { ResourceId, TagList: tags("a", "b", "c") });
    await b.call("TagResource", { ResourceId, TagList: [{ Key: "b", Value: "2" }] });
    const first = await b.call("ListTags", { ResourceId, MaxResults: 2 });
    const rest = await b.call("ListTags", { ResourceId, NextToken: first.NextToken });
    expect([...first.TagList, ...rest.TagList]).toEqual([...tags("a", "c"), { Key: "b", Value: "2" }]);
    expect(await b.call("UntagResource", { ResourceId, TagKeyList: ["a", "none"] })).toEqual({});
    expect((await show(b, ResourceId)).TagList).toHaveLength(2);
    const many = tags(...Array.from({ length: 49 }, (_, i) => `k${i}`));
    expect((await b.refused("TagResource", { ResourceId, TagList: many })).code).toBe(
      "CloudHsmResourceLimitExceededException",
    );
    expect((await b.refused("TagResource", { ResourceId, TagList: tags("x", "x") })).code).toBe(
      "CloudHsmTagException",
    );
  });

  test.each(["cluster-aaaaaaaaaaa", "backup-aaaaaaaaaaa"])("%s is unknown", async (ResourceId) => {
    const b = await bench();
    for (const [name, input] of [
      ["ListTags", {}],
      ["TagResource", { TagList: [{ Key: "k", Value: "v" }] }],
      ["UntagResource", { TagKeyList: ["k"] }],
    ] as const)
      expect((await b.refused(name, { ResourceId, ...input })).code).toBe(
        "CloudHsmResourceNotFoundException",
      );
  });
});

test("a stop of the server in the middle of everything is picked up at the next start", async () => {
  const b = await bench({ timing: "aws" });
  const { ClusterId } = await create(b);
  await b.cloudhsm.reconciler.settle();
  b.cloudhsm.transitions.set("cloudhsmv2::cluster", { progression: "immediate" });
  b.cloudhsm.transitions.set("cloudhsmv2::hsm", { progression: "immediate" });
  await resumeClusters(b.cloudhsm);
  await b.idle(ClusterId);
  expect((await show(b, ClusterId)).State).toBe("UNINITIALIZED");
});
