/**
 * The history of a thread: a tree of messages in a named log, each with the message that it follows. The branch that was written to
 * last is the session's turns. A message that is edited gets a sibling; nothing is cut off.
 */
import type { Turn } from "../../domain/turns/turn.ts";
import { decode, encode, type Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { invalidText } from "../../domain/values/invalid-argument.ts";
import { guardObject } from "../../domain/values/option-names.ts";
import { sameValue } from "../../domain/values/same-value.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type {
  EntryRange,
  LogEntry,
  SessionLook,
  SessionWrite,
  TailQuery,
  TurnInput,
  TurnsWrite,
  WriteKey,
  WriteOutcome,
} from "../../index.ts";
import {
  ownFormat,
  withoutFiles,
  type FormatAdapter,
  type FormattedHistory,
  type FormattedItem,
  type HistoryItem,
  type HistoryMessages,
  type StoredMessage,
} from "./formats.ts";
import { idOf } from "./thread-id.ts";
import { foreignMessages, isReadable, turnsOf } from "./turns.ts";

/** A session, as far as a history needs it: a `RemoteSession`, or a `Session` of the same process. */
export interface HistorySession {
  readonly id: string;
  turns(range?: EntryRange): AsyncIterable<Turn>;
  log(name: string): { entries(): AsyncIterable<LogEntry> };
  look(tails?: readonly TailQuery[]): Promise<SessionLook>;
  write(write: SessionWrite): Promise<WriteOutcome>;
}

/** The sessions that have a history: `RemoteSessions` of `perdure/client`, or `Sessions`. */
export interface HistorySessions {
  ensure(id: string): Promise<HistorySession>;
  get(id: string): Promise<HistorySession>;
}

/** The log with the messages of histories. */
const messagesLog = "assistant-ui";
/** The longest key of a message: keys of turns have a number behind it. */
const keyMax = 240;
/** Attempts of one write while other writers change the same thread. */
const attemptsMax = 20;

/**
 * The history of a thread, for `useLocalRuntime(model, { adapters: { history } })` and other runtimes of assistant-ui. The thread is
 * the session with its id, or with a hash of it.
 * @throws SessionError `argument_invalid`
 */
export function assistantHistory(sessions: HistorySessions, threadId: string): AssistantHistory {
  guardObject(sessions, "sessions");
  if (typeof threadId !== "string" || threadId === "") throw invalidText("threadId", threadId, { min: 1 });
  return new AssistantHistory(sessions, threadId);
}

/** A `ThreadHistoryAdapter` of assistant-ui. */
export class AssistantHistory {
  /** The thread: a runtime reads the history again when it changes. */
  readonly scopeId: string;
  readonly #sessions: HistorySessions;
  #state: Promise<ThreadState> | undefined;
  /** The last write of this object. */
  #writes: Promise<unknown> = Promise.resolve();

  /** Made by `assistantHistory`. @internal */
  constructor(sessions: HistorySessions, threadId: string) {
    this.#sessions = sessions;
    this.scopeId = threadId;
  }

  /** The messages of the thread, of all its branches; none where the session does not exist. */
  async load(): Promise<HistoryMessages> {
    const { headId, items } = await this.#view(ownFormat);
    const messages = items.map(({ content, parent, runConfig }): HistoryItem => ({
      message: content,
      parentId: parent,
      ...defined({ runConfig }),
    }));
    return { headId, messages };
  }

  /**
   * Store a message, and the turns of its branch, in one commit. A message that is stored is replaced.
   * @throws SessionError `value_unstorable` with the path of the value, `write_too_large`, `busy` under the lease of another writer,
   *   `conflict`, that of the session's state, or the store's
   */
  async append(item: HistoryItem): Promise<void> {
    const { message, parentId, runConfig } = item;
    const { id } = message as { readonly id: string };
    const config = defined({ runConfig: runConfig as Value | undefined });
    await this.#write([{ id, parent: parentId, format: ownFormat, content: withoutFiles(message), ...config }]);
  }

  /** As `append`. */
  async update(item: HistoryItem): Promise<void> {
    await this.append(item);
  }

  /** Delete messages. One that is not stored counts as deleted. @throws SessionError as `append` */
  async delete(items: HistoryItem[]): Promise<void> {
    await this.#write(
      items.map(({ message, parentId }) => ({
        id: (message as { id: string }).id,
        parent: parentId,
        format: ownFormat,
      })),
    );
  }

  /** The history for a runtime whose messages have a form of their own, such as that of the AI SDK. */
  withFormat<M, S extends Record<string, unknown>>(format: FormatAdapter<M, S>): FormattedHistory<M> {
    const stored = (item: FormattedItem<M>, id: string): StoredMessage => ({
      id,
      parent: item.parentId,
      format: format.format,
      content: format.encode(item) as unknown as Value,
    });
    return {
      load: async () => {
        const { headId, items } = await this.#view(format.format);
        const messages = items.map(({ id, parent, content }) =>
          format.decode({ id, parent_id: parent, format: format.format, content: content as unknown as S }),
        );
        return { headId, messages };
      },
      append: async (item) => await this.#write([stored(item, format.getId(item.message))]),
      update: async (item, localMessageId) => await this.#write([stored(item, localMessageId)]),
      delete: async (items) =>
        await this.#write(
          items.map(({ message, parentId }) => ({
            id: format.getId(message),
            parent: parentId,
            format: format.format,
          })),
        ),
    };
  }

  async #view(format: string): Promise<ThreadView> {
    await this.#writes;
    this.#state = undefined;
    const session = await this.#find();
    if (session === undefined) return { headId: null, items: [] };
    return viewOf(await this.#load(session), format);
  }

  async #find(): Promise<HistorySession | undefined> {
    try {
      return await this.#sessions.get(await idOf(this.scopeId));
    } catch (error) {
      if (hasCode(error, "session_not_found")) return undefined;
      throw error;
    }
  }

  async #load(session: HistorySession): Promise<ThreadState> {
    this.#state = readState(session);
    try {
      return await this.#state;
    } catch (error) {
      this.#state = undefined;
      throw error;
    }
  }

  /** Writes messages after the earlier writes of this object. */
  async #write(messages: readonly StoredMessage[]): Promise<void> {
    // What the caller changes later is no part of the write.
    const given = messages.map((message) => decode(encode(message, "message")) as unknown as StoredMessage);
    const keys = await Promise.all(given.map(({ id }) => idOf(id, keyMax)));
    const work = this.#writes.then(
      async () => await this.#writeNow(given.map((stored, at) => ({ key: keys[at]!, stored }))),
    );
    this.#writes = work.catch(() => undefined);
    await work;
  }

  async #writeNow(messages: readonly Keyed[]): Promise<void> {
    const session = (await this.#state)?.session ?? (await this.#sessions.ensure(await idOf(this.scopeId)));
    for (let attempt = 1; ; attempt++) {
      const state = await (this.#state ?? this.#load(session));
      try {
        this.#state = Promise.resolve(await writeTo(state, messages));
        return;
      } catch (error) {
        this.#state = undefined;
        if (attempt === attemptsMax || !hasCode(error, "conflict")) throw error;
      }
    }
  }
}

/** A message and the key of its entry. */
interface Keyed {
  readonly key: string;
  readonly stored: StoredMessage;
}

/** A thread at one moment. */
interface ThreadState {
  readonly session: HistorySession;
  readonly onto: NonNullable<SessionWrite["onto"]>;
  /** In the order of their first writes. */
  readonly messages: ReadonlyMap<string, StoredMessage>;
  readonly turns: readonly Turn[];
}

interface ThreadView {
  readonly headId: string | null;
  readonly items: readonly StoredMessage[];
}

async function readState(session: HistorySession): Promise<ThreadState> {
  // What is read behind the look may be newer: then the next write is a conflict, and reads again.
  const onto = await session.look([
    { log: "turns", last: 0 },
    { log: messagesLog, last: 0 },
  ]);
  // Turns first: the message of each own turn is in the log then, and no own turn is taken for that of another framework.
  const turns = await Array.fromAsync(session.turns());
  const messages = new Map<string, StoredMessage>();
  for await (const { key, value } of session.log(messagesLog).entries())
    if (key !== null) messages.set(key, value as unknown as StoredMessage);
  return { session, onto, messages, turns };
}

/** Writes messages and the turns of the branch that ends with the last of them. */
async function writeTo(state: ThreadState, written: readonly Keyed[]): Promise<ThreadState> {
  const messages = new Map(state.messages);
  for (const { key, stored } of written) messages.set(key, stored);
  const changed: ThreadState = { ...state, messages };
  const entries = written.map(({ key, stored }) => ({
    key,
    value: stored as unknown as Value,
    ifPresent: "replace" as const,
  }));
  const turns = changedTurns(changed);
  const outcome = await state.session.write({
    logs: { [messagesLog]: { entries } },
    ...defined({ turns }),
    onto: state.onto,
  });
  if (outcome.status !== "ok") throw new SessionError("conflict", { sessionId: state.session.id, log: outcome.log });
  const kept = turns === undefined ? state.turns : state.turns.slice(0, turns.from - 1);
  return { ...changed, onto: { version: outcome.version, marks: {} }, turns: [...kept, ...outcome.turns] };
}

/** The turns that differ from those of the branch that is shown; undefined where none do, or where they are of another framework. */
function changedTurns(state: ThreadState): (TurnsWrite & { readonly from: number }) | undefined {
  const { turns: stored, messages } = state;
  const branch = branchOf(state);
  if (branch === undefined) return undefined;
  const wanted = turnsOf(branch.own);
  const from = branch.foreign;
  const isSame = (turn: Turn, one: (typeof wanted)[number] | undefined): boolean =>
    ownKey(messages, turn) === one?.key &&
    turn.status === one?.status &&
    sameValue([turn.input, turn.output], [one.input, one.output] as Value);
  let first = from;
  while (first < stored.length && isSame(stored[first]!, wanted[first - from])) first++;
  const [next, ...rest] = wanted.slice(first - from);
  const replaced = stored.slice(first);
  if (replaced.some((turn) => ownKey(messages, turn) === undefined)) return undefined;
  if (next === undefined) return replaced.length === 0 ? undefined : { from: first + 1, turns: [] };
  const amends = replaced.length === 1 && ownKey(messages, replaced[0]!) === next.key;
  // A key of a turn that is replaced is taken, unless the turn is amended.
  const taken = new Set([...messages.keys(), ...stored.map(({ key }) => key)]);
  const free = (turn: (typeof wanted)[number]): TurnInput & WriteKey => {
    if (!replaced.some(({ key }) => key === turn.key)) return turn;
    let count = 1;
    while (taken.has(`${turn.key}~${count}`)) count++;
    return { ...turn, key: `${turn.key}~${count}` };
  };
  const amended = amends ? { ...next, key: replaced[0]!.key! } : free(next);
  return { from: first + 1, turns: [amended, ...rest.map(free)], ...(amends ? { amends } : {}) };
}

/** The message that a turn of a history begins with, by its key; undefined for a turn that another framework wrote. */
function ownKey(messages: ReadonlyMap<string, StoredMessage>, { key }: Turn): string | undefined {
  if (key === null || messages.has(key)) return key ?? undefined;
  const base = key.replace(/~\d+$/, "");
  return messages.has(base) ? base : undefined;
}

/**
 * The branch to the newest message: how many turns it begins with that another framework wrote, or that are before those, and its
 * messages behind them. Undefined where a format has no turns, or where the branch leaves the turns of another framework.
 */
function branchOf(state: ThreadState): { readonly foreign: number; readonly own: readonly Keyed[] } | undefined {
  const { messages, turns } = state;
  const newest = [...messages].findLast(([, { content }]) => content !== undefined);
  const lastForeign = turns.findLastIndex((turn) => ownKey(messages, turn) === undefined);
  const format = newest?.[1].format ?? ownFormat;
  const { items } = viewOf(state, format);
  const byId = new Map(items.map((item) => [item.id, item]));
  const keys = new Map([...messages].map(([key, { id }]) => [id, key]));
  const path: Keyed[] = [];
  for (let item = byId.get(newest?.[1].id ?? ""); item !== undefined; item = byId.get(item.parent ?? "")) {
    const key = keys.get(item.id);
    if (key === undefined) {
      // The last turn of another framework, which the branch goes on from.
      const isLast = item.id.startsWith(`turn-${turns[lastForeign]?.seq ?? 0}-`);
      return isLast ? { foreign: lastForeign + 1, own: path } : undefined;
    }
    if (!isReadable(item.format)) return undefined;
    path.unshift({ key, stored: item });
  }
  return lastForeign >= 0 ? undefined : { foreign: 0, own: path };
}

/** The messages in one format, parents first, with those of turns that another framework wrote. */
function viewOf({ messages, turns }: ThreadState, format: string): ThreadView {
  const stored = new Map([...messages.values()].map((message) => [message.id, message]));
  const items: StoredMessage[] = [];
  // A message whose parent was deleted follows the one before that.
  const parentOf = (id: string | null): string | null => {
    const parent = id === null ? undefined : stored.get(id);
    return parent === undefined || parent.content !== undefined ? id : parentOf(parent.parent);
  };
  let before: string | null = null;
  const foreign: StoredMessage[] = [];
  for (const turn of turns) {
    const key = ownKey(messages, turn);
    if (key !== undefined) {
      before = endOf(messages, key);
      continue;
    }
    if (!isReadable(format)) continue;
    for (const message of foreignMessages(turn, format)) {
      foreign.push({ ...message, parent: before });
      before = message.id;
    }
  }
  const waiting = [
    ...foreign,
    ...[...messages.values()].filter((one) => one.content !== undefined && one.format === format),
  ];
  const known = new Set<string>();
  for (let left = waiting; left.length > 0;) {
    const late: StoredMessage[] = [];
    for (const message of left) {
      const parent = parentOf(message.parent);
      if (parent !== null && !known.has(parent)) late.push(message);
      else {
        items.push({ ...message, parent });
        known.add(message.id);
      }
    }
    // Messages whose parent is of another format, or is nowhere, stay out.
    if (late.length === left.length) break;
    left = late;
  }
  const newest = [...messages.values()].findLast(({ id, content }) => content !== undefined && known.has(id));
  const behind = foreign.at(-1);
  const isBehind = behind !== undefined && behind.id === before && known.has(behind.id);
  return { headId: isBehind ? behind.id : (newest?.id ?? items.at(-1)?.id ?? null), items };
}

/** The last message of the turn with this key: the newest one on the way down from its question. */
function endOf(messages: ReadonlyMap<string, StoredMessage>, key: string): string | null {
  let end = messages.get(key);
  for (const message of messages.values()) {
    const { role } = (message.content ?? {}) as { readonly role?: string };
    if (message.parent === end?.id && role === "assistant") end = message;
  }
  return end?.id ?? null;
}
