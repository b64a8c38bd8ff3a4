/** Cases of the reference's rows: raw AWS JSON 1.1 calls, so that nothing of a client stands between. */
import { beforeAll, expect, test } from "vitest";
import { connectedStore, startKeystead, type Keystead, type ReadyCluster } from "../api/harness.ts";
import { expandIds, referenceRows } from "./rows.ts";

const KNOWN = new Set(referenceRows().map((row) => row.id));

/** A test's title that names the rows it proves. */
export function covers(ids: string, what: string): string {
  const all = expandIds(ids);
  const unknown = all.filter((id) => !KNOWN.has(id));
  if (unknown.length > 0) throw new Error(`no row has the id ${unknown.join(", ")}`);
  return `[${all.join(", ")}] ${what}`;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export type Call = (operation: string, input?: unknown) => Promise<Answer>;

/** A CloudHSM V2 call when the operation is named with its service, a KMS call otherwise. */
async function post(endpoint: string, operation: string, input: unknown = {}): Promise<Answer> {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: {
      "Content-Type": "application/x-amz-json-1.1",
      "X-Amz-Target": operation.includes(".") ? operation : `TrentService.${operation}`,
    },
    body: typeof input === "string" ? input : JSON.stringify(input),
  });
  const text = await response.text();
  const body = (text === "" ? {} : JSON.parse(text)) as Answer["body"];
  return { status: response.status, headers: response.headers, text, body };
}

/** "ok", or the exception as `Type: message`, or `Type` when it has no text. */
export function said({ status, body }: Answer): string {
  if (status === 200) return "ok";
  const message = body["message"] ?? body["Message"];
  return typeof message === "string" ? `${String(body["__type"])}: ${message}` : String(body["__type"]);
}

/** "ok", the exact `Type: message`, or `Type` alone for a text that is our own. */
export function expectSaid(answer: Answer, expected: string | RegExp): void {
  const full = said(answer);
  if (expected instanceof RegExp) expect(full).toMatch(expected);
  else expect(expected.includes(": ") || full === expected ? full : full.split(": ")[0]).toBe(expected);
}

type Try = readonly [input: object | string | (() => object), expected: string | RegExp];
export type Case = readonly [ids: string, operation: string, ...tries: readonly Try[]];

/** A test per case: the operation with each input answers as expected. */
export function runCases(call: Call, cases: readonly Case[]): void {
  for (const [ids, operation, ...tries] of cases)
    test(covers(ids, operation), async () => {
      for (const [input, expected] of tries)
        expectSaid(await call(operation, typeof input === "function" ? input() : input), expected);
    });
}

const failed = (item: string): string => `ValidationException: 1 validation error detected: ${item}`;
const constraint = (value: string, member: string, rule: string): string =>
  failed(`Value ${value}at '${member}' failed to satisfy constraint: Member must ${rule}`);
const quoted = (value?: string | number): string => (value === undefined ? "" : `'${value}' `);

/** The model's validation sentences (reference: wire-protocol §4.6); without a value for sensitive members and blobs. */
export const invalid = {
  absent: (member: string): string => constraint("null ", member, "not be null"),
  shorter: (member: string, least: number, value?: string): string =>
    constraint(quoted(value), member, `have length greater than or equal to ${least}`),
  longer: (member: string, most: number, value?: string): string =>
    constraint(quoted(value), member, `have length less than or equal to ${most}`),
  less: (member: string, least: number, value: number): string =>
    constraint(quoted(value), member, `have value greater than or equal to ${least}`),
  more: (member: string, most: number, value: number): string =>
    constraint(quoted(value), member, `have value less than or equal to ${most}`),
  pattern: (member: string, pattern: string, value?: string): string =>
    constraint(quoted(value), member, `satisfy regular expression pattern: ${pattern}`),
  /** The order of the values is not AWS's to be relied on. */
  oneOf: (member: string, value: string): RegExp =>
    new RegExp(
      `^ValidationException: 1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: Member must satisfy enum value set: \\[`,
    ),
};

export interface Connected {
  readonly keystead: Keystead;
  readonly cluster: ReadyCluster;
  readonly storeId: string;
  readonly keyArn: string;
  readonly call: Call;
}

/** One server that takes unsigned requests, for all tests of a file; with a connected store and a key unless `make` says otherwise. */
export function sharedServer<T extends object>(
  make: (keystead: Keystead, call: Call) => Promise<T>,
): T & {
  readonly keystead: Keystead;
  readonly call: Call;
} {
  const made: { now?: T & { keystead: Keystead } } = {};
  beforeAll(async () => {
    const ends: (() => Promise<void> | void)[] = [];
    const keystead = await startKeystead({ auth: "any" }, (end) => ends.push(end));
    const endpoint = keystead.server.endpoint;
    made.now = { ...(await make(keystead, (name, input) => post(endpoint, name, input))), keystead };
    return async () => {
      for (const end of ends.toReversed()) await end();
    };
  }, 60_000);
  const current = (): T & { keystead: Keystead } => {
    if (made.now === undefined) throw new Error("the server has not started");
    return made.now;
  };
  const call: Call = (operation, input) => post(current().keystead.server.endpoint, operation, input);
  return new Proxy({ call } as T & { keystead: Keystead; call: Call }, {
    get: (target, name) => (name === "call" ? target.call : Reflect.get(current(), name)),
  });
}

/** The same with a cluster of two HSMs, a connected store and a key. */
export function sharedConnected(): Connected {
  return sharedServer((keystead) => connectedStore(keystead));
}

export const base64 = (text: string | number): string =>
  (typeof text === "number" ? Buffer.alloc(text, 1) : Buffer.from(text)).toString("base64");
