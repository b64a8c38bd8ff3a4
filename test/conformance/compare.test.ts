/** The comparison itself: it must find every kind of difference on a doctored shape. */
import { expect, test } from "vitest";
import {
  blob,
  boolean,
  integer,
  list,
  map,
  oneOf,
  optional,
  string,
  structure,
} from "../../src/core/shape.ts";
import type { Members } from "../../src/core/shape.ts";
import { differingService, differingShape, type Model } from "./compare.ts";

const model: Model = {
  operations: { Make: { input: "Request", output: null }, Read: { input: "Request", output: "Request" } },
  shapes: {
    Request: {
      type: "structure",
      required: ["Name"],
      members: {
        Name: "Name",
        Kind: "Kind",
        Secret: "Secret",
        Count: "Count",
        Tags: "Tags",
        Labels: "Labels",
      },
    },
    Name: { type: "string", min: 1, max: 64, pattern: "[a-z]+" },
    Kind: { type: "string", enum: ["A", "B"] },
    Secret: { type: "blob", min: 1, sensitive: true },
    Count: { type: "integer", max: 9 },
    Tags: { type: "list", max: 5, member: "Tag" },
    Tag: { type: "structure", required: ["Key"], members: { Key: "Name" } },
    Labels: { type: "map", key: "Kind", value: "Name" },
  },
};

const name = string({ min: 1, max: 64, pattern: "[a-z]+" });
const right = {
  Name: name,
  Kind: optional(oneOf("B", "A")),
  Secret: optional(blob({ min: 1, sensitive: true })),
  Count: optional(integer({ max: 9 })),
  Tags: optional(list(structure({ Key: name }), { max: 5 })),
  Labels: optional(map(oneOf("A", "B"), name)),
} satisfies Members;

function differences(change: Members, drop?: string): string[] {
  const members: Members = Object.fromEntries(
    Object.entries<Members[string]>({ ...right, ...change }).filter(([member]) => member !== drop),
  );
  return differingShape("Make", structure(members).description, "Request", model);
}

test("a shape as in the model has no difference", () => {
  expect(differences({})).toEqual([]);
});

test.each<[string, Members, string | undefined, string]>([
  ["a missing member", {}, "Kind", "Make: Kind is missing"],
  ["a member too many", { Extra: optional(boolean()) }, undefined, "Make: Extra is not in the model"],
  [
    "a required member",
    { Count: integer({ max: 9 }) },
    undefined,
    "Make.Count: is required, the model says otherwise",
  ],
  [
    "an optional member",
    { Name: optional(name) },
    undefined,
    "Make.Name: is optional, the model says otherwise",
  ],
  [
    "a length",
    { Name: string({ min: 1, max: 65, pattern: "[a-z]+" }) },
    undefined,
    "Make.Name: max is 65, the model says 64",
  ],
  [
    "an absent length",
    { Name: string({ max: 64, pattern: "[a-z]+" }) },
    undefined,
    "Make.Name: min is undefined, the model says 1",
  ],
  [
    "a pattern",
    { Name: string({ min: 1, max: 64, pattern: "[a-z]*" }) },
    undefined,
    "Make.Name: pattern is [a-z]*, the model says [a-z]+",
  ],
  ["an enum", { Kind: optional(oneOf("A")) }, undefined, "Make.Kind: enum is A, the model says A B"],
  [
    "an open enum",
    { Kind: optional(string()) },
    undefined,
    "Make.Kind: enum is undefined, the model says A B",
  ],
  [
    "a sensitive flag",
    { Secret: optional(blob({ min: 1 })) },
    undefined,
    "Make.Secret: sensitive is false, the model says true",
  ],
  [
    "a type",
    { Count: optional(string({ max: 9 })) },
    undefined,
    "Make.Count: type is string, the model says integer",
  ],
  [
    "a list's member",
    { Tags: optional(list(structure({ Key: optional(name) }), { max: 5 })) },
    undefined,
    "Make.Tags[].Key: is optional, the model says otherwise",
  ],
  [
    "a map's value",
    { Labels: optional(map(oneOf("A", "B"), string())) },
    undefined,
    "Make.Labels{value}: min is undefined, the model says 1",
  ],
])("%s is found", (_name, change, drop, expected) => {
  expect(differences(change, drop)).toContain(expected);
});

test("missing, unknown and wrongly answered operations are found", () => {
  const input = structure(right);
  const table = { Read: { input, output: "none" }, Write: { input, output: "none" } } as const;
  expect(differingService(table, model)).toEqual([
    "operations: Make is missing",
    "operations: Write is not in the model",
    "Read: output is none, the model says structure",
  ]);
});
