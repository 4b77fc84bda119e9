import { haveSameTurns, headOf } from "../../domain/record/change.ts";
import type { Entry } from "../../domain/record/entry.ts";
import { CutTally, type Cut } from "../../domain/turns/truncated-usage.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { turnOf, type Turn } from "../../domain/turns/turn.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { SessionError } from "../../errors.ts";
import type { Handle } from "../core/handle.ts";
import { readLog } from "../core/log-reader.ts";
import { traceCall } from "../tracing/operation.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";

/** The last so many turns, or those from one number to another, bounds included; all of them where nothing is said. */
export interface TurnRange {
  readonly last?: number;
  readonly from?: number;
  readonly to?: number;
}

/** Read turns page by page, oldest first, never more than a page in memory. */
export async function* readTurns(handle: Handle, range: TurnRange): AsyncGenerator<Turn, void, undefined> {
  const { last, from = 1, to = Number.MAX_SAFE_INTEGER } = range;
  const { readMax, readBytesMax: bytesMax } = handle.core.options.limits;
  if (last !== undefined && last <= readMax) {
    const tail = await traceCall(handle.about("turns"), async () => {
      guardRange(range);
      return await lastEntries(handle, last);
    });
    for (const entry of tail ?? []) yield turnOf(entry);
    if (tail !== undefined) return;
  }
  const { record } = await traceCall(handle.about("turns"), async () => {
    guardRange(range);
    return await handle.peek();
  });
  const head = headOf(record, "turns");
  const end = Math.min(to, head);
  let before: Entry | undefined;
  for (let next = last === undefined ? from : Math.max(1, head - last + 1); next <= end;) {
    const page = await traceCall(handle.about("turns"), async () => {
      const range = { log: "turns", from: next, to: end, order: "ascending", limit: readMax, bytesMax } as const;
      const entries = await readLog(handle.core, record, range);
      if (before !== undefined) await guardUnchanged(handle, record, before);
      return entries;
    });
    if (page.length === 0) return;
    for (const entry of page) yield turnOf(entry);
    before = page.at(-1);
    next += page.length;
  }
}

/**
 * A page belongs to the ones before as long as nothing in front of it was cut off and written anew before it was read: the
 * turns are as the record says, or, where others wrote, the last turn of the page before is still the same.
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
 * The last turns in one round trip; undefined where that does not bring all of them: they are too many bytes for it, they
 * stand elsewhere, or there are none, or none any more.
 */
async function lastEntries(handle: Handle, last: number): Promise<readonly Entry[] | undefined> {
  const bytesMax = handle.core.options.limits.readBytesMax;
  const range = { log: "turns", from: 1, to: Number.MAX_SAFE_INTEGER, order: "descending", limit: last } as const;
  const page = await handle.core.store.read(handle.key, { ...range, bytesMax });
  const isWhole = page.length > 0 && (page.length === last || page.at(-1)?.seq === 1);
  return isWhole ? page.toReversed() : undefined;
}

function guardRange({ last, from, to }: TurnRange): void {
  if (last !== undefined && (!Number.isSafeInteger(last) || last < 0 || from !== undefined || to !== undefined)) {
    throw invalidArgument("last", last, { expected: "without_range" });
  }
  const bounds = { from: from ?? 1, to: to ?? Number.MAX_SAFE_INTEGER };
  const wholes = Number.isSafeInteger(bounds.from) && Number.isSafeInteger(bounds.to);
  if (!wholes || bounds.from < 1 || bounds.to < bounds.from) throw new SessionError("range_invalid", bounds);
}

/** What these turns hold and took, for who cuts them off. */
export async function readCut(handle: Handle, range: { from: number; to: number }): Promise<Cut> {
  const tally = new CutTally();
  for await (const turn of readTurns(handle, range)) tally.add(turn, handle.record.inherited);
  return tally.cut;
}
