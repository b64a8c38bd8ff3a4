/**
 * The simulated VPC: subnets with real address accounting, security groups and network
 * interfaces, as far as CloudHSM clusters and key store connections need them. There is no
 * EC2 API; subnets are managed through keystead's management API. No packet ever flows.
 */
import { newNetworkInterfaceId, newSecurityGroupId, newSubnetId, newVpcId } from "../core/ids.ts";
import { Refusal } from "../core/errors.ts";
import type { Db, Store } from "../store/database.ts";
import { allocate, available, blockOf, chooseBlock, takenIn } from "./addresses.ts";
import { parseAddress, printBlock } from "./cidr.ts";

/** What AWS gives a new account: 172.31.0.0/16 with a /20 per Availability Zone. */
const DEFAULT_VPC = "172.31.0.0/16";
const DEFAULT_ZONES = ["a", "b", "c"] as const;
const DEFAULT_SUBNET_SIZE = 2 ** 12;

export interface Subnet {
  readonly SubnetId: string;
  readonly VpcId: string;
  readonly AvailabilityZone: string;
  readonly CidrBlock: string;
  /** Size − 5 − network interfaces − addresses taken by things outside keystead. */
  readonly AvailableIpAddressCount: number;
}

export interface SecurityGroupRule {
  readonly Direction: "inbound" | "outbound";
  readonly Protocol: "tcp" | "all";
  readonly FromPort: number;
  readonly ToPort: number;
  /** The security group at the other end. `self` when making a group stands for the group itself. */
  readonly Peer: string;
}

export interface SecurityGroup {
  readonly GroupId: string;
  readonly VpcId: string;
  readonly GroupName: string;
  readonly Description: string;
  readonly Rules: readonly SecurityGroupRule[];
}

export interface NetworkInterface {
  readonly NetworkInterfaceId: string;
  readonly SubnetId: string;
  readonly PrivateIpAddress: string;
  readonly Description: string;
  /** Security group ids. */
  readonly Groups: readonly string[];
}

type SubnetRow = Omit<Subnet, "AvailableIpAddressCount"> & { readonly Occupied: number };

/**
 * Methods that take `db` may run inside a caller's transaction; without it they are
 * transactions of their own.
 */
export class Network {
  readonly #store: Store;
  readonly #region: string;

  constructor(options: { readonly store: Store; readonly region: string }) {
    this.#store = options.store;
    this.#region = options.region;
  }

  /** Make the default VPC with private subnets in three Availability Zones, unless there is a VPC. */
  async seedDefaultVpc(): Promise<void> {
    await this.#store.transaction(async (trx) => {
      if ((await trx.selectFrom("vpcs").select("VpcId").executeTakeFirst()) !== undefined) return;
      const VpcId = newVpcId();
      await trx.insertInto("vpcs").values({ VpcId, CidrBlock: DEFAULT_VPC }).execute();
      const { first } = blockOf(DEFAULT_VPC);
      const subnets = DEFAULT_ZONES.map((zone, index) => ({
        SubnetId: newSubnetId(),
        VpcId,
        AvailabilityZone: `${this.#region}${zone}`,
        CidrBlock: printBlock({ first: first + index * DEFAULT_SUBNET_SIZE, size: DEFAULT_SUBNET_SIZE }),
        Occupied: 0,
      }));
      await trx.insertInto("subnets").values(subnets).execute();
    });
  }

  /** All subnets, by Availability Zone and block. */
  async subnets(): Promise<Subnet[]> {
    const rows = await this.#store.db.selectFrom("subnets").selectAll().orderBy("AvailabilityZone").execute();
    const interfaces = await this.#interfaceCounts();
    return rows
      .map((row) => withCount(row, interfaces.get(row.SubnetId) ?? 0))
      .toSorted((a, b) => a.AvailabilityZone.localeCompare(b.AvailabilityZone) || firstOf(a) - firstOf(b));
  }

  async subnet(id: string): Promise<Subnet | undefined> {
    return (await this.subnets()).find((subnet) => subnet.SubnetId === id);
  }

  /** Add a private subnet to the VPC. @throws Refusal for a zone, block or overlap that EC2 would refuse */
  async createSubnet(wish: {
    readonly AvailabilityZone: string;
    readonly CidrBlock?: string;
  }): Promise<Subnet> {
    if (
      !/^[a-f]$/.test(wish.AvailabilityZone.slice(this.#region.length)) ||
      !wish.AvailabilityZone.startsWith(this.#region)
    )
      throw new Refusal(
        `${wish.AvailabilityZone} is not an Availability Zone of ${this.#region}; use ${this.#region}a to ${this.#region}f.`,
      );
    const SubnetId = newSubnetId();
    await this.#store.transaction(async (trx) => {
      const vpc = await trx.selectFrom("vpcs").selectAll().executeTakeFirst();
      if (vpc === undefined) throw new Refusal("There is no VPC yet.");
      const rows = await trx
        .selectFrom("subnets")
        .select("CidrBlock")
        .where("VpcId", "=", vpc.VpcId)
        .execute();
      const used = rows.map((row) => blockOf(row.CidrBlock));
      const block = chooseBlock(vpc.CidrBlock, wish.CidrBlock, used);
      const { AvailabilityZone } = wish;
      await trx
        .insertInto("subnets")
        .values({ SubnetId, VpcId: vpc.VpcId, AvailabilityZone, CidrBlock: printBlock(block), Occupied: 0 })
        .execute();
    });
    const made = await this.subnet(SubnetId);
    if (made === undefined) throw new Refusal(`Subnet ${SubnetId} was deleted while it was being made.`);
    return made;
  }

  /** @throws Refusal for an unknown subnet, or one that still has network interfaces */
  async deleteSubnet(id: string): Promise<void> {
    await this.#store.transaction(async (trx) => {
      const inUse = await trx
        .selectFrom("network_interfaces")
        .selectAll()
        .where("SubnetId", "=", id)
        .execute();
      if (inUse.length > 0)
        throw new Refusal(
          `Subnet ${id} still has ${inUse.length} network interface(s) (${inUse.map((eni) => eni.Description).join(", ")}); delete the HSMs or disconnect the key store that use it first.`,
        );
      const { numDeletedRows } = await trx
        .deleteFrom("subnets")
        .where("SubnetId", "=", id)
        .executeTakeFirstOrThrow();
      if (numDeletedRows === 0n) throw new Refusal(`There is no subnet ${id}.`);
    });
  }

  /** Occupy addresses so that exactly `free` are left. @throws Refusal when more would have to be free than there are */
  async fillSubnet(id: string, free: number): Promise<void> {
    await this.#store.transaction(async (trx) => {
      const row = await trx.selectFrom("subnets").selectAll().where("SubnetId", "=", id).executeTakeFirst();
      if (row === undefined) throw new Refusal(`There is no subnet ${id}.`);
      const taken = await takenIn(trx, id);
      const most = available({ ...row, Occupied: 0 }, taken.size);
      if (!Number.isInteger(free) || free < 0 || free > most)
        throw new Refusal(`Subnet ${id} can have 0 to ${most} free addresses, not ${free}.`);
      await trx
        .updateTable("subnets")
        .set({ Occupied: most - free })
        .where("SubnetId", "=", id)
        .execute();
    });
  }

  /** @returns the group's id. @throws Refusal when the VPC has a group of that name */
  async createSecurityGroup(wish: Omit<SecurityGroup, "GroupId">, db: Db = this.#store.db): Promise<string> {
    const { VpcId, GroupName, Description } = wish;
    const same = await db
      .selectFrom("security_groups")
      .select("GroupId")
      .where("VpcId", "=", VpcId)
      .where("GroupName", "=", GroupName)
      .executeTakeFirst();
    if (same !== undefined)
      throw new Refusal(`The security group ${GroupName} exists already (${same.GroupId}).`);
    const GroupId = newSecurityGroupId();
    const rules = wish.Rules.map((rule) => (rule.Peer === "self" ? { ...rule, Peer: GroupId } : rule));
    await db
      .insertInto("security_groups")
      .values({ GroupId, VpcId, GroupName, Description, Rules: JSON.stringify(rules) })
      .execute();
    return GroupId;
  }

  /**
   * Remove a group, also from the interfaces that are its members: a cluster may be deleted
   * while a connected key store's interfaces still wear its group. Removing nothing is no error.
   */
  async deleteSecurityGroup(id: string, db: Db = this.#store.db): Promise<void> {
    for (const eni of await this.networkInterfaces({ group: id }, db)) {
      const Groups = JSON.stringify(eni.Groups.filter((group) => group !== id));
      await db
        .updateTable("network_interfaces")
        .set({ Groups })
        .where("NetworkInterfaceId", "=", eni.NetworkInterfaceId)
        .execute();
    }
    await db.deleteFrom("security_groups").where("GroupId", "=", id).execute();
  }

  async securityGroupByName(name: string): Promise<SecurityGroup | undefined> {
    return (await this.securityGroups()).find((group) => group.GroupName === name);
  }

  async securityGroups(): Promise<SecurityGroup[]> {
    const rows = await this.#store.db
      .selectFrom("security_groups")
      .selectAll()
      .orderBy("GroupName")
      .execute();
    return rows.map((row) => ({ ...row, Rules: JSON.parse(row.Rules) as SecurityGroupRule[] }));
  }

  /**
   * Make a network interface with the lowest free address of the subnet, or the address asked for.
   * @throws NetworkError
   */
  createNetworkInterface(
    wish: {
      readonly SubnetId: string;
      readonly Description: string;
      readonly Groups: readonly string[];
      readonly PrivateIpAddress?: string;
    },
    db?: Db,
  ): Promise<{ NetworkInterfaceId: string; PrivateIpAddress: string }> {
    const make = async (trx: Db): Promise<{ NetworkInterfaceId: string; PrivateIpAddress: string }> => {
      const PrivateIpAddress = await allocate(trx, wish.SubnetId, wish.PrivateIpAddress);
      const NetworkInterfaceId = newNetworkInterfaceId();
      const { SubnetId, Description } = wish;
      await trx
        .insertInto("network_interfaces")
        .values({
          NetworkInterfaceId,
          SubnetId,
          Description,
          PrivateIpAddress,
          Groups: JSON.stringify(wish.Groups),
        })
        .execute();
      return { NetworkInterfaceId, PrivateIpAddress };
    };
    return db === undefined ? this.#store.transaction(make) : make(db);
  }

  /** Deleting what is gone is no error: undo steps run again after a restart. */
  async deleteNetworkInterface(id: string, db: Db = this.#store.db): Promise<void> {
    await db.deleteFrom("network_interfaces").where("NetworkInterfaceId", "=", id).execute();
  }

  /** Interfaces with exactly this description, or that are members of this group; by address. */
  async networkInterfaces(
    filter: { readonly description?: string; readonly group?: string } = {},
    db: Db = this.#store.db,
  ): Promise<NetworkInterface[]> {
    const rows = await db.selectFrom("network_interfaces").selectAll().execute();
    const { description, group } = filter;
    return rows
      .map((row) => ({ ...row, Groups: JSON.parse(row.Groups) as string[] }))
      .filter((eni) => description === undefined || eni.Description === description)
      .filter((eni) => group === undefined || eni.Groups.includes(group))
      .toSorted((a, b) => (parseAddress(a.PrivateIpAddress) ?? 0) - (parseAddress(b.PrivateIpAddress) ?? 0));
  }

  async #interfaceCounts(): Promise<ReadonlyMap<string, number>> {
    const rows = await this.#store.db
      .selectFrom("network_interfaces")
      .select((eb) => ["SubnetId", eb.fn.countAll<number>().as("Count")])
      .groupBy("SubnetId")
      .execute();
    return new Map(rows.map((row) => [row.SubnetId, row.Count]));
  }
}

function firstOf(subnet: Subnet): number {
  return blockOf(subnet.CidrBlock).first;
}

function withCount({ Occupied, ...row }: SubnetRow, interfaces: number): Subnet {
  return { ...row, AvailableIpAddressCount: available({ ...row, Occupied }, interfaces) };
}
