/** The order of keys, by code point. Keys have no control characters. */

/** The first key of all. */
export const lowestKey = " ";
/** A text behind the last key. */
export const highestKey: string = "\u{10ffff}".repeat(129);

/** The first text by code point that does not begin with this prefix and is behind all that do. */
export function successorOf(prefix: string): string {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  while (points.at(-1) === 0x10ffff) points.pop();
  const last = points.pop();
  if (last === undefined) return highestKey;
  // Surrogates are no characters.
  return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1);
}
