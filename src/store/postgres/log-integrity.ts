/** A store that somebody else has written to is named and not served. */
import { firstOwn, lastOwn } from "../../domain/record/change.ts";
import type { Entry, SessionKey } from "../../domain/record/entry.ts";
import { mayLackItsBeginning } from "../../domain/record/event.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { SessionError } from "../../errors.ts";
import type { LoadRequest, LogRange } from "../store.ts";

/**
 * The last entries of a log run without a gap up to where the record says the log ends; the first of a fork are elsewhere.
 * @throws SessionError `store_invalid`
 */
export function guardTail(
  entries: readonly Entry[],
  { store, record, log, last, bytesMax }: { store: string; record: SessionRecord } & LoadRequest["tails"][number],
): void {
  const head = lastOwn(record, log);
  const count = Math.min(last, head - firstOwn(record, log) + 1);
  const mayBeShort = mayLackItsBeginning(log) || (bytesMax !== undefined && entries.length > 0);
  const isWhole = entries.length === count || (entries.length < count && mayBeShort);
  const first = head - entries.length + 1;
  if (isWhole && entries.every(({ seq }, index) => seq === first + index)) return;
  const found = entries.map(({ seq }) => seq);
  throw damaged(
    store,
    record,
    `its record says that ${log} ends with ${head}, the last ${last} entries are ${list(found)}`,
  );
}

/**
 * Neighbours in a log differ by one, and ascending ones begin where they were asked for.
 * @throws SessionError `store_invalid`
 */
export function guardGapless(
  entries: readonly Entry[],
  { store, key, log, from, order }: { store: string; key: SessionKey } & Extract<LogRange, { from: number }>,
): void {
  const step = order === "ascending" ? 1 : -1;
  const first = entries[0]?.seq ?? from;
  if (order === "ascending" && first > Math.max(from, 1) && !mayLackItsBeginning(log))
    throw damaged(store, key, `in ${log}, entry ${first} is the first from ${from} on`);
  for (let index = 1; index < entries.length; index++) {
    const before = entries[index - 1]?.seq ?? 0;
    const seq = entries[index]?.seq ?? 0;
    if (seq - before !== step) throw damaged(store, key, `in ${log}, entry ${before} has ${seq} for a neighbour`);
  }
}

function damaged(store: string, { tenant, id }: SessionKey, what: string): SessionError {
  const reason = `session ${id} of tenant ${tenant} was tampered with: ${what}; restore it from a backup`;
  return new SessionError("store_invalid", { store, reason });
}

function list(numbers: readonly number[]): string {
  if (numbers.length === 0) return "none";
  return numbers.length <= 8
    ? numbers.join(", ")
    : `${numbers.slice(0, 4).join(", ")} … ${numbers.slice(-4).join(", ")}`;
}
