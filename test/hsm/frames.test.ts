/** Frames: cut anywhere, many at once, broken lengths, and one write per turn. */
import type { Socket } from "node:net";
import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import {
  FrameReader,
  FrameWriter,
  VERB,
  packCount,
  packDataKey,
  unpackDataKey,
  type Frame,
} from "../../src/hsm/frames.ts";

/** What a writer sends in one turn, as one chunk per write. */
async function written(frames: readonly Frame[]): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  const socket = { writable: true, write: (chunk: Buffer) => chunks.push(chunk) } as unknown as Socket;
  const writer = new FrameWriter(socket);
  for (const { id, code, payload } of frames) writer.send(id, code, payload);
  await new Promise((resolve) => setImmediate(resolve));
  return chunks;
}

function readAll(chunks: readonly Buffer[]): Frame[] {
  const reader = new FrameReader();
  return chunks.flatMap((chunk) => [...reader.push(chunk)]);
}

const buffer = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes));
const frame: fc.Arbitrary<Frame> = fc.record({
  id: fc.nat(0xffff_ffff),
  code: fc.nat(255),
  payload: buffer(300),
});

test("frames of one turn leave in one write and arrive whole, wherever the stream is cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(frame, { maxLength: 20 }),
      fc.array(fc.nat(), { maxLength: 30 }),
      async (frames, cuts) => {
        const chunks = await written(frames);
        expect(chunks.length).toBe(frames.length === 0 ? 0 : 1);
        const stream = Buffer.concat(chunks);
        const at = cuts.map((cut) => cut % (stream.length + 1)).toSorted((a, b) => a - b);
        const pieces = [0, ...at].map((start, index) => stream.subarray(start, at[index] ?? stream.length));
        expect(readAll(pieces)).toEqual(frames);
      },
    ),
  );
});

test("a frame that comes byte by byte is one frame", async () => {
  const frames = [
    { id: 1, code: VERB.encrypt, payload: Buffer.from("first") },
    { id: 2, code: VERB.manage, payload: Buffer.alloc(0) },
  ];
  const stream = Buffer.concat(await written(frames));
  expect(readAll(Array.from(stream, (_, at) => stream.subarray(at, at + 1)))).toEqual(frames);
});

test.each([
  ["shorter than its own header", 4],
  ["empty", 0],
  ["longer than any frame", 0x7fff_ffff],
  ["of all ones", 0xffff_ffff],
])("a length %s is a broken peer, and is never waited for", (_what, length) => {
  const bytes = Buffer.alloc(9);
  bytes.writeUInt32BE(length, 0);
  expect(() => readAll([bytes])).toThrow("broken frame");
});

test("an incomplete frame waits without an end", () => {
  const reader = new FrameReader();
  const bytes = Buffer.alloc(9 + 100);
  bytes.writeUInt32BE(5 + 101, 0);
  expect([...reader.push(bytes)]).toEqual([]);
  expect([...reader.push(Buffer.alloc(1))].length).toBe(1);
});

test("nothing is written to a socket that was closed, and flush sends at once", () => {
  const write = vi.fn<(chunk: Buffer) => boolean>();
  const closed = new FrameWriter({ writable: false, write } as unknown as Socket);
  closed.send(1, 0, Buffer.alloc(1));
  closed.flush();
  expect(write).not.toHaveBeenCalled();
  const open = new FrameWriter({ writable: true, write } as unknown as Socket);
  open.send(1, 0, Buffer.alloc(1));
  open.flush();
  open.flush();
  expect(write).toHaveBeenCalledTimes(1);
});

test("data-key requests come back as they were packed, from any view", () => {
  fc.assert(
    fc.property(buffer(70), buffer(100), buffer(5000), buffer(5000), (id, label, aad, data) => {
      const packed = packDataKey({ id, label }, aad, data);
      const within = Buffer.concat([Buffer.from("before"), packed]).subarray(6);
      expect(unpackDataKey(within)).toEqual({ id, label, aad, data });
    }),
  );
  expect(packCount(1024)).toEqual(Buffer.from([4, 0]));
});
