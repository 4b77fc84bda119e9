/**
 * A snapshot as it is stored: what it shares with the snapshot before it is stored once. Messages, artifacts and the custom state are
 * entries of one log, and a snapshot names them by their numbers.
 */
import { decode } from "../../domain/values/codec.ts";
import { encodeValue, sameValue, type LogEntryInput, type SessionLog, type Value } from "../../index.ts";
import { freshName } from "../keys/composed-keys.ts";
import type { GenkitSnapshot } from "./package-genkit.ts";

/** The log of the messages, artifacts and custom states of snapshots. */
export const itemsLog = "genkit-items";

/** The first and the last number of neighbouring entries. */
type Range = readonly [from: number, to: number];

/** The parts of a state that are entries. The custom state is one. */
const parts = ["messages", "artifacts", "custom"] as const;
type Part = (typeof parts)[number];

/** A snapshot without these parts, and the entries that they are; a part that the state does not have is absent. */
export interface StoredSnapshot {
  readonly snapshot: Value;
  readonly parts: { readonly [Name in Part]?: readonly Range[] };
  /** Absent in snapshots of stores that had no turns for them. */
  readonly turns?: SnapshotTurns;
  /** The name of the save, which no other save has. */
  readonly save?: string;
}

/** The turns that the messages of a snapshot are. */
export interface SnapshotTurns {
  /** The first turn that was written with the snapshot. */
  readonly from: number;
  /** The last turn that its messages are; `from - 1` where none was written with it. */
  readonly to: number;
  /** The number of messages of the snapshot before turn `from`. */
  readonly skip: number;
  /** The number of messages that turn `to` has. */
  readonly count: number;
  /** The digest of these messages. */
  readonly digest: string;
  /** The key of turn `to`, where the store has written it: no turn in its place has the same. */
  readonly key?: string;
  /** The time of turn `to`, epoch ms, where it was read. */
  readonly at?: number;
}

/** An item, and the number of its entry. */
export interface Item {
  readonly seq: number;
  readonly value: Value;
  /** The length of its text, once that is known. */
  length?: number;
}

/** The items of a snapshot. */
export type Items = { readonly [Name in Part]?: readonly Item[] };

/** All items, part by part. */
export function itemsIn(items: Items): readonly Item[] {
  return parts.flatMap((part) => items[part] ?? []);
}

/** A snapshot to store. */
interface NewSnapshot {
  readonly stored: StoredSnapshot;
  /** Those of the base, where it has the same ones, and copies of the new ones. */
  readonly items: Items;
  /** The entries of the new ones. */
  readonly entries: readonly LogEntryInput[];
}

/**
 * The snapshot as it is stored, and the entries that it needs beside those of another one.
 * @param base the items of the snapshot that it is a later version of, or that it follows
 * @param end the last number of the log of items
 * @throws SessionError `value_unstorable`
 */
export function storedSnapshot(snapshot: GenkitSnapshot, base: Items | undefined, end: number): NewSnapshot {
  const { state, ...rest } = snapshot;
  const save = freshName();
  if (state === undefined) return { stored: { snapshot: rest, parts: {}, save }, items: {}, entries: [] };
  const entries: LogEntryInput[] = [];
  const items: { [Name in Part]?: readonly Item[] } = {};
  const ranges: { [Name in Part]?: readonly Range[] } = {};
  const newItem = (given: Value): Item => {
    // The program may change its value while the copy is stored.
    const text = encodeValue(given, `${itemsLog}[${entries.length}]`);
    const value = decode(text);
    return { seq: end + entries.push({ value }), value, length: text.length };
  };
  for (const part of parts) {
    const values = valuesOf(state, part);
    if (values === undefined) continue;
    const known = base?.[part] ?? [];
    items[part] = values.map((value, index) => {
      const same = known[index];
      return same !== undefined && sameValue(same.value, value) ? same : newItem(value);
    });
    ranges[part] = rangesOf(items[part]);
  }
  const { messages: _, artifacts: __, custom: ___, ...others } = state;
  return { stored: { snapshot: { ...rest, state: others }, parts: ranges, save }, items, entries };
}

function valuesOf(state: NonNullable<GenkitSnapshot["state"]>, part: Part): readonly Value[] | undefined {
  const value = state[part];
  if (value === undefined) return undefined;
  return (part === "custom" ? [value] : value) as readonly Value[];
}

function rangesOf(items: readonly Item[]): readonly Range[] {
  const ranges: [number, number][] = [];
  for (const { seq } of items) {
    const last = ranges.at(-1);
    if (last !== undefined && seq === last[1] + 1) last[1] = seq;
    else ranges.push([seq, seq]);
  }
  return ranges;
}

/** The items of a stored snapshot. */
export async function itemsOf(log: SessionLog, { parts: ranges }: StoredSnapshot): Promise<Items> {
  const read = async (one: readonly Range[] | undefined): Promise<Items[Part]> => {
    if (one === undefined) return undefined;
    const pages = await Promise.all(one.map(([from, to]) => Array.fromAsync(log.entries({ from, to }))));
    return pages.flat().map(({ seq, value }) => ({ seq, value }));
  };
  const found = await Promise.all(parts.map(async (part) => [part, await read(ranges[part])] as const));
  return Object.fromEntries(found.filter(([, items]) => items !== undefined));
}

/** The snapshot, of its stored form and its items. */
export function snapshotOf<S>({ snapshot }: StoredSnapshot, items: Items): GenkitSnapshot<S> {
  const rest = snapshot as unknown as GenkitSnapshot<S>;
  if (rest.state === undefined) return rest;
  const values = Object.entries(items).map(([part, list]) => {
    const all = list.map(({ value }) => value);
    return [part, part === "custom" ? all[0] : all];
  });
  return { ...rest, state: { ...rest.state, ...Object.fromEntries(values) } };
}
