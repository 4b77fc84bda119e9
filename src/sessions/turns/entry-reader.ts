/** Reads the turns and events of a session, oldest first, one page in memory at a time. */
import { inheritedIn } from "../../domain/branches/segments.ts";
import { haveSameTurns, headOf } from "../../domain/record/change.ts";
import type { Entry, UnreadableEntry } from "../../domain/record/entry.ts";
import { readEvent, type SessionEvent } from "../../domain/record/event.ts";
import { TruncatedSums, type TruncatedTurns } from "../../domain/turns/truncated-usage.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { readTurn, type Turn } from "../../domain/turns/turn.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { SessionError } from "../../errors.ts";
import type { Handle } from "../handle/handle.ts";
import { treeFor } from "../handle/kept-turns.ts";
import { readLog } from "../core/log-reader.ts";
import { guardNames, guardObject, type OptionNames } from "../../domain/values/option-names.ts";
import { traceCall } from "../tracing/operation.ts";
import { guardNumber, invalidArgument } from "../../domain/values/invalid-argument.ts";

/**
 * The last so many entries, of all or of those before a number, or the entries from one number to another, bounds included.
 * Without bounds, all entries.
 */
export interface EntryRange {
  readonly last?: number;
  readonly from?: number;
  readonly to?: number;
  /** Only entries before this number; with `last`, the page before an entry that the caller has. Instead of `to`. */
  readonly before?: number;
  /** Called for each entry of the range that cannot be read, in its place; the iteration passes over it. */
  readonly onUnreadable?: (entry: UnreadableEntry) => void;
}

/** The turns of a session, of the current branch or of another one. */
export interface TurnRange extends EntryRange {
  /** The id of the branch, as `Session.branches` lists it. @default the current one */
  readonly branch?: string;
}

export function readTurns(handle: Handle, range: TurnRange): AsyncGenerator<Turn, void, undefined> {
  const { branch, ...others } = guardedObject(range);
  if (branch !== undefined) return readBranch(handle, branch, others);
  return readEntries(handle, others, { log: "turns", read: readTurn });
}

function guardedObject(range: TurnRange): TurnRange {
  guardObject(range, "range");
  return range;
}

async function* readBranch(handle: Handle, branch: string, range: EntryRange): AsyncGenerator<Turn, void, undefined> {
  guardRange(range);
  const { last, from = 1, before, to = Number.MAX_SAFE_INTEGER, onUnreadable } = range;
  const bounds = { last, from, to: before === undefined ? to : before - 1 };
  const { branchEntries } = await import("../branches/branches.ts");
  for await (const entry of branchEntries(handle, branch, bounds)) {
    const turn = readTurn(entry);
    if (typeof turn === "string") onUnreadable?.({ seq: entry.seq, reason: turn });
    else yield turn;
  }
}

export function readEvents(handle: Handle, range: EntryRange): AsyncGenerator<SessionEvent, void, undefined> {
  return readEntries(handle, range, { log: "events", read: readEvent });
}

async function* readEntries<Item extends object>(
  handle: Handle,
  range: EntryRange,
  { log, read }: { readonly log: "turns" | "events"; readonly read: (entry: Entry) => Item | string },
): AsyncGenerator<Item, void, undefined> {
  guardObject(range, "range");
  const { last, from = 1, before, onUnreadable } = range;
  const to = before === undefined ? (range.to ?? Number.MAX_SAFE_INTEGER) : before - 1;
  const itemOf = (entry: Entry): Item | undefined => {
    const item = read(entry);
    if (typeof item !== "string") return item;
    onUnreadable?.({ seq: entry.seq, reason: item });
    return undefined;
  };
  const { readMax, readBytesMax: bytesMax } = handle.core.options.limits;
  if (last !== undefined && last <= readMax && to !== 0) {
    const tail = await traceCall(handle.about(log), async () => {
      guardRange(range);
      return await lastEntries(handle, log, { last, to });
    });
    for (const entry of tail ?? []) {
      const item = itemOf(entry);
      if (item !== undefined) yield item;
    }
    if (tail !== undefined) return;
  }
  const { record } = await traceCall(handle.about(log), async () => {
    guardRange(range);
    return await handle.peek();
  });
  const head = headOf(record, log);
  const end = Math.min(to, head);
  let earlier: Entry | undefined;
  for (let next = last === undefined ? from : Math.max(1, end - last + 1); next <= end;) {
    const page = await traceCall(handle.about(log), async () => {
      const wanted = { log, from: next, to: end, order: "ascending", limit: readMax, bytesMax } as const;
      const entries = await readLog(handle.core, record, wanted);
      if (earlier !== undefined && log === "turns") await guardUnchanged(handle, record, earlier);
      return entries;
    });
    for (const entry of page) {
      const item = itemOf(entry);
      if (item !== undefined) yield item;
    }
    earlier = page.at(-1);
    if (earlier === undefined) return;
    next = earlier.seq + 1;
  }
}

/**
 * Guard that a page of turns belongs to the same history as the pages before it. That holds if the record has the same
 * turns, or if the last turn of the page before is unchanged in the newest record.
 * @throws SessionError `conflict`
 */
async function guardUnchanged(handle: Handle, record: SessionRecord, before: Entry): Promise<void> {
  const { record: newest } = await handle.core.load(handle.key);
  if (haveSameTurns(newest, record)) return;
  const { seq, at, key, data } = before;
  const range = { log: "turns", from: seq, to: seq, order: "ascending", limit: 1 } as const;
  const [again] = await readLog(handle.core, newest, range);
  if (again?.at === at && again.key === key && again.data === data) return;
  throw new SessionError("conflict", {
    ...sessionIds(record),
    seenTurn: seq,
    storedTurn: headOf(newest, "turns"),
    seenVersion: record.turnsVersion,
    storedVersion: newest.turnsVersion,
  });
}

/**
 * The last entries of a log in one round trip. Undefined if the round trip does not return all of them: they exceed its
 * limit of bytes, they are in an archive or a parent, or the log is empty.
 */
async function lastEntries(
  handle: Handle,
  log: "turns" | "events",
  { last, to }: { readonly last: number; readonly to: number },
): Promise<readonly Entry[] | undefined> {
  const bytesMax = handle.core.options.limits.readBytesMax;
  const page =
    log === "turns"
      ? await lastTurns(handle, { last, to, bytesMax })
      : (
          await handle.core.store.read(handle.key, { log, from: 1, to, order: "descending", limit: last, bytesMax })
        ).toReversed();
  const isWhole = page.length > 0 && (page.length === last || page[0]?.seq === 1);
  return isWhole ? page : undefined;
}

/** The last turns up to a number. The record says which segments have them. */
async function lastTurns(
  handle: Handle,
  { last, to, bytesMax }: { readonly last: number; readonly to: number; readonly bytesMax: number },
): Promise<readonly Entry[]> {
  if (to === Number.MAX_SAFE_INTEGER) {
    const [turns = []] = (await handle.peek([{ log: "turns", last, bytesMax }])).tails;
    return turns;
  }
  const { record } = await handle.peek();
  const range = { log: "turns", from: 1, to, order: "descending", limit: last, bytesMax } as const;
  return (await readLog(handle.core, record, range)).toReversed();
}

/** The names of the fields of a range. */
export const rangeNames: OptionNames<EntryRange> = {
  last: true,
  from: true,
  to: true,
  before: true,
  onUnreadable: true,
};

function guardRange(range: EntryRange): void {
  guardNames(range, "range", rangeNames);
  const { last, from, to, before } = range;
  if (before !== undefined && (!Number.isSafeInteger(before) || before < 1 || to !== undefined)) {
    throw invalidArgument("before", before, { expected: "without_to" });
  }
  if (last !== undefined && (!Number.isSafeInteger(last) || last < 0 || from !== undefined || to !== undefined)) {
    throw invalidArgument("last", last, { expected: "without_range" });
  }
  const bounds = { from: from ?? 1, to: to ?? Number.MAX_SAFE_INTEGER };
  guardNumber(bounds.from, "from");
  guardNumber(bounds.to, "to");
  const wholes = Number.isSafeInteger(bounds.from) && Number.isSafeInteger(bounds.to);
  if (!wholes || bounds.from < 1 || bounds.to < bounds.from) throw new SessionError("range_invalid", bounds);
}

/**
 * The messages and the usage of these turns, for a truncation.
 * @throws SessionError `store_invalid` for a turn that cannot be read: its usage would be lost
 */
export async function readTruncated(handle: Handle, range: { from: number; to: number }): Promise<TruncatedTurns> {
  const sums = new TruncatedSums();
  const onUnreadable = ({ seq }: UnreadableEntry): void => {
    throw new SessionError("store_invalid", { problem: "entry_invalid", log: "turns", seq });
  };
  for await (const turn of readTurns(handle, { ...range, onUnreadable }))
    sums.add(turn, inheritedIn(handle.record, "turns"));
  return { ...sums.result, ...(await treeFor(handle.core, handle.record)) };
}
