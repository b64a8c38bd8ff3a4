/**
 * Frames between the API process and an HSM worker: length-prefixed binary over one
 * inherited socket, many in flight, written in one batch per event-loop turn.
 *
 * A frame is `u32 length of the rest ‖ u32 request id ‖ u8 code ‖ payload`, big endian.
 * The code is a verb in a request and a status in an answer.
 */
import type { Socket } from "node:net";

/** Requests. Management verbs carry JSON, data-key verbs the binary layout of `packDataKey`. */
export const VERB = {
  manage: 0,
  encrypt: 1,
  decrypt: 2,
  generateDataKey: 3,
  generateRandom: 4,
} as const;

/** Answers: bytes of a data-key verb, JSON of a management verb, or a JSON error. */
export const STATUS = { bytes: 0, json: 1, error: 2 } as const;

const HEADER = 9;
/** 1 MiB of management JSON is far more than a listing page; a longer frame is a broken peer. */
const LONGEST_FRAME = 64 * 1024 * 1024;

export interface Frame {
  readonly id: number;
  readonly code: number;
  readonly payload: Buffer;
}

/** Cuts a byte stream into frames; payloads are views into the received chunks. */
export class FrameReader {
  #pending: Buffer = Buffer.alloc(0);

  *push(chunk: Buffer): Generator<Frame> {
    let rest = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    while (rest.length >= HEADER) {
      const end = 4 + rest.readUInt32BE(0);
      if (end > LONGEST_FRAME || end < HEADER) throw new Error("broken frame");
      if (rest.length < end) break;
      yield { id: rest.readUInt32BE(4), code: rest.readUInt8(8), payload: rest.subarray(HEADER, end) };
      rest = rest.subarray(end);
    }
    this.#pending = rest;
  }
}

/** Writes frames to a socket in one batch per event-loop turn. */
export class FrameWriter {
  readonly #socket: Socket;
  #batch: Buffer[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  send(id: number, code: number, payload: Uint8Array): void {
    if (this.#batch.length === 0) setImmediate(() => this.flush());
    const header = Buffer.allocUnsafe(HEADER);
    header.writeUInt32BE(HEADER - 4 + payload.byteLength, 0);
    header.writeUInt32BE(id, 4);
    header.writeUInt8(code, 8);
    this.#batch.push(header, Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength));
  }

  flush(): void {
    const batch = this.#batch;
    this.#batch = [];
    if (batch.length > 0 && this.#socket.writable) this.#socket.write(Buffer.concat(batch));
  }
}

/** Which key object a data-key verb uses: CKA_ID and CKA_LABEL, both matched (exactly one object or none). */
export interface KeyRef {
  /** CKA_ID: the 64 ASCII bytes of the backing key id. */
  readonly id: Buffer;
  /** CKA_LABEL: the key ARN. */
  readonly label: Buffer;
}
export interface DataKeyRequest extends KeyRef {
  readonly aad: Buffer;
  readonly data: Buffer;
}

/** `u16 ‖ id ‖ u16 ‖ label ‖ u32 ‖ aad ‖ data`; data is plaintext, sealed bytes, or a u16 byte count. */
export function packDataKey(key: KeyRef, aad: Uint8Array, data: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(8 + key.id.length + key.label.length + aad.length + data.length);
  let at = out.writeUInt16BE(key.id.length, 0);
  at += key.id.copy(out, at);
  at = out.writeUInt16BE(key.label.length, at);
  at += key.label.copy(out, at);
  at = out.writeUInt32BE(aad.length, at);
  out.set(aad, at);
  out.set(data, at + aad.length);
  return out;
}

export function unpackDataKey(payload: Buffer): DataKeyRequest {
  const idEnd = 2 + payload.readUInt16BE(0);
  const labelEnd = idEnd + 2 + payload.readUInt16BE(idEnd);
  const aadStart = labelEnd + 4;
  const aadEnd = aadStart + payload.readUInt32BE(labelEnd);
  return {
    id: payload.subarray(2, idEnd),
    label: payload.subarray(idEnd + 2, labelEnd),
    aad: payload.subarray(aadStart, aadEnd),
    data: payload.subarray(aadEnd),
  };
}

export function packCount(bytes: number): Buffer {
  const out = Buffer.allocUnsafe(2);
  out.writeUInt16BE(bytes, 0);
  return out;
}
