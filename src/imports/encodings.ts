/** The encodings of files: which are text, and their text in UTF-8. */
import { open } from "node:fs/promises";
import { SessionError } from "../errors.ts";
import type { Expected } from "../errors/expectations.ts";

/** Beginnings of files that are no text, with the names of their formats. */
const otherFiles: readonly (readonly [beginning: RegExp, expected: Expected])[] = [
  [/^SQLite format 3/, "no_database"],
  [/^\s*<(?:!doctype|html|\?xml)/i, "no_html"],
  [/^BZh[1-9]1AY/, "no_bzip2"],
  [/^PK[^\w\s]{2}/, "zip_on_disk"],
];

/** True for a file that begins as a zip archive. */
export async function isZip(file: string): Promise<boolean> {
  await using handle = await open(file);
  const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(4) });
  return bytesRead === 4 && buffer.readUInt32BE() === 0x504b0304;
}

/**
 * The same text in UTF-8, if it is UTF-16, as PowerShell writes it: it begins with a mark, or every other byte of its first
 * character, which is ASCII in JSON, is 0.
 * @throws SessionError `snapshot_invalid` behind the text of a file that ends within a character of UTF-16
 */
export async function* asUtf8(
  stream: AsyncIterable<Uint8Array>,
  source: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  let decoder: InstanceType<typeof TextDecoder> | undefined;
  let length = 0;
  let isFirst = true;
  let held: Uint8Array | undefined;
  for await (const chunk of stream) {
    length += chunk.length;
    const bytes: Uint8Array = held === undefined ? chunk : Buffer.concat([held, chunk]);
    held = undefined;
    if (isFirst) {
      if (bytes.length < 2) {
        held = bytes;
        continue;
      }
      isFirst = false;
      const mark = (bytes[0]! << 8) | bytes[1]!;
      const isLittleEndian = mark === 0xfffe || (bytes[0] !== 0 && bytes[1] === 0);
      const isBigEndian = mark === 0xfeff || (bytes[0] === 0 && bytes[1] !== 0);
      if (isLittleEndian) decoder = new TextDecoder("utf-16le");
      else if (isBigEndian) decoder = new TextDecoder("utf-16be");
    }
    yield decoder === undefined ? bytes : Buffer.from(decoder.decode(bytes, { stream: true }));
  }
  if (held !== undefined) yield held;
  if (decoder === undefined) return;
  if (length % 2 === 1) throw new SessionError("snapshot_invalid", { source, expected: "whole_utf16" });
  const rest = decoder.decode();
  if (rest !== "") yield Buffer.from(rest);
}

/**
 * The stream, if it begins as JSON may.
 * @throws SessionError `snapshot_invalid` for a file of another kind, once for the whole file
 */
export async function* guardText(
  stream: AsyncIterable<Uint8Array>,
  source: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  let head: Buffer = Buffer.alloc(0);
  let isChecked = false;
  for await (const chunk of stream) {
    if (!isChecked) {
      head = Buffer.concat([head, chunk]);
      if (head.length < 16) continue;
      guardHead(head, source);
      isChecked = true;
      yield head;
    } else yield chunk;
  }
  if (isChecked || head.length === 0) return;
  guardHead(head, source);
  yield head;
}

function guardHead(head: Buffer, source: string): void {
  const text = head.toString("latin1", 0, 4096);
  const expected = otherFiles.find(([beginning]) => beginning.test(text))?.[1];
  if (expected !== undefined) throw new SessionError("snapshot_invalid", { source, expected });
  // The first line of a damaged file may be anything that begins as a value of JSON.
  const begins = /^(?:\u00ef\u00bb\u00bf)?\s*(?:$|[[{\d\-tfn])/.test(text);
  if (!begins) throw new SessionError("snapshot_invalid", { source, expected: "json_or_lines" });
}
