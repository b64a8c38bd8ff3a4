/**
 * Shapes: the members of an operation's input, declared once, from which follow the
 * TypeScript type, the AWS JSON 1.1 type errors (SerializationException) and the
 * ValidationException that lists all broken constraints in AWS's words
 * (reference: wire-protocol §3, §4.4, §4.6). A conformance test compares every shape
 * with the API model.
 */
import { AwsError } from "./errors.ts";

/** Constraints that a string, blob, number or collection may carry; lengths of blobs count decoded bytes. */
interface Limits {
  readonly min?: number;
  readonly max?: number;
}
interface StringLimits extends Limits {
  readonly pattern?: string;
  /** The value is never echoed in a validation sentence. */
  readonly sensitive?: boolean;
}

/** What a shape may report while it reads a value. */
interface Violations {
  add(sentence: string): void;
}

/** A shape reads a decoded JSON value into T; `description` is what the conformance test compares with the model. */
export interface Shape<T> {
  readonly description: Description;
  read(value: unknown, path: string, violations: Violations): T;
}
export type Description =
  | ({ readonly type: "string"; readonly enum?: readonly string[] } & StringLimits)
  | ({ readonly type: "blob"; readonly sensitive?: boolean } & Limits)
  | ({ readonly type: "integer" } & Limits)
  | { readonly type: "boolean" | "timestamp" }
  | ({ readonly type: "list"; readonly member: Description } & Limits)
  | ({ readonly type: "map"; readonly key: Description; readonly value: Description } & Limits)
  | { readonly type: "structure"; readonly members: ReadonlyMap<string, MemberDescription> };
interface MemberDescription {
  readonly required: boolean;
  readonly shape: Description;
}

/** A structure member that may be absent. */
export interface Optional<T> {
  readonly optional: Shape<T>;
}
type Member = Shape<unknown> | Optional<unknown>;
export type Members = Readonly<Record<string, Member>>;

/** The TypeScript type of a set of members. */
export type Input<M extends Members> = {
  readonly [K in keyof M as M[K] extends Optional<unknown> ? never : K]: M[K] extends Shape<infer T>
    ? T
    : never;
} & {
  readonly [K in keyof M as M[K] extends Optional<unknown> ? K : never]?: M[K] extends Optional<infer T>
    ? T
    : never;
};

/** Mark a member as not required by the model. */
export function optional<T>(shape: Shape<T>): Optional<T> {
  return { optional: shape };
}

function constraint(path: string, shown: string, rule: string): string {
  return `Value ${shown}at '${path}' failed to satisfy constraint: Member must ${rule}`;
}

function checkLength(
  length: number,
  limits: Limits,
  path: string,
  shown: string,
  violations: Violations,
): void {
  if (limits.max !== undefined && length > limits.max)
    violations.add(constraint(path, shown, `have length less than or equal to ${limits.max}`));
  if (limits.min !== undefined && length < limits.min)
    violations.add(constraint(path, shown, `have length greater than or equal to ${limits.min}`));
}

function typeName(value: unknown): string {
  if (typeof value === "number") return "NUMBER_VALUE";
  if (typeof value === "boolean") return value ? "TRUE_VALUE" : "FALSE_VALUE";
  return "STRING_VALUE";
}

/** The SerializationException for a value of the wrong JSON type where a scalar named `wanted` stands in the model. */
function notScalar(value: unknown, wanted: string): AwsError {
  if (Array.isArray(value))
    return new AwsError("SerializationException", "Start of list found where not expected");
  if (typeof value === "object")
    return new AwsError("SerializationException", "Start of structure or map found where not expected.");
  return new AwsError("SerializationException", `${typeName(value)} can not be converted to ${wanted}`);
}

function notCollection(value: unknown, isList: boolean): AwsError {
  if (Array.isArray(value))
    return new AwsError("SerializationException", "Start of list found where not expected");
  if (typeof value === "object")
    return new AwsError("SerializationException", "Start of structure or map found where not expected.");
  return new AwsError("SerializationException", isList ? "Expected list or null" : "Expected null");
}

/** Anchored like Java's `String.matches`: the whole value, whatever `^` and `$` the model writes. */
function compile(pattern: string): RegExp {
  // Only \p{…} needs the `u` flag, which in turn forbids the needless escapes of other model patterns.
  return new RegExp(`^(?:${pattern})$`, pattern.includes("\\p{") ? "u" : "");
}

/** A string; lengths count Unicode code units as AWS's Java services do. */
export function string(limits: StringLimits = {}): Shape<string> {
  const regexp = limits.pattern === undefined ? undefined : compile(limits.pattern);
  return {
    description: { type: "string", ...limits },
    read(value, path, violations) {
      if (typeof value !== "string") throw notScalar(value, "a String");
      if (!value.isWellFormed()) throw new AwsError("SerializationException");
      const shown = limits.sensitive === true ? "" : `'${value}' `;
      checkLength(value.length, limits, path, shown, violations);
      if (regexp !== undefined && !regexp.test(value))
        violations.add(constraint(path, shown, `satisfy regular expression pattern: ${limits.pattern}`));
      return value;
    },
  };
}

/** One of a fixed set of strings. */
export function oneOf<const V extends string>(...values: readonly V[]): Shape<V> {
  return {
    description: { type: "string", enum: values },
    read(value, path, violations) {
      if (typeof value !== "string") throw notScalar(value, "a String");
      if (!(values as readonly string[]).includes(value))
        violations.add(constraint(path, `'${value}' `, `satisfy enum value set: [${values.join(", ")}]`));
      return value as V;
    },
  };
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Strict base64: standard alphabet, padded, canonical. Anything else is a SerializationException. */
function decodeBase64(text: string): Buffer {
  const bytes = Buffer.from(text, "base64");
  if (!BASE64.test(text) || bytes.toString("base64") !== text) throw new AwsError("SerializationException");
  return bytes;
}

/** Bytes, base64 on the wire; the value is never echoed. */
export function blob(limits: Limits & { readonly sensitive?: boolean } = {}): Shape<Buffer> {
  return {
    description: { type: "blob", ...limits },
    read(value, path, violations) {
      if (typeof value !== "string") throw notScalar(value, "a ByteBuffer");
      const bytes = decodeBase64(value);
      checkLength(bytes.length, limits, path, "", violations);
      return bytes;
    },
  };
}

/** A 32-bit integer; a fraction is cut off as AWS does (reference: wire-protocol §3). */
export function integer(limits: Limits = {}): Shape<number> {
  return {
    description: { type: "integer", ...limits },
    read(value, path, violations) {
      if (typeof value !== "number") throw notScalar(value, "an Integer");
      const whole = Math.trunc(value);
      if (!Number.isInteger(whole) || Math.abs(whole) > 0x7fff_ffff)
        throw new AwsError("SerializationException");
      const shown = `'${whole}' `;
      if (limits.max !== undefined && whole > limits.max)
        violations.add(constraint(path, shown, `have value less than or equal to ${limits.max}`));
      if (limits.min !== undefined && whole < limits.min)
        violations.add(constraint(path, shown, `have value greater than or equal to ${limits.min}`));
      return whole;
    },
  };
}

export function boolean(): Shape<boolean> {
  return {
    description: { type: "boolean" },
    read(value) {
      if (typeof value !== "boolean") throw notScalar(value, "a Boolean");
      return value;
    },
  };
}

/** Seconds since the epoch. */
export function timestamp(): Shape<number> {
  return {
    description: { type: "timestamp" },
    read(value) {
      if (typeof value !== "number" || !Number.isFinite(value)) throw notScalar(value, "a Timestamp");
      return value;
    },
  };
}

export function list<T>(member: Shape<T>, limits: Limits = {}): Shape<readonly T[]> {
  return {
    description: { type: "list", member: member.description, ...limits },
    read(value, path, violations) {
      if (!Array.isArray(value)) throw notCollection(value, true);
      checkLength(value.length, limits, path, "", violations);
      return value.map((item: unknown, index) =>
        member.read(item, `${path}.${index + 1}.member`, violations),
      );
    },
  };
}

/** A map of strings; a JavaScript Map, so that no key can reach a prototype (reliability T18). */
export function map<V>(
  key: Shape<string>,
  value: Shape<V>,
  limits: Limits = {},
): Shape<ReadonlyMap<string, V>> {
  return {
    description: { type: "map", key: key.description, value: value.description, ...limits },
    read(input, path, violations) {
      if (typeof input !== "object" || input === null || Array.isArray(input))
        throw notCollection(input, false);
      const entries = Object.entries(input).filter(([, item]) => item !== null);
      checkLength(entries.length, limits, path, "", violations);
      return new Map(
        entries.map(([name, item]) => [
          key.read(name, `${path}.${name}.key`, violations),
          value.read(item, `${path}.${name}.member`, violations),
        ]),
      );
    },
  };
}

function lowerFirst(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}

function shapeOf(member: Member): { shape: Shape<unknown>; required: boolean } {
  return "optional" in member
    ? { shape: member.optional, required: false }
    : { shape: member, required: true };
}

/** A structure; unknown members are ignored, null is the same as absent. */
export function structure<const M extends Members>(members: M): Shape<Input<M>> {
  const table = Object.entries(members).map(([name, member]) => ({ name, ...shapeOf(member) }));
  const description = new Map(
    table.map(({ name, shape, required }) => [name, { required, shape: shape.description }]),
  );
  return {
    description: { type: "structure", members: description },
    read(value, path, violations) {
      if (typeof value !== "object" || value === null || Array.isArray(value))
        throw notCollection(value, false);
      const out: Record<string, unknown> = {};
      for (const { name, shape, required } of table) {
        const item: unknown = Object.hasOwn(value, name)
          ? (value as Record<string, unknown>)[name]
          : undefined;
        const where = path === "" ? lowerFirst(name) : `${path}.${lowerFirst(name)}`;
        if (item !== undefined && item !== null) out[name] = shape.read(item, where, violations);
        else if (required)
          violations.add(`Value null at '${where}' failed to satisfy constraint: Member must not be null`);
      }
      return out as Input<M>;
    },
  };
}

/**
 * Read a request body against a shape.
 * @throws AwsError SerializationException for a wrong JSON type, ValidationException listing every broken constraint
 */
export function validate<T>(shape: Shape<T>, body: unknown): T {
  const found: string[] = [];
  const value = shape.read(body, "", { add: (sentence) => found.push(sentence) });
  if (found.length > 0) {
    const noun = found.length === 1 ? "error" : "errors";
    throw new AwsError(
      "ValidationException",
      `${found.length} validation ${noun} detected: ${found.join("; ")}`,
    );
  }
  return value;
}
