/**
 * The format of archives, byte for byte. A part is the text of some ranges of logs, each with a line `["log",from,to]` ahead,
 * and two lines for each entry: `[at,key]` and its data. Texts of the codec hold no line break.
 *
 * The text is compressed; its first byte names the method. Methods are never removed, so every archive stays readable. Older
 * archives without this byte are `{"brotli":bytes}`.
 */
import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import { brotliCompress, brotliDecompress, constants, createBrotliCompress } from "node:zlib";
import type { PackedPart } from "../../domain/copies/archive.ts";
import type { Value } from "../../domain/values/codec.ts";
import type { Entry } from "../../domain/record/entry.ts";
import type { ArchivedRange } from "../../domain/record/record.ts";
import { beginning, dictionary } from "./archive-dictionary.ts";

const compress = promisify(brotliCompress);
const decompress = promisify(brotliDecompress);

const methods = {
  /** A brotli stream. */
  plain: 0,
  /** The rest of a brotli stream that begins with the dictionary. */
  afterDictionary: 1,
} as const;

/** Larger texts are compressed with less effort, as their own repetitions matter more than the dictionary. */
const largeBytes = 256 * 1024;
/** The logarithm of {@link largeBytes}: the window of the compression, which determines its memory. */
const windowBits = 18;

/** Entries of one log, one after the other. */
export interface ArchivedEntries extends ArchivedRange {
  readonly entries: readonly Entry[];
}

/** A part with these entries. */
export async function packPart(sections: readonly ArchivedEntries[]): Promise<PackedPart & { readonly bytes: number }> {
  const lines: string[] = [];
  for (const { log, from, to, entries } of sections) {
    lines.push(JSON.stringify([log, from, to]));
    for (const { key, at, data } of entries) lines.push(JSON.stringify([at, key]), data);
  }
  const text = Buffer.from(lines.join("\n"));
  const ranges = sections.map(({ log, from, to }) => ({ log, from, to }));
  return { ranges, sha256: sha256Of(text), packed: await packedText(text), bytes: text.length };
}

async function packedText(text: Buffer): Promise<Uint8Array> {
  const rest = text.length > largeBytes ? undefined : await compressAfterDictionary(text);
  if (rest !== undefined) return Buffer.concat([Buffer.of(methods.afterDictionary), rest]);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 7, [constants.BROTLI_PARAM_SIZE_HINT]: text.length };
  return Buffer.concat([Buffer.of(methods.plain), await compress(text, { params })]);
}

/** Undefined where this build of brotli begins its stream with other bytes: other builds could not read its output. */
async function compressAfterDictionary(text: Buffer): Promise<Buffer | undefined> {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_LGWIN]: windowBits,
  };
  const stream = createBrotliCompress({ params });
  stream.write(dictionary);
  stream.flush();
  stream.end(text);
  const whole = await buffer(stream);
  return whole.subarray(0, beginning.length).equals(beginning) ? whole.subarray(beginning.length) : undefined;
}

/** A part as stored. */
export interface Packed {
  readonly method: number;
  readonly bytes: Uint8Array;
}

/** The method and the bytes in the value of an archive's entry; undefined where it is none. */
export function packedIn(value: Value): Packed | undefined {
  if (value instanceof Uint8Array) return { method: value[0] ?? methods.plain, bytes: value.subarray(1) };
  const { brotli } = (value ?? {}) as { readonly brotli?: unknown };
  return brotli instanceof Uint8Array ? { method: methods.plain, bytes: brotli } : undefined;
}

/** False for a method of a newer version. */
export function isKnown({ method }: Packed): boolean {
  return Object.values<number>(methods).includes(method);
}

/** The entries of a part; undefined where it is damaged. */
export async function unpackPart(
  { method, bytes }: Packed,
  sha256: string,
  bytesMax: number,
): Promise<readonly ArchivedEntries[] | undefined> {
  const ahead = method === methods.afterDictionary;
  const skip = ahead ? dictionary.length : 0;
  let text: Buffer;
  try {
    const stream = ahead ? Buffer.concat([beginning, bytes]) : bytes;
    text = (await decompress(stream, { maxOutputLength: skip + bytesMax })).subarray(skip);
  } catch {
    // Any error of zlib means that the part is damaged.
    return undefined;
  }
  return sha256Of(text) === sha256 ? sectionsOf(text.toString().split("\n")) : undefined;
}

function sectionsOf(lines: readonly string[]): readonly ArchivedEntries[] {
  const sections: ArchivedEntries[] = [];
  for (let line = 0; line < lines.length;) {
    const [log, from, to] = JSON.parse(lines[line++] ?? "") as [string, number, number];
    const entries: Entry[] = [];
    for (let seq = from; seq <= to; seq++) {
      const [at, key] = JSON.parse(lines[line++] ?? "") as [number, string | null];
      entries.push({ seq, key, at, data: lines[line++] ?? "" });
    }
    sections.push({ log, from, to, entries });
  }
  return sections;
}

function sha256Of(text: Buffer): string {
  return createHash("sha256").update(text).digest("hex");
}
