/** The text forms of device ids, device names and link codes. */
import { SessionError } from "../../errors.ts";
import { isPrintable } from "./ids.ts";

/** The ids that devices may have: UUIDs alone, or also other texts, as the ids that a channel gives its users. */
export type DeviceIds = "uuid" | "any";

const lengthMax = 256;

/**
 * The device id. A UUID of any version of RFC 9562 becomes lower case; the nil and the max UUID are refused, because many
 * clients would share them. With `any` it may also be another text of 1 to 256 characters without control characters and
 * without blanks at its ends; its case counts. The id opens a session, so no error shows it.
 * @throws SessionError `id_invalid`
 */
export function parseDeviceId(value: unknown, ids: DeviceIds): string {
  if (typeof value === "string" && isUuid(value)) return value.toLowerCase();
  if (ids === "any" && typeof value === "string" && isOther(value)) return value;
  const found =
    typeof value === "string" ? { length: value.length } : { value: value === null ? "null" : typeof value };
  const expected =
    ids === "any" ? ({ expected: "name", min: 1, max: lengthMax } as const) : ({ expected: "uuid" } as const);
  throw new SessionError("id_invalid", { name: "deviceId", ...found, ...expected });
}

/** True for an id that its device has made at random, so that no other client guesses it. */
export function isUuid(text: string): boolean {
  return uuid.test(text);
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;
const likeUuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

function isOther(text: string): boolean {
  return (
    text.length >= 1 && text.length <= lengthMax && isPrintable(text) && text.trim() === text && !likeUuid.test(text)
  );
}

/** Crockford's base 32: no letters that look like another letter or digit. */
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** The letters in each half of a link code: a handle that finds the code, and a secret that redeems it. */
export const codeHalf = 4;

/** The letters of a half of a link code, one for each byte. */
export function codeLetters(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, codeHalf), (byte) => alphabet.charAt(byte % 32)).join("");
}

/** The halves of a typed link code; null if it is not one. */
export function parseLinkCode(code: unknown): { readonly handle: string; readonly secret: string } | null {
  if (typeof code !== "string" || code.length > 40) return null;
  const letters = code.toUpperCase().replaceAll(/[\s-]/g, "").replaceAll("O", "0").replaceAll(/[IL]/g, "1");
  if (letters.length !== 2 * codeHalf || !Array.from(letters).every((letter) => alphabet.includes(letter))) return null;
  return { handle: letters.slice(0, codeHalf), secret: letters.slice(codeHalf) };
}

/** The device whose name the id of a guest's session begins with; undefined for other ids. */
export function guestDeviceOf(id: string): string | undefined {
  return /^device_[0-9a-f]{40}/.exec(id)?.[0];
}
