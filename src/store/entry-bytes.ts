/**
 * Entries of archives are bytes, which text takes a third more room for. The engines keep them as bytes, in a column of
 * their own; everybody else has them as the codec's text, which is what comes back, to the letter.
 */
import { encode } from "../domain/values/codec.ts";

/** What the text beside such bytes is: to a program of a time before there was the column, an archive that is no archive. */
export const noText = "{}";

/** What stands around the base64 of bytes in the codec's text of them. */
export const ahead = `{"$type":"bytes","value":"`;
export const behind = `"}`;

/** The bytes that a text of a log says; undefined for one that is to be kept as it is. */
export function bytesIn(log: string, data: string): Uint8Array | undefined {
  if (log !== "archive" || !data.startsWith(ahead)) return undefined;
  const bytes = Buffer.from(data.slice(ahead.length, -behind.length), "base64");
  return encode(bytes) === data ? bytes : undefined;
}
