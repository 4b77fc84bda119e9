import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { SessionError } from "../errors.ts";

/**
 * The bytes of a stream, unpacked where they are gzip's.
 * @throws SessionError `snapshot_invalid` where they are and cannot be unpacked to their end
 */
export async function* unpacked(
  stream: AsyncIterable<Uint8Array>,
  source: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = stream[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true) return;
  const all = (async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    yield first.value;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
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
    for await (const chunk of packed.pipe(gunzip)) yield chunk as Uint8Array;
  } catch (error) {
    if (!String((error as NodeJS.ErrnoException).code).startsWith("Z_")) throw error;
    const reason = `it is damaged or cut off (${(error as Error).message})`;
    throw new SessionError("snapshot_invalid", { source, path: "the compressed data", reason }, { cause: error });
  }
}
