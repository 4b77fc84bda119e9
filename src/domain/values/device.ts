/** How devices and link codes are written. */
import { SessionError } from "../../errors.ts";

/**
 * The device's id in lower case: a UUID of any version as RFC 9562 lays it out. The nil and the max UUID are no ids: many
 * would share them. It opens a session, so no error shows it.
 * @throws SessionError `id_invalid`
 */
export function parseDeviceId(value: unknown): string {
  if (typeof value === "string" && uuid.test(value)) return value.toLowerCase();
  const found = typeof value === "string" ? { length: value.length } : { value: typeof value };
  throw new SessionError("id_invalid", { name: "deviceId", ...found, expected: "uuid" });
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** Crockford's base 32: no letter that is easily taken for another or for a digit. */
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** The letters of a link code: a handle that finds it, and a secret that redeems it. */
export const codeHalf = 4;

/** The first letters of these bytes, one each, as a link code has them. */
export function codeLetters(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, codeHalf), (byte) => alphabet.charAt(byte % 32)).join("");
}

/** The halves of a link code as somebody typed it; null for what is none. */
export function parseLinkCode(code: unknown): { readonly handle: string; readonly secret: string } | null {
  if (typeof code !== "string" || code.length > 40) return null;
  const letters = code.toUpperCase().replaceAll(/[\s-]/g, "").replaceAll("O", "0").replaceAll(/[IL]/g, "1");
  if (letters.length !== 2 * codeHalf || !Array.from(letters).every((letter) => alphabet.includes(letter))) return null;
  return { handle: letters.slice(0, codeHalf), secret: letters.slice(codeHalf) };
}
