/** A thread, its session, and the messages that other frameworks have added to it. */
import { defined } from "../../domain/values/defined.ts";
import { encodeValue, type Limits, type Session, type Turn } from "../../index.ts";
import { ProjectedTurns, type ForeignMessages } from "../projection/projected-turns.ts";
import type { MastraMessage, MastraThread } from "./package-mastra.ts";
import { entryKeyOf, storedMessage, timeOfKey } from "./stored-message.ts";
import { messagesLog } from "./stored-thread.ts";
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

/** @param limits those of the store */
export function openThread(
  { session, thread, last }: Pick<OpenThread, "session" | "thread"> & { readonly last?: Turn | undefined },
  limits: Limits,
): OpenThread {
  let found: Promise<readonly ForeignEntry[]> | undefined;
  const read = async (): Promise<readonly ForeignEntry[]> =>
    (await foreignIn({ session, thread }, limits)).flatMap(({ entries }) => entries);
  return { session, thread, foreign: () => (found ??= read()), ...defined({ last }) };
}

/**
 * The messages of turns that are not in the log. They are behind all messages of the log, in the order of the turns. A message that is
 * too large for an entry is left out.
 */
export async function foreignIn(
  { session, thread }: Pick<OpenThread, "session" | "thread">,
  { entryBytesMax, documentsMax }: Limits,
): Promise<readonly ForeignEntries[]> {
  const foreign = await turnsOfMastra.foreign(session);
  if (foreign.length === 0) return [];
  const [newest] = await Array.fromAsync(session.log(messagesLog).between({}, { order: "descending", limit: 1 }));
  let createdAt = newest?.key == null ? 0 : timeOfKey(newest.key);
  let seq = session.info.logs[messagesLog]?.end ?? 0;
  const names = { sessionId: session.id, threadId: thread.id, resourceId: thread.resourceId };
  return foreign.map((from) => {
    const messages = mastraMessagesOf(from, { ...names, createdAt }).filter(
      (message) => Buffer.byteLength(encodeValue(storedMessage(message, thread))) <= entryBytesMax,
    );
    createdAt = Math.max(createdAt, ...messages.map((message) => message.createdAt.getTime()));
    // Each message takes a document of the commit that adds it to the log.
    const entries = messages.slice(0, documentsMax).map((message) => ({ key: entryKeyOf(message, ++seq), message }));
    return { from, entries };
  });
}
