/** A thread, its session, and the messages that other frameworks have added to it. */
import { defined } from "../../domain/values/defined.ts";
import { encodeValue, type LogEntry, type Session, type Sessions, type Turn } from "../../index.ts";
import { batchesOf } from "../projection/batches.ts";
import { ProjectedTurns, type ForeignMessages } from "../projection/projected-turns.ts";
import type { MastraMessage, MastraThread } from "./package-mastra.ts";
import { entryKeyOf, storedMessage, timeOfKey } from "./stored-message.ts";
import { messagesLog } from "./stored-thread.ts";
import { unreadOf } from "./unread-messages.ts";

/** The messages of Mastra as turns. */
export const turnsOfMastra: ProjectedTurns = new ProjectedTurns("mastra");

/** A thread and its session. */
export interface OpenThread {
  readonly session: Session;
  readonly thread: MastraThread;
  /** The last turn at the moment of `session.info`; undefined: it was not looked at, or there is none. */
  readonly last?: Turn;
  /** The newest entry of its log at that moment; undefined: it was not looked at, or there is none. */
  readonly newest?: LogEntry;
  /** What other frameworks have added, and is not in the log, in the order of the keys. */
  foreign(): Promise<readonly ForeignEntry[]>;
}

/** A message that is not in the log as it is now, in the place where its entry is, or would be. */
export interface ForeignEntry {
  readonly key: string;
  readonly message: MastraMessage;
  /** True: the log has the message without results that its calls have since. */
  readonly isStored: boolean;
}

/** Messages of a turn, and their places. */
export interface ForeignEntries {
  readonly from: ForeignMessages;
  readonly entries: readonly ForeignEntry[];
}

/** @param sessions those of the store */
export function openThread(
  { session, thread, last, newest }: Omit<OpenThread, "foreign">,
  sessions: Sessions,
): OpenThread {
  let found: Promise<readonly ForeignEntry[]> | undefined;
  const read = async (): Promise<readonly ForeignEntry[]> =>
    (await foreignIn({ session, thread }, sessions))
      .flatMap(({ entries }) => entries)
      .toSorted((a, b) => (a.key < b.key ? -1 : 1));
  return { session, thread, foreign: () => (found ??= read()), ...defined({ last, newest }) };
}

/**
 * The messages of turns that are not in the log, behind all messages of the log, in the order of the turns; and those of the log whose calls
 * have results since. A message that is too large for an entry is left out.
 */
export async function foreignIn(
  { session, thread }: Pick<OpenThread, "session" | "thread">,
  sessions: Sessions,
): Promise<readonly ForeignEntries[]> {
  const foreign = await turnsOfMastra.foreign(session);
  if (foreign.length === 0) return [];
  const { entryBytesMax, documentsMax } = sessions.limits;
  const [newest] = await Array.fromAsync(session.log(messagesLog).between({}, { order: "descending", limit: 1 }));
  let createdAt = newest?.key == null ? 0 : timeOfKey(newest.key);
  let seq = session.info.logs[messagesLog]?.end ?? 0;
  const fits = (message: MastraMessage): boolean =>
    Buffer.byteLength(encodeValue(storedMessage(message, thread))) <= entryBytesMax;
  const all: ForeignEntries[] = [];
  for (const { from, shown, grown } of await unreadOf(foreign, { session, thread }, sessions)) {
    const entries = shown.flatMap(({ message, indexes }) => {
      createdAt = Math.max(message.createdAt.getTime(), createdAt);
      const later = { ...message, createdAt: new Date(createdAt) };
      const entry = { key: entryKeyOf(later, seq + 1), message: later, isStored: false };
      return fits(later) && ++seq > 0 ? [{ entry, first: indexes[0]! }] : [];
    });
    const kept = grown.filter(({ message }) => fits(message));
    // Each message takes a document of the commit that adds it to the log.
    const batches = batchesOf(entries, () => ({ count: 1, bytes: 0 }), {
      count: Math.max(1, documentsMax - kept.length),
      bytes: 0,
    });
    if (batches.length <= 1) {
      all.push({ from, entries: [...kept, ...entries.map(({ entry }) => entry)] });
      continue;
    }
    for (const [at, batch] of batches.entries()) {
      const added = batches[at + 1]?.[0]?.first ?? from.added;
      const own = batch.map(({ entry }) => entry);
      all.push({ from: { ...from, added }, entries: at === 0 ? [...kept, ...own] : own });
    }
  }
  return all;
}
