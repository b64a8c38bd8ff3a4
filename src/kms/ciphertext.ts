/**
 * The ciphertext blob and the associated data that binds it.
 *
 * A blob is `header ‖ sealed`: the header names the format and the KMS key, so that Decrypt
 * works without KeyId; `sealed` is `iv(12) ‖ ciphertext ‖ tag(16)` from the token. Clients
 * must treat it as opaque; it is keystead's own format, not AWS's.
 *
 * The associated data covers the header (version and key ARN), the key generation and the
 * canonical encryption context: pairs sorted by the UTF-8 bytes of their keys, every field
 * length-prefixed, so that no two contexts encode alike (reliability T13).
 */

/** "KS" and the format's version. */
const MAGIC = Buffer.from([0x4b, 0x53, 0x01]);
/** Reserved for a later change of key material under one ARN; a restore never changes it. */
const KEY_GENERATION = 1;
const LONGEST_ARN = 2048;
const SEALED_OVERHEAD = 12 + 16;

export type EncryptionContext = ReadonlyMap<string, string>;

/** `magic ‖ u16 length ‖ key ARN` */
export function blobHeader(keyArn: string): Buffer {
  const name = Buffer.from(keyArn);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(name.length);
  return Buffer.concat([MAGIC, length, name]);
}

export function makeBlob(header: Buffer, sealed: Buffer): Buffer {
  return Buffer.concat([header, sealed]);
}

/** Total over all bytes: a blob that is not ours is undefined, never an exception. */
export function parseBlob(blob: Buffer): { keyArn: string; sealed: Buffer } | undefined {
  const start = MAGIC.length + 2;
  if (blob.length < start || !blob.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const length = blob.readUInt16BE(MAGIC.length);
  if (length > LONGEST_ARN || blob.length < start + length + SEALED_OVERHEAD) return undefined;
  return {
    keyArn: blob.toString("latin1", start, start + length),
    sealed: blob.subarray(start + length),
  };
}

const NO_CONTEXT: EncryptionContext = new Map();

/** The associated data of a key's ciphertext in a context. */
export function associatedData(header: Buffer, context: EncryptionContext = NO_CONTEXT): Buffer {
  const pairs = [...context].map(([name, value]) => [Buffer.from(name), Buffer.from(value)] as const);
  pairs.sort(([a], [b]) => Buffer.compare(a, b));
  const size = pairs.reduce((sum, [name, value]) => sum + 8 + name.length + value.length, 0);
  const out = Buffer.allocUnsafe(4 + header.length + 8 + size);
  let at = field(out, header, 0);
  at = out.writeUInt32BE(KEY_GENERATION, at);
  at = out.writeUInt32BE(pairs.length, at);
  for (const [name, value] of pairs) at = field(out, value, field(out, name, at));
  return out;
}

function field(out: Buffer, bytes: Buffer, at: number): number {
  const start = out.writeUInt32BE(bytes.length, at);
  bytes.copy(out, start);
  return start + bytes.length;
}
