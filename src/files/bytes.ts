import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { defined } from "../domain/values/defined.ts";
import { SessionError } from "../errors.ts";

/** Maximum compression ratio: no conversation packs so well, so a higher one is a decompression bomb. */
const ratioMax = 500;
/** The ratio is not checked up to this size. */
const smallBytes = 16 * 1024 * 1024;

/**
 * The bytes of a stream, unpacked if they are gzip.
 * @throws SessionError `snapshot_invalid` if they are gzip and cannot be unpacked completely, or unpack to more than
 *   {@link ratioMax} times their size
 */
export async function* unpacked(
  stream: AsyncIterable<Uint8Array>,
  source: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = stream[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true) return;
  let packedBytes = first.value.length;
  const all = (async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    yield first.value;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      packedBytes += next.value.length;
      yield next.value;
    }
  })();
  const isPacked = first.value[0] === 0x1f && first.value[1] === 0x8b;
  if (!isPacked) {
    yield* all;
    return;
  }
  const packed = Readable.from(all, { objectMode: false });
  const gunzip = createGunzip();
  packed.on("error", (error) => gunzip.destroy(error));
  try {
    let bytes = 0;
    for await (const chunk of packed.pipe(gunzip) as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      if (bytes > smallBytes && bytes > ratioMax * packedBytes) {
        throw new SessionError("snapshot_invalid", { source, expected: "gzip_ratio", max: ratioMax });
      }
      yield chunk;
    }
  } catch (error) {
    if (!String((error as NodeJS.ErrnoException).code).startsWith("Z_")) throw error;
    throw new SessionError("snapshot_invalid", { source, expected: "gzip" }, { cause: error });
  }
}

/**
 * Reads a file that the caller names.
 * @throws SessionError `argument_invalid` with the name of a file that does not exist or cannot be read; errors that are not
 *   of the file system pass
 */
export async function withInputErrors<T>(file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw inputError(file, error);
  }
}

/** The bytes of a file that the caller names. @throws SessionError as {@link withInputErrors} */
export async function* inputBytes(file: string, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* createReadStream(file, defined({ signal }));
  } catch (error) {
    throw inputError(file, error);
  }
}

function inputError(name: string, cause: unknown): unknown {
  const { code = "", syscall } = cause as NodeJS.ErrnoException;
  if (cause instanceof SessionError || syscall === undefined) return cause;
  const expected = isMissingFile(code) ? "existing_file" : "readable_file";
  return new SessionError("argument_invalid", { name, expected }, { cause });
}

/** True for the codes of the file system that say that there is no such file. */
export function isMissingFile(code: string): boolean {
  return ["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(code);
}

/** A range of bytes; `end` is behind the last one. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A file that can be read again, whole or in a range, unpacked if it is gzip. */
export interface RangedFile {
  /** A range of a packed file costs as much as all bytes before it. */
  readonly isPacked: boolean;
  bytes(range?: ByteRange): AsyncGenerator<Uint8Array, void, undefined>;
}

export async function rangedFile(file: string): Promise<RangedFile> {
  await using handle = await open(file);
  const { buffer } = await handle.read({ buffer: Buffer.alloc(2) });
  const isPacked = buffer[0] === 0x1f && buffer[1] === 0x8b;
  return {
    isPacked,
    async *bytes(range) {
      if (range === undefined) yield* unpacked(createReadStream(file), file);
      else if (isPacked) yield* bytesOfRange(unpacked(createReadStream(file), file), range);
      else if (range.start < range.end) yield* createReadStream(file, { start: range.start, end: range.end - 1 });
    },
  };
}

async function* bytesOfRange(
  stream: AsyncIterable<Uint8Array>,
  { start, end }: ByteRange,
): AsyncGenerator<Uint8Array, void, undefined> {
  let at = 0;
  for await (const chunk of stream) {
    const [from, to] = [Math.max(0, start - at), Math.min(chunk.length, end - at)];
    if (from < to) yield chunk.subarray(from, to);
    at += chunk.length;
    if (at >= end) return;
  }
}
