/**
 * References to attachments in messages. A reference is a URL in the place of a data URL, with the hash of the bytes in the place
 * of their base64: `attachment:image/png;sha256,HASH` for `data:image/png;base64,BASE64`.
 */
import { isFields } from "../turns/known-parts.ts";
import type { Message } from "../turns/turn.ts";
import type { Value } from "../values/codec.ts";
import { defined } from "../values/defined.ts";
import type { Attachment } from "./attachment.ts";

const form = /^attachment:(.{0,255});sha256,([0-9a-f]{64})$/;

/** What a reference says. */
export type ReferenceUrl = Pick<Attachment, "hash" | "type">;

/** The reference to an attachment. */
export function referenceUrl({ type, hash }: ReferenceUrl): string {
  return `attachment:${type};sha256,${hash}`;
}

/** The data URL in whose place the reference stands. */
export function dataUrlOf({ type }: Pick<ReferenceUrl, "type">, base64: string): string {
  return `data:${type};base64,${base64}`;
}

/** The reference that a text is; undefined for any other text. */
export function readReferenceUrl(text: string): ReferenceUrl | undefined {
  if (!text.startsWith("attachment:")) return undefined;
  const [, type, hash] = form.exec(text) ?? [];
  return type === undefined || hash === undefined ? undefined : { type, hash };
}

/** A part of a message that shows an attachment, in the form of chat completions. */
export function partOf({ type, hash, name }: Attachment): Value {
  const url = referenceUrl({ type, hash });
  if (type.startsWith("image/")) return { type: "image_url", image_url: { url } };
  return { type: "file", file: { ...defined({ filename: name }), file_data: url } };
}

/** True where a part of the messages may hold a reference. It makes nothing: every append asks. */
export function mayRefer(messages: readonly Message[]): boolean {
  for (const { content } of messages) if (typeof content === "object" && mayHold(content)) return true;
  return false;
}

function mayHold(value: Value | undefined): boolean {
  if (typeof value === "string") return value.startsWith("attachment:");
  if (Array.isArray(value)) return (value as readonly Value[]).some(mayHold);
  if (!isFields(value)) return false;
  for (const name in value) if (mayHold(value[name])) return true;
  return false;
}

/** Reads what a text of a message stands for; undefined for any other text. */
type ReadUrl<Found> = (text: string) => Found | undefined;

/** The references in the parts of messages. A text that only reads like one is none. */
export function referencesIn(messages: readonly Pick<Message, "content">[]): readonly ReferenceUrl[] {
  return urlsIn(messages, readReferenceUrl);
}

/** What `read` finds in the parts of messages, but for their texts. */
export function urlsIn<Found>(messages: readonly Pick<Message, "content">[], read: ReadUrl<Found>): readonly Found[] {
  const found: Found[] = [];
  for (const { content } of messages) if (typeof content === "object") collect(content, read, found);
  return found;
}

function collect<Found>(value: Value | undefined, read: ReadUrl<Found>, found: Found[]): void {
  if (Array.isArray(value)) for (const item of value as readonly Value[]) collect(item, read, found);
  if (!isFields(value)) return;
  for (const [name, field] of Object.entries(value)) {
    const url = typeof field === "string" && name !== "text" ? read(field) : undefined;
    if (url === undefined) collect(field, read, found);
    else found.push(url);
  }
}

/** The hashes in the references that a text holds. */
export function hashesNamedIn(text: string): readonly string[] {
  if (!text.includes("attachment:")) return [];
  return [...text.matchAll(/attachment:[^"]{0,255};sha256,([0-9a-f]{64})/g)].map(([, hash = ""]) => hash);
}

/** How the references of a part are replaced. */
interface Replacing<Found> {
  readonly read: ReadUrl<Found>;
  readonly textFor: (found: Found) => string | undefined;
  /** Takes the place of the item of a list with a reference that has no text. */
  readonly instead?: () => Value;
}

/** The part with another text for each of its references; undefined where one of them has none, and nothing takes its place. */
export function replacedUrls<Found>(part: Value, replacing: Replacing<Found>): Value | undefined {
  const { read, textFor, instead } = replacing;
  if (Array.isArray(part)) {
    const items = (part as readonly Value[]).map((item) => replacedUrls(item, replacing) ?? instead?.());
    return items.includes(undefined) ? undefined : (items as readonly Value[]);
  }
  if (!isFields(part)) return part;
  const fields: { [name: string]: Value } = {};
  for (const [name, value] of Object.entries(part)) {
    const url = name !== "text" && typeof value === "string" ? read(value) : undefined;
    const replaced = url === undefined ? replacedUrls(value, replacing) : textFor(url);
    if (replaced === undefined) return undefined;
    fields[name] = replaced;
  }
  return fields;
}
