/** A thread, its session, and the messages that other frameworks have added to it. */
import { defined } from "../../domain/values/defined.ts";
import { encodeValue, type Session, type Sessions, type Turn } from "../../index.ts";
import { ProjectedTurns, type ForeignMessages } from "../projection/projected-turns.ts";
import type { MastraMessage, MastraThread } from "./package-mastra.ts";
import { documentKeyOf, entryKeyOf, scope, storedMessage, timeOfKey } from "./stored-message.ts";
import { messagesLog, tombstonesLog } from "./stored-thread.ts";
import { mastraMessagesOf } from "./turn-messages.ts";

/** The messages of Mastra as turns. */
export const turnsOfMastra: ProjectedTurns = new ProjectedTurns("mastra");

/** A thread and its session. */
export interface OpenThread {
  readonly session: Session;
  readonly thread: MastraThread;
  /** The last turn at the moment of `session.info`; undefined: it was not looked at, or there is none. */
  readonly last?: Turn;
  /** The messages that other frameworks have added, and that are not in the log, in the order of their keys. */
  foreign(): Promise<readonly ForeignEntry[]>;
}

/** A message that is not in the log, in the place where its entry would be. */
export interface ForeignEntry {
  readonly key: string;
  readonly message: MastraMessage;
}

/** Messages of a turn, and their places. */
export interface ForeignEntries {
  readonly from: ForeignMessages;
  readonly entries: readonly ForeignEntry[];
}

/** @param sessions those of the store */
export function openThread(
  { session, thread, last }: Pick<OpenThread, "session" | "thread"> & { readonly last?: Turn | undefined },
  sessions: Sessions,
): OpenThread {
  let found: Promise<readonly ForeignEntry[]> | undefined;
  const read = async (): Promise<readonly ForeignEntry[]> =>
    (await foreignIn({ session, thread }, sessions)).flatMap(({ entries }) => entries);
  return { session, thread, foreign: () => (found ??= read()), ...defined({ last }) };
}

/**
 * The messages of turns that are not in the log. They are behind all messages of the log, in the order of the turns. A message that is
 * too large for an entry is left out.
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
  const names = { sessionId: session.id, threadId: thread.id, resourceId: thread.resourceId };
  const all = foreign.map((from) => ({ from, shown: mastraMessagesOf(from, names) }));
  const known = await knownOf(all, session, sessions);
  return all.map(({ from, shown }) => {
    const messages = shown
      .filter(({ id }) => !known.has(id))
      .map((message) => ({ ...message, createdAt: new Date(Math.max(message.createdAt.getTime(), createdAt)) }))
      .filter((message) => Buffer.byteLength(encodeValue(storedMessage(message, thread))) <= entryBytesMax);
    createdAt = Math.max(createdAt, ...messages.map((message) => message.createdAt.getTime()));
    // Each message takes a document of the commit that adds it to the log.
    const entries = messages.slice(0, documentsMax).map((message) => ({ key: entryKeyOf(message, ++seq), message }));
    return { from, entries };
  });
}

/** The ids of messages that the log may have, where others have replaced turns, and has or had until they were deleted. */
async function knownOf(
  all: readonly { readonly from: ForeignMessages; readonly shown: readonly MastraMessage[] }[],
  session: Session,
  sessions: Sessions,
): Promise<ReadonlySet<string>> {
  const ids = all.flatMap(({ from, shown }) => (from.mayBeKnown ? shown.map(({ id }) => id) : []));
  const known = new Set<string>();
  const { documentsMax, readMax } = sessions.limits;
  const size = Math.min(documentsMax, readMax);
  for (let at = 0; at < ids.length; at += size) {
    const keys = new Map(ids.slice(at, at + size).map((id) => [documentKeyOf(id), id]));
    const documents = await sessions.documents(scope).getMany([...keys.keys()]);
    const deleted = new Set((await session.log(tombstonesLog).get([...keys.keys()])).map(({ key }) => key));
    for (const [key, id] of keys) if (documents.has(key) || deleted.has(key)) known.add(id);
  }
  return known;
}
