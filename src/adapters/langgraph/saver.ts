/** The checkpointer of a graph: checkpoints and pending writes in sessions. */
import { hasCode, idFor, sameValue, SessionError, Sessions, type LogEntry, type Value } from "../../index.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { defined } from "../../domain/values/defined.ts";
import { guardNames, guardObject, type OptionNames } from "../../domain/values/option-names.ts";
import { addressOf, configOf, required } from "./address.ts";
import { freshName, keyOf, prefixOf } from "../keys/composed-keys.ts";
import type {
  ChannelVersion,
  Checkpoint,
  CheckpointMetadata,
  CheckpointTuple,
  DeltaChannelHistory,
  RunnableConfig,
  Serializer,
} from "./package-checkpoint.ts";
import { serializer } from "./serializer.ts";
import { toStored } from "./stored-values.ts";
import { checkpointsLog, isCheckpoint, Thread, threadLabel, writesLog, type StoredCheckpoint } from "./thread.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** How the saver is made. */
export interface SaverOptions {
  /**
   * What becomes of a checkpoint whose parent is no longer the newest one of its namespace, because another run has gone on from
   * there: `refuse` it with `conflict`, or `keep` it as another branch. A run that names its checkpoint (`checkpoint_id`) and
   * `updateState` fork on purpose: they are never refused.
   * @default "refuse"
   */
  readonly onFork?: "refuse" | "keep";
}

/** Which checkpoints to list. */
export interface ListOptions {
  limit?: number;
  /** Those with a lower id. */
  before?: RunnableConfig;
  /** Those whose metadata has these fields. */
  // oxlint-disable-next-line typescript/no-explicit-any -- as the package declares it
  filter?: Record<string, any>;
}

/** Threads whose state a saver remembers. */
const threadsMax = 1000;

const optionNames: OptionNames<SaverOptions> = { onFork: true };
const forks = ["refuse", "keep"] as const;

/** A checkpointer whose threads are sessions. Made by {@link perdureSaver}. */
export class PerdureSaver {
  serde: Serializer = serializer;
  readonly #sessions: Sessions;
  readonly #onFork: "refuse" | "keep";
  /** The threads, the least recently used one first. */
  readonly #threads = new Map<string, Thread>();

  /** @throws SessionError `argument_invalid` */
  constructor(sessions: Sessions, options: SaverOptions = {}) {
    if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
    guardNames(options, "perdureSaver", optionNames);
    const { onFork = "refuse" } = options;
    if (!forks.includes(onFork))
      throw new SessionError("argument_invalid", {
        name: "onFork",
        value: JSON.stringify(onFork),
        expected: "one_of",
        known: forks,
      });
    this.#sessions = sessions;
    this.#onFork = onFork;
  }

  /** Keeps the store out of the JSON of configurations. */
  toJSON(): string {
    return "[PerdureSaver]";
  }

  /** The checkpoint of `getTuple`, without its surroundings. */
  async get(config: RunnableConfig): Promise<Checkpoint | undefined> {
    return (await this.getTuple(config))?.checkpoint;
  }

  /** The checkpoint that the configuration names, else the newest one of its namespace; undefined if there is none. */
  async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const { thread: threadId, ns = "", id } = addressOf(config);
    if (threadId === undefined) return undefined;
    const thread = this.#thread(threadId);
    const { ThreadReader } = await import("./thread-reader.ts");
    const stored = await this.#stored(thread, ns, id);
    return stored && (await new ThreadReader(thread).tuple(stored, { isNamed: id !== undefined }));
  }

  async #stored(thread: Thread, ns: string, id: string | undefined): Promise<StoredCheckpoint | undefined> {
    if (id !== undefined) {
      if ((await thread.found()) === undefined) return undefined;
      try {
        return await thread.checkpoint(ns, id);
      } catch (error) {
        if (hasCode(error, "session_not_found")) return undefined;
        throw error;
      }
    }
    const head = (await thread.look()) === undefined ? null : await thread.head(ns);
    if (head === null) thread.readAsEmpty.add(ns);
    return head?.stored;
  }

  /** The checkpoints of a thread, or of all threads, the newest first. */
  async *list(config: RunnableConfig, options: ListOptions = {}): AsyncGenerator<CheckpointTuple, void, undefined> {
    const { thread, ns, id } = addressOf(config);
    guardObject(options, "options");
    const { before, filter, limit = Infinity } = options;
    if (limit !== Infinity && (!Number.isSafeInteger(limit) || limit < 0))
      throw invalidArgument("limit", limit, { expected: "whole_number", min: 0 });
    const wanted = { ns, id, before: before && addressOf(before).id, filter };
    let count = 0;
    if (count >= limit) return;
    const { ThreadReader } = await import("./thread-reader.ts");
    for await (const one of this.#listed(thread)) {
      const reader = new ThreadReader(one);
      for await (const stored of storedIn(one, wanted)) {
        yield await reader.tuple(stored, { isNamed: true });
        if (++count >= limit) return;
      }
    }
  }

  async *#listed(id: string | undefined): AsyncGenerator<Thread, void, undefined> {
    if (id !== undefined) {
      const thread = this.#thread(id);
      if ((await thread.look()) !== undefined) yield thread;
      return;
    }
    for await (const info of this.#sessions.each({ labels: threadLabel })) {
      if (info.logs[checkpointsLog] === undefined) continue;
      const thread = await threadOf(this.#sessions, info.id);
      if (thread !== undefined) yield thread;
    }
  }

  /** Puts a checkpoint behind that of the configuration. @throws SessionError `conflict`, `value_unstorable`, and as `Session.write` */
  async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: Record<string, ChannelVersion>,
  ): Promise<RunnableConfig> {
    const address = addressOf(config);
    guardCheckpoint(checkpoint, metadata, newVersions);
    const ns = address.ns ?? "";
    const thread = this.#thread(required(address.thread, "thread_id"));
    const put = { address: { ...address, ns }, checkpoint, metadata, newVersions };
    await thread.inOrder(async () => {
      const { putCheckpoint } = await import("./checkpoint-put.ts");
      await putCheckpoint(thread, put, { onFork: this.#onFork });
    });
    return configOf({ thread: thread.id, ns, id: checkpoint.id }, { isNamed: false });
  }

  /** Stores the writes of a task, also for a checkpoint that follows later. @throws SessionError as `put` */
  async putWrites(
    config: RunnableConfig,
    writes: [channel: string, value: unknown][],
    taskId: string,
    taskPath = "",
  ): Promise<void> {
    const address = addressOf(config);
    guardWrites(writes, taskId);
    const thread = this.#thread(required(address.thread, "thread_id"));
    const id = required(address.id, "checkpoint_id");
    const stored = writes.map(([channel, value]): Value => [channel, toStored(value, channel)]);
    const remember = thread.lists.writing(writes.map(([, one]) => one));
    const value = { task: taskId, ...defined({ path: taskPath || undefined }), writes: stored };
    const path = writes.map(([channel]) => channel).join(", ");
    await thread.withSession(async (session) => {
      for (;;) {
        const key = keyOf(address.ns ?? "", id, freshName());
        const entries = thread.entriesOf({ key, value }, path);
        const outcome = await session.write({ logs: { [writesLog]: { entries } } });
        if (outcome.status !== "ok") continue;
        remember(key);
        return;
      }
    });
  }

  /** Removes the session of the thread. A run that goes on then fails with `session_not_found`. */
  async deleteThread(threadId: string): Promise<void> {
    const session = await this.#thread(threadId).found();
    try {
      await session?.remove();
    } catch (error) {
      if (!hasCode(error, "session_not_found")) throw error;
    }
  }

  async getDeltaChannelHistory({
    config,
    channels,
  }: {
    config: RunnableConfig;
    channels: string[];
  }): Promise<Record<string, DeltaChannelHistory>> {
    const { thread: threadId, ns = "", id } = addressOf(config);
    const thread = this.#thread(required(threadId, "thread_id"));
    const { ThreadReader } = await import("./thread-reader.ts");
    return await new ThreadReader(thread).deltaHistory(await this.#stored(thread, ns, id), channels);
  }

  /**
   * The next version of a channel, which no other run makes: branches of a thread share no version. It is a text, such as
   * `00000003.k2f9x1`; LangGraph declares a number and takes both. Numbers, of threads that another checkpointer began, go on as
   * numbers, so that they stay in order.
   */
  getNextVersion(current: number | undefined): number {
    return nextVersion(current) as number;
  }

  #thread(id: string): Thread {
    const thread = this.#threads.get(id) ?? new Thread(this.#sessions, id);
    this.#threads.delete(id);
    this.#threads.set(id, thread);
    const [oldest] = this.#threads.keys();
    if (this.#threads.size > threadsMax && oldest !== undefined) this.#threads.delete(oldest);
    return thread;
  }
}

/** @throws SessionError `argument_invalid` */
function guardCheckpoint(checkpoint: Checkpoint, metadata: CheckpointMetadata, newVersions: object): void {
  guardObject(checkpoint, "checkpoint");
  const { id } = checkpoint as { readonly id: unknown };
  if (typeof id !== "string" || id === "") throw invalidArgument("checkpoint.id", id, { expected: "text", min: 1 });
  guardObject(checkpoint.channel_values, "checkpoint.channel_values");
  guardObject(metadata, "metadata");
  guardObject(newVersions, "newVersions");
}

/** @throws SessionError `argument_invalid` */
function guardWrites(writes: readonly unknown[], taskId: unknown): void {
  if (!Array.isArray(writes)) throw invalidArgument("writes", writes, { expected: "array" });
  for (const [index, write] of writes.entries()) {
    if (!Array.isArray(write)) throw invalidArgument(`writes[${index}]`, write, { expected: "array" });
    const [channel] = write as readonly unknown[];
    if (typeof channel !== "string")
      throw invalidArgument(`writes[${index}][0]`, channel, { expected: "text", min: 1 });
  }
  if (typeof taskId !== "string") throw invalidArgument("taskId", taskId, { expected: "text" });
}

/** Digits of a version, so that versions as texts have the order of their numbers. */
const digitsMin = 8;

function nextVersion(current: ChannelVersion | undefined): ChannelVersion {
  if (typeof current === "number")
    return Math.floor(current) + 1 + nodeCrypto().randomBytes(4).readUInt32BE() / 2 ** 33;
  const [digits = ""] = (current ?? "").split(".");
  const next = (Number.parseInt(digits, 10) || 0) + 1;
  return `${String(next).padStart(Math.max(digits.length, digitsMin), "0")}.${freshName().slice(-6)}`;
}

/** The thread of a session: its id is in the checkpoints where it is not that of the session. */
async function threadOf(sessions: Sessions, sessionId: string): Promise<Thread | undefined> {
  const own = new Thread(sessions, sessionId, sessionId);
  const look = await own.look();
  if (look === undefined) return undefined;
  for await (const entry of (await own.opened()).log(checkpointsLog).entries({ order: "descending" })) {
    if (!isCheckpoint(entry)) continue;
    const { thread } = await own.checkpointOf(entry);
    // A fork of the session has the checkpoints of the thread, and an id of its own.
    return thread === undefined || idFor(thread) !== sessionId ? own : new Thread(sessions, thread, sessionId);
  }
  return undefined;
}

interface Wanted {
  readonly ns: string | undefined;
  readonly id: string | undefined;
  readonly before: string | undefined;
  readonly filter: Readonly<Record<string, unknown>> | undefined;
}

async function* storedIn(
  thread: Thread,
  { ns, id, before, filter }: Wanted,
): AsyncGenerator<StoredCheckpoint, void, undefined> {
  for await (const stored of ns === undefined ? inAllNamespaces(thread, before) : inNamespace(thread, ns, before)) {
    const isWanted = (id === undefined || stored.checkpoint.id === id) && matches(stored.metadata, filter);
    if (isWanted) yield stored;
  }
}

/** From the newest checkpoint before `before` on. */
async function* inNamespace(
  thread: Thread,
  ns: string,
  before: string | undefined,
): AsyncGenerator<StoredCheckpoint, void, undefined> {
  const prefix = prefixOf("c", ns);
  const end = before === undefined ? undefined : ((await thread.checkpoint(ns, before))?.key ?? keyOf("c", ns, before));
  const range = end === undefined ? { prefix } : { from: prefix, to: end };
  const log = (await thread.opened()).log(checkpointsLog);
  for await (const entry of log.between(range, { order: "descending" })) yield await thread.checkpointOf(entry);
}

/** In the order in which they were put. */
async function* inAllNamespaces(
  thread: Thread,
  before: string | undefined,
): AsyncGenerator<StoredCheckpoint, void, undefined> {
  const log = (await thread.opened()).log(checkpointsLog);
  const entries: LogEntry[] = await Array.fromAsync(log.entries({ order: "descending" }));
  const all = await Promise.all(entries.filter(isCheckpoint).map((entry) => thread.checkpointOf(entry)));
  const end = all.findIndex(({ checkpoint }) => checkpoint.id === before);
  if (end !== -1) yield* all.slice(end + 1);
  else yield* all.filter(({ checkpoint }) => before === undefined || checkpoint.id < before);
}

/** True where the metadata has all fields of the filter. */
function matches(metadata: Value, filter: Readonly<Record<string, unknown>> = {}): boolean {
  const fields = metadata as { readonly [name: string]: Value };
  return Object.entries(filter).every(
    ([name, value]) =>
      value === undefined || (Object.hasOwn(fields, name) && sameValue(fields[name] ?? null, toStored(value, name))),
  );
}

/**
 * A checkpointer whose threads are sessions of these: `graph.compile({ checkpointer: perdureSaver(sessions) })`.
 * @throws SessionError `argument_invalid`
 */
export function perdureSaver(sessions: Sessions, options: SaverOptions = {}): PerdureSaver {
  return new PerdureSaver(sessions, options);
}
