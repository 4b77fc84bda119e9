/** The memory of Mastra: threads as sessions, messages as entries of their logs, resources as documents. */
import { defined } from "../../domain/values/defined.ts";
import { invalidText, parseArray } from "../../domain/values/invalid-argument.ts";
import { guardObject } from "../../domain/values/option-names.ts";
import {
  encodeValue,
  hasCode,
  idFor,
  sameValue,
  SessionError,
  type Documents,
  type Lifetime,
  type LogEntry,
  type LogEntryInput,
  type ScopedDocumentWrite,
  type Session,
  type SessionInfo,
  type Sessions,
  type Turn,
} from "../../index.ts";
import { namedSession } from "../keys/named-session.ts";
import { batchesOf, groups } from "../projection/batches.ts";
import { boundsOf, inOrder, isDescending, isName, messagePage, messagesAround } from "./message-pages.ts";
import { openThread, type ForeignEntry, type OpenThread } from "./open-thread.ts";
import { OrphanedDocuments } from "./orphaned-documents.ts";
import type {
  MastraCopyRequest,
  MastraMessage,
  MastraMessagesRequest,
  MastraMessageUpdate,
  MastraPage,
  MastraResource,
  MastraThread,
  MastraThreadsRequest,
} from "./package-mastra.ts";
import { sessionIdIn } from "./foreign-messages.ts";
import { isRestored, newestOf, restoreDocuments } from "./restored-thread.ts";
import { getResource, saveResource, updateResource } from "./resources.ts";
import {
  changedContent,
  documentKeyOf,
  entryKeyOf,
  hasFields,
  isAt,
  messageOf,
  scope,
  storedMessage,
  type Place,
} from "./stored-message.ts";
import {
  fieldsOf,
  foreignThreadOf,
  messagesLog,
  sessionIdOf,
  threadLabels,
  threadOf,
  threadWrite,
} from "./stored-thread.ts";
import { adopt, changesOf, documentWrite, nextSeq, remove, writeChanges, type Changes } from "./thread-changes.ts";
import { shownMessagesOf } from "./turn-messages.ts";

/** Attempts of one write while other writers change the same threads. */
const attemptsMax = 100;

/** A message that is known by its document. */
interface Known extends Place {
  /** The version of the document. */
  readonly version: number;
}

/** A message of a thread, and the place of its entry, or of the one that it would have. */
interface ReadableMessage {
  readonly message: MastraMessage;
  readonly open: OpenThread;
  readonly place: Pick<Place, "key">;
}

/** The memory of Mastra, in the methods of its storage domain. Made by `perdureMemory`. */
export class MastraMemory {
  readonly #sessions: Sessions;
  readonly #documents: Documents;
  readonly #ttl: Lifetime | undefined;
  readonly #orphans: OrphanedDocuments;

  constructor(sessions: Sessions, ttl: Lifetime | undefined) {
    this.#sessions = sessions;
    this.#documents = sessions.documents(scope);
    this.#ttl = ttl;
    this.#orphans = new OrphanedDocuments(this.#documents);
  }

  /** Delete all threads, messages and resources. @throws SessionError `legal_hold` */
  async dangerouslyClearAll(): Promise<void> {
    for await (const { id } of this.#sessions.each({ labels: threadLabels() })) await this.#remove(id);
    for await (const { key } of this.#documents.each()) await this.#documents.delete(key);
  }

  /** The thread; null if there is none, or if it is that of another resource. */
  async getThreadById({
    threadId,
    resourceId,
  }: {
    threadId: string;
    resourceId?: string;
  }): Promise<MastraThread | null> {
    const thread = (await this.#open(threadId))?.thread;
    if (thread?.resourceId === "") return null;
    return thread === undefined || (resourceId !== undefined && thread.resourceId !== resourceId) ? null : thread;
  }

  /**
   * Put a thread in place of the stored one; its messages stay. The session of another framework with this id becomes a thread, unless
   * it has another user.
   * @throws SessionError `metadata_too_large`, `value_unstorable`
   */
  async saveThread({ thread }: { thread: MastraThread }): Promise<MastraThread> {
    const claimed = await this.#retried(() => this.#claim(thread));
    if (claimed !== undefined) return claimed;
    const fields = fieldsOf(thread);
    const options = { ...fields, ...defined({ ttl: this.#ttl }) };
    const session = await this.#sessions.ensure(sessionIdOf(thread.id), options);
    const isNew = sameValue(session.info.metadata["mastra"], fields.metadata.mastra);
    if (!isNew) await session.write(threadWrite(thread));
    else await this.#orphans.deleteSome(async (id) => (await this.#open(id)) !== undefined);
    return thread;
  }

  /** Makes the session of another framework a thread, which has its title. Undefined where there is none, or that of another user. */
  async #claim(thread: MastraThread): Promise<MastraThread | undefined> {
    const open = await this.#open(thread.id);
    if (open === undefined || open.session.id === sessionIdOf(thread.id)) return undefined;
    const { session } = open;
    const { user, title, version } = session.info;
    const isThread = threadOf(session.info) !== undefined;
    if (!isThread && user !== null && user !== idFor(thread.resourceId)) return undefined;
    const named = isThread || title === null ? thread : { ...thread, title };
    await session.write({ ...threadWrite(named), onto: version });
    return named;
  }

  /** Change the title, and fields of the metadata. @throws SessionError `session_not_found` and as `saveThread` */
  async updateThread({
    id,
    title,
    metadata,
  }: {
    id: string;
    title?: string;
    metadata?: Record<string, unknown>;
  }): Promise<MastraThread> {
    const changed = await this.#changeThread(id, (thread) => ({
      ...thread,
      ...merged(thread, defined({ title, metadata })),
    }));
    if (changed === undefined) throw new SessionError("session_not_found", { sessionId: sessionIdOf(id) });
    return changed;
  }

  /**
   * Change fields of the metadata by what they are. If another writer of any process was faster, `update` is called again. Null if there is
   * no such thread of the resource.
   */
  async updateThreadMetadata({
    id,
    resourceId,
    update,
  }: {
    id: string;
    resourceId?: string;
    update: (thread: MastraThread) => Record<string, unknown> | undefined;
  }): Promise<MastraThread | null> {
    const changed = await this.#changeThread(id, (thread) => {
      if (resourceId !== undefined && thread.resourceId !== resourceId) return undefined;
      const metadata = update(thread);
      return metadata === undefined ? thread : { ...thread, ...merged(thread, { metadata }) };
    });
    return changed ?? null;
  }

  /** Give a thread and all of its messages to another resource. @throws SessionError `session_not_found` */
  async updateThreadResourceId({
    threadId,
    resourceId,
  }: {
    threadId: string;
    resourceId: string;
  }): Promise<MastraThread> {
    return await this.#retried(async () => {
      const open = await this.#open(threadId);
      if (open === undefined || open.thread.resourceId === "")
        throw new SessionError("session_not_found", { sessionId: sessionIdOf(threadId) });
      const { session, thread } = open;
      if (thread.resourceId === resourceId) return thread;
      if (await isRestored(open, this.#sessions)) await restoreDocuments(open, this.#sessions);
      await adopt(open, this.#sessions);
      const { version } = session.info;
      const changed = { ...thread, resourceId };
      const { messages } = await messagePage([open], { perPage: false });
      const entries: LogEntryInput[] = [];
      // The documents are the resource's before the thread is: a call that is cut leaves the thread as it was, and may be repeated.
      for (const group of groups(messages, this.#sessions.limits.documentsMax)) {
        const places = await this.#places(group.map(({ id }) => id));
        const writes = [...places].map(([id, place]) =>
          documentWrite(id, place, { user: idFor(resourceId), if: place.version }),
        );
        await this.#documents.write(writes.map(({ scope: _, ...write }) => write));
        for (const message of group) {
          const key = places.get(message.id)?.key;
          if (message.resourceId === thread.resourceId || key === undefined) continue;
          entries.push({ key, value: storedMessage({ ...message, resourceId }, changed), ifPresent: "replace" });
        }
      }
      // The messages that had a resource of their own change with the thread.
      const write = threadWrite(changed);
      const logs = { ...write.logs, ...defined({ [messagesLog]: entries.length === 0 ? undefined : { entries } }) };
      await session.write({ ...write, logs, onto: version });
      return threadOf(session.info) ?? changed;
    });
  }

  /** Delete a thread with its messages. @throws SessionError `legal_hold`, `busy` */
  async deleteThread({ threadId }: { threadId: string }): Promise<void> {
    const open = await this.#open(threadId);
    if (open === undefined) return;
    const { messages } = await messagePage([open], { perPage: false });
    await this.#remove(open.session.id);
    for (const group of groups(messages, this.#sessions.limits.documentsMax))
      await this.#documents.write(group.map(({ id }) => ({ key: documentKeyOf(id), delete: true })));
  }

  /** One page of threads. @throws SessionError `argument_invalid` */
  async listThreads(request: MastraThreadsRequest): Promise<MastraPage & { threads: MastraThread[] }> {
    const { filter = {}, orderBy = {}, page = 0 } = request;
    const { offset, limit } = boundsOf(request, 100);
    const { resourceId, metadata = {} } = filter;
    const found: MastraThread[] = [];
    for await (const info of this.#sessions.each({
      labels: threadLabels(isName(resourceId) ? resourceId : undefined),
    })) {
      const thread = threadOf(info);
      if (thread !== undefined && hasFields(thread.metadata, metadata)) found.push(thread);
    }
    const by = orderBy.field === "updatedAt" ? "updatedAt" : "createdAt";
    const sign = orderBy.direction === "ASC" ? 1 : -1;
    found.sort((a, b) => sign * (a[by].getTime() - b[by].getTime()));
    const threads = found.slice(offset, offset + limit);
    const hasMore = offset + limit < found.length;
    return { threads, total: found.length, page, perPage: limit === Infinity ? false : limit, hasMore };
  }

  /** One page of the messages of threads, by their times, and messages of any thread beside it. @throws SessionError `argument_invalid` */
  async listMessages(
    request: MastraMessagesRequest & { readonly threadId: string | readonly string[] },
  ): Promise<MastraPage & { messages: MastraMessage[] }> {
    const ids = [request.threadId].flat();
    if (ids.length === 0 || ids.some((id) => typeof id !== "string" || id.trim() === ""))
      throw invalidText("threadId", "", { min: 1 });
    const threads = await Promise.all([...new Set(ids)].map((id) => this.#open(id)));
    return await this.#page(
      threads.filter((one) => one !== undefined),
      request,
    );
  }

  /** One page of the messages of all threads of a resource, as `listMessages`. @throws SessionError `argument_invalid` */
  async listMessagesByResourceId(
    request: MastraMessagesRequest & { readonly resourceId: string },
  ): Promise<MastraPage & { messages: MastraMessage[] }> {
    const threads: OpenThread[] = [];
    for await (const info of this.#sessions.each({ labels: threadLabels(request.resourceId) })) {
      const thread = threadOf(info);
      const open = thread && (await this.#open(thread.id));
      if (open !== undefined) threads.push(open);
    }
    return await this.#page(threads, request);
  }

  /** The messages with these ids, by their times; those that no thread has are left out. */
  async listMessagesById({ messageIds }: { messageIds: string[] }): Promise<{ messages: MastraMessage[] }> {
    const found = [...(await this.#readable(parseArray(messageIds, "messageIds"))).values()];
    // The keys are in the order of the times, and of one time in the order in which the messages came.
    found.sort((a, b) => (a.place.key < b.place.key ? -1 : 1));
    return { messages: found.map(({ message }) => message) };
  }

  /**
   * Store messages of threads, those with known ids in place of the stored ones. Messages up to the limits of one write are one commit.
   * @throws SessionError `session_not_found` for a thread that does not exist, `value_unstorable` with the path of the value,
   *   `write_too_large`, `contended`
   */
  async saveMessages({ messages }: { messages: MastraMessage[] }): Promise<{ messages: MastraMessage[] }> {
    for (const [index, message] of parseArray(messages, "messages").entries())
      guardObject(message, `messages[${index}]`);
    const last = [...new Map(messages.map((message) => [message.id, message])).values()];
    for (const group of this.#groupsToWrite(last)) await this.#retried(() => this.#save(group));
    return { messages };
  }

  /** Change messages: content and its metadata field by field. Those that are not stored are left out. @throws as `saveMessages` */
  async updateMessages({ messages }: { messages: MastraMessageUpdate[] }): Promise<MastraMessage[]> {
    const updated: MastraMessage[] = [];
    for (const [index, message] of parseArray(messages, "messages").entries())
      guardObject(message, `messages[${index}]`);
    for (const group of groups(messages, this.#sessions.limits.documentsMax))
      await this.#retried(async () => {
        const ids = group.map(({ id }) => id);
        await this.#adoptListed(ids);
        const stored = await this.#messages(ids);
        const changed = group.flatMap((change): readonly MastraMessage[] => {
          const before = stored.get(change.id)?.message;
          if (before === undefined) return [];
          const content =
            change.content === undefined ? before.content : changedContent(before.content, change.content);
          return [{ ...before, ...defined({ ...change }), content }];
        });
        // What it was decided on is guarded by the versions of the sessions that were read.
        await this.#save(changed, new Map([...stored.values()].map(({ open }) => [open.thread.id, open])));
        updated.push(...changed);
      });
    return updated;
  }

  /**
   * Delete messages, also those of other frameworks that were listed. Their turns keep those.
   * @throws SessionError `legal_hold`, `contended`, `session_not_found` for a message of a session that belongs to no resource
   */
  async deleteMessages(messageIds: string[]): Promise<void> {
    for (const ids of groups([...new Set(parseArray(messageIds, "messageIds"))], this.#sessions.limits.documentsMax))
      await this.#retried(async () => {
        await this.#adoptListed(ids);
        const stored = await this.#messages(ids);
        const changes = new Map<string, Changes>();
        for (const { open } of stored.values()) await adopt(open, this.#sessions);
        for (const [id, { open, place }] of stored) {
          const own = changesOf(changes, open);
          own.items.push({ id, messages: [], kind: "change" });
          own.gone.push(id);
          remove(own, place.key);
        }
        const documents = [...stored].map(([id, { place }]) => ({
          scope,
          key: documentKeyOf(id),
          delete: true as const,
          if: place.version,
        }));
        await writeChanges(this.#sessions, [...changes.values()], documents);
      });
  }

  /**
   * Copy a thread and its messages to a new thread. It is there once all of it is copied.
   * @throws SessionError `session_not_found`, `session_exists`
   */
  async copyThread(
    request: MastraCopyRequest,
  ): Promise<{ thread: MastraThread; messageIdMap: Record<string, string> }> {
    const { sourceThreadId, newThreadId, resourceId, title, metadata, options = {} } = request;
    const source = await this.#open(sourceThreadId);
    if (source === undefined) throw new SessionError("session_not_found", { sessionId: sessionIdOf(sourceThreadId) });
    const { startDate: start, endDate: end, messageIds = [] } = options.messageFilter ?? {};
    const filter = { dateRange: defined({ start, end }) };
    let { messages } = await messagePage([source], { perPage: false, filter });
    if (messageIds.length > 0) messages = messages.filter(({ id }) => messageIds.includes(id));
    if (options.messageLimit !== undefined && options.messageLimit > 0)
      messages = messages.slice(-options.messageLimit);

    const now = new Date();
    const lastMessageId = messages.at(-1)?.id;
    const thread: MastraThread = defined({
      id: newThreadId ?? crypto.randomUUID(),
      resourceId: isName(resourceId) ? resourceId : source.thread.resourceId,
      title: isName(title) ? title : source.thread.title && `Clone of ${source.thread.title}`,
      metadata: { ...metadata, clone: defined({ sourceThreadId, clonedAt: now, lastMessageId }) },
      createdAt: now,
      updatedAt: now,
    });
    const open = openThread({ session: await this.#emptySession(thread), thread }, this.#sessions);
    const messageIdMap = Object.fromEntries(messages.map(({ id }) => [id, crypto.randomUUID()]));
    const copies = messages.map((message) => ({
      ...message,
      id: messageIdMap[message.id] ?? "",
      threadId: thread.id,
      resourceId: isName(resourceId) ? resourceId : (message.resourceId ?? thread.resourceId),
    }));
    for (const group of this.#groupsToWrite(copies))
      await this.#retried(() => this.#save(group, new Map([[thread.id, open]])));
    await open.session.write(threadWrite(thread));
    return { thread, messageIdMap };
  }

  /** The resource, with the memory that its threads share; null if there is none. */
  async getResourceById({ resourceId }: { resourceId: string }): Promise<MastraResource | null> {
    return await getResource(this.#documents, resourceId);
  }

  /** Put a resource in place of the stored one. @throws SessionError `value_unstorable`, `document_too_large` */
  async saveResource({ resource }: { resource: MastraResource }): Promise<MastraResource> {
    return await saveResource(this.#documents, resource);
  }

  /** Change a resource, or make one: what is undefined stays. @throws SessionError as `saveResource`, `contended` */
  async updateResource(change: {
    resourceId: string;
    workingMemory?: string;
    metadata?: Record<string, unknown>;
  }): Promise<MastraResource> {
    return await updateResource(this.#documents, change);
  }

  async #page(
    threads: readonly OpenThread[],
    request: MastraMessagesRequest,
  ): Promise<MastraPage & { messages: MastraMessage[] }> {
    const page = await messagePage(threads, request);
    const { include = [], resourceId } = request;
    if (include.length === 0) return page;
    const messages = new Map(page.messages.map((message) => [message.id, message]));
    const targets = await this.#readable(include.map(({ id }) => id));
    for (const { id, withPreviousMessages: before = 0, withNextMessages: after = 0 } of include) {
      const target = targets.get(id);
      if (target === undefined || (isName(resourceId) && target.message.resourceId !== resourceId)) continue;
      const around = await messagesAround(target.open, target.place.key, { before, after, ...defined({ resourceId }) });
      for (const message of around) if (!messages.has(message.id)) messages.set(message.id, message);
    }
    const all = inOrder([...messages.values()], isDescending(request));
    const asked = new Set(threads.map(({ thread }) => thread.id));
    const given = all.filter(({ threadId }) => asked.has(threadId ?? "")).length;
    return { ...page, messages: all, hasMore: page.hasMore && given < page.total };
  }

  /**
   * The thread with its session, which is looked at anew: a session of Mastra, else that of another framework with this id.
   * @param isWritten true: with the last turn and the newest entry
   */
  async #open(threadId: string, isWritten = false): Promise<OpenThread | undefined> {
    const threadIn = (info: SessionInfo): MastraThread | undefined =>
      threadOf(info) ?? (info.id === sessionIdOf(threadId) ? undefined : foreignThreadOf(info));
    const names = {
      name: threadId,
      own: sessionIdOf(threadId),
      // The resource of the thread is compared where a thread is asked for.
      mayHave: (info: SessionInfo) => threadIn(info)?.id === threadId,
    };
    const found = await namedSession(names, (id) => this.#session(id, isWritten));
    const thread = found && threadIn(found.session.info);
    return thread && openThread({ ...found, thread }, this.#sessions);
  }

  async #session(id: string, isWritten: boolean): Promise<Pick<OpenThread, "session" | "last" | "newest"> | undefined> {
    try {
      if (!isWritten) return { session: await this.#sessions.get(id) };
      const tails = [
        { log: "turns", last: 1 },
        { log: messagesLog, last: 1 },
      ];
      const { session, look } = await this.#sessions.look(id, tails);
      const [[turn], [newest]] = look.tails as [readonly LogEntry[], readonly LogEntry[]];
      return defined({ session, last: turn?.value as unknown as Turn | undefined, newest });
    } catch (error) {
      if (hasCode(error, "session_not_found")) return undefined;
      // The last turn cannot be read: the messages are stored without it.
      if (isWritten && hasCode(error, "store_invalid")) return await this.#session(id, false);
      throw error;
    }
  }

  /** The session of a thread that is copied: a copy that was cut is begun anew. @throws SessionError `session_exists` */
  async #emptySession({ id, resourceId }: MastraThread): Promise<Session> {
    const options = defined({ user: idFor(resourceId), ttl: this.#ttl });
    const session = await this.#sessions.ensure(sessionIdOf(id), options);
    if (threadOf(session.info) !== undefined) throw new SessionError("session_exists", { sessionId: session.id });
    if (session.info.logs[messagesLog] === undefined) return session;
    await this.#remove(session.id);
    return await this.#sessions.ensure(session.id, options);
  }

  /** The thread after a change; undefined if there is none, or if `change` returns undefined. The same thread is not written. */
  async #changeThread(
    id: string,
    change: (thread: MastraThread) => MastraThread | undefined,
  ): Promise<MastraThread | undefined> {
    return await this.#retried(async () => {
      const open = await this.#open(id);
      if (open?.thread.resourceId === "") return undefined;
      const changed = open && change(open.thread);
      if (changed === undefined || changed === open?.thread) return changed;
      const { session } = open!;
      await session.write({ ...threadWrite(changed), onto: session.info.version });
      return threadOf(session.info);
    });
  }

  /**
   * Adds those of these messages to their threads that others have written, and that Mastra has listed and not stored.
   * @throws SessionError `session_not_found` for a session that belongs to no resource
   */
  async #adoptListed(ids: readonly string[]): Promise<void> {
    for (const { open } of await this.#listed(ids)) {
      if (open.thread.resourceId === "") throw new SessionError("session_not_found", { sessionId: open.session.id });
      await adopt(open, this.#sessions);
    }
  }

  /** Those of these messages that others have written, and that Mastra lists and has not stored, by their threads. */
  async #listed(
    ids: readonly string[],
  ): Promise<readonly { readonly open: OpenThread; readonly entries: readonly ForeignEntry[] }[]> {
    const shown = ids.filter((id) => sessionIdIn(id) !== undefined);
    const places = shown.length === 0 ? new Map<string, Known>() : await this.#places(shown);
    const wanted = new Set(shown.filter((id) => !places.has(id)));
    const listed: { open: OpenThread; entries: readonly ForeignEntry[] }[] = [];
    for (const sessionId of new Set([...wanted].map((id) => sessionIdIn(id)!))) {
      const found = idFor(sessionId) === sessionId ? await this.#session(sessionId, false) : undefined;
      const info = found?.session.info;
      const thread = info && (threadOf(info) ?? foreignThreadOf(info));
      const open = thread && (await this.#open(thread.id));
      if (open === undefined || open.session.id !== sessionId) continue;
      const entries = (await open.foreign()).filter(({ message }) => wanted.has(message.id));
      if (entries.length > 0) listed.push({ open, entries });
    }
    return listed;
  }

  /** The messages with these ids, stored or not, and where they are in their threads. */
  async #readable(ids: readonly string[]): Promise<ReadonlyMap<string, ReadableMessage>> {
    const found = new Map<string, ReadableMessage>(await this.#messages(ids));
    for (const { open, entries } of await this.#listed(ids))
      for (const { key, message } of entries) found.set(message.id, { message, open, place: { key } });
    return found;
  }

  /** The stored messages with these ids, and where they are. */
  async #messages(
    ids: readonly string[],
  ): Promise<
    ReadonlyMap<string, { readonly message: MastraMessage; readonly open: OpenThread; readonly place: Known }>
  > {
    const before = await this.#places(ids);
    const threads = new Map<string, OpenThread>();
    for (const id of new Set([...before.values()].map(({ thread }) => thread))) {
      const open = await this.#open(id);
      if (open !== undefined) threads.set(id, open);
    }
    // Once more, behind the look at their sessions: a message that moves later is a conflict of a write.
    const found = new Map<string, { message: MastraMessage; open: OpenThread; place: Known }>();
    for (const [id, place] of await this.#places([...before.keys()])) {
      const open = threads.get(place.thread);
      const [entry] = open === undefined ? [] : await open.session.log(messagesLog).get([place.key]);
      const message = entry && open && messageOf(entry, open.thread);
      if (message !== undefined && open !== undefined) found.set(id, { message, open, place });
    }
    return found;
  }

  /** Where messages are, by their ids. */
  async #places(ids: readonly string[]): Promise<ReadonlyMap<string, Known>> {
    const found = new Map<string, Known>();
    for (const group of groups([...new Set(ids)], this.#sessions.limits.documentsMax)) {
      const documents = await this.#documents.getMany(group.map(documentKeyOf));
      for (const id of group) {
        const document = documents.get(documentKeyOf(id));
        if (document !== undefined)
          found.set(id, { ...(document.value as unknown as Place), version: document.version });
      }
    }
    return found;
  }

  /** Stores messages in one commit. @param known threads that are open already, and are not looked at again */
  async #save(messages: readonly MastraMessage[], known: ReadonlyMap<string, OpenThread> = new Map()): Promise<void> {
    const threads = new Map<string, OpenThread>(known);
    const openOf = async (id: string): Promise<OpenThread | undefined> => {
      const open = threads.get(id) ?? (await this.#open(id, true));
      if (open !== undefined) threads.set(id, open);
      return open;
    };
    for (const { threadId = "", resourceId } of messages) {
      const open = await openOf(threadId);
      const isForeign = open !== undefined && threadOf(open.session.info) === undefined;
      const isOthers = isForeign && isName(resourceId) && resourceId !== open.thread.resourceId;
      if (open === undefined || open.thread.resourceId === "" || isOthers)
        throw new SessionError("session_not_found", { sessionId: sessionIdOf(threadId) });
    }
    const places = await this.#placesToWrite(
      messages.map(({ id }) => id),
      [...threads.values()],
    );
    const changes = new Map<string, Changes>();
    const documents: ScopedDocumentWrite[] = [];
    for (const message of inOrder(messages, false)) {
      const { id, threadId = "" } = message;
      const own = changesOf(changes, threads.get(threadId)!);
      const before = places.get(id);
      const isNew = before?.thread !== threadId;
      const stays = !isNew && isAt(before.key, message);
      const value = storedMessage(message, own.open.thread);
      own.items.push({ id, messages: shownMessagesOf(message), kind: isNew ? "new" : "change" });
      if (stays) {
        own.entries.push({ key: before.key, value, ifPresent: "replace" });
        continue;
      }
      const key = entryKeyOf(message, nextSeq(own));
      own.entries.push({ key, value });
      own.additions++;
      const user = idFor(own.open.thread.resourceId);
      documents.push(documentWrite(id, { thread: threadId, key }, { user, if: before?.version ?? "absent" }));
      const old = before && (await openOf(before.thread));
      if (old === undefined || before === undefined) continue;
      const earlier = changesOf(changes, old);
      if (isNew) {
        earlier.items.push({ id, messages: [], kind: "change" });
        earlier.gone.push(id);
      }
      remove(earlier, before.key);
    }
    await writeChanges(this.#sessions, [...changes.values()], documents);
  }

  /** Where messages are before a write to threads, which have then all messages of others, and documents of all of their own. */
  async #placesToWrite(ids: readonly string[], threads: readonly OpenThread[]): Promise<ReadonlyMap<string, Known>> {
    const newest = new Map<OpenThread, string>();
    for (const open of threads) {
      const message = open.newest && (await newestOf(open, open.newest));
      if (message !== undefined) newest.set(open, message.id);
    }
    const places = await this.#places([...ids, ...newest.values()]);
    let isChanged = false;
    for (const open of threads) {
      const id = newest.get(open);
      const isWithout = id !== undefined && !places.has(id);
      if (isWithout) await restoreDocuments(open, this.#sessions);

      const isAdopted = await adopt(open, this.#sessions);
      isChanged ||= isWithout || isAdopted;
    }
    return isChanged ? await this.#places(ids) : places;
  }

  /** Repeats work that another writer was faster than, and work on a session whose time to live has passed, once it is revived. */
  async #retried<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        const { sessionId = "" } = (error instanceof SessionError ? error.details : {}) as {
          readonly sessionId?: string;
        };
        if (hasCode(error, "session_expired")) await this.#sessions.ensure(sessionId, { onExpired: "revive" });
        else if (!hasCode(error, "conflict") && !hasCode(error, "document_conflict")) throw error;
        if (attempt === attemptsMax)
          throw new SessionError("contended", { sessionId, attempts: attempt }, { cause: error });
      }
    }
  }

  async #remove(sessionId: string): Promise<void> {
    try {
      const session = await this.#sessions.get(sessionId);
      await session.remove();
    } catch (error) {
      if (!hasCode(error, "session_not_found")) throw error;
    }
  }

  /**
   * The messages in groups that fit one write each.
   * @throws SessionError `value_unstorable`, `write_too_large` for a message that fits none
   */
  #groupsToWrite(messages: readonly MastraMessage[]): readonly (readonly MastraMessage[])[] {
    const { documentsMax, writeBytesMax, entryBytesMax: countMax } = this.#sessions.limits;
    const sized = messages.map((message, index) => {
      const bytes = Buffer.byteLength(encodeValue(message, `messages[${index}]`));
      if (bytes <= countMax) return { message, bytes, count: 1 };
      const sessionId = sessionIdOf(message.threadId ?? "");
      const size = { part: "entryBytes", log: messagesLog, count: bytes, countMax } as const;
      throw new SessionError("write_too_large", { sessionId, ...size });
    });
    const batches = batchesOf(sized, (size) => size, { count: documentsMax, bytes: writeBytesMax });
    return batches.map((batch) => batch.map(({ message }) => message));
  }
}

/** The fields of a thread that a change makes. */
function merged(
  thread: MastraThread,
  { title, metadata }: { readonly title?: string; readonly metadata?: Record<string, unknown> },
): Partial<MastraThread> {
  return defined({ title: title ?? thread.title, metadata: { ...thread.metadata, ...metadata } });
}
