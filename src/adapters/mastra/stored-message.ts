/** A message as an entry of the log of its thread, and as the document that leads from its id to the entry. */
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { defined } from "../../domain/values/defined.ts";
import { sameValue, type LogEntry, type Value } from "../../index.ts";
import { keyOf, ordinal, prefixOf } from "../keys/composed-keys.ts";
import type { MastraMessage, MastraThread } from "./package-mastra.ts";

/** The scope of all documents. */
export const scope = "mastra";

/** Where a message is, as its document has it. */
export interface Place {
  readonly thread: string;
  /** The key of its entry. */
  readonly key: string;
}

/** The last instant of a date, epoch ms; the first is as far before 1970. */
const dateMaxMs = 8_640_000_000_000_000;

/** The beginning of the keys of documents of messages. */
export const documentsPrefix: string = prefixOf("message");

/** The key of the document of a message. */
export function documentKeyOf(messageId: string): string {
  return keyOf("message", messageId);
}

/** The beginning of the keys of entries of this time: their order is that of the times. */
export function timeKey(ms: number): string {
  return (ms + dateMaxMs).toString(36).padStart(11, "0");
}

/** The time in the key of an entry, epoch ms. */
export function timeOfKey(key: string): number {
  return Number.parseInt(key.slice(0, 11), 36) - dateMaxMs;
}

/**
 * The key of the entry of a message: messages are in the order of their times, and those of one time in the order in which they came.
 * @param seq the number of the entry
 */
export function entryKeyOf(message: MastraMessage, seq: number): string {
  return `${timeKey(timeOf(message))}|${ordinal(seq)}`;
}

/** True for the key of an entry of a message of this time. */
export function isAt(key: string, message: MastraMessage): boolean {
  return key.startsWith(`${timeKey(timeOf(message))}|`);
}

/** @throws SessionError `argument_invalid` for a message without a time */
export function timeOf({ createdAt }: MastraMessage): number {
  const ms = new Date(createdAt).getTime();
  if (Number.isNaN(ms)) throw invalidArgument("createdAt", createdAt, { expected: "date" });
  return ms;
}

/** The message as it is stored. A resource that is that of the thread is left out: it changes with the thread's. */
export function storedMessage({ threadId: _, ...message }: MastraMessage, { resourceId }: MastraThread): Value {
  const own = message.resourceId === resourceId ? undefined : message.resourceId;
  return defined({
    ...message,
    resourceId: own,
    role: message.role || "user",
    createdAt: new Date(message.createdAt),
  }) as unknown as Value;
}

/** The message of an entry; undefined for one that was deleted. */
export function messageOf({ value }: LogEntry, thread: MastraThread): MastraMessage | undefined {
  if (value === null) return undefined;
  const stored = value as unknown as Omit<MastraMessage, "threadId">;
  const { resourceId = thread.resourceId, content } = stored;
  return { ...stored, threadId: thread.id, resourceId, content: contentOf(content) };
}

/** A text, as threads of earlier versions have it, in the second format. */
function contentOf(content: unknown): unknown {
  return typeof content === "string" ? { format: 2, content, parts: [{ type: "text", text: content }] } : content;
}

/** The content with changes: its fields are replaced one by one, and so are those of its metadata. */
export function changedContent(stored: unknown, change: unknown): unknown {
  if (!isFields(stored) || !isFields(change)) return change;
  const merged: Record<string, unknown> = { ...stored, ...change };
  const [before, after] = [stored["metadata"], change["metadata"]];
  return isFields(before) && isFields(after) ? { ...merged, metadata: { ...before, ...after } } : merged;
}

/** True where the metadata of a content, or of a thread, has all of these values. */
export function hasFields(metadata: unknown, wanted: Readonly<Record<string, unknown>>): boolean {
  if (!isFields(metadata)) return Object.keys(wanted).length === 0;
  return Object.entries(wanted).every(
    ([name, value]) => Object.hasOwn(metadata, name) && sameValue(metadata[name] as Value, value as Value),
  );
}

export function metadataOf({ content }: MastraMessage): unknown {
  return isFields(content) ? content["metadata"] : undefined;
}

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
