/**
 * The Host allow-list: a web page that rebinds its DNS name to the loopback address comes
 * with its own name in Host and is turned away (reliability T3). Signed requests are let
 * through by the pipeline whatever Host they signed: a page cannot sign.
 */

const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

/** `name`, `name:port`, `[v6]` or `[v6]:port`. */
const AUTHORITY = /^(\[[0-9a-f:.]+\]|[^\s:/?#@[\]\\]+)(?::\d{1,5})?$/i;

/** The name in a Host header, lower case and without port; undefined when it is not a Host at all. */
function hostName(header: string): string | undefined {
  return AUTHORITY.exec(header)?.[1]?.toLowerCase();
}

function bracketed(name: string): string {
  // An IPv6 address may be configured as ::1 although Host must write [::1].
  return name.includes(":") && !name.startsWith("[") && name.split(":").length > 2 ? `[${name}]` : name;
}

/** The predicate "keystead answers to this Host header", any port. */
export function hostAllowList(allowed: readonly string[]): (header: string) => boolean {
  const names = new Set([...LOOPBACK, ...allowed.map((name) => hostName(bracketed(name)) ?? name)]);
  return (header) => {
    const name = hostName(header);
    return name !== undefined && names.has(name);
  };
}
