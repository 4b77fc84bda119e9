/** Reads the checkpoints of a thread. Elements of lists that several checkpoints share are read once. */
import { SessionError, type Value } from "../../index.ts";
import { configOf } from "./address.ts";
import { keyOf, prefixOf } from "../keys/composed-keys.ts";
import type {
  ChannelVersion,
  Checkpoint,
  CheckpointMetadata,
  CheckpointTuple,
  DeltaChannelHistory,
  PendingWrite,
} from "./package-checkpoint.ts";
import { DeltaSnapshot } from "./package-checkpoint.ts";
import { placesOf, type Place, type Run, type WrittenPlace } from "./stored-lists.ts";
import { fromStored } from "./stored-values.ts";
import { tasksChannel, writesInOrder, type StoredWrites } from "./stored-writes.ts";
import { valuesLog, writesLog, type StoredCheckpoint, type Thread } from "./thread.ts";

/** The value of a channel, as it is stored. */
export type StoredChannel =
  | { readonly value: Value }
  /** `delta`: the list is the snapshot of a delta channel. */
  | { readonly runs: readonly Run[]; readonly delta?: true };

/** The key of the value that a channel has at a version. */
export function valueKey(ns: string, channel: string, version: ChannelVersion): string {
  return keyOf("v", ns, channel, String(version));
}

/** The key of the list of a channel, among those that a process remembers. */
export function listKey(ns: string, channel: string): string {
  return keyOf(ns, channel);
}

export class ThreadReader {
  readonly #thread: Thread;
  /** The elements that were read, by list: from a first number on, without gaps. */
  readonly #elements = new Map<string, { readonly from: number; readonly values: readonly Value[] }>();

  constructor(thread: Thread) {
    this.#thread = thread;
  }

  async tuple(stored: StoredCheckpoint, { isNamed }: { readonly isNamed: boolean }): Promise<CheckpointTuple> {
    const { ns, parent } = stored;
    const thread = this.#thread.id;
    const id = stored.checkpoint.id;
    const [values, writes, sends, metadata] = await Promise.all([
      this.#channelValues(stored),
      this.writes(ns, id),
      stored.checkpoint.v < 4 && parent !== undefined ? this.writes(ns, parent) : [],
      fromStored(stored.metadata),
    ]);
    const checkpoint = { ...stored.checkpoint, channel_values: values };
    if (stored.checkpoint.v < 4 && parent !== undefined) addSends(checkpoint, sends);
    const tuple: CheckpointTuple = {
      config: configOf({ thread, ns, id }, { isNamed }),
      checkpoint,
      metadata: metadata as CheckpointMetadata,
      pendingWrites: writes,
    };
    if (parent !== undefined) tuple.parentConfig = configOf({ thread, ns, id: parent }, { isNamed: false });
    return tuple;
  }

  /** The pending writes of a checkpoint, in the order in which a run applies them. */
  async writes(ns: string, id: string): Promise<PendingWrite[]> {
    const session = await this.#thread.opened();
    const entries = await Array.fromAsync(session.log(writesLog).between({ prefix: prefixOf(ns, id) }));
    const calls = await Promise.all(
      entries
        .toSorted((a, b) => a.seq - b.seq)
        .map(async ({ value }) => (await this.#thread.whole(writesLog, value)) as unknown as StoredWrites),
    );
    return await Promise.all(
      writesInOrder(calls).map(async ({ task, channel, value }): Promise<PendingWrite> => [
        task,
        channel,
        await fromStored(value),
      ]),
    );
  }

  /** What the writes of the ancestors make of these channels: from the nearest stored value on. */
  async deltaHistory(
    from: StoredCheckpoint | undefined,
    channels: readonly string[],
  ): Promise<Record<string, DeltaChannelHistory>> {
    const writes = new Map(channels.map((channel) => [channel, [] as PendingWrite[]]));
    const seeds = new Map<string, unknown>();
    let stored = from;
    while (stored?.parent !== undefined && seeds.size < writes.size) {
      const { ns, parent } = stored;
      stored = await this.#thread.checkpoint(ns, parent);
      if (stored === undefined) break;
      const wanted = [...writes.keys()].filter((channel) => !seeds.has(channel));
      const [values, pending] = await Promise.all([this.#channelValues(stored, wanted), this.writes(ns, parent)]);
      for (const write of pending.toReversed()) if (!seeds.has(write[1])) writes.get(write[1])?.push(write);
      for (const channel of wanted)
        if (Object.hasOwn(values, channel) && values[channel] !== undefined) seeds.set(channel, values[channel]);
    }
    const history = Array.from(writes, ([channel, found]): [string, DeltaChannelHistory] => {
      const result: DeltaChannelHistory = { writes: found.toReversed() };
      if (seeds.has(channel)) result.seed = seeds.get(channel);
      return [channel, result];
    });
    return Object.fromEntries(history);
  }

  /** The places of the elements of a channel; undefined where it is not stored by elements. */
  async places({ ns, checkpoint }: StoredCheckpoint, channel: string): Promise<readonly Place[] | undefined> {
    const version = Object.hasOwn(checkpoint.channel_versions, channel)
      ? checkpoint.channel_versions[channel]
      : undefined;
    if (version === undefined) return undefined;
    const [entry] = await (await this.#thread.opened()).log(valuesLog).get([valueKey(ns, channel, version)]);
    const stored = entry && ((await this.#thread.whole(valuesLog, entry.value)) as unknown as StoredChannel);
    return stored !== undefined && "runs" in stored ? placesOf(stored.runs, []) : undefined;
  }

  async #channelValues(
    { ns, checkpoint }: StoredCheckpoint,
    channels: readonly string[] = Object.keys(checkpoint.channel_versions),
  ): Promise<Record<string, unknown>> {
    const versions = new Map(Object.entries(checkpoint.channel_versions));
    const byKey = new Map<string, string>();
    for (const channel of channels) {
      const version = versions.get(channel);
      if (version !== undefined) byKey.set(valueKey(ns, channel, version), channel);
    }
    const session = await this.#thread.opened();
    const keys = [...byKey.keys()];
    const values = new Map<string, unknown>();
    for (let at = 0; at < keys.length; at += keysMax)
      for (const { key, value } of await session.log(valuesLog).get(keys.slice(at, at + keysMax))) {
        const channel = byKey.get(key ?? "") ?? "";
        const stored = (await this.#thread.whole(valuesLog, value)) as unknown as StoredChannel;
        values.set(channel, await this.#valueOf(stored, listKey(ns, channel)));
      }
    // In the order of the versions, as the graph wrote them; fromEntries makes a property of the name __proto__.
    return Object.fromEntries(
      channels.filter((channel) => values.has(channel)).map((channel) => [channel, values.get(channel)]),
    );
  }

  async #valueOf(stored: StoredChannel, key: string): Promise<unknown> {
    if (!("runs" in stored)) return await fromStored(stored.value);
    const { runs, delta = false } = stored;
    const elements = (await Promise.all(runs.map((run) => this.#elementsOf(run)))).flat();
    const values = await Promise.all(elements.map((element) => fromStored(element)));
    this.#thread.lists.remember(key, { values, places: placesOf(runs, values) });
    return delta ? new DeltaSnapshot(values) : values;
  }

  /** The elements, those that are in writes of tasks read from there. @throws SessionError `store_invalid` if a write is missing */
  async #fromWrites(elements: readonly Value[]): Promise<readonly Value[]> {
    const places = elements.filter(isWritten) as unknown as readonly Written[];
    if (places.length === 0) return elements;
    const keys = [...new Set(places.map(({ key }) => key))];
    const log = (await this.#thread.opened()).log(writesLog);
    const calls = new Map<string, StoredWrites>();
    for (let at = 0; at < keys.length; at += keysMax)
      for (const { key, value } of await log.get(keys.slice(at, at + keysMax)))
        calls.set(key ?? "", (await this.#thread.whole(writesLog, value)) as unknown as StoredWrites);
    return elements.map((element) => {
      if (!isWritten(element)) return element;
      const { key, at } = element as unknown as Written;
      const value = calls.get(key)?.writes[at[0]]?.[1];
      const found = at[1] === undefined ? value : (value as readonly Value[] | undefined)?.[at[1]];
      if (found === undefined)
        throw new SessionError("store_invalid", { problem: "entry_invalid", log: writesLog, seq: 0 });
      return found;
    });
  }

  async #elementsOf([list, from, to]: Run): Promise<readonly Value[]> {
    const read = this.#elements.get(list);
    if (read !== undefined && read.from <= from && to <= read.from + read.values.length)
      return read.values.slice(from - read.from, to - read.from);
    const values = await this.#fromWrites(await this.#thread.elements(valuesLog, [[list, from, to]]));
    const whole = await Promise.all(values.map((value) => this.#thread.whole(valuesLog, value)));
    if (read === undefined || read.values.length < whole.length) this.#elements.set(list, { from, values: whole });
    return whole;
  }
}

/** An element that the write of a task has. */
type Written = WrittenPlace & { readonly $lg: "written" };

function isWritten(value: Value): boolean {
  return (value as { readonly $lg?: Value } | null)?.$lg === "written";
}

/** Keys of one read. */
const keysMax = 250;

/** Checkpoints of earlier formats have the sends of their parent as a channel. */
function addSends(checkpoint: Checkpoint, writes: readonly PendingWrite[]): void {
  const sends = writes.filter(([, channel]) => channel === tasksChannel).map(([, , value]) => value);
  const versions = Object.values(checkpoint.channel_versions);
  const newest = versions.toSorted((a, b) => compareVersions(a, b)).at(-1);
  checkpoint.channel_values[tasksChannel] = sends;
  checkpoint.channel_versions = { ...checkpoint.channel_versions, [tasksChannel]: newest ?? 1 };
}

/** As `compareChannelVersions` of the package. */
function compareVersions(a: ChannelVersion, b: ChannelVersion): number {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}
