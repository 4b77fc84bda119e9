/** The values in a snapshot: checked to be what the codec writes. */
import { decode, encode } from "../../domain/values/codec.ts";
import { judged, type Refuse } from "./snapshot-fields.ts";
import { formatValue } from "../../domain/values/format-value.ts";

/** The depth that the codec allows a value. */
export const levelsMax = 512;

/** @throws what `refuse` throws */
export function guardBytes(
  text: string,
  path: string,
  { bytesMax, refuse }: { bytesMax: number; refuse: Refuse },
): void {
  // A UTF-16 unit is at most three bytes of UTF-8: short texts need no count.
  if (text.length * 3 <= bytesMax) return;
  const bytes = Buffer.byteLength(text);
  if (bytes > bytesMax) refuse(path, { length: bytes, expected: "bytes", max: bytesMax });
}

/** The value that this JSON encodes, and the codec's text of it. */
export function dataOf(
  data: unknown,
  path: string,
  refuse: Refuse,
): { readonly text: string; readonly value: unknown } {
  const text = textWithin(data, path, refuse);
  if (!text.includes('$type"') && !mayBeDeep(text)) return { text, value: data };
  return judged(path, refuse, () => {
    const value = decode(text);
    return encode(value, path) === text
      ? { text, value }
      : refuse(path, { value: formatValue(data), expected: "tagged" });
  });
}

function textWithin(data: unknown, path: string, refuse: Refuse): string {
  try {
    return JSON.stringify(data);
  } catch (error) {
    // The value is too deep for JSON.stringify.
    return refuse(path, { expected: "depth", max: levelsMax }, error);
  }
}

/** True where the text has more brackets than a value may have levels. */
function mayBeDeep(text: string): boolean {
  // Every level closes what it opens. A search for the next one is many times faster than a look at each character.
  if (text.length <= 2 * levelsMax) return false;
  let opened = 0;
  for (const bracket of ["[", "{"]) {
    for (let at = text.indexOf(bracket); at >= 0 && opened <= levelsMax; at = text.indexOf(bracket, at + 1)) opened++;
  }
  return opened > levelsMax;
}
