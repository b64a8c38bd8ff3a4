/** The sentences of wire-protocol §4.4 and §4.6, one row per rule. */
import { expect, test } from "vitest";
import { AwsError } from "../../src/core/errors.ts";
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
  timestamp,
  validate,
} from "../../src/core/shape.ts";

const shape = structure({
  CustomKeyStoreId: optional(string({ min: 1, max: 4 })),
  KeyStorePassword: optional(string({ min: 7, max: 32, sensitive: true })),
  CloudHsmClusterId: optional(string({ min: 19, max: 24, pattern: "cluster-[2-7a-zA-Z]{11,16}" })),
  Anchored: optional(string({ pattern: "^[a-z]+$" })),
  Property: optional(string({ pattern: "[\\p{L}]+" })),
  KeyUsage: optional(oneOf("ENCRYPT_DECRYPT", "SIGN_VERIFY")),
  NumberOfBytes: optional(integer({ min: 1, max: 1024 })),
  Plaintext: optional(blob({ min: 1, max: 4, sensitive: true })),
  DryRun: optional(boolean()),
  ValidTo: optional(timestamp()),
  Tags: optional(list(structure({ TagKey: string({ min: 1 }) }), { max: 2 })),
  GrantTokens: optional(list(string({ min: 1 }), { max: 2 })),
  Context: optional(map(string(), string())),
  Filters: optional(map(string({ pattern: "[a-z]+" }), list(string()), { max: 1 })),
});

function answer(body: unknown): unknown {
  try {
    return validate(shape, body);
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

const failed = (item: string): string => `ValidationException: 1 validation error detected: ${item}`;
const must = (member: string, rule: string): string =>
  failed(`Value ${member} failed to satisfy constraint: Member must ${rule}`);

test.each<[name: string, body: object, expected: string]>([
  [
    "too short",
    { CustomKeyStoreId: "" },
    must("'' at 'customKeyStoreId'", "have length greater than or equal to 1"),
  ],
  [
    "too long",
    { CustomKeyStoreId: "x".repeat(5) },
    must("'xxxxx' at 'customKeyStoreId'", "have length less than or equal to 4"),
  ],
  [
    "a sensitive value is not echoed",
    { KeyStorePassword: "abc" },
    must("at 'keyStorePassword'", "have length greater than or equal to 7"),
  ],
  [
    "a blob is not echoed and counts bytes",
    { Plaintext: "MTIzNDU=" },
    must("at 'plaintext'", "have length less than or equal to 4"),
  ],
  ["an empty blob", { Plaintext: "" }, must("at 'plaintext'", "have length greater than or equal to 1")],
  [
    "a small number",
    { NumberOfBytes: 0 },
    must("'0' at 'numberOfBytes'", "have value greater than or equal to 1"),
  ],
  [
    "a big number",
    { NumberOfBytes: 1025 },
    must("'1025' at 'numberOfBytes'", "have value less than or equal to 1024"),
  ],
  [
    "an enum",
    { KeyUsage: "RANDOM" },
    must("'RANDOM' at 'keyUsage'", "satisfy enum value set: [ENCRYPT_DECRYPT, SIGN_VERIFY]"),
  ],
  [
    "a pattern",
    { CloudHsmClusterId: "cluster-1a23b4cdefg" },
    must(
      "'cluster-1a23b4cdefg' at 'cloudHsmClusterId'",
      "satisfy regular expression pattern: cluster-[2-7a-zA-Z]{11,16}",
    ),
  ],
  [
    "a pattern is for the whole value",
    { Anchored: "abc\n" },
    must("'abc\n' at 'anchored'", "satisfy regular expression pattern: ^[a-z]+$"),
  ],
  [
    "a Unicode property",
    { Property: "4" },
    must("'4' at 'property'", "satisfy regular expression pattern: [\\p{L}]+"),
  ],
  [
    "a list member",
    { Tags: [{ TagKey: "" }] },
    must("'' at 'tags.1.member.tagKey'", "have length greater than or equal to 1"),
  ],
  [
    "a list member's own value",
    { GrantTokens: ["a", ""] },
    must("'' at 'grantTokens.2.member'", "have length greater than or equal to 1"),
  ],
  [
    "a long list",
    { GrantTokens: ["a", "b", "c"] },
    must("at 'grantTokens'", "have length less than or equal to 2"),
  ],
  [
    "a map's key",
    { Filters: { A: [] } },
    must("'A' at 'filters.A.key'", "satisfy regular expression pattern: [a-z]+"),
  ],
  [
    "a required member",
    { Tags: [{}] },
    failed("Value null at 'tags.1.member.tagKey' failed to satisfy constraint: Member must not be null"),
  ],
  [
    "a required member that is null",
    { Tags: [{ TagKey: null }] },
    failed("Value null at 'tags.1.member.tagKey' failed to satisfy constraint: Member must not be null"),
  ],
  [
    "a newline cannot get past a cluster id",
    { CloudHsmClusterId: "cluster-abcdefghijk\n" },
    must(
      "'cluster-abcdefghijk\n' at 'cloudHsmClusterId'",
      "satisfy regular expression pattern: cluster-[2-7a-zA-Z]{11,16}",
    ),
  ],
])("%s", (_name, body, expected) => {
  expect(answer(body)).toBe(expected);
});

test("all violations are listed, several for one member too, in the model's order", () => {
  const body = { CloudHsmClusterId: "x", NumberOfBytes: 0, CustomKeyStoreId: "" };
  const text = answer(body) as string;
  expect(text).toMatch(/^ValidationException: 4 validation errors detected: /);
  expect(text.split("; ").map((item) => /at '(\w+)'/.exec(item)?.[1])).toEqual([
    "customKeyStoreId",
    "cloudHsmClusterId",
    "cloudHsmClusterId",
    "numberOfBytes",
  ]);
});

const start = "Start of structure or map found where not expected.";
const listStart = "Start of list found where not expected";

test.each<[name: string, body: unknown, text: string]>([
  ["string for integer", { NumberOfBytes: "1" }, "STRING_VALUE can not be converted to an Integer"],
  ["true for integer", { NumberOfBytes: true }, "TRUE_VALUE can not be converted to an Integer"],
  ["false for string", { KeyUsage: false }, "FALSE_VALUE can not be converted to a String"],
  ["number for string", { CustomKeyStoreId: 1 }, "NUMBER_VALUE can not be converted to a String"],
  ["number for map value", { Context: { a: 1 } }, "NUMBER_VALUE can not be converted to a String"],
  ["string for boolean", { DryRun: "true" }, "STRING_VALUE can not be converted to a Boolean"],
  ["string for list", { Tags: "a" }, "Expected list or null"],
  ["string for map", { Context: "a" }, "Expected null"],
  ["string for structure", { Tags: ["a"] }, "Expected null"],
  ["object for list", { Tags: {} }, start],
  ["object for string", { CustomKeyStoreId: {} }, start],
  ["list for string", { CustomKeyStoreId: [] }, listStart],
  ["list for map", { Context: [] }, listStart],
  ["list for the whole", [], listStart],
  ["infinite integer", { NumberOfBytes: Infinity }, ""],
  ["integer beyond 32 bits", { NumberOfBytes: -(2 ** 31) - 1 }, ""],
  ["infinite timestamp", { ValidTo: Infinity }, "NUMBER_VALUE can not be converted to a Timestamp"],
  ["lone surrogate", { CustomKeyStoreId: "\ud800" }, ""],
  ["lone surrogate as map key", { Context: { "\udfff": "" } }, ""],
  [
    "type errors before constraints",
    { CustomKeyStoreId: "", NumberOfBytes: "1" },
    "STRING_VALUE can not be converted to an Integer",
  ],
])("SerializationException: %s", (_name, body, text) => {
  expect(answer(body)).toBe(`SerializationException: ${text}`);
});

test.each(["aGk", "aGk=\n", " aGk=", "a-_=", "aGl=", "====", "a", "aGk==", "aG=k", "aGk=aGk="])(
  "malformed or non-canonical base64 %j is refused, not read as something else",
  (text) => {
    expect(answer({ Plaintext: text })).toBe("SerializationException: ");
  },
);

test("values are read as AWS reads them", () => {
  const context = JSON.parse('{"__proto__":"a","constructor":"b","dropped":null}') as object;
  const body = JSON.parse(
    '{"NumberOfBytes":1.5,"Plaintext":"aGk=","DryRun":null,"Unknown":{"a":1},"ValidTo":1.25}',
  ) as object;
  expect(answer({ ...body, Context: context })).toEqual({
    NumberOfBytes: 1,
    Plaintext: Buffer.from("hi"),
    ValidTo: 1.25,
    Context: new Map([
      ["__proto__", "a"],
      ["constructor", "b"],
    ]),
  });
});

test("members that objects inherit do not count as given", () => {
  const inherits = structure({ toString: optional(string()), constructor: optional(string()) });
  expect(validate(inherits, {})).toEqual({});
});
