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

/** The references in the parts of messages. A text that only reads like one is none. */
export function referencesIn(messages: readonly Message[]): readonly ReferenceUrl[] {
  const found: ReferenceUrl[] = [];
  for (const { content } of messages)
    if (Array.isArray(content)) for (const part of content as readonly Value[]) collect(part, found);
  return found;
}

function collect(part: Value, found: ReferenceUrl[]): void {
  if (!isFields(part)) return;
  for (const [name, value] of Object.entries(part)) {
    if (name === "text") continue;
    if (typeof value !== "string") collect(value, found);
    else {
      const reference = readReferenceUrl(value);
      if (reference !== undefined) found.push(reference);
    }
  }
}

/** The hashes in the references that a text holds. */
export function hashesNamedIn(text: string): readonly string[] {
  if (!text.includes("attachment:")) return [];
  return [...text.matchAll(/attachment:[^"]{0,255};sha256,([0-9a-f]{64})/g)].map(([, hash = ""]) => hash);
}

/** The part with another text for each of its references; undefined where one of them has none. */
export function replacedReferences(
  part: Value,
  textFor: (reference: ReferenceUrl) => string | undefined,
): Value | undefined {
  if (!isFields(part)) return part;
  const fields: { [name: string]: Value } = {};
  for (const [name, value] of Object.entries(part)) {
    const reference = name !== "text" && typeof value === "string" ? readReferenceUrl(value) : undefined;
    const replaced =
      reference === undefined ? (isFields(value) ? replacedReferences(value, textFor) : value) : textFor(reference);
    if (replaced === undefined) return undefined;
    fields[name] = replaced;
  }
  return fields;
}
