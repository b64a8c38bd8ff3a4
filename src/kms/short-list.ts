/** Paging through lists that are at hand as a whole: the marker's position is the index of the next entry. */
import { openMarker, sealMarker } from "./markers.ts";

interface Paging {
  readonly Limit?: number;
  readonly Marker?: string;
}

interface Page<T> {
  readonly entries: readonly T[];
  /** The paging members of the answer; NextMarker only when there is more. */
  readonly paging: { readonly Truncated: boolean; readonly NextMarker?: string };
}

/**
 * The page of `all` that a request for `operation` asks for.
 * @param usual entries per page when the request has no Limit
 * @throws AwsError InvalidMarkerException
 */
export function pageOf<T>(
  operation: string,
  all: readonly T[],
  { Limit, Marker }: Paging,
  usual: number,
): Page<T> {
  const start = Marker === undefined ? 0 : Number(openMarker(operation, Marker));
  const end = start + (Limit ?? usual);
  const paging =
    end < all.length
      ? { Truncated: true, NextMarker: sealMarker(operation, String(end)) }
      : { Truncated: false };
  return { entries: all.slice(start, end), paging };
}
