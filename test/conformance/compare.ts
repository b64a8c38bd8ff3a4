/**
 * Compares a service's table with its API model (botocore's, reduced): operations, input
 * shapes member by member, and whether there is an output shape. Returns what differs, one
 * line each, so that a failing test says everything at once.
 */
import { readFileSync } from "node:fs";
import type { Operation } from "../../src/core/operation.ts";
import type { Description } from "../../src/core/shape.ts";

interface ModelShape {
  readonly type: string;
  readonly min?: number;
  readonly max?: number;
  readonly pattern?: string;
  readonly enum?: readonly string[];
  readonly sensitive?: boolean;
  readonly required?: readonly string[];
  readonly members?: Readonly<Record<string, string>>;
  readonly member?: string;
  readonly key?: string;
  readonly value?: string;
}

export interface Model {
  readonly operations: Readonly<
    Record<string, { readonly input: string | null; readonly output: string | null }>
  >;
  readonly shapes: Readonly<Record<string, ModelShape>>;
}

export function readModel(name: "kms" | "cloudhsmv2"): Model {
  const url = new URL(`model/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8")) as Model;
}

type Facts = Readonly<Record<string, unknown>>;

/** The constraints of one shape, without what it consists of. */
function constraints(shape: Facts): Facts {
  const values = shape["enum"] as readonly string[] | undefined;
  return {
    type: shape["type"],
    min: shape["min"],
    max: shape["max"],
    pattern: shape["pattern"],
    enum: values === undefined ? undefined : values.toSorted().join(" "),
    sensitive: shape["sensitive"] === true,
  };
}

function differingFacts(path: string, ours: Description, theirs: ModelShape): string[] {
  const expected = constraints({ ...theirs });
  const actual = constraints({ ...ours });
  return Object.keys(expected)
    .filter((name) => expected[name] !== actual[name])
    .map((name) => `${path}: ${name} is ${String(actual[name])}, the model says ${String(expected[name])}`);
}

function differingNames(path: string, ours: Iterable<string>, theirs: Iterable<string>): string[] {
  const [have, want] = [new Set(ours), new Set(theirs)];
  return [
    ...[...want].filter((name) => !have.has(name)).map((name) => `${path}: ${name} is missing`),
    ...[...have].filter((name) => !want.has(name)).map((name) => `${path}: ${name} is not in the model`),
  ];
}

/** Everything in which `ours` differs from the shape `name` of the model. */
export function differingShape(
  path: string,
  ours: Description,
  name: string | undefined,
  model: Model,
): string[] {
  const theirs = model.shapes[name ?? ""];
  if (theirs === undefined) return [`${path}: the model has no shape ${name}`];
  const found = differingFacts(path, ours, theirs);
  if (ours.type !== theirs.type) return found;
  if (ours.type === "list")
    return [...found, ...differingShape(`${path}[]`, ours.member, theirs.member, model)];
  if (ours.type === "map")
    return [
      ...found,
      ...differingShape(`${path}{key}`, ours.key, theirs.key, model),
      ...differingShape(`${path}{value}`, ours.value, theirs.value, model),
    ];
  if (ours.type !== "structure") return found;
  const members = theirs.members ?? {};
  found.push(...differingNames(path, ours.members.keys(), Object.keys(members)));
  for (const [member, { required, shape }] of ours.members) {
    if (members[member] === undefined) continue;
    if (required !== (theirs.required ?? []).includes(member))
      found.push(`${path}.${member}: is ${required ? "required" : "optional"}, the model says otherwise`);
    found.push(...differingShape(`${path}.${member}`, shape, members[member], model));
  }
  return found;
}

/** Everything in which a table differs from the model, and how it is described in docs/coverage.md. */
export function differingService(
  table: Readonly<Record<string, Pick<Operation<never>, "input" | "output">>>,
  model: Model,
): string[] {
  const found = differingNames("operations", Object.keys(table), Object.keys(model.operations));
  for (const [name, operation] of Object.entries(table)) {
    const theirs = model.operations[name];
    if (theirs === undefined) continue;
    const output = theirs.output === null ? "none" : "structure";
    if (operation.output !== output)
      found.push(`${name}: output is ${operation.output}, the model says ${output}`);
    if (theirs.input !== null)
      found.push(...differingShape(name, operation.input.description, theirs.input, model));
  }
  return found;
}
