/** Puts a checkpoint: its values, its elements, its place behind the head and the turns of its messages, in one commit. */
import {
  hasCode,
  SessionError,
  type ErrorCode,
  type LogEntryInput,
  type Session,
  type SessionWrite,
  type Value,
} from "../../index.ts";
import { defined } from "../../domain/values/defined.ts";
import { isFields } from "../langchain/fields.ts";
import type { Address } from "./address.ts";
import { keyOf } from "../keys/composed-keys.ts";
import type { ChannelVersion, Checkpoint, CheckpointMetadata } from "./package-checkpoint.ts";
import {
  messagesIn,
  projected,
  turnDigest,
  type EarlierMessages,
  type ProjectedTurns,
  type Projection,
} from "./projection.ts";
import { isStoredByElements, lengthOf, type ListPlan } from "./stored-lists.ts";
import { toStored } from "./stored-values.ts";
import { listKey, ThreadReader, valueKey, type StoredChannel } from "./thread-reader.ts";
import {
  checkpointsLog,
  headOf,
  keyBehind,
  valuesLog,
  type Head,
  type Known,
  type StoredCheckpoint,
  type Thread,
} from "./thread.ts";

/** A checkpoint to put. */
export interface NewCheckpoint {
  /** The namespace, and the checkpoint before this one. */
  readonly address: Address & { readonly ns: string };
  readonly checkpoint: Checkpoint;
  readonly metadata: CheckpointMetadata;
  readonly newVersions: Readonly<Record<string, ChannelVersion>>;
}

/** Tries against newer states, before a put fails with `contended`. */
const attemptsMax = 100;
/** Entries, and characters of them, of one write. */
const batchMax = { entries: 400, characters: 2_000_000 } as const;

/** Failures of turns, which do not keep the checkpoint from being stored: it is then stored without them. */
const failuresOfTurns: readonly ErrorCode[] = [
  "legal_hold",
  "message_invalid",
  "replaced_too_large",
  "session_forked",
  "turn_open",
  "turn_parts_exceeded",
  "turn_too_large",
  "turn_waiting",
];

/** @throws SessionError `conflict` where another run has gone on from the parent, `value_unstorable`, and as `Session.write` */
export async function putCheckpoint(
  thread: Thread,
  put: NewCheckpoint,
  { onFork }: { readonly onFork: "refuse" | "keep" },
): Promise<void> {
  await thread.withSession(async (session) => {
    const work = new CheckpointPut(thread, session, put);
    for (let attempt = 1; attempt <= attemptsMax; attempt++) if (await work.attempt({ onFork })) return;
    throw new SessionError("contended", { sessionId: session.id, attempts: attemptsMax });
  });
}

/** The list of a channel, and what is written of it. */
interface PlannedChannel {
  readonly channel: string;
  readonly plan: ListPlan;
  readonly entries: readonly LogEntryInput[];
  /** The entry that names the runs. */
  readonly value: LogEntryInput;
}

class CheckpointPut {
  readonly #thread: Thread;
  readonly #session: Session;
  readonly #put: NewCheckpoint;
  /** The lists to store, by channel. */
  readonly #lists = new Map<string, { readonly values: readonly unknown[]; readonly isDelta: boolean }>();
  /** The values that are stored whole. */
  #plain: readonly LogEntryInput[] = [];
  #isPrepared = false;
  /** True: elements go to new lists, since another writer has added to a known one. */
  #alone = false;
  /** True: values of these versions are stored already. */
  #skipsValues = false;
  /** True: a checkpoint with this id is stored already. */
  #replaces = false;
  #hasTurns = true;

  constructor(thread: Thread, session: Session, put: NewCheckpoint) {
    this.#thread = thread;
    this.#session = session;
    this.#put = put;
  }

  /** False where it must be tried again, against a newer state. */
  async attempt({ onFork }: { readonly onFork: "refuse" | "keep" }): Promise<boolean> {
    const thread = this.#thread;
    const { ns } = this.#put.address;
    const known = await thread.known();
    const head = await thread.head(ns);
    if (onFork === "refuse") this.#guardParent(head);
    if (!this.#isPrepared) await this.#prepare();
    const planned = this.#planLists();
    if (await this.#storeAhead(planned)) return false;
    const projection = await this.#projection(head, known, planned);
    const stored = this.#stored(head, projection);
    const write = this.#write(stored, planned, projection, known.version);
    try {
      const outcome = await this.#session.write(write);
      if (outcome.status === "duplicate") return this.#duplicate(outcome);
      for (const { channel, plan } of planned) thread.lists.remember(listKey(ns, channel), plan);
      const places = planned.find(({ channel }) => channel === "messages")?.plan.places;
      const { version } = outcome;
      const [turn, turnsVersion] =
        projection?.write === undefined ? [known.turn, known.turnsVersion] : [projection.turns[2], version];
      thread.written({ head: headOf(stored), version, turn, turnsVersion, places });
      // Without turns in the write, those of another writer were not noticed.
      if (write.turns === undefined) thread.forget();
      return true;
    } catch (error) {
      thread.forget();
      if (hasCode(error, "conflict")) return false;
      if (!this.#hasTurns || write.turns === undefined || !failuresOfTurns.some((code) => hasCode(error, code)))
        throw error;
      this.#hasTurns = false;
      return false;
    }
  }

  /** @throws SessionError `conflict` where the parent is not the head */
  #guardParent(head: Head | null): void {
    const { ns, id: parent, isNamed } = this.#put.address;
    const { checkpoint, metadata } = this.#put;
    const isOnPurpose = isNamed || metadata.source === "update" || metadata.source === "fork";
    if (isOnPurpose || parent === head?.id || checkpoint.id === head?.id) return;
    // A program that puts a first checkpoint without having looked adds a branch on purpose.
    if (parent === undefined && !this.#thread.readAsEmpty.has(ns)) return;
    const { version } = this.#session.info;
    throw new SessionError("conflict", {
      sessionId: this.#session.id,
      log: checkpointsLog,
      seenVersion: version,
      storedVersion: version,
    });
  }

  /** Encodes what is the same in every attempt, and stores the pieces of long values. */
  async #prepare(): Promise<void> {
    const { address, checkpoint, newVersions } = this.#put;
    const plain: LogEntryInput[] = [];
    const pieces: LogEntryInput[] = [];
    for (const [channel, version] of Object.entries(newVersions)) {
      if (!Object.hasOwn(checkpoint.channel_values, channel)) continue;
      const value = checkpoint.channel_values[channel];
      const list = listIn(value);
      if (list !== undefined) {
        this.#lists.set(channel, list);
        continue;
      }
      const entries = this.#thread.entriesOf(
        { key: valueKey(address.ns, channel, version), value: { value: toStored(value, channel) } },
        channel,
      );
      pieces.push(...entries.slice(0, -1));
      plain.push(...entries.slice(-1));
    }
    await this.#store(pieces);
    this.#plain = plain;
    this.#isPrepared = true;
  }

  #planLists(): readonly PlannedChannel[] {
    const { address, newVersions } = this.#put;
    const { ns } = address;
    return Array.from(this.#lists, ([channel, { values, isDelta }]) => {
      const plan = this.#thread.lists.plan(listKey(ns, channel), values, { alone: this.#alone });
      const entries = plan.fresh.flatMap(({ key, value, index }) => {
        const path = `${channel}[${index}]`;
        const written = this.#thread.lists.writtenPlaceOf(value);
        if (written !== undefined)
          return [{ key, value: { $lg: "written", key: written.key, at: written.at } as unknown as Value }];
        return this.#thread.entriesOf({ key, value: toStored(value, path) }, path);
      });
      const runs: StoredChannel = { runs: plan.runs, ...defined({ delta: isDelta ? (true as const) : undefined }) };
      const key = valueKey(ns, channel, newVersions[channel] ?? 0);
      return { channel, plan, entries, value: { key, value: runs } };
    });
  }

  /** Stores elements before the commit where they are too many for one. True if it did: the state has changed. */
  async #storeAhead(planned: readonly PlannedChannel[]): Promise<boolean> {
    const entries = planned.flatMap((one) => one.entries);
    if (!isLarge(entries)) return false;
    if (!(await this.#store(entries))) return false;
    for (const { channel, plan } of planned) this.#thread.lists.remember(listKey(this.#put.address.ns, channel), plan);
    return true;
  }

  /** Stores entries in writes of their own. An entry that no checkpoint names is not read. False if a key was there already. */
  async #store(entries: readonly LogEntryInput[]): Promise<boolean> {
    for (const batch of batchesOf(entries)) {
      const outcome = await this.#session.write({ logs: { [valuesLog]: { entries: batch } } });
      this.#thread.forget();
      if (outcome.status === "duplicate") {
        this.#alone = true;
        return false;
      }
    }
    return true;
  }

  /** The turns of the messages; undefined where the graph has none, or its turns cannot be written. */
  async #projection(
    head: Head | null,
    known: Known,
    planned: readonly PlannedChannel[],
  ): Promise<Projection | undefined> {
    const { address, checkpoint, newVersions } = this.#put;
    if (address.ns !== "" || !this.#hasTurns) return undefined;
    const messages = messagesIn(checkpoint.channel_values);
    if (messages === undefined) return undefined;
    const earlier = await this.#earlier(head);
    const isOwn = earlier.turns === undefined || (await this.#areOwn(earlier.turns, known));
    if (!Object.hasOwn(newVersions, "messages") && address.id === head?.id && earlier.turns !== undefined)
      // The turns of a head that others have changed are compared again once there are new messages.
      return { write: undefined, turns: earlier.turns };
    const places =
      planned.find(({ channel }) => channel === "messages")?.plan.places ??
      this.#thread.lists.plan(listKey("", "messages"), messages, { alone: true }).places;
    try {
      return projected({ messages, places }, earlier, { turn: known.turn, isOwn, version: known.version + 1 });
    } catch (error) {
      if (hasCode(error, "message_invalid")) return undefined;
      throw error;
    }
  }

  /** True where the last turn of the session is the one that the head's put has written. Its number alone does not say so. */
  async #areOwn([base, , last, , version, digest]: ProjectedTurns, known: Known): Promise<boolean> {
    if (last !== known.turn) return false;
    if (last === base || version === undefined || version === known.turnsVersion) return true;
    const [turn] = await Array.fromAsync(this.#session.turns({ last: 1 }));
    return turn?.seq === last && turnDigest(turn) === digest;
  }

  /** The messages of the head, which the turns of the session are. */
  async #earlier(head: Head | null): Promise<EarlierMessages> {
    const { turns } = head?.stored ?? {};
    if (head === null) return { places: [], turns: undefined };
    const places =
      this.#thread.placesOfHead(head) ?? (await new ThreadReader(this.#thread).places(head.stored, "messages"));
    return { places: places ?? [], turns };
  }

  #stored(head: Head | null, projection: Projection | undefined): StoredCheckpoint {
    const { address, checkpoint, metadata } = this.#put;
    const { channel_values: _, ...others } = checkpoint;
    const { ns } = address;
    return {
      key: head?.id === checkpoint.id ? head.key : keyBehind(head, ns, checkpoint.id),
      ns,
      thread: this.#thread.id === this.#session.id ? undefined : this.#thread.id,
      parent: address.id,
      checkpoint: others,
      metadata: toStored(metadata, "metadata"),
      turns: projection?.turns,
    };
  }

  #write(
    stored: StoredCheckpoint,
    planned: readonly PlannedChannel[],
    projection: Projection | undefined,
    version: number,
  ): SessionWrite {
    const { key, ns, thread, parent, checkpoint, metadata: meta } = stored;
    const turns = stored.turns as unknown as Value | undefined;
    const value = defined({ ns: ns || undefined, thread, parent, cp: toStored(checkpoint, "checkpoint"), meta, turns });
    const entries = this.#thread.entriesOf({ key, value }, "checkpoint");
    if (key !== keyOf("c", ns, checkpoint.id)) entries.push({ key: keyOf("m", ns, checkpoint.id), value: key });
    const ifPresent = this.#replaces ? ("replace" as const) : undefined;
    const values = [...this.#plain, ...planned.map((one) => one.value)].map((entry) =>
      this.#skipsValues ? { ...entry, ifPresent: "skip" as const } : entry,
    );
    const all = [...planned.flatMap((one) => one.entries), ...values];
    return {
      logs: {
        [checkpointsLog]: { entries: entries.map((entry) => ({ ...entry, ...defined({ ifPresent }) })) },
        ...defined({ [valuesLog]: all.length === 0 ? undefined : { entries: all } }),
      },
      onto: { version, marks: {} },
      // A write of no turns is refused as well if another writer has added one: the number of the last turn is then another.
      ...defined({ turns: this.#hasTurns ? (projection?.write ?? { turns: [] }) : undefined }),
    };
  }

  /** A key is there already: of this checkpoint, of a value, or of an element. */
  #duplicate({ log, entry }: { readonly log: string; readonly entry: { readonly key: string | null } }): false {
    if (log === checkpointsLog) this.#replaces = true;
    else if (entry.key?.startsWith("v|") === true) this.#skipsValues = true;
    else this.#alone = true;
    this.#thread.forget();
    return false;
  }
}

/** The elements of a channel that is stored by elements: a list, or the snapshot of a delta channel that is a list. */
function listIn(value: unknown): { readonly values: readonly unknown[]; readonly isDelta: boolean } | undefined {
  const isDelta = isFields(value) && value["lg_name"] === "DeltaSnapshot";
  const values: unknown = isDelta ? value["value"] : value;
  return Array.isArray(values) && isStoredByElements(values) ? { values, isDelta } : undefined;
}

function isLarge(entries: readonly LogEntryInput[]): boolean {
  return entries.length > batchMax.entries || charactersOf(entries) > batchMax.characters;
}

function* batchesOf(entries: readonly LogEntryInput[]): Generator<readonly LogEntryInput[], void, void> {
  let batch: LogEntryInput[] = [];
  for (const entry of entries) {
    batch.push(entry);
    if (!isLarge(batch)) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** About the characters of the entries: long texts in them count. */
function charactersOf(entries: readonly LogEntryInput[]): number {
  return entries.reduce((sum, { value }) => sum + lengthOf(value), 0);
}
