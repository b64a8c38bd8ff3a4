/** The ciphertext blob and its associated data: frozen bytes, and properties over all inputs. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { associatedData, blobHeader, makeBlob, parseBlob } from "../../src/kms/ciphertext.ts";

const ARN = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const HEADER = blobHeader(ARN);

/** Well-formed Unicode, as the API lets in; `__proto__` and its like among it. */
const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: "binary", maxLength: 12 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("__proto__", "constructor", "toString", "", "a", "ab", "b", "é", "e\u0301"),
  },
);
const context = fc
  .uniqueArray(fc.tuple(text, text), { selector: ([name]) => name, maxLength: 8 })
  .map((pairs) => new Map(pairs));

function sameContext(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([name, value]) => b.get(name) === value);
}

test("header and associated data have the bytes that every ciphertext was made with", () => {
  // Frozen: other bytes here would leave every ciphertext ever returned undecryptable.
  expect(HEADER.toString("hex")).toBe(`4b5301004b${Buffer.from(ARN).toString("hex")}`);
  const header = `00000050${HEADER.toString("hex")}`;
  expect(associatedData(HEADER).toString("hex")).toBe(`${header}0000000100000000`);
  const pairs = new Map([
    ["purpose", "test"],
    ["Tenant", "ä"],
    ["", ""],
  ]);
  expect(associatedData(HEADER, pairs).toString("hex")).toBe(
    [
      header,
      "00000001",
      "00000003",
      "00000000",
      "00000000",
      "00000006",
      "54656e616e74",
      "00000002",
      "c3a4",
      "00000007",
      "707572706f7365",
      "00000004",
      "74657374",
    ].join(""),
  );
});

test("the associated data does not depend on the order of the pairs", () => {
  fc.assert(
    fc.property(context, fc.infiniteStream(fc.nat()), (pairs, random) => {
      const shuffled = [...pairs]
        .map((pair) => ({ pair, at: random.next().value as number }))
        .toSorted((a, b) => a.at - b.at)
        .map(({ pair }) => pair);
      expect(associatedData(HEADER, new Map(shuffled))).toEqual(associatedData(HEADER, pairs));
      expect(associatedData(HEADER, new Map([...pairs].toReversed()))).toEqual(associatedData(HEADER, pairs));
    }),
  );
});

test("no two contexts have the same associated data", () => {
  fc.assert(
    fc.property(context, context, (a, b) => {
      expect(associatedData(HEADER, a).equals(associatedData(HEADER, b))).toBe(sameContext(a, b));
    }),
    { numRuns: 5000 },
  );
});

test("a context whose characters are moved across a border is another context", () => {
  fc.assert(
    fc.property(text, text, fc.nat(), (name, value, cut) => {
      const all = name + value;
      const at = cut % (all.length + 1);
      const [left, right] = [all.slice(0, at), all.slice(at)];
      // A cut through a surrogate pair makes strings the API refuses.
      fc.pre(left.isWellFormed() && right.isWellFormed() && left !== name);
      expect(associatedData(HEADER, new Map([[left, right]]))).not.toEqual(
        associatedData(HEADER, new Map([[name, value]])),
      );
    }),
    { numRuns: 2000 },
  );
});

test("twelve neighbours of a context are all different", () => {
  const neighbours: readonly (readonly [string, string])[][] = [
    [],
    [["a", "bc"]],
    [["ab", "c"]],
    [["abc", ""]],
    [["", "abc"]],
    [["a", "b"]],
    [["A", "bc"]],
    [["a", "bc "]],
    [
      ["a", "bc"],
      ["", ""],
    ],
    [
      ["a", "b"],
      ["c", ""],
    ],
    [["é", "1"]],
    [["e\u0301", "1"]],
    [["__proto__", "1"]],
  ];
  const all = neighbours.map((pairs) => associatedData(HEADER, new Map(pairs)).toString("hex"));
  expect(new Set(all).size).toBe(neighbours.length);
});

test("keys have associated data of their own", () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, maxLength: 100 }),
      fc.string({ minLength: 1, maxLength: 100 }),
      context,
      (a, b, pairs) => {
        const same = associatedData(blobHeader(a), pairs).equals(associatedData(blobHeader(b), pairs));
        expect(same).toBe(a === b);
      },
    ),
  );
});

test("a blob parses to what it was made of, and no truncation of it parses to the same", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 28, maxLength: 200 }), (bytes) => {
      const sealed = Buffer.from(bytes);
      const blob = makeBlob(HEADER, sealed);
      expect(parseBlob(blob)).toEqual({ keyArn: ARN, sealed });
      for (const length of blob.keys()) {
        const parsed = parseBlob(blob.subarray(0, length));
        if (length < HEADER.length + 28) expect(parsed).toBeUndefined();
        else expect(parsed).toEqual({ keyArn: ARN, sealed: sealed.subarray(0, length - HEADER.length) });
      }
    }),
  );
});

test("parsing is total: any bytes, and any change of a blob's header, give a blob or nothing", () => {
  const random = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
  const prefixed = random.map((bytes) => Buffer.concat([Buffer.from([0x4b, 0x53, 0x01]), bytes]));
  fc.assert(
    fc.property(fc.oneof(random, prefixed), (blob) => {
      const parsed = parseBlob(blob);
      if (parsed === undefined) return;
      expect(makeBlob(blobHeader(parsed.keyArn), parsed.sealed).length).toBeGreaterThanOrEqual(blob.length);
      expect(parsed.sealed.length).toBeGreaterThanOrEqual(28);
    }),
    { numRuns: 20_000 },
  );
  const blob = makeBlob(HEADER, Buffer.alloc(60));
  for (const at of HEADER.keys())
    for (let mask = 1; mask < 256; mask += 1) {
      const damaged = Buffer.from(blob);
      damaged.writeUInt8(damaged.readUInt8(at) ^ mask, at);
      expect(parseBlob(damaged)?.keyArn).not.toBe(ARN);
    }
});
