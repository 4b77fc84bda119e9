import { hasTurns } from "../../../domain/branches/segments.ts";
import { isDocumentChange, isSame, lastOwn, type Transaction } from "../../../domain/record/change.ts";
import type { Splice } from "../../../domain/record/entry.ts";
import type { SessionRecord } from "../../../domain/record/record.ts";
import { rowOf, type RecordRow } from "../../row.ts";
import type { KnownPlace, Place, Places } from "../connection/places.ts";
import type { Value, Writes } from "./writer-thread.ts";

/** The place of the one session that a transaction changes, if this connection wrote it last. */
export function knownPlace(transaction: Transaction, places: Places): KnownPlace | undefined {
  const [change] = transaction;
  if (change === undefined || transaction.length > 1 || isDocumentChange(change)) return undefined;
  const { key, expected, record, logsOf } = change;
  if (record === null || expected === null || logsOf !== undefined) return undefined;
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

/** A batch of changes of sessions whose places are known, as the writer thread takes it. */
export class KnownWrites implements Writes {
  readonly tenants: string[] = [];
  readonly claims: Value[] = [];
  readonly updates: Value[] = [];
  readonly cuts: Value[] = [];
  readonly entries: Value[] = [];
  readonly #places: KnownPlace[] = [];
  readonly #rows: RecordRow[] = [];
  readonly #heads: SessionRecord["heads"][] = [];

  /** Undefined if the batch has anything that the thread does not write. */
  static of(batch: readonly Transaction[], places: Places): KnownWrites | undefined {
    const writes = new KnownWrites();
    for (const transaction of batch) if (!writes.#add(transaction, places)) return undefined;
    return writes;
  }

  #add(transaction: Transaction, places: Places): boolean {
    const place = knownPlace(transaction, places);
    const [change] = transaction;
    if (place === undefined || change === undefined || isDocumentChange(change)) return false;
    const { key, record, splices, claims, additions } = change;
    if (record === null || additions !== undefined) return false;
    const row = rowOf(record);
    // A change of the labels writes their table, and one of another minute, once a minute, writes an index.
    if (row.labels !== place.labels || row.activeMinute !== place.activeMinute || !keepsIndexed(row, place))
      return false;
    for (const splice of splices) if (!this.#splice(splice, place)) return false;
    for (const claim of claims) this.claims.push(key.tenant, key.id, claim.log, claim.key);
    this.updates.push(...valuesOfUpdate(row, place));
    if (!this.tenants.includes(row.tenant)) this.tenants.push(row.tenant);
    this.#places.push(place);
    this.#rows.push(row);
    this.#heads.push(record.heads);
    return true;
  }

  /** A change has one splice for each log, so all logs may be cut before any entry is written. */
  #splice(splice: Splice, place: KnownPlace): boolean {
    const { log, from, entries } = splice;
    // Archives are stored as bytes.
    if (log === "archive") return false;
    if (!isAppend(splice, place)) this.cuts.push(place.no, log, from);
    for (const { seq, key, at, data } of entries) this.entries.push(place.no, log, seq, key, at, data);
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
