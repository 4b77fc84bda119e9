/** Refuses logs that another program has written to. */
import { bytesLog, isContentScope } from "../../domain/attachments/attachment.ts";
import { storedRange } from "../../domain/branches/segments.ts";
import type { Entry, SessionKey } from "../../domain/record/entry.ts";
import { mayLackItsBeginning } from "../../domain/record/event.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { SessionError } from "../../errors.ts";
import type { LoadRequest, LogRange } from "../store.ts";

/**
 * Checks that the last entries of a log have no gap and end at the head in the record. The first turns of a fork are elsewhere,
 * and so are the bytes of a content that names its object in the place of a user.
 * @throws SessionError `store_invalid`
 */
export function guardTail(
  entries: readonly Entry[],
  { store, record, log, last, bytesMax }: { store: string; record: SessionRecord } & LoadRequest["tails"][number],
): void {
  if (entries.length === 0 && log === bytesLog && isContentScope(record.tenant) && record.user !== null) return;
  const { first, last: head } = storedRange(record, log);
  const count = Math.max(0, Math.min(last, head - first + 1));
  const mayBeShort = mayLackItsBeginning(log) || (bytesMax !== undefined && entries.length > 0);
  const isWhole = entries.length === count || (entries.length < count && mayBeShort);
  const most = isWhole ? entries.length : count;
  for (let back = 0; back < most; back++) {
    if (entries.at(-1 - back)?.seq !== head - back) throw entryMissing(store, record, { log, seq: head - back });
  }
  if (!isWhole) throw entryMissing(store, record, { log, seq: head });
}

/**
 * Checks that the numbers of the entries have no gap, and that ascending entries begin at the requested one.
 * @throws SessionError `store_invalid`
 */
export function guardGapless(
  entries: readonly Entry[],
  { store, key, log, from, order }: { store: string; key: SessionKey } & Extract<LogRange, { from: number }>,
): void {
  const step = order === "ascending" ? 1 : -1;
  const first = entries[0]?.seq ?? from;
  if (order === "ascending" && first > Math.max(from, 1) && !mayLackItsBeginning(log))
    throw entryMissing(store, key, { log, seq: Math.max(from, 1) });
  for (let index = 1; index < entries.length; index++) {
    const before = entries[index - 1]?.seq ?? 0;
    const seq = entries[index]?.seq ?? 0;
    if (seq - before !== step) throw entryMissing(store, key, { log, seq: before + step });
  }
}

function entryMissing(
  store: string,
  { tenant, id }: SessionKey,
  place: { readonly log: string; readonly seq: number },
): SessionError {
  return new SessionError("store_invalid", {
    store,
    sessionId: id,
    tenant,
    problem: "changed_elsewhere",
    ...place,
  });
}
