/**
 * The condition operators: each turns a value of the policy, once, into a test of a value
 * of the request.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
 */
import { BlockList, isIP } from "node:net";
import type { ConditionKeys } from "../core/access.ts";
import { fill, isLike, isLikeArn, plain, template, type Token } from "./template.ts";

type Test = (value: string, context: ConditionKeys) => boolean;

export interface Operator {
  /** True for the …Not… operators: none of the policy's values may fit, and an absent key passes. */
  readonly negated: boolean;
  /** The test of one value of the policy; undefined when the value is not of the operator's type. */
  compile(text: string, variables: boolean): Test | undefined;
}

type Compile = Operator["compile"];

/** A test of text in which variables are filled in for each request. */
function textual(matches: (tokens: readonly Token[], value: string) => boolean): Compile {
  return (text, variables) => {
    const wanted = template(text, variables);
    return (value, context) => {
      const tokens = fill(wanted, context);
      return tokens !== undefined && matches(tokens, value);
    };
  };
}

const equal = textual((tokens, value) => plain(tokens) === value);
const equalIgnoringCase = textual((tokens, value) => plain(tokens).toLowerCase() === value.toLowerCase());
const like = textual(isLike);
const arnLike = textual(isLikeArn);

const bool: Compile = (text) => {
  const wanted = text.toLowerCase();
  return wanted === "true" || wanted === "false" ? (value) => value.toLowerCase() === wanted : undefined;
};

/** A comparison of numbers, or of dates as milliseconds. */
function compared(
  read: (text: string) => number,
  holds: (value: number, wanted: number) => boolean,
): Compile {
  return (text) => {
    const wanted = read(text);
    if (Number.isNaN(wanted)) return undefined;
    return (value) => holds(read(value), wanted);
  };
}

function numberOf(text: string): number {
  return text.trim() === "" ? NaN : Number(text);
}

/** ISO 8601, or seconds since the epoch. */
function dateOf(text: string): number {
  return /^\d+(?:\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text);
}

function family(address: string): "ipv4" | "ipv6" | undefined {
  const version = isIP(address);
  if (version === 0) return undefined;
  return version === 4 ? "ipv4" : "ipv6";
}

/** An address or a CIDR block. */
const ipAddress: Compile = (text) => {
  const [address = "", length, ...rest] = text.split("/");
  const kind = family(address);
  if (kind === undefined || rest.length > 0) return undefined;
  const bits = kind === "ipv4" ? 32 : 128;
  const prefix = length === undefined ? bits : numberOf(length);
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > bits) return undefined;
  const block = new BlockList();
  block.addSubnet(address, prefix, kind);
  return (value) => {
    const given = family(value);
    return given !== undefined && block.check(value, given);
  };
};

const COMPARISONS: Readonly<Record<string, (value: number, wanted: number) => boolean>> = {
  LessThan: (value, wanted) => value < wanted,
  LessThanEquals: (value, wanted) => value <= wanted,
  GreaterThan: (value, wanted) => value > wanted,
  GreaterThanEquals: (value, wanted) => value >= wanted,
};

const is = (compile: Compile): Operator => ({ negated: false, compile });
const isNot = (compile: Compile): Operator => ({ negated: true, compile });

function numeric(prefix: "Numeric" | "Date", read: (text: string) => number): [string, Operator][] {
  const same = compared(read, (value, wanted) => value === wanted);
  return [
    [`${prefix}Equals`, is(same)],
    [`${prefix}NotEquals`, isNot(same)],
    ...Object.entries(COMPARISONS).map(([name, holds]): [string, Operator] => [
      `${prefix}${name}`,
      is(compared(read, holds)),
    ]),
  ];
}

/** All but Null, which asks about the key and not about its values. */
export const OPERATORS: ReadonlyMap<string, Operator> = new Map<string, Operator>([
  ["StringEquals", is(equal)],
  ["StringNotEquals", isNot(equal)],
  ["StringEqualsIgnoreCase", is(equalIgnoringCase)],
  ["StringNotEqualsIgnoreCase", isNot(equalIgnoringCase)],
  ["StringLike", is(like)],
  ["StringNotLike", isNot(like)],
  ["BinaryEquals", is(equal)],
  ["ArnEquals", is(arnLike)],
  ["ArnNotEquals", isNot(arnLike)],
  ["ArnLike", is(arnLike)],
  ["ArnNotLike", isNot(arnLike)],
  ["Bool", is(bool)],
  ["IpAddress", is(ipAddress)],
  ["NotIpAddress", isNot(ipAddress)],
  ...numeric("Numeric", numberOf),
  ...numeric("Date", dateOf),
]);
