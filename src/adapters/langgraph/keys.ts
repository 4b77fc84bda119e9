/** Keys of entries and documents, of parts that may be any text: `state|messages|00000003.k2f9x1`. */
import { createHash, randomBytes } from "node:crypto";

/** A longer part is its hash: all parts of a key together have at most 256 characters. */
const partLengthMax = 72;

/** The key of these parts. Different parts have different keys. */
export function keyOf(...parts: readonly string[]): string {
  return parts.map(escaped).join("|");
}

/** The text that the keys begin with whose first parts are these. */
export function prefixOf(...parts: readonly string[]): string {
  return `${keyOf(...parts)}|`;
}

/** Control characters, format characters and halves of surrogate pairs are no characters of keys. */
const special = /[|%~/]|\p{C}|\p{Zl}|\p{Zp}/gu;

function escaped(part: string): string {
  const text = part.replace(special, (character) =>
    Array.from(character, (one) => `%${(one.codePointAt(0) ?? 0).toString(16)}.`).join(""),
  );
  // No part that is short begins with the sign of a hash.
  return text.length <= partLengthMax
    ? text
    : `~${createHash("sha256").update(JSON.stringify(part)).digest("base64url")}`;
}

/** A short random name, of digits and lower case letters. */
export function freshName(): string {
  return randomBytes(5).readUIntBE(0, 5).toString(36).padStart(8, "0");
}

/** A number in a key: its order is that of the numbers. */
export function ordinal(number: number): string {
  return number.toString(36).padStart(6, "0");
}
