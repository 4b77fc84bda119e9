/** Which messages of others a thread does not have yet. */
import type { Session, Sessions } from "../../index.ts";
import { groups } from "../projection/batches.ts";
import type { ForeignMessages } from "../projection/projected-turns.ts";
import {
  hasCallsOf,
  knownEarlierIn,
  shownMessagesIn,
  withResults,
  type ShownMessage,
  type ThreadNames,
} from "./foreign-messages.ts";
import type { MastraMessage, MastraThread } from "./package-mastra.ts";
import { isRestored, keysInLog } from "./restored-thread.ts";
import { documentKeyOf, messageOf, scope, type Place } from "./stored-message.ts";
import { messagesLog, tombstonesLog } from "./stored-thread.ts";

/** What the thread does not have of the messages of others in a turn. */
export interface Unread {
  readonly from: ForeignMessages;
  readonly shown: readonly ShownMessage[];
  /** Messages of the log, with the results that their calls have since. */
  readonly grown: readonly { readonly key: string; readonly message: MastraMessage; readonly isStored: true }[];
}

/** Where messages with these ids are; null for those that were deleted, or moved to another thread. */
type Finder = (ids: readonly string[]) => Promise<ReadonlyMap<string, Place | null>>;

export async function unreadOf(
  foreign: readonly ForeignMessages[],
  { session, thread }: { readonly session: Session; readonly thread: MastraThread },
  sessions: Sessions,
): Promise<readonly Unread[]> {
  const names: ThreadNames = { sessionId: session.id, threadId: thread.id, resourceId: thread.resourceId };
  const find = finder({ session, thread }, sessions);
  const read = foreign.map((from) => {
    const all = shownMessagesIn(from, names);
    return { from, all, asked: all.filter(({ indexes }) => from.mayBeKnown || isBegun(from, indexes)) };
  });
  const ids = read.flatMap(({ all, asked }) => [
    ...asked.map(({ message }) => message.id),
    ...all.flatMap(({ answers }) => answers ?? []),
  ]);
  const found = await find([...new Set(ids)]);
  const growing = new GrowingMessages(session, thread);
  const unread: (Omit<Unread, "grown"> & { readonly keys: readonly string[] })[] = [];
  for (const { from, all, asked } of read) {
    const isRead = ({ indexes: [first = 0], message }: ShownMessage): boolean =>
      found.has(message.id) ||
      (!from.mayBeKnown && first < from.known && !asked.some((one) => one.message === message));
    const open: ShownMessage[] = [];
    const before = growing.keys.length;
    for (const shown of all) {
      const { answers, message, indexes } = shown;
      const isOpen = !isRead(shown);
      const isGrowing = answers === undefined ? asked.includes(shown) && indexes.length > 1 : isOpen;
      const place = isGrowing ? found.get(answers ?? message.id) : undefined;
      const isTaken = place != null && place.thread === thread.id && (await growing.take(place.key, message));
      if (isOpen && !(isTaken && answers !== undefined)) open.push(shown);
    }
    const keys = growing.keys.slice(before);
    unread.push({ from, keys, shown: await unknownOf(from, open, { find, names }) });
  }
  return unread.map(({ keys, ...one }) => ({
    ...one,
    grown: keys.map((key) => ({ key, message: growing.messageAt(key), isStored: true })),
  }));
}

/** True where the thread has the first of these messages, and not all of them. */
function isBegun({ known }: ForeignMessages, indexes: readonly number[]): boolean {
  return indexes[0]! < known && indexes.at(-1)! >= known;
}

/** Those of the open messages that the thread has under no id of an earlier build. */
async function unknownOf(
  from: ForeignMessages,
  open: readonly ShownMessage[],
  { find, names }: { readonly find: Finder; readonly names: ThreadNames },
): Promise<readonly ShownMessage[]> {
  let isKnown = (index: number): boolean => index < from.known;
  if (from.mayBeKnown && open.length > 0) isKnown = await knownEarlierIn(from, names.sessionId, find);
  const indexes = [...new Set(open.flatMap((shown) => shown.indexes))].toSorted((a, b) => a - b);
  const rest = indexes.filter((index) => !isKnown(index));
  if (rest.length === indexes.length) return open;
  // Results of calls that an earlier build has stored are messages by themselves.
  const alone = shownMessagesIn(from, names, rest);
  const found = await find(alone.map(({ message }) => message.id));
  return alone.filter(({ message }) => !found.has(message.id));
}

/** Messages of the log, with the results that their calls have since. */
class GrowingMessages {
  readonly #session: Session;
  readonly #thread: MastraThread;
  readonly #messages = new Map<string, MastraMessage | undefined>();
  readonly #grown = new Set<string>();

  constructor(session: Session, thread: MastraThread) {
    this.#session = session;
    this.#thread = thread;
  }

  /** The keys of the messages that have grown, in that order. */
  get keys(): readonly string[] {
    return [...this.#grown];
  }

  messageAt(key: string): MastraMessage {
    return this.#messages.get(key)!;
  }

  /** Adds the results of a message to the stored one with the same calls. False where there is none. */
  async take(key: string, message: MastraMessage): Promise<boolean> {
    if (!this.#messages.has(key)) {
      const [entry] = await this.#session.log(messagesLog).get([key]);
      this.#messages.set(key, entry && messageOf(entry, this.#thread));
    }
    const stored = this.#messages.get(key);
    if (stored === undefined || !hasCallsOf(stored, message)) return false;
    const whole = withResults(stored, message);
    if (whole === undefined) return true;
    this.#messages.set(key, whole);
    this.#grown.add(key);
    return true;
  }
}

function finder(open: { readonly session: Session; readonly thread: MastraThread }, sessions: Sessions): Finder {
  const { session, thread } = open;
  const { documentsMax, readMax } = sessions.limits;
  const size = Math.min(documentsMax, readMax);
  let inLog: Promise<ReadonlyMap<string, string>> | undefined;
  const readLog = async (): Promise<ReadonlyMap<string, string>> =>
    (await isRestored(open, sessions)) ? await keysInLog(open) : new Map<string, string>();
  return async (ids) => {
    const found = new Map<string, Place | null>();
    if (ids.length === 0) return found;
    const restored = await (inLog ??= readLog());
    for (const group of groups(ids, size)) {
      const keys = new Map(group.map((id) => [documentKeyOf(id), id]));
      const documents = await sessions.documents(scope).getMany([...keys.keys()]);
      const deleted = new Set((await session.log(tombstonesLog).get([...keys.keys()])).map(({ key }) => key));
      for (const [key, id] of keys) {
        const document = documents.get(key);
        const logged = restored.get(id);
        if (document !== undefined) found.set(id, document.value as unknown as Place);
        else if (logged !== undefined) found.set(id, { thread: thread.id, key: logged });
        else if (deleted.has(key)) found.set(id, null);
      }
    }
    return found;
  };
}
