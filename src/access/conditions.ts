/**
 * The Condition element: all its keys under all its operators must hold, any value of a
 * policy's list will do, and what a key that the request does not have means depends on the
 * operator.
 */
import type { ConditionKeys } from "../core/access.ts";
import { Refusal } from "../core/errors.ts";
import { OPERATORS, type Operator } from "./operators.ts";

/** One key under one operator. */
export type Condition = (context: ConditionKeys) => boolean;

/** `ForAnyValue:StringLikeIfExists`: set operator, operator, suffix. */
const NAME = /^(?:(ForAnyValue|ForAllValues):)?([A-Za-z]+?)(IfExists)?$/;

/** Strings, numbers and booleans, alone or in a list, as text. @throws Refusal for anything else */
export function texts(value: unknown, where: string): readonly string[] {
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  return all.map((one) => {
    if (typeof one !== "string" && typeof one !== "number" && typeof one !== "boolean")
      throw new Refusal(`${where} must be text, or a list of texts.`, 2);
    return String(one);
  });
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** How a policy of this kind is read. */
export interface Reading {
  /** Of version 2012-10-17, whose texts may have policy variables. */
  readonly variables: boolean;
  /** Refuse values that an operator cannot have; otherwise they fit nothing. */
  readonly strict: boolean;
}

/** @throws Refusal for an operator that does not exist or a value that it cannot have */
export function conditions(block: unknown, reading: Reading, where: string): readonly Condition[] {
  if (block === undefined) return [];
  if (!isMapping(block)) throw new Refusal(`${where} must be a mapping of condition operators.`, 2);
  return Object.entries(block).flatMap(([name, keys]) => {
    if (!isMapping(keys)) throw new Refusal(`${where}.${name} must be a mapping of condition keys.`, 2);
    return Object.entries(keys).map(([key, value]) =>
      condition(name, key, texts(value, `${where}.${name}.${key}`), reading, where),
    );
  });
}

function condition(
  name: string,
  key: string,
  values: readonly string[],
  { variables, strict }: Reading,
  where: string,
): Condition {
  const [, set, base = "", ifExists] = NAME.exec(name) ?? [];
  const lower = key.toLowerCase();
  if (base === "Null" && set === undefined && ifExists === undefined) return presence(lower, values);
  const operator = OPERATORS.get(base);
  if (operator === undefined) throw new Refusal(`${where}: there is no condition operator ${name}.`, 2);
  const tests = values.flatMap((value) => {
    const test = operator.compile(value, variables);
    if (test === undefined && strict)
      throw new Refusal(`${where}.${name}.${key}: ${value} does not suit ${base}.`, 2);
    return test ?? [];
  });
  const absent = whenAbsent(set, operator, ifExists !== undefined);
  return (context) => {
    const given = context.get(lower);
    if (given === undefined || given.length === 0) return absent;
    const fits = (value: string): boolean => tests.some((test) => test(value, context)) !== operator.negated;
    // Without a set operator "none of them" is meant by a negated one, "one of them" by the others.
    const every = set === undefined ? operator.negated : set === "ForAllValues";
    return every ? given.every(fits) : given.some(fits);
  };
}

function whenAbsent(set: string | undefined, { negated }: Operator, ifExists: boolean): boolean {
  if (set === undefined) return negated || ifExists;
  return set === "ForAllValues" || ifExists;
}

/** Null: `true` wants the key absent, `false` wants it present. */
function presence(key: string, values: readonly string[]): Condition {
  return (context) => values.includes(String((context.get(key)?.length ?? 0) === 0));
}
