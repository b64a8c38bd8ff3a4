/**
 * Paging through lists that are at hand as a whole, in the order of a text that each entry
 * has for itself. A marker is the last entry given out, so that entries which come or go
 * between two pages neither hide nor repeat others.
 */
import { openMarker, sealMarker } from "./markers.ts";

interface Wanted {
  readonly Limit?: number;
  readonly Marker?: string;
}

interface List {
  /** The operation. */
  readonly list: string;
  /** What the list is of, for example a key id: a marker of another one is refused. */
  readonly of: string;
  /** Entries per page when the request has no Limit. */
  readonly usual: number;
}

interface Page<T> {
  readonly entries: readonly T[];
  /** The paging members of the answer; NextMarker only when there is more. */
  readonly paging: { readonly Truncated: boolean; readonly NextMarker?: string };
}

/**
 * The page of `all` that a request asks for.
 * @param place the text that orders the entries
 * @throws AwsError InvalidMarkerException
 */
export function pageOf<T>(
  { list, of, usual }: List,
  all: readonly T[],
  place: (entry: T) => string,
  { Limit = usual, Marker }: Wanted,
): Page<T> {
  const scope = of === "" ? list : `${list} ${of}`;
  const after = Marker === undefined ? undefined : openMarker(scope, Marker);
  const left = after === undefined ? [...all] : all.filter((entry) => place(entry) > after);
  const sorted = left.toSorted((one, other) => (place(one) < place(other) ? -1 : 1));
  const entries = sorted.slice(0, Limit);
  const last = entries.at(-1);
  return sorted.length > entries.length && last !== undefined
    ? { entries, paging: { Truncated: true, NextMarker: sealMarker(scope, place(last)) } }
    : { entries, paging: { Truncated: false } };
}
