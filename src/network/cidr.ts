/** IPv4 arithmetic of the simulated VPC: blocks, overlap, host addresses. Addresses are unsigned 32-bit numbers. */

/** AWS keeps the first four addresses and the last one of every subnet for itself. */
export const RESERVED_ADDRESSES = 5;
const FIRST_HOST = 4;

export interface Block {
  readonly first: number;
  /** Number of addresses, a power of two. */
  readonly size: number;
}

/** The number of a dotted IPv4 address; undefined when it is not one. */
export function parseAddress(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255))
    return undefined;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function printAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}

/** The block of `a.b.c.d/n`; undefined when it is none, or when host bits are set. */
export function parseBlock(text: string): Block | undefined {
  const match = /^([\d.]+)\/(\d{1,2})$/.exec(text);
  const first = parseAddress(match?.[1] ?? "");
  const prefix = Number(match?.[2]);
  if (first === undefined || prefix > 32) return undefined;
  const size = 2 ** (32 - prefix);
  return first % size === 0 ? { first, size } : undefined;
}

export function printBlock(block: Block): string {
  return `${printAddress(block.first)}/${32 - Math.log2(block.size)}`;
}

export function overlaps(a: Block, b: Block): boolean {
  return a.first < b.first + b.size && b.first < a.first + a.size;
}

export function contains(outer: Block, inner: Block): boolean {
  return inner.first >= outer.first && inner.first + inner.size <= outer.first + outer.size;
}

/** True for an address that a network interface may have in `block`. */
export function isHost(block: Block, address: number): boolean {
  return address >= block.first + FIRST_HOST && address < block.first + block.size - 1;
}

/** The lowest host address of `block` that is not taken; undefined when there is none. */
export function lowestFree(block: Block, taken: ReadonlySet<number>): number | undefined {
  for (let address = block.first + FIRST_HOST; isHost(block, address); address += 1)
    if (!taken.has(address)) return address;
  return undefined;
}

/** The lowest block of `size` addresses within `outer` that overlaps none of `used`. */
export function lowestFreeBlock(outer: Block, size: number, used: readonly Block[]): Block | undefined {
  for (let first = outer.first; first + size <= outer.first + outer.size; first += size) {
    const candidate = { first, size };
    if (!used.some((block) => overlaps(block, candidate))) return candidate;
  }
  return undefined;
}
