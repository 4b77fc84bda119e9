import { hasTurns } from "../../../domain/branches/segments.ts";
import { isDocumentChange, isSame, lastOwn, type Transaction } from "../../../domain/record/change.ts";
import type { Splice } from "../../../domain/record/entry.ts";
import type { SessionRecord } from "../../../domain/record/record.ts";
import { rowOf, type RecordRow } from "../../row.ts";
import type { KnownPlace, Place, Places } from "../connection/places.ts";
import type { Appends, Value } from "./append-thread.ts";

/** The place of the one session that a transaction changes, if this connection wrote it last and no key is to be looked up. */
export function knownPlace(transaction: Transaction, places: Places): KnownPlace | undefined {
  const [change] = transaction;
  if (change === undefined || transaction.length > 1 || isDocumentChange(change)) return undefined;
  const { key, expected, record, claims, logsOf } = change;
  if (record === null || expected === null || claims.length > 0 || logsOf !== undefined) return undefined;
  const place = places.get(key);
  return place !== undefined && isSame(place, expected) ? place : undefined;
}

/** True if the entries go behind the end of their log, and are stored as text. */
export function isAppend({ log, from, appends }: Splice, place: KnownPlace): boolean {
  // The heads of a record do not say where the segments of branches end.
  return log !== "archive" && appends === true && (hasTurns(log) || from === lastOwn(place, log) + 1);
}

/** True if the columns of indexes stay as they are, all but the minute of the last activity. */
export function keepsIndexed({ state, user, stateSince, sweepAt, createdAt, agent }: RecordRow, place: Place): boolean {
  return (
    state === place.state &&
    user === place.user &&
    stateSince === place.stateSince &&
    sweepAt === place.sweepAt &&
    createdAt === place.createdAt &&
    agent === place.agent
  );
}

/** The values of the statement that updates a record, if it is still the one of its place. */
export function valuesOfUpdate(row: RecordRow, place: Place): Value[] {
  const { version, commitId, lastActivityAt, expiresAt, title, labels, data } = row;
  return [version, commitId, lastActivityAt, expiresAt, title, labels, data, place.no, place.version, place.commitId];
}

/** A batch of appends to sessions whose places are known. */
export class KnownAppends implements Appends {
  readonly tenants: string[] = [];
  readonly updates: Value[] = [];
  readonly entries: Value[] = [];
  readonly #places: KnownPlace[] = [];
  readonly #rows: RecordRow[] = [];
  readonly #heads: SessionRecord["heads"][] = [];

  /** Undefined if the batch has anything else, which the thread of appends does not write. */
  static of(batch: readonly Transaction[], places: Places): KnownAppends | undefined {
    const appends = new KnownAppends();
    for (const transaction of batch) if (!appends.#add(transaction, places)) return undefined;
    return appends;
  }

  #add(transaction: Transaction, places: Places): boolean {
    const place = knownPlace(transaction, places);
    const [change] = transaction;
    if (place === undefined || change === undefined || isDocumentChange(change)) return false;
    const { record, splices, additions } = change;
    if (record === null || additions !== undefined) return false;
    const row = rowOf(record);
    // An append of another minute, once a minute, changes an index.
    if (!keepsIndexed(row, place) || row.activeMinute !== place.activeMinute || row.labels !== place.labels)
      return false;
    for (const splice of splices) {
      if (!isAppend(splice, place)) return false;
      for (const { seq, key, at, data } of splice.entries) this.entries.push(place.no, splice.log, seq, key, at, data);
    }
    this.updates.push(...valuesOfUpdate(row, place));
    if (!this.tenants.includes(row.tenant)) this.tenants.push(row.tenant);
    this.#places.push(place);
    this.#rows.push(row);
    this.#heads.push(record.heads);
    return true;
  }

  /** The batch was written: the places have the new records. */
  landed(places: Places): void {
    this.#places.forEach((place, index) => {
      const row = this.#rows[index];
      const heads = this.#heads[index];
      if (row !== undefined && heads !== undefined) places.wrote(place, row, heads);
    });
  }
}
