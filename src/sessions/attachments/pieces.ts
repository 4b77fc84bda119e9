/** Bytes in pieces of one size, and their hash. */
import { pieceBytes } from "../../domain/attachments/attachment.ts";
import type { Entry } from "../../domain/record/entry.ts";
import { decode, encode } from "../../domain/values/codec.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** Bytes, whole or as they arrive: those of a file, a request or a `Blob`. */
export type AttachmentSource =
  | Uint8Array
  | Blob
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>;

/** @throws SessionError `argument_invalid` */
export function parseSource(source: AttachmentSource): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
  if (source instanceof Uint8Array) return [source];
  if (source instanceof Blob) return source.stream();
  const given: unknown = source;
  const isIterable =
    typeof given === "object" && given !== null && (Symbol.asyncIterator in given || Symbol.iterator in given);
  if (isIterable) return source as AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  throw invalidArgument("source", source, { expected: "byte_source" });
}

/** Pieces of `pieceBytes` bytes each but the last, and the hash and the number of all bytes at the end. */
export async function* piecesIn(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array, { readonly hash: string; readonly length: number }, undefined> {
  const hash = nodeCrypto().createHash("sha256");
  let length = 0;
  let piece = Buffer.alloc(pieceBytes);
  let filled = 0;
  for await (const bytes of source) {
    if (!(bytes instanceof Uint8Array)) throw invalidArgument("source", bytes, { expected: "byte_source" });
    hash.update(bytes);
    length += bytes.length;
    for (let from = 0; from < bytes.length;) {
      const part = bytes.subarray(from, from + pieceBytes - filled);
      piece.set(part, filled);
      filled += part.length;
      from += part.length;
      if (filled < pieceBytes) continue;
      yield piece;
      piece = Buffer.alloc(pieceBytes);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
  return { hash: hash.digest("hex"), length };
}

/** The data of the entry with a piece. */
export function dataOfPiece(piece: Uint8Array): string {
  return encode(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength).toString("base64"));
}

export function pieceOf(data: string): Uint8Array {
  return Buffer.from(decode(data) as string, "base64");
}

/** The entries with the pieces of bytes, written at this time, epoch ms. */
export function entriesOfBytes(bytes: Uint8Array, at: number): readonly Entry[] {
  const entries: Entry[] = [];
  for (let from = 0; from < bytes.length; from += pieceBytes)
    entries.push({
      seq: entries.length + 1,
      key: null,
      at,
      data: dataOfPiece(bytes.subarray(from, from + pieceBytes)),
    });
  return entries;
}
