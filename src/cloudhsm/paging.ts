/**
 * Pages of a listing. The token names the listing and how many items were returned;
 * clients must treat it as opaque, and one that keystead did not issue is refused.
 */
import { invalidRequest } from "./context.ts";

export interface Page<T> {
  readonly items: readonly T[];
  readonly NextToken?: string;
}

/**
 * One page of `items`. A listing without MaxResults is complete.
 * @throws AwsError CloudHsmInvalidRequestException for a token of another listing, or none at all
 */
export function page<T>(
  listing: string,
  items: readonly T[],
  asked: { readonly MaxResults?: number; readonly NextToken?: string },
): Page<T> {
  const start = asked.NextToken === undefined ? 0 : readToken(listing, asked.NextToken);
  const end = start + (asked.MaxResults ?? items.length);
  const some = items.slice(start, end);
  return end < items.length ? { items: some, NextToken: printToken(listing, end) } : { items: some };
}

function printToken(listing: string, next: number): string {
  return Buffer.from(`${listing}:${next}`).toString("base64url");
}

function readToken(listing: string, token: string): number {
  const next = Number(/:(\d{1,9})$/.exec(Buffer.from(token, "base64url").toString("utf8"))?.[1]);
  if (!Number.isInteger(next) || printToken(listing, next) !== token)
    throw invalidRequest("The NextToken is not valid.");
  return next;
}
