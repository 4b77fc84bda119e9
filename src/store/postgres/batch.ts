import type { Change, Transaction } from "../../domain/change.ts";
import type { Entry } from "../../domain/entry.ts";
import { recordOf, rowOf, type RecordRow } from "../row.ts";
import type { Outcome } from "../store.ts";

/** A transaction and its number in the batch. */
export interface Numbered {
  readonly n: number;
  readonly transaction: Transaction;
}

/** The arguments of `commit_batch` after lane and number: texts of JSON, null where there is nothing. */
export function batchArguments(batch: readonly Numbered[]): (string | boolean | null)[] {
  const updates: object[] = [];
  const creates: object[] = [];
  const removals: object[] = [];
  const splices: object[] = [];
  const entries: object[] = [];
  const claims: object[] = [];
  let locks = false;
  for (const { n, transaction } of batch)
    for (const {
      key: { tenant, id },
      claims: claimed,
    } of transaction)
      for (const { log, key } of claimed) claims.push({ n, place: claims.length, tenant, id, log, key });
  for (const { n, place, change } of sorted(batch)) {
    const { tenant, id } = change.key;
    const { expected } = change;
    const key = { n, tenant, id };
    if (place > 0 || change.record === null) locks = true;
    if (change.record === null) {
      removals.push({ ...key, place, expected });
      continue;
    }
    const list = expected === 0 ? creates : updates;
    list.push({ ...key, place, expected, ...columnsOf(change.record) });
    for (const { log, from, entries: added } of change.splices) {
      if (expected > 0) splices.push({ ...key, log, from }); // a session that is created has nothing to cut
      for (const { seq, key: entryKey, at, data } of added) entries.push({ ...key, log, seq, key: entryKey, at, data });
    }
  }
  return [...[updates, creates, removals, splices, entries, claims].map(jsonOf), locks];
}

function jsonOf(list: readonly object[]): string | null {
  return list.length === 0 ? null : JSON.stringify(list);
}

function columnsOf(record: NonNullable<Change["record"]>): object {
  const row = rowOf(record);
  return {
    version: row.version,
    state: row.state,
    agent: row.agent,
    user_id: row.user,
    created_at: row.createdAt,
    last_activity_at: row.lastActivityAt,
    active_minute: row.activeMinute,
    state_since: row.stateSince,
    expires_at: row.expiresAt,
    sweep_at: row.sweepAt,
    data: row.data,
  };
}

/** All changes by key, in one order for everybody, so that two batches never wait for each other. */
function sorted(batch: readonly Numbered[]): { n: number; place: number; change: Change }[] {
  const changes = batch.flatMap(({ n, transaction }) => transaction.map((change, place) => ({ n, place, change })));
  if (changes.length === 1) return changes;
  return changes.sort(
    ({ change: { key: a } }, { change: { key: b } }) => compare(a.tenant, b.tenant) || compare(a.id, b.id),
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What `commit_batch` says: null where all has landed, else what has not and why. */
export type Answer =
  | null
  /** The batch came before; it has landed but for these. */
  | { readonly settled: readonly number[] }
  | {
      readonly duplicates: readonly { readonly n: number; readonly entry: Entry }[] | null;
      readonly conflicts: readonly { readonly n: number; readonly fits: boolean; readonly current: RecordRow | null }[];
    };

/** The outcomes of the refused transactions of a batch, by number. */
export function refusals(answer: Extract<Answer, { conflicts: unknown }>): Map<number, Outcome> {
  const outcomes = new Map<number, Outcome>();
  for (const { n, entry } of answer.duplicates ?? [])
    if (!outcomes.has(n)) outcomes.set(n, { status: "duplicate", entry });
  // One that did not fit when it was judged comes before one that fits by now.
  for (const { n, current } of answer.conflicts.toSorted((a, b) => Number(a.fits) - Number(b.fits))) {
    if (!outcomes.has(n))
      outcomes.set(n, { status: "conflict", current: current === null ? undefined : recordOf(current) });
  }
  return outcomes;
}
