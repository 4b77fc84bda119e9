/**
 * A thread of LangGraph as a session with three logs. `lg-checkpoints` has a checkpoint in each entry, by namespace and order;
 * `lg-values` the values of channels, by namespace, channel and version, and the elements of their lists; `lg-writes` the pending
 * writes, by namespace and checkpoint. All entries are only added. The id of the session is the id of the thread, or a hash of it.
 */
import {
  encodeValue,
  hasCode,
  idFor,
  SessionError,
  type LogEntry,
  type LogEntryInput,
  type Session,
  type SessionLook,
  type Sessions,
  type Value,
} from "../../index.ts";
import { decode } from "../../domain/values/codec.ts";
import { freshName, keyOf, ordinal, prefixOf } from "../keys/composed-keys.ts";
import type { Checkpoint } from "./package-checkpoint.ts";
import { elementKey, StoredLists, type Place, type Run } from "./stored-lists.ts";
import type { ProjectedTurns } from "./projection.ts";

export const checkpointsLog = "lg-checkpoints";
export const valuesLog = "lg-values";
export const writesLog = "lg-writes";

/** The label of sessions that are threads. */
export const threadLabel: { readonly adapter: "langgraph" } = { adapter: "langgraph" };

/** A checkpoint as it is stored. */
export interface StoredCheckpoint {
  /** The key of its entry. */
  readonly key: string;
  readonly ns: string;
  /** The id of the thread, where it is not the id of the session. */
  readonly thread: string | undefined;
  readonly parent: string | undefined;
  readonly checkpoint: Omit<Checkpoint, "channel_values">;
  readonly metadata: Value;
  readonly turns: ProjectedTurns | undefined;
}

/** The newest checkpoint of a namespace. */
export interface Head {
  readonly id: string;
  readonly key: string;
  readonly stored: StoredCheckpoint;
}

/** The state that this process knows. A write at this version is refused if another writer has added a checkpoint since. */
export interface Known {
  version: number;
  /** The last turn. */
  turn: number;
  /** The version of the session by the last change of its turns. */
  turnsVersion: number;
  /** By namespace; null: there is none. */
  readonly heads: Map<string, Head | null>;
}

/** What a write of a checkpoint leaves. */
interface Written {
  readonly head: Head;
  readonly version: number;
  readonly turn: number;
  readonly turnsVersion: number;
  readonly places: readonly Place[] | undefined;
}

/** Characters of an entry that is stored as one. A longer one is stored in pieces: the limit of an entry is 1 MiB. */
const entryLengthMax = 250_000;

export class Thread {
  readonly id: string;
  readonly sessionId: string;
  /** The elements of the session's lists. */
  lists: StoredLists = new StoredLists();
  /** The namespaces that were read as empty: a run that begins there knows of no checkpoint. */
  readonly readAsEmpty: Set<string> = new Set();
  readonly #sessions: Sessions;
  #session: Session | undefined;
  #opening: Promise<Session> | undefined;
  #known: Known | undefined;
  #placesOfHead: { readonly key: string; readonly places: readonly Place[] } | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(sessions: Sessions, id: string, sessionId: string = idFor(id)) {
    this.#sessions = sessions;
    this.id = id;
    this.sessionId = sessionId;
  }

  /** Runs work after the work before it. */
  async inOrder<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return await done;
  }

  /** The session; undefined where there is none. */
  async found(): Promise<Session | undefined> {
    if (this.#session !== undefined) return this.#session;
    try {
      return (this.#session = await this.#sessions.get(this.sessionId));
    } catch (error) {
      if (hasCode(error, "session_not_found")) return undefined;
      throw error;
    }
  }

  /** The session, created where there is none. A session that was removed after this process opened it is not created again. */
  async opened(): Promise<Session> {
    if (this.#session !== undefined) return this.#session;
    this.#opening ??= this.#open().finally(() => (this.#opening = undefined));
    return await this.#opening;
  }

  async #open(): Promise<Session> {
    const session = await this.#sessions.ensure(this.sessionId, { labels: threadLabel });
    if (session.info.labels["adapter"] === undefined) await session.update({ labels: threadLabel });
    return (this.#session = session);
  }

  /** Does work with the session, again with a revived one where it has expired. */
  async withSession<T>(work: (session: Session) => Promise<T>): Promise<T> {
    try {
      return await work(await this.opened());
    } catch (error) {
      if (!hasCode(error, "session_expired")) throw error;
      this.#session = await this.#sessions.ensure(this.sessionId);
      return await work(this.#session);
    }
  }

  /** The newest state of the session; undefined where there is no session. */
  async look(): Promise<SessionLook | undefined> {
    const session = await this.found();
    if (session === undefined) return undefined;
    try {
      const look = await session.look([{ log: checkpointsLog, last: 1 }]);
      this.#known = {
        version: look.version,
        turn: look.info.turn,
        turnsVersion: look.info.seen.version,
        heads: new Map(),
      };
      const [last] = look.tails[0] ?? [];
      if (last !== undefined && isCheckpoint(last)) {
        const stored = await this.checkpointOf(last);
        this.#known.heads.set(stored.ns, headOf(stored));
      }
      return look;
    } catch (error) {
      if (!hasCode(error, "session_not_found")) throw error;
      // It was removed: a session that follows has none of its entries.
      this.#session = undefined;
      this.lists = new StoredLists();
      this.readAsEmpty.clear();
      return undefined;
    }
  }

  /** A checkpoint was written, with the messages at these places. */
  written({ head, version, turn, turnsVersion, places }: Written): void {
    // A look in the meantime may have found a newer state; with the version of this write, the next one finds out.
    this.#known ??= { version, turn, turnsVersion, heads: new Map() };
    this.#known.version = version;
    this.#known.turn = turn;
    this.#known.turnsVersion = turnsVersion;
    this.#known.heads.set(head.stored.ns, head);
    if (head.stored.ns === "") this.#placesOfHead = places && { key: head.key, places };
  }

  /** The places of the messages of the head; undefined where this process has not written it. */
  placesOfHead({ key }: Head): readonly Place[] | undefined {
    return this.#placesOfHead?.key === key ? this.#placesOfHead.places : undefined;
  }

  forget(): void {
    this.#known = undefined;
  }

  /** What this process knows, read where it knows nothing. @throws SessionError `session_not_found` */
  async known(): Promise<Known> {
    if (this.#known === undefined) await this.look();
    if (this.#known === undefined) throw new SessionError("session_not_found", { sessionId: this.sessionId });
    return this.#known;
  }

  /** The newest checkpoint of the namespace; null: there is none. */
  async head(ns: string): Promise<Head | null> {
    const { heads } = await this.known();
    const found = heads.get(ns);
    if (found !== undefined) return found;
    const session = await this.opened();
    const newest = session
      .log(checkpointsLog)
      .between({ prefix: prefixOf("c", ns) }, { order: "descending", limit: 1 });
    let head: Head | null = null;
    for await (const entry of newest) head = headOf(await this.checkpointOf(entry));
    heads.set(ns, head);
    return head;
  }

  /** The checkpoint with this id; undefined if there is none. */
  async checkpoint(ns: string, id: string): Promise<StoredCheckpoint | undefined> {
    const log = (await this.opened()).log(checkpointsLog);
    const [entry] = await log.get([keyOf("c", ns, id), keyOf("m", ns, id)]);
    if (entry === undefined) return undefined;
    if (isCheckpoint(entry)) return await this.checkpointOf(entry);
    const [moved] = await log.get([entry.value as string]);
    return moved && (await this.checkpointOf(moved));
  }

  async checkpointOf(entry: LogEntry): Promise<StoredCheckpoint> {
    const value = (await this.whole(checkpointsLog, entry.value)) as {
      readonly ns?: string;
      readonly thread?: string;
      readonly parent?: string;
      readonly cp: Omit<Checkpoint, "channel_values">;
      readonly meta: Value;
      readonly turns?: ProjectedTurns;
    };
    const { ns = "", thread, parent, cp, meta, turns } = value;
    return { key: String(entry.key), ns, thread, parent, checkpoint: cp, metadata: meta, turns };
  }

  /**
   * The entry for a value, and the entries of its pieces where it is long.
   * @throws SessionError `value_unstorable` with the path for a value of more than `limits.writeBytesMax`
   */
  entriesOf(entry: { readonly key: string; readonly value: Value }, path: string): LogEntryInput[] {
    const text = encodeValue(entry.value, path);
    if (text.length <= entryLengthMax) return [entry];
    const { writeBytesMax: max } = this.#sessions.limits;
    const length = Buffer.byteLength(text);
    if (length > max) throw new SessionError("value_unstorable", { path, length, expected: "bytes", max });
    const list = freshName();
    const pieces: LogEntryInput[] = [];
    for (let at = 0; at < text.length; at += entryLengthMax)
      pieces.push({ key: elementKey(list, pieces.length), value: text.slice(at, at + entryLengthMax) });
    return [...pieces, { key: entry.key, value: { $lg: "pieces", list, count: pieces.length } }];
  }

  /** The value of an entry, from its pieces where it was long. */
  async whole(log: string, value: Value): Promise<Value> {
    const fields = value as { readonly $lg?: Value; readonly list?: string; readonly count?: number } | null;
    if (fields?.$lg !== "pieces") return value;
    const pieces = await this.elements(log, [[fields.list ?? "", 0, fields.count ?? 0]]);
    return decode(pieces.map(String).join(""));
  }

  /** The entries of runs of a list, in order. @throws SessionError `store_invalid` if one is missing */
  async elements(log: string, runs: readonly Run[]): Promise<readonly Value[]> {
    const session = await this.opened();
    const read = async ([list, from, to]: Run): Promise<readonly Value[]> => {
      const range = { from: elementKey(list, from), to: elementKey(list, to) };
      const values = await Array.fromAsync(session.log(log).between(range), ({ value }) => value);
      if (values.length === to - from) return values;
      throw new SessionError("store_invalid", { problem: "entry_invalid", log, seq: 0 });
    };
    return (await Promise.all(runs.map(read))).flat();
  }
}

export function headOf(stored: StoredCheckpoint): Head {
  return { id: stored.checkpoint.id, key: stored.key, stored };
}

/** False for an entry that names the key of a checkpoint. */
export function isCheckpoint({ key }: LogEntry): boolean {
  return key?.startsWith("c|") === true;
}

/**
 * The key of a checkpoint behind the head of its namespace. Ids begin with the time of a clock; a checkpoint that is written after
 * another one is behind it all the same.
 */
export function keyBehind(head: Head | null, ns: string, id: string): string {
  const key = keyOf("c", ns, id);
  if (head === null || key > head.key) return key;
  const [base = "", moved = ""] = head.key.split("~~");
  return `${base}~~${ordinal(moved === "" ? 1 : Number.parseInt(moved, 36) + 1)}`;
}
