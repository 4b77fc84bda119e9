/** Keys of entries and documents, of parts that may be any text: `state|messages|00000003.k2f9x1`. */
import { escapedForKey } from "../../domain/values/ids.ts";
import { invalidText } from "../../domain/values/invalid-argument.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** The most characters of a key. */
export const keyLengthMax = 256;
/** A longer part is its hash, so that three of them fit into a key. */
const partLengthMax = 72;

/** The key of these parts. Different parts have different keys. */
export function keyOf(...parts: readonly string[]): string {
  return parts.map(keyPart).join("|");
}

/** The text that the keys begin with whose first parts are these. */
export function prefixOf(...parts: readonly string[]): string {
  return `${keyOf(...parts)}|`;
}

/**
 * A text as part of a key: itself, with its special characters escaped, or a hash where it is long.
 * @throws SessionError `argument_invalid` for another value than a text
 */
export function keyPart(part: string): string {
  // Programs without types pass what they have.
  if (typeof part !== "string") throw invalidText("id", part, { min: 0 });
  const text = escapedForKey(part);
  // No part that is short begins with the sign of a hash.
  return text.length <= partLengthMax
    ? text
    : `~${nodeCrypto().createHash("sha256").update(JSON.stringify(part)).digest("base64url")}`;
}

/** A short random name, of digits and lower case letters. */
export function freshName(): string {
  return nodeCrypto().randomBytes(5).readUIntBE(0, 5).toString(36).padStart(8, "0");
}

/** A number in a key: its order is that of the numbers. */
export function ordinal(number: number): string {
  return number.toString(36).padStart(6, "0");
}
