/** Opaque paging markers: they survive a restart, and a marker of another operation is refused. */
import { AwsError } from "../core/errors.ts";

/** Where the next page starts, as `NextMarker`. */
export function sealMarker(operation: string, position: string): string {
  return Buffer.from(JSON.stringify([operation, position])).toString("base64url");
}

/** @throws AwsError InvalidMarkerException for a marker that this operation did not issue */
export function openMarker(operation: string, marker: string): string {
  const position = positionOf(operation, marker);
  if (position === undefined || sealMarker(operation, position) !== marker)
    throw new AwsError("InvalidMarkerException", "The marker is not valid for this operation.");
  return position;
}

function positionOf(operation: string, marker: string): string | undefined {
  try {
    const content: unknown = JSON.parse(Buffer.from(marker, "base64url").toString("utf8"));
    if (!Array.isArray(content) || content.length !== 2 || content[0] !== operation) return undefined;
    const position: unknown = content[1];
    return typeof position === "string" ? position : undefined;
  } catch {
    return undefined;
  }
}
