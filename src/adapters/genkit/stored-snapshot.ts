/**
 * A snapshot as it is stored: what it shares with the snapshot before it is stored once. Messages, artifacts and the custom state are
 * entries of one log, and a snapshot names them by their numbers.
 */
import { sameValue, type LogEntryInput, type SessionLog, type Value } from "../../index.ts";
import type { GenkitSnapshot } from "./package-genkit.ts";

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
}

/** The items of a snapshot and their numbers. */
export type Items = { readonly [Name in Part]?: readonly { readonly seq: number; readonly value: Value }[] };

/**
 * The snapshot as it is stored, and the entries that it needs beside those of another one.
 * @param base the items of the snapshot that it is a later version of, or that it follows
 * @param end the last number of the log of items
 */
export function storedSnapshot(
  snapshot: GenkitSnapshot,
  base: Items | undefined,
  end: number,
): { readonly stored: StoredSnapshot; readonly entries: readonly LogEntryInput[] } {
  const { state, ...rest } = snapshot;
  if (state === undefined) return { stored: { snapshot: rest, parts: {} }, entries: [] };
  const entries: LogEntryInput[] = [];
  const ranges: { [Name in Part]?: readonly Range[] } = {};
  for (const part of parts) {
    const values = valuesOf(state, part);
    if (values === undefined) continue;
    const known = base?.[part] ?? [];
    ranges[part] = rangesOf(
      values.map((value, index) => {
        const same = known[index];
        if (same !== undefined && sameValue(same.value, value)) return same.seq;
        return end + entries.push({ value });
      }),
    );
  }
  const { messages: _, artifacts: __, custom: ___, ...others } = state;
  return { stored: { snapshot: { ...rest, state: others }, parts: ranges }, entries };
}

function valuesOf(state: NonNullable<GenkitSnapshot["state"]>, part: Part): readonly Value[] | undefined {
  const value = state[part];
  if (value === undefined) return undefined;
  return (part === "custom" ? [value] : value) as readonly Value[];
}

function rangesOf(seqs: readonly number[]): readonly Range[] {
  const ranges: [number, number][] = [];
  for (const seq of seqs) {
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
