/**
 * How entries are written in an archive, and read back, byte for byte. A part is the text of some ranges of logs, each with
 * a line `["log",from,to]` ahead, and two lines an entry: `[at,key]` and its data. Texts of the codec hold no line break.
 */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { brotliCompress, brotliDecompress, constants } from "node:zlib";
import type { PackedPart } from "../domain/archive.ts";
import type { Entry } from "../domain/entry.ts";
import type { ArchivedRange } from "../domain/record.ts";

const compress = promisify(brotliCompress);
const decompress = promisify(brotliDecompress);

/** Larger texts are compressed faster: they repeat themselves more than the last effort would gain. */
const largeBytes = 256 * 1024;

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
  const packed = await compress(text, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: text.length > largeBytes ? 7 : constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: text.length,
    },
  });
  const ranges = sections.map(({ log, from, to }) => ({ log, from, to }));
  return { ranges, sha256: sha256Of(text), packed, bytes: text.length };
}

/** The entries of a part; undefined where it is not what was put away. */
export async function unpackPart(
  packed: Uint8Array,
  sha256: string,
  bytesMax: number,
): Promise<readonly ArchivedEntries[] | undefined> {
  let text: Buffer;
  try {
    text = await decompress(packed, { maxOutputLength: bytesMax });
  } catch {
    // Whatever zlib has against it: it is damaged.
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
