/**
 * The attestation document of a Nitro enclave, as far as its form goes: a COSE_Sign1 of
 * which the payload is a CBOR map. Whether it is genuine only AWS's enclaves and their
 * root certificate could tell, so keystead never acts on one.
 * https://docs.aws.amazon.com/enclaves/latest/user/verify-root.html
 */
import { AwsError } from "../core/errors.ts";

interface Recipient {
  readonly AttestationDocument?: Buffer;
}

/** Deeper nesting than any attestation document has; it bounds the recursion. */
const DEEPEST = 16;

/** CBOR's major types (RFC 8949 §3.1). */
const BYTES = 2;
const LIST = 4;
const MAP = 5;
const TAG = 6;
const SIMPLE = 7;

/** RFC 9052 §4.2: the tag is optional. */
const COSE_SIGN1 = 18;

interface Head {
  readonly type: number;
  /** Length, count or number; for simple values the bytes are their own argument. */
  readonly argument: number;
  readonly next: number;
}

/** @throws RangeError beyond the end and for lengths that are not definite */
function headAt(document: Buffer, at: number): Head {
  const first = document.readUInt8(at);
  const short = first & 0x1f;
  if (short > 27) throw new RangeError("not a definite length");
  const bytes = short < 24 ? 0 : 2 ** (short - 24);
  const next = at + 1 + bytes;
  const rest = document.subarray(at + 1, next);
  if (rest.length < bytes) throw new RangeError("cut short");
  return { type: first >> 5, argument: bytes === 0 ? short : Number(`0x${rest.toString("hex")}`), next };
}

/** Where the item after the one at `at` begins. @throws RangeError when there is none */
function skip(document: Buffer, at: number, depth = 0): number {
  if (depth > DEEPEST) throw new RangeError("too deep");
  const { type, argument, next } = headAt(document, at);
  if (type < BYTES || type === SIMPLE) return next;
  if (type < LIST) {
    if (argument > document.length - next) throw new RangeError("cut short");
    return next + argument;
  }
  let items = argument;
  if (type === MAP) items = argument * 2;
  if (type === TAG) items = 1;
  let end = next;
  // Each item has a byte at least, so a count that lies ends at the end of the document.
  for (let item = 0; item < items; item += 1) end = skip(document, end, depth + 1);
  return end;
}

/** The byte string at `at`. @throws RangeError for anything else */
function bytesAt(document: Buffer, at: number): { bytes: Buffer; next: number } {
  const { type, argument, next } = headAt(document, at);
  if (type !== BYTES || argument > document.length - next) throw new RangeError("not a byte string");
  return { bytes: document.subarray(next, next + argument), next: next + argument };
}

/** `[protected: bytes, unprotected: map, payload: bytes of a map, signature: bytes]` */
function isSignedMap(document: Buffer): boolean {
  try {
    const outer = headAt(document, 0);
    const list = outer.type === TAG && outer.argument === COSE_SIGN1 ? headAt(document, outer.next) : outer;
    if (list.type !== LIST || list.argument !== 4) return false;
    const unprotected = bytesAt(document, list.next).next;
    if (headAt(document, unprotected).type !== MAP) return false;
    const payload = bytesAt(document, skip(document, unprotected));
    const signature = bytesAt(document, payload.next);
    const isMap = headAt(payload.bytes, 0).type === MAP;
    return isMap && skip(payload.bytes, 0) === payload.bytes.length && signature.next === document.length;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** @throws AwsError whenever there is a Recipient: ValidationException when it is malformed, else UnsupportedOperationException */
export function refuseRecipient(recipient: Recipient | undefined): void {
  if (recipient === undefined) return;
  const { AttestationDocument: document } = recipient;
  if (document === undefined || !isSignedMap(document))
    throw new AwsError(
      "ValidationException",
      "Recipient must have an AttestationDocument, which must be a COSE_Sign1 structure of an attestation.",
    );
  throw new AwsError(
    "UnsupportedOperationException",
    "keystead does not support Recipient: it cannot verify the attestation document of an enclave.",
  );
}
