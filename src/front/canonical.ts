/**
 * The canonical request of AWS Signature Version 4, from the request as it came over the
 * wire: raw headers, raw target, recomputed payload hash. Nothing the client claims about
 * its own request goes in, so nothing it changes afterwards goes unnoticed (reliability T1).
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */

/** A request as the verifier sees it. */
export interface SignedRequest {
  readonly method: string;
  /** The request target, `/` or `/?query`. */
  readonly target: string;
  /** By lower-case name; the values of a repeated header are joined by commas, in order. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
}

/** Node's raw header list as a map; unlike `request.headers` it drops no repeated header. */
export function headerMap(rawHeaders: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? "").toLowerCase();
    const value = rawHeaders[index + 1] ?? "";
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  return headers;
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** @throws URIError for a malformed percent escape */
function canonicalQuery(query: string): string {
  if (query === "") return "";
  return query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const at = pair.indexOf("=");
      const [name, value] = at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
      return { name: encode(decodeURIComponent(name)), value: encode(decodeURIComponent(value)) };
    })
    .toSorted((a, b) => compare(a.name, b.name) || compare(a.value, b.value))
    .map(({ name, value }) => `${name}=${value}`)
    .join("&");
}

function squeeze(value: string): string {
  return value.includes("  ") ? value.replace(/ {2,}/g, " ") : value;
}

/**
 * The canonical request. The path is taken as it stands: only `/` is ever routed to AWS
 * operations, and `/` is its own canonical form.
 * @param signedHeaders sorted, lower-case names
 * @throws URIError for a malformed percent escape in the query
 */
export function canonicalRequest(
  request: SignedRequest,
  signedHeaders: readonly string[],
  payloadHash: string,
): string {
  const mark = request.target.indexOf("?");
  const path = mark < 0 ? request.target : request.target.slice(0, mark);
  const query = mark < 0 ? "" : canonicalQuery(request.target.slice(mark + 1));
  let headers = "";
  for (const name of signedHeaders) headers += `${name}:${squeeze(request.headers.get(name) ?? "")}\n`;
  return `${request.method}\n${path}\n${query}\n${headers}\n${signedHeaders.join(";")}\n${payloadHash}`;
}
