/** Condition keys that every request has, whichever service it is for. Built only when an authorizer asks. */
import type { ConditionKeys } from "./access.ts";
import type { Request } from "./operation.ts";

/** What a key can be given; nothing and an empty list leave it absent. */
type Value = string | number | boolean | readonly string[] | undefined;

/** Condition keys from names as AWS writes them; names that differ only in case join their values. */
export function conditionKeys(entries: Iterable<readonly [name: string, value: Value]>): ConditionKeys {
  const keys = new Map<string, readonly string[]>();
  for (const [name, value] of entries) {
    const values = typeof value === "object" ? value : value === undefined ? [] : [String(value)];
    const key = name.toLowerCase();
    if (values.length > 0) keys.set(key, [...(keys.get(key) ?? []), ...values]);
  }
  return keys;
}

/** @param now virtual milliseconds since the epoch, as everything that has dates here */
export function requestKeys({ caller, sourceIp }: Request, now: number): [string, Value][] {
  return [
    ["aws:SourceIp", sourceIp],
    ["aws:RequestedRegion", caller.region],
    ["aws:CurrentTime", new Date(now).toISOString()],
    ["aws:EpochTime", Math.trunc(now / 1000)],
    ["aws:SecureTransport", false],
    ["aws:ViaAWSService", false],
  ];
}

/** `aws:RequestTag/…` with `aws:TagKeys`, or `aws:ResourceTag/…`. */
export function tagKeys(
  kind: "RequestTag" | "ResourceTag",
  tags: Iterable<readonly [key: string, value: string]>,
): [string, Value][] {
  return [...tags].flatMap(([key, value]): [string, Value][] => [
    [`aws:${kind}/${key}`, value],
    ...(kind === "RequestTag" ? [["aws:TagKeys", [key]] satisfies [string, Value]] : []),
  ]);
}
