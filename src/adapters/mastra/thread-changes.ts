/** Changes of threads: entries of their logs, documents of their messages, and their turns, in one commit. */
import { defined } from "../../domain/values/defined.ts";
import {
  encodeValue,
  idFor,
  SessionError,
  type LogEntryInput,
  type ScopedDocumentWrite,
  type Sessions,
  type SessionWrite,
} from "../../index.ts";
import { batchesOf, type BatchSize } from "../projection/batches.ts";
import {
  isFailureOfTurns,
  type ForeignMessages,
  type ProjectedItem,
  type ProjectedWrite,
} from "../projection/projected-turns.ts";
import { messagesIn } from "./message-pages.ts";
import { foreignIn, turnsOfMastra, type ForeignEntries, type OpenThread } from "./open-thread.ts";
import { documentKeyOf, scope, storedMessage, type Place } from "./stored-message.ts";
import { deletionsLog, messagesLog, tombstonesLog } from "./stored-thread.ts";
import { shownMessagesOf } from "./turn-messages.ts";

/** Messages of a thread without turns that become turns with its next message. */
const earlierMax = 100;

/** The changes of one thread that a write collects. */
export interface Changes {
  readonly open: OpenThread;
  readonly entries: LogEntryInput[];
  /** The messages in the turns. */
  readonly items: ProjectedItem[];
  /** The ids of messages that are deleted, or moved to another thread. */
  readonly gone: string[];
  additions: number;
  deletions: number;
}

export function changesOf(all: Map<string, Changes>, open: OpenThread): Changes {
  const changes = all.get(open.session.id) ?? { open, entries: [], items: [], gone: [], additions: 0, deletions: 0 };
  all.set(open.session.id, changes);
  return changes;
}

/** The number of the next new entry of a thread. */
export function nextSeq({ open, additions }: Changes): number {
  return (open.session.info.logs[messagesLog]?.end ?? 0) + additions + 1;
}

/** An entry without a message stays in the place of one that was deleted, or moved. */
export function remove(changes: Changes, key: string): void {
  changes.entries.push({ key, value: null, ifPresent: "replace" });
  changes.deletions++;
}

export function documentWrite(
  messageId: string,
  { thread, key }: Place,
  options: { readonly user: string; readonly if: number | "absent" },
): ScopedDocumentWrite {
  return { scope, key: documentKeyOf(messageId), value: { thread, key }, ...options };
}

/**
 * Writes changes of threads in one commit, each decided on the session as it was opened. Where the turns cannot be written, the
 * messages are stored without them.
 * @throws SessionError `conflict`, and as `Session.write`
 */
export async function writeChanges(
  sessions: Sessions,
  changes: readonly Changes[],
  documents: readonly ScopedDocumentWrite[],
): Promise<void> {
  const projected = await Promise.all(changes.map(turnsOf));
  try {
    await write(sessions, changes, { projected, documents });
  } catch (error) {
    if (!isFailureOfTurns(error) || projected.every(({ turns }) => turns === undefined)) throw error;
    await write(sessions, changes, { projected: [], documents });
  }
}

async function turnsOf({ open, items }: Changes): Promise<ProjectedWrite> {
  const { session, last } = open;
  return await turnsOfMastra.projected(session, [...(await earlierItems(open)), ...items], last);
}

/** The last messages of a thread that an earlier version of the adapter stored without turns. */
async function earlierItems(open: OpenThread): Promise<readonly ProjectedItem[]> {
  const { info } = open.session;
  if (info.turn > 0 || !turnsOfMastra.isNewTo(info) || info.logs[messagesLog] === undefined) return [];
  const items: ProjectedItem[] = [];
  for await (const message of messagesIn(open, {}, { order: "descending", enough: earlierMax })) {
    items.push({ id: message.id, messages: shownMessagesOf(message), kind: "new" });
    if (items.length === earlierMax) break;
  }
  return items.toReversed();
}

async function write(
  sessions: Sessions,
  changes: readonly Changes[],
  {
    projected,
    documents,
  }: { readonly projected: readonly ProjectedWrite[]; readonly documents: readonly ScopedDocumentWrite[] },
): Promise<void> {
  const writes = changes.map(({ open: { session }, entries, gone, deletions }, index) => {
    const removed = Array.from({ length: deletions }, () => ({ value: null }));
    const logs = {
      [messagesLog]: { entries },
      ...defined({
        [deletionsLog]: deletions > 0 ? { entries: removed } : undefined,
        [tombstonesLog]: gone.length > 0 ? { entries: gone.map(tombstone) } : undefined,
      }),
    };
    return { session, write: { logs, onto: session.info.version, ...projected[index] } satisfies SessionWrite };
  });
  const [first, ...others] = writes;
  if (first === undefined) return;
  const written =
    others.length === 0
      ? await first.session.write({ ...first.write, documents })
      : await sessions.write([
          { ...first.write, id: first.session.id, documents },
          ...others.map((one) => ({ ...one.write, id: one.session.id })),
        ]);
  if (written.status === "duplicate")
    throw new SessionError("conflict", { sessionId: first.session.id, log: messagesLog });
}

function tombstone(id: string): LogEntryInput {
  return { key: documentKeyOf(id), value: null, ifPresent: "replace" };
}

/**
 * Adds the messages that other frameworks have written to the log of a thread, so that later reads find them there. More than one write
 * may have are several commits.
 * @returns false where there are none
 * @throws SessionError `conflict`, and as `Session.write`
 */
export async function adopt({ session, thread }: OpenThread, sessions: Sessions): Promise<boolean> {
  const foreign = await foreignIn({ session, thread }, sessions);
  const { documentsMax: count, writeBytesMax: bytes } = sessions.limits;
  const known: ForeignMessages[] = [];
  for (const batch of batchesOf(foreign, sizeOf, { count, bytes })) {
    known.push(...batch.map(({ from }) => from));
    const added = batch.flatMap(({ entries }) => entries);
    await session.write({
      ...turnsOfMastra.adopted(session, known, known.length === foreign.length),
      logs: {
        [messagesLog]: {
          entries: added.map(({ key, message, isStored }) => ({
            key,
            value: storedMessage(message, thread),
            ...defined({ ifPresent: isStored ? ("replace" as const) : undefined }),
          })),
        },
      },
      documents: added
        .filter(({ isStored }) => !isStored)
        .map(({ key, message }) =>
          documentWrite(message.id, { thread: thread.id, key }, { user: idFor(thread.resourceId), if: "absent" }),
        ),
      onto: session.info.version,
    });
  }
  return foreign.length > 0;
}

function sizeOf({ entries }: ForeignEntries): BatchSize {
  const bytes = entries.reduce((sum, { message }) => sum + Buffer.byteLength(encodeValue(message)), 0);
  return { count: entries.length, bytes };
}
