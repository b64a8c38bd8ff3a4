/**
 * `key list` and `key delete`. kmsuser sees the token's objects with their attributes, read
 * by a client application of its own; an admin sees the labels of KMS's register, because
 * the SO cannot see private objects; other crypto users own no keys.
 */
import { createHash } from "node:crypto";
import type { KeyObject } from "../hsm/cluster-token.ts";
import { KMS_USER } from "./passwords.ts";
import { OperatorRefusal } from "./refusal.ts";
import { isTokenBacked } from "./users.ts";
import { needed, requireOperator, type Args, type Call, type Verb } from "./verb.ts";

const DEFAULT_ITEMS = 10;
/** The order in which cloudhsm-cli prints attributes. */
const ATTRIBUTES = [
  "key-type label id check-value class encrypt decrypt token always-sensitive derive destroyable extractable",
  "local modifiable never-extractable private sensitive sign trusted unwrap verify wrap wrap-with-trusted",
  "key-length-bytes",
]
  .join(" ")
  .split(" ");

type Listed = Pick<KeyObject, "id" | "label"> & Partial<Pick<KeyObject, "attributes">>;

export const keyVerbs: Readonly<Record<string, Verb>> = {
  "key list": {
    access: "operator",
    states: ["ACTIVE"],
    run: async (call) => {
      const { args } = call;
      const keys = (await keysOf(call))
        .filter(matcher(args["filter"]))
        .toSorted((a, b) => (a.id < b.id ? -1 : 1));
      const start = wholeNumber(args, "starting-token", 0);
      const end = start + wholeNumber(args, "max-items", DEFAULT_ITEMS);
      const some = keys.slice(start, end);
      const verbose = args["verbose"] !== undefined && args["verbose"] !== "false";
      const data = {
        matched_keys: some.map((key) => (verbose ? verboseKey(key) : briefKey(key))),
        total_key_count: keys.length,
        returned_key_count: some.length,
        ...(end < keys.length ? { next_token: String(end) } : {}),
      };
      return { data };
    },
  },

  "key delete": {
    access: "operator",
    states: ["ACTIVE"],
    run: async (call) => {
      const { user, password } = requireOperator(call);
      const keys = (await keysOf(call)).filter(matcher(needed(call.args, "filter")));
      const [key] = keys;
      if (key === undefined) throw new OperatorRefusal("No key matches the filter.");
      if (keys.length > 1)
        throw new OperatorRefusal(`${keys.length} keys match the filter; it must match exactly one.`);
      if (user.Role === "admin")
        throw new OperatorRefusal("Only the crypto user who owns a key can delete it.");
      const { ClusterId } = call.cluster;
      await call.cloudhsm.tokens.of(ClusterId).destroyKey(password, key.id, key.label);
      // If KMS had left it behind as orphaned key material, it is that no more.
      await call.cloudhsm.store.db
        .deleteFrom("orphans")
        .where("BackingKeyId", "=", key.id)
        .where("ClusterId", "=", ClusterId)
        .execute();
      return { data: { message: "Key deleted successfully" } };
    },
  },
};

async function keysOf(call: Call): Promise<readonly Listed[]> {
  const { cloudhsm, cluster } = call;
  const { user, password } = requireOperator(call);
  if (user.Role === "admin") return cloudhsm.keyRegister(cluster.ClusterId);
  return isTokenBacked(user) ? cloudhsm.tokens.of(cluster.ClusterId).listKeys(password) : [];
}

function wholeNumber(args: Args, name: string, otherwise: number): number {
  const text = args[name];
  if (text === undefined) return otherwise;
  if (!/^\d{1,9}$/.test(text)) throw new OperatorRefusal(`The option --${name} must be a whole number.`);
  return Number(text);
}

/** Stable while keys come and go: made of the key's id, not of its place in a list. */
function keyReference(key: Listed): string {
  const low = createHash("sha256").update(key.id, "latin1").digest().readUInt32BE(0);
  return `0x${low.toString(16).padStart(16, "0")}`;
}

function printedId(key: Listed): string {
  return key.id === "" ? "" : `0x${Buffer.from(key.id, "latin1").toString("hex")}`;
}

function briefKey(key: Listed): object {
  return { "key-reference": keyReference(key), attributes: { label: key.label } };
}

function verboseKey(key: Listed): object {
  const info = {
    "key-owners": [{ username: KMS_USER, "key-coverage": "full" }],
    "shared-users": [],
    "key-quorum-values": { "manage-key-quorum-value": 0, "use-key-quorum-value": 0 },
    "cluster-coverage": "full",
  };
  return { "key-reference": keyReference(key), "key-info": info, attributes: attributesOf(key) };
}

function attributesOf(key: Listed): object {
  if (key.attributes === undefined) return { label: key.label };
  const all = new Map<string, unknown>([
    ...Object.entries(key.attributes),
    ["label", key.label],
    ["id", printedId(key)],
  ]);
  return Object.fromEntries(ATTRIBUTES.filter((name) => all.has(name)).map((name) => [name, all.get(name)]));
}

/** `attr.label=…`, `attr.id=0x…` (the hex of the id's bytes, or of a KMS key the id itself), `key-reference=0x…`; several must all match. */
function matcher(filter: string | undefined): (key: Listed) => boolean {
  if (filter === undefined || filter.trim() === "") return () => true;
  const tests = filter
    .trim()
    .split(/\s+(?=attr\.|key-reference=)/)
    .map(oneTest);
  return (key) => tests.every((test) => test(key));
}

function oneTest(text: string): (key: Listed) => boolean {
  const [, name = "", quoted = ""] = /^([a-z.-]+)=(.*)$/s.exec(text) ?? [];
  const value = quoted.replace(/^(["'])(.*)\1$/s, "$2");
  const hex = value.toLowerCase().replace(/^0x/, "");
  if (name === "attr.label") return (key) => key.label === value;
  if (name === "attr.id")
    return (key) => key.id === hex || printedId(key) === (value === "" ? "" : `0x${hex}`);
  if (name === "key-reference") return (key) => keyReference(key) === `0x${hex.padStart(16, "0")}`;
  throw new OperatorRefusal(`The filter ${text} is not attr.label=…, attr.id=0x… or key-reference=0x….`);
}
