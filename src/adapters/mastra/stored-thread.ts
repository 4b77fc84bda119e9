/** A thread as a session: its fields in the metadata, its messages in a log. */
import { idFor, type SessionInfo, type SessionWrite, type Value } from "../../index.ts";
import { defined } from "../../domain/values/defined.ts";
import { keyPart } from "../keys/composed-keys.ts";
import type { MastraThread } from "./package-mastra.ts";

/** The log of messages: those that were deleted are entries without a value. */
export const messagesLog = "mastra";
/** An entry for each deletion, so that what is left is counted. */
export const deletionsLog = "mastra-deleted";
/** The keys of the documents of messages that were deleted, or moved to another thread: the turns may still have them. */
export const tombstonesLog = "mastra-tombstones";
/** An entry that each change of the thread replaces. */
const threadLog = "mastra-thread";

/** The label of all threads, and that of the threads of a resource. */
const [threadLabel, resourceLabel] = ["mastra", "mastra-resource"] as const;

/** The fields of a thread, as the metadata of its session has them. The time of its last change is that of the session. */
interface StoredThread {
  readonly id: string;
  readonly resourceId: string;
  readonly title?: string;
  readonly createdAt: Date;
  readonly metadata?: { readonly [name: string]: Value };
}

/** The id of the session of a thread. */
export function sessionIdOf(threadId: string): string {
  return `mastra/${keyPart(threadId)}`;
}

/** The labels by which the threads of a resource are found; without one, all threads. */
export function threadLabels(resourceId?: string): Record<string, string> {
  return defined({
    [threadLabel]: "thread",
    [resourceLabel]: resourceId === undefined ? undefined : keyPart(resourceId),
  });
}

/** The thread of a session; undefined where there is none, and for a fork, which Mastra has no id for. */
export function threadOf({ id, metadata, lastActivityAt }: SessionInfo): MastraThread | undefined {
  const stored = metadata["mastra"] as unknown as StoredThread | undefined;
  if (stored === undefined || (id !== sessionIdOf(stored.id) && id !== idFor(stored.id))) return undefined;
  const { createdAt, metadata: own, ...others } = stored;
  return defined({ ...others, createdAt, updatedAt: lastActivityAt, metadata: own });
}

/**
 * The session of another framework as a thread of Mastra, whose id is that of the session. Its resource is the user of the session;
 * "" for a session without one, which belongs to no resource until Mastra saves its thread.
 */
export function foreignThreadOf({
  id,
  user,
  title,
  metadata,
  createdAt,
  lastActivityAt,
}: SessionInfo): MastraThread | undefined {
  if (metadata["mastra"] !== undefined) return undefined;
  return defined({ id, resourceId: user ?? "", title: title ?? undefined, createdAt, updatedAt: lastActivityAt });
}

/** The fields of the session that a thread is. */
export function fieldsOf({ id, resourceId, title, createdAt, metadata }: MastraThread): {
  readonly user: string;
  readonly title: string | null;
  readonly labels: Record<string, string>;
  readonly metadata: { readonly mastra: Value };
} {
  const stored = defined({ id, resourceId, title, createdAt: new Date(createdAt), metadata });
  return {
    user: idFor(resourceId),
    title: titleOf(title),
    labels: threadLabels(resourceId),
    metadata: { mastra: stored as Value },
  };
}

/** The write that makes these the fields of a thread. It is a change of a log, so that of two changes the later one sees the other. */
export function threadWrite(thread: MastraThread): Pick<SessionWrite, "set" | "logs"> {
  return {
    set: fieldsOf(thread),
    logs: { [threadLog]: { entries: [{ key: "thread", value: true, ifPresent: "replace" }] } },
  };
}

/** The title as a session may have it: a text for people, of one line. */
function titleOf(title: string | undefined): string | null {
  const text = title
    ?.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, " ")
    .slice(0, 256)
    .toWellFormed()
    .trim();
  return text === undefined || text === "" ? null : text;
}
