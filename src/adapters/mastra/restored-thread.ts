/**
 * Threads whose session comes from a snapshot: the messages are in their log, and the documents that lead from ids to messages are not
 * in the store. The first write of Mastra to such a thread makes the documents.
 */
import { idFor, type LogEntry, type Session, type Sessions } from "../../index.ts";
import { groups } from "../projection/batches.ts";
import type { MastraMessage, MastraThread } from "./package-mastra.ts";
import { documentKeyOf, messageOf, scope } from "./stored-message.ts";
import { messagesLog } from "./stored-thread.ts";

/** The last entries, of which one has a message that was not deleted, or all may be deleted. */
const lastMax = 20;

/** A thread and its session. */
interface Restored {
  readonly session: Session;
  readonly thread: MastraThread;
}

/**
 * The newest message of the thread that stands; undefined where none of the last ones does.
 * @param newest the newest entry, where it is known
 */
export async function newestOf({ session, thread }: Restored, newest?: LogEntry): Promise<MastraMessage | undefined> {
  const known = newest && messageOf(newest, thread);
  if (known !== undefined || session.info.logs[messagesLog] === undefined) return known;
  const last = await Array.fromAsync(session.log(messagesLog).entries({ last: lastMax }));
  return last.toReversed().flatMap((entry) => messageOf(entry, thread) ?? [])[0];
}

/** True for a thread whose messages have no documents. */
export async function isRestored(open: Restored, sessions: Sessions): Promise<boolean> {
  const message = await newestOf(open);
  return message !== undefined && (await sessions.documents(scope).get(documentKeyOf(message.id))) === null;
}

/** The keys of the messages of a thread, by their ids, read from its log. */
export async function keysInLog({ session, thread }: Restored): Promise<ReadonlyMap<string, string>> {
  const keys = new Map<string, string>();
  for await (const entry of session.log(messagesLog).entries()) {
    const message = messageOf(entry, thread);
    if (message !== undefined && entry.key !== null) keys.set(message.id, entry.key);
  }
  return keys;
}

/** Makes the documents of a thread that have none. @throws SessionError `document_conflict` where another process is faster */
export async function restoreDocuments(open: Restored, sessions: Sessions): Promise<void> {
  const documents = sessions.documents(scope);
  const user = idFor(open.thread.resourceId);
  for (const group of groups([...(await keysInLog(open))], sessions.limits.documentsMax)) {
    const stored = await documents.getMany(group.map(([id]) => documentKeyOf(id)));
    const missing = group.filter(([id]) => !stored.has(documentKeyOf(id)));
    const writes = missing.map(([id, key]) => ({
      key: documentKeyOf(id),
      value: { thread: open.thread.id, key },
      user,
      if: "absent" as const,
    }));
    if (writes.length > 0) await documents.write(writes);
  }
}
