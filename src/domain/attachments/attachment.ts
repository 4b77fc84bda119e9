/**
 * Attachments: bytes of any size beside the messages of sessions. A tenant has each content once, under the hash of its bytes.
 * A session has a reference to each of its attachments, and opens no other one. Both are records in internal scopes:
 *
 * - *content*: its id is the hash, its log `bytes` has the bytes in pieces. Where the bytes are an object of an attachment store,
 *   the log has no entries, and the content names the object in the place of a user. Exit: removed with its last reference.
 * - *reference*: it names the session, the content, its type and its name. Exits: removed with its session; or by the sweep, a
 *   while after it was put or used, where the session is gone or no entry of the session names the content.
 *
 * A third record, the *count*, is changed by every commit with a new reference of its session: of two such commits at once the second
 * one meets a conflict, and counts the references again. Exit: it expires a day after the last of them.
 */
import { SessionError } from "../../errors.ts";
import { formatValue } from "../values/format-value.ts";
import { isPrintable } from "../values/ids.ts";
import { internalScope } from "../values/internal-scope.ts";
import { invalidArgument, invalidText } from "../values/invalid-argument.ts";

/** An attachment of a session. */
export interface Attachment {
  /** The SHA-256 of its bytes, 64 hexadecimal digits. It names the attachment within its session. */
  readonly hash: string;
  /** The media type, such as `image/png`. */
  readonly type: string;
  /** The number of bytes. */
  readonly length: number;
  /** The name of the file; absent without one. */
  readonly name?: string;
}

/** A reference lasts this long after it was put or used, also where no entry of the session names it: a turn may be in an outbox. */
export const graceMs: number = 7 * 86_400_000;
/** The longest time between two visits of the sweep. */
const visitMaxMs = 30 * 86_400_000;

/** The log with the bytes of a content, and the bytes of each of its entries but the last. */
export const bytesLog = "bytes";
export const pieceBytes: number = 192 * 1024;

/** The log with the attachments in a snapshot. No store has it, and no caller can give a log such a name. */
export const attachmentsLog = "#attachments";

const contents = "contents";
const references = "attachments";
const counts = "attachment-counts";
const objects = "objects";

/** The scopes of a tenant's contents and of the references to them. */
export function attachmentScopes(tenant: string): { readonly contents: string; readonly references: string } {
  return { contents: internalScope(tenant, contents), references: internalScope(tenant, references) };
}

/** The scope of the records by which commits with new references of one session meet. */
export function countScope(tenant: string): string {
  return internalScope(tenant, counts);
}

/** The scope of the objects of a tenant that are being written, or are to be deleted. */
export function objectScope(tenant: string): string {
  return internalScope(tenant, objects);
}

/** True for the scope of such objects. */
export function isObjectScope(scope: string): boolean {
  return scope.endsWith(internalScope("", objects));
}

/** The scope of the record that names the marker of the attachment store. */
export const markerScope: string = internalScope("", "attachment-store");

/** The number of pieces of so many bytes. */
export function piecesOf(length: number): number {
  return Math.ceil(length / pieceBytes);
}

/** True for the scope of a tenant's contents. */
export function isContentScope(scope: string): boolean {
  return scope.endsWith(internalScope("", contents));
}

/** True for the scope of a tenant's references. */
export function isReferenceScope(scope: string): boolean {
  return scope.endsWith(internalScope("", references));
}

/** When the sweep visits a record of this age next: a young one soon, an old one once in thirty days. */
export function nextVisit(createdAt: number, now: number): number {
  return now + Math.min(visitMaxMs, Math.max(graceMs, now - createdAt));
}

/** The hash, if it is one: 64 lower case hexadecimal digits. @throws SessionError `argument_invalid` */
export function parseHash(hash: unknown): string {
  if (typeof hash === "string" && isHash(hash)) return hash;
  throw invalidArgument("hash", hash, { expected: "sha256" });
}

export function isHash(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

const typeLengthMax = 255;
/** A type and a subtype of RFC 6838, with parameters. */
const typeForm = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:;[\x20-\x7e]*)?$/;

/** @throws SessionError `argument_invalid` for a text that is no media type, or longer than 255 characters */
export function parseMediaType(type: unknown): string {
  if (typeof type === "string" && type.length <= typeLengthMax && typeForm.test(type)) return type;
  throw invalidArgument("type", type, { expected: "media_type" });
}

const nameLengthMax = 255;

/** @throws SessionError `argument_invalid` for a name that is empty, too long, or has control characters */
export function parseFileName(name: unknown): string {
  if (typeof name !== "string" || name === "" || name.length > nameLengthMax)
    throw invalidText("name", name, { min: 1, max: nameLengthMax });
  if (isPrintable(name)) return name;
  throw new SessionError("argument_invalid", { name: "name", value: formatValue(name), expected: "printable" });
}
