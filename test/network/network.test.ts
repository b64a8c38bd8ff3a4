import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lowestFreeBlock, overlaps, parseAddress, parseBlock, printAddress } from "../../src/network/cidr.ts";
import { Network } from "../../src/network/network.ts";
import { openStore, type Store } from "../../src/store/database.ts";

describe("CIDR", () => {
  test.each([
    ["172.31.0.0/20", { first: 0xac1f0000, size: 4096 }],
    ["0.0.0.0/0", { first: 0, size: 2 ** 32 }],
    ["255.255.255.255/32", { first: 0xffffffff, size: 1 }],
    ["172.31.0.1/20", undefined],
    ["172.31.0.0/33", undefined],
    ["256.0.0.0/8", undefined],
    ["nonsense", undefined],
  ])("%s", (text, block) => expect(parseBlock(text)).toEqual(block));

  test.each(["0.0.0.0", "10.0.2.9", "172.31.255.254", "255.255.255.255"])("%s prints as it reads", (text) => {
    expect(printAddress(parseAddress(text) ?? -1)).toBe(text);
  });

  test("blocks overlap or not, and the lowest free one is found", () => {
    const a = { first: 0, size: 16 };
    expect(overlaps(a, { first: 8, size: 8 })).toBe(true);
    expect(overlaps(a, { first: 16, size: 16 })).toBe(false);
    expect(lowestFreeBlock({ first: 0, size: 64 }, 16, [a, { first: 32, size: 16 }])).toEqual({
      first: 16,
      size: 16,
    });
    expect(lowestFreeBlock({ first: 0, size: 16 }, 16, [a])).toBeUndefined();
  });
});

describe("simulated VPC", () => {
  let directory: string;
  let store: Store;
  let network: Network;
  let vpc: string;
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "keystead-network-"));
    store = await openStore(directory);
    network = new Network({ store, region: "us-east-1" });
    await network.seedDefaultVpc();
    vpc = (await network.subnets())[0]!.VpcId;
  });
  afterEach(async () => {
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const eni = (SubnetId: string, PrivateIpAddress?: string, Groups: string[] = []) =>
    network.createNetworkInterface({
      SubnetId,
      Description: "test",
      Groups,
      ...(PrivateIpAddress === undefined ? {} : { PrivateIpAddress }),
    });

  test("the seed is idempotent: private subnets in three Availability Zones", async () => {
    await network.seedDefaultVpc();
    expect(await network.subnets()).toMatchObject([
      { AvailabilityZone: "us-east-1a", CidrBlock: "172.31.0.0/20", AvailableIpAddressCount: 4091 },
      { AvailabilityZone: "us-east-1b", CidrBlock: "172.31.16.0/20", AvailableIpAddressCount: 4091 },
      { AvailabilityZone: "us-east-1c", CidrBlock: "172.31.32.0/20", AvailableIpAddressCount: 4091 },
    ]);
  });

  test.each([
    [{ AvailabilityZone: "eu-west-1a" }, /not an Availability Zone of us-east-1/],
    [{ AvailabilityZone: "us-east-1z" }, /not an Availability Zone/],
    [{ AvailabilityZone: "us-east-1a", CidrBlock: "172.31.0.0/24" }, /overlaps/],
    [{ AvailabilityZone: "us-east-1a", CidrBlock: "10.0.0.0/24" }, /within the VPC/],
    [{ AvailabilityZone: "us-east-1a", CidrBlock: "172.31.64.0/29" }, /16 to \/28/],
    [{ AvailabilityZone: "us-east-1a", CidrBlock: "172.31.64.0" }, /not a CIDR block/],
  ])("a subnet %j is refused", async (wish, sentence) => {
    await expect(network.createSubnet(wish)).rejects.toThrow(sentence);
  });

  test("addresses: lowest free host, gaps are used again, AWS keeps five, a full subnet says so", async () => {
    const { SubnetId } = await network.createSubnet({
      AvailabilityZone: "us-east-1b",
      CidrBlock: "172.31.64.0/28",
    });
    expect((await network.subnet(SubnetId))?.AvailableIpAddressCount).toBe(11);
    const all = [];
    for (let i = 0; i < 11; i += 1) all.push(await eni(SubnetId));
    expect(all.map((one) => one.PrivateIpAddress)).toEqual(
      Array.from({ length: 11 }, (_, i) => `172.31.64.${i + 4}`),
    );
    await expect(eni(SubnetId)).rejects.toMatchObject({ code: "NO_FREE_ADDRESS" });
    await network.deleteNetworkInterface(all[3]!.NetworkInterfaceId);
    expect((await eni(SubnetId)).PrivateIpAddress).toBe("172.31.64.7");
    await expect(network.deleteSubnet(SubnetId)).rejects.toThrow(/11 network interface/);
  });

  test.each([
    ["172.31.48.3", "ADDRESS_NOT_IN_SUBNET"],
    ["172.31.48.255", "ADDRESS_NOT_IN_SUBNET"],
    ["10.0.0.1", "ADDRESS_NOT_IN_SUBNET"],
    ["999.1.1.1", "ADDRESS_NOT_IN_SUBNET"],
    ["172.31.48.9", "ADDRESS_IN_USE"],
  ])("the address %s: %s", async (address, code) => {
    const { SubnetId, CidrBlock } = await network.createSubnet({ AvailabilityZone: "us-east-1a" });
    expect(CidrBlock).toBe("172.31.48.0/24");
    expect((await eni(SubnetId, "172.31.48.9")).PrivateIpAddress).toBe("172.31.48.9");
    await expect(eni(SubnetId, address)).rejects.toMatchObject({ code });
  });

  test("fill leaves exactly so many addresses, and can free them again", async () => {
    const { SubnetId } = (await network.subnets())[0]!;
    await eni(SubnetId);
    await network.fillSubnet(SubnetId, 1);
    expect((await network.subnet(SubnetId))?.AvailableIpAddressCount).toBe(1);
    await eni(SubnetId);
    await expect(eni(SubnetId)).rejects.toMatchObject({ code: "NO_FREE_ADDRESS" });
    await network.fillSubnet(SubnetId, 4089);
    await expect(network.fillSubnet(SubnetId, 4090)).rejects.toThrow(/0 to 4089/);
    await expect(network.fillSubnet(SubnetId, -1)).rejects.toThrow(/not -1/);
    await expect(network.fillSubnet("subnet-00000000", 1)).rejects.toThrow(/no subnet/);
  });

  test("a deleted subnet is gone for interfaces", async () => {
    const { SubnetId } = (await network.subnets())[2]!;
    await network.deleteSubnet(SubnetId);
    await expect(eni(SubnetId)).rejects.toMatchObject({ code: "SUBNET_NOT_FOUND" });
    await expect(network.deleteSubnet(SubnetId)).rejects.toThrow(/no subnet/);
    expect(await network.subnets()).toHaveLength(2);
  });

  test("security groups: a rule about itself, unique names, removal also from interfaces", async () => {
    const rule = {
      Direction: "inbound",
      Protocol: "tcp",
      FromPort: 2223,
      ToPort: 2225,
      Peer: "self",
    } as const;
    const wish = { VpcId: vpc, GroupName: "one", Description: "d", Rules: [rule] };
    const id = await network.createSecurityGroup(wish);
    expect(await network.securityGroupByName("one")).toEqual({
      ...wish,
      GroupId: id,
      Rules: [{ ...rule, Peer: id }],
    });
    await expect(network.createSecurityGroup(wish)).rejects.toThrow(/exists already/);
    const { SubnetId } = (await network.subnets())[0]!;
    await eni(SubnetId, undefined, [id, "sg-other"]);
    expect(await network.networkInterfaces({ group: id })).toHaveLength(1);
    expect(await network.networkInterfaces({ description: "other" })).toHaveLength(0);
    await network.deleteSecurityGroup(id);
    await network.deleteSecurityGroup(id);
    expect(await network.securityGroups()).toEqual([]);
    expect((await network.networkInterfaces())[0]?.Groups).toEqual(["sg-other"]);
  });

  test("concurrent interfaces get different addresses", async () => {
    const { SubnetId } = (await network.subnets())[0]!;
    const made = await Promise.all(Array.from({ length: 20 }, () => eni(SubnetId)));
    expect(new Set(made.map((one) => one.PrivateIpAddress)).size).toBe(20);
  });
});
