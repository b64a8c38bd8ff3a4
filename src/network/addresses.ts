/** Address accounting on the rows of subnets and network interfaces. */
import { Refusal } from "../core/errors.ts";
import type { Db } from "../store/database.ts";
import {
  contains,
  isHost,
  lowestFree,
  lowestFreeBlock,
  overlaps,
  parseAddress,
  parseBlock,
  printAddress,
  RESERVED_ADDRESSES,
  type Block,
} from "./cidr.ts";
import { NetworkError } from "./errors.ts";

/** Subnets added without a CIDR block are /24; AWS allows /16 to /28. */
const ADDED_SUBNET_SIZE = 2 ** 8;
const SMALLEST_SUBNET = 2 ** 4;
const LARGEST_SUBNET = 2 ** 16;

/** The block of a row; rows hold only blocks that were checked when they were written. */
export function blockOf(cidr: string): Block {
  const block = parseBlock(cidr);
  if (block === undefined) throw new Refusal(`${cidr} is not a CIDR block such as 172.31.64.0/24.`);
  return block;
}

/** Free addresses of a subnet with that many network interfaces. */
export function available(
  row: { readonly CidrBlock: string; readonly Occupied: number },
  interfaces: number,
): number {
  return blockOf(row.CidrBlock).size - RESERVED_ADDRESSES - interfaces - row.Occupied;
}

/** The block of a new subnet: the one wanted, else the lowest free /24. @throws Refusal */
export function chooseBlock(vpc: string, wanted: string | undefined, used: readonly Block[]): Block {
  const outer = blockOf(vpc);
  if (wanted === undefined) {
    const free = lowestFreeBlock(outer, ADDED_SUBNET_SIZE, used);
    if (free === undefined)
      throw new Refusal(
        `The VPC ${vpc} has no free /24 block left; delete a subnet or name a smaller CidrBlock.`,
      );
    return free;
  }
  const block = blockOf(wanted);
  if (block.size < SMALLEST_SUBNET || block.size > LARGEST_SUBNET || !contains(outer, block))
    throw new Refusal(`The CIDR block ${wanted} must be a /16 to /28 within the VPC's ${vpc}.`);
  if (used.some((other) => overlaps(other, block)))
    throw new Refusal(`The CIDR block ${wanted} overlaps another subnet.`);
  return block;
}

/** The addresses of a subnet's network interfaces. */
export async function takenIn(db: Db, subnetId: string): Promise<Set<number>> {
  const rows = await db
    .selectFrom("network_interfaces")
    .select("PrivateIpAddress")
    .where("SubnetId", "=", subnetId)
    .execute();
  return new Set(rows.flatMap((row) => parseAddress(row.PrivateIpAddress) ?? []));
}

/** The lowest free address of a subnet, or the one wanted. @throws NetworkError */
export async function allocate(db: Db, subnetId: string, wanted: string | undefined): Promise<string> {
  const row = await db.selectFrom("subnets").selectAll().where("SubnetId", "=", subnetId).executeTakeFirst();
  if (row === undefined) throw new NetworkError("SUBNET_NOT_FOUND", `The subnet ${subnetId} does not exist.`);
  const block = blockOf(row.CidrBlock);
  const taken = await takenIn(db, subnetId);
  // Occupied addresses have no place of their own: only their number counts.
  const free = available(row, taken.size) > 0 ? lowestFree(block, taken) : undefined;
  if (free === undefined)
    throw new NetworkError("NO_FREE_ADDRESS", `The subnet ${subnetId} has no free IP address.`);
  if (wanted === undefined) return printAddress(free);
  const address = parseAddress(wanted);
  if (address === undefined || !isHost(block, address))
    throw new NetworkError(
      "ADDRESS_NOT_IN_SUBNET",
      `The IP address ${wanted} is not usable in the subnet ${subnetId} (${row.CidrBlock}).`,
    );
  if (taken.has(address))
    throw new NetworkError("ADDRESS_IN_USE", `The IP address ${wanted} is in use in the subnet ${subnetId}.`);
  return printAddress(address);
}
