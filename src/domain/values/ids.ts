import { SessionError } from "../../errors.ts";
import { formatValue } from "./format-value.ts";

const idLengthMax = 256;

// C0 and C1 controls and lone surrogates: invisible in a terminal, and not every store keeps them.
// oxlint-disable-next-line no-control-regex -- control characters are exactly what is looked for
const unprintable = /[\u0000-\u001f\u007f-\u009f\ud800-\udfff]/u;

/** False for a text with control characters or halves of surrogate pairs. */
export function isPrintable(text: string): boolean {
  return !unprintable.test(text);
}

/**
 * The id, if it is valid: 1 to 256 characters without control characters and lone surrogates. Every other text is
 * allowed, such as `__proto__` and emoji.
 * @throws SessionError `id_invalid`
 */
export function parseId(value: unknown, name: string): string {
  const bounds = { expected: "name", min: 1, max: idLengthMax } as const;
  if (typeof value !== "string" || value === "" || (value.isWellFormed() && !isPrintable(value)))
    throw new SessionError("id_invalid", { name, value: formatValue(value), ...bounds });
  if (!value.isWellFormed())
    throw new SessionError("id_invalid", { name, value: formatValue(value), expected: "whole_characters" });
  if (value.length > idLengthMax) throw new SessionError("id_invalid", { name, length: value.length, ...bounds });
  return value;
}

// Format characters are invisible, and some change the direction of the text around them. Joiners and tags are allowed:
// Persian, Indic scripts and emoji need them.
const invisible = /(?![\u200c-\u200d\u{e0020}-\u{e007f}])[\p{Cf}\u2028\u2029]/u;

/**
 * A new id: as {@link parseId}, without invisible format characters, and neither `.` nor `..`, which every URL parser
 * removes. Stored ids are checked by {@link parseId} only.
 * @throws SessionError `id_invalid`
 */
export function parseNewId(value: unknown, name: string): string {
  const id = parseId(value, name);
  if (isDots(id)) throw new SessionError("id_invalid", { name, value: formatValue(id), expected: "no_dots" });
  if (!invisible.test(id)) return id;
  throw new SessionError("id_invalid", { name, value: formatValue(id), expected: "visible" });
}

/** True for `.` and `..`, which cannot be a segment of a URL's path. */
function isDots(id: string): boolean {
  return id === "." || id === "..";
}

/**
 * The name of a log: lower case letters, digits, `_` and `-`, at most 32, a letter first.
 * @throws SessionError `id_invalid`
 */
export function parseLogName(value: string): string {
  if (!/^[a-z][a-z0-9_-]{0,31}$/.test(value)) {
    throw new SessionError("id_invalid", { name: "log", value: formatValue(value), expected: "log_name" });
  }
  return value;
}

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/**
 * An id that sorts by its creation: 10 characters of time and 16 random ones, in Crockford's base 32 (the layout of a
 * ULID, in lower case). `random` needs 16 bytes.
 */
export function sortableId(now: number, random: Uint8Array): string {
  let time = "";
  for (let rest = now, index = 0; index < 10; index++, rest = Math.floor(rest / 32)) {
    time = alphabet.charAt(rest % 32) + time;
  }
  return time + Array.from(random.subarray(0, 16), (byte) => alphabet.charAt(byte % 32)).join("");
}

/** When an id of {@link sortableId} was made, epoch ms. */
export function timeOfId(id: string): number {
  let time = 0;
  for (const character of id.slice(0, 10)) time = time * 32 + alphabet.indexOf(character);
  return time;
}

/**
 * The id of a tool call, where every endpoint takes it: OpenAI takes at most 40 characters, Anthropic letters, digits, `_` and `-`.
 * Of any other the letters and digits of its beginning and a hash: equal ids stay equal, and different ones different.
 */
export function acceptedCallId(id: string): string {
  if (id === "" || /^[\w-]{1,40}$/.test(id)) return id;
  return `${id.slice(0, 31).replaceAll(/[^\w-]/g, "_")}_${hashOf(id)}`;
}

/** FNV-1a of 32 bits, in 8 hexadecimal digits. */
export function hashOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

/**
 * The signs that join parts, and characters that no key may have: controls, format characters, line and paragraph separators, private
 * ones, halves of surrogate pairs. The format characters are those of Unicode 17, by number: a stored key must not depend on the
 * Unicode version of a runtime.
 */
const specialInKeys =
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  /[|%~/\0-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ud800-\udfff\ue000-\uf8ff\ufeff\ufff9-\ufffb\u{110bd}\u{110cd}\u{13430}-\u{1343f}\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0001}\u{e0020}-\u{e007f}\u{f0000}-\u{ffffd}\u{100000}-\u{10fffd}]/gu;

/** A text with its special characters escaped: `a|b` is `a%7c.b`. */
export function escapedForKey(text: string): string {
  return text.replace(specialInKeys, (character) => `%${(character.codePointAt(0) ?? 0).toString(16)}.`);
}
