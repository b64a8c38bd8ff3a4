/**
 * From bytes to a decoded request body: the size cap, strict UTF-8, the nesting limit and
 * JSON. Everything that is not a JSON object is a SerializationException here; types and
 * constraints of members are the shape's business.
 */
import type { IncomingMessage } from "node:http";
import { AwsError } from "../core/errors.ts";

/** JSON.parse takes millions of levels, what walks the result afterwards does not (reliability T19). */
const DEEPEST = 64;

/** Fatal: two different invalid bytes must not become the same U+FFFD (T14). A BOM stays and fails to parse. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Read a whole body. Resolves with undefined once more than `limit` bytes have come, the
 * rest is left unread. @throws when the client goes away or the request times out
 */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const take = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > limit) {
        request.off("data", take).pause();
        resolve(undefined);
      } else chunks.push(chunk);
    };
    request.on("data", take);
    request.once("end", () => {
      const [only] = chunks;
      resolve(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, size));
    });
    request.on("error", reject);
    request.once("close", () => {
      if (!request.readableEnded) reject(new Error("the connection was closed before the body was complete"));
    });
  });
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** True when lists and objects nest deeper than `deepest`; brackets inside strings do not count. */
function nestsDeeper(text: string, deepest: number): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (inString) {
      if (code === BACKSLASH) index += 1;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) inString = true;
    else if (code === OPEN_LIST || code === OPEN_OBJECT) {
      depth += 1;
      if (depth > deepest) return true;
    } else if (code === CLOSE_LIST || code === CLOSE_OBJECT) depth -= 1;
  }
  return false;
}

/**
 * The JSON object in a request body.
 * @throws AwsError SerializationException, without text except for a list (reference: wire-protocol §4.4)
 */
export function parseBody(bytes: Uint8Array): object {
  let value: unknown;
  try {
    const text = utf8.decode(bytes);
    if (!nestsDeeper(text, DEEPEST)) value = JSON.parse(text);
  } catch (error) {
    throw new AwsError("SerializationException", undefined, { cause: error });
  }
  if (Array.isArray(value))
    throw new AwsError("SerializationException", "Start of list found where not expected");
  if (typeof value !== "object" || value === null) throw new AwsError("SerializationException");
  return value;
}
