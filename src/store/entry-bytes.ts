/**
 * Entries of archives are bytes; as text they take a third more room. The engines store them as bytes, in a column of its
 * own. A store takes and returns them as the text of the codec, unchanged to the letter.
 */
import { encode } from "../domain/values/codec.ts";

/** The text in the row of such bytes. A program of a version without the column reads an invalid archive. */
export const noText = "{}";

/** The codec's text before and after the base64 of bytes. */
export const ahead = `{"$type":"bytes","value":"`;
export const behind = `"}`;

/** The bytes in the text of an entry; undefined for a text that is stored as it is. */
export function bytesIn(log: string, data: string): Uint8Array | undefined {
  if (log !== "archive" || !data.startsWith(ahead)) return undefined;
  const bytes = Buffer.from(data.slice(ahead.length, -behind.length), "base64");
  return encode(bytes) === data ? bytes : undefined;
}
