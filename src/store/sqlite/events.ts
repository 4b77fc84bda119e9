import type { DatabaseSync } from "node:sqlite";
import { decodeCursor, encodeCursor, eventCursor, eventPosition } from "../cursor.ts";
import { exact } from "./record-columns.ts";
import type { FoundEvents, EventScan, FoundEvent } from "../store.ts";
import { entryBytes, pageOf } from "../within-bytes.ts";
import { Where } from "./where.ts";

/** The index of events by time. A statement that uses it repeats its condition on the log word for word. */
const byTheClock = "indexed by entries_of_events";

/** One page of events. One more row than the limit is read to find out whether another page follows. */
export function eventPage(database: DatabaseSync, scan: EventScan): FoundEvents {
  const where = whereOf(scan);
  const direction = scan.order === "ascending" ? "asc" : "desc";
  // The planner would otherwise read all events of the tenant, session by session, and sort them for one page.
  const byTime = scan.session === undefined ? byTheClock : "";
  const statement = database.prepare(`
    select session.id, session.agent, ${exact("entry.seq")} as seq, entry.key, ${exact("entry.at")} as at, entry.data
    from entries entry ${byTime} cross join sessions session on session.no = entry.session
    where ${where.conditions.join(" and ")}
    order by entry.at ${direction}, session.id ${direction}, entry.seq ${direction} limit ?`);
  const rows = statement.iterate(...where.values, scan.limit + 1) as unknown as Iterable<EventRow>;
  const { page, hasMore } = pageOf(rows, entryBytes, scan);
  const events = page.map(eventOf);
  const last = events.at(-1);
  const next = hasMore && last !== undefined ? encodeCursor(eventPosition(last)) : undefined;
  return { events, next };
}

/** Removes the oldest events before a time, and returns their number. */
export function deleteEvents(
  database: DatabaseSync,
  { tenant, before, limit }: { readonly tenant?: string; readonly before: number; readonly limit: number },
): number {
  const where = new Where();
  where.and("log = 'events' and at < ?", before);
  if (tenant !== undefined) where.and("session in (select no from sessions where tenant = ?)", tenant);
  const { changes } = database
    .prepare(
      `delete from entries where rowid in (
         select rowid from entries ${byTheClock} where ${where.conditions.join(" and ")} order by at, session, seq limit ?
       )`,
    )
    .run(...where.values, limit);
  return Number(changes);
}

interface EventRow {
  readonly id: string;
  readonly agent: string;
  readonly seq: number;
  readonly key: string | null;
  readonly at: number;
  readonly data: string;
}

function eventOf({ id, agent, ...entry }: EventRow): FoundEvent {
  return { session: id, agent, entry };
}

function whereOf({ tenant, session, agent, beginnings, since, before, order, after }: EventScan): Where {
  const where = new Where();
  where.and("entry.log = 'events' and session.tenant = ?", tenant);
  if (session !== undefined) {
    where.and("entry.session = (select no from sessions where tenant = ? and id = ?)", tenant, session);
  }
  if (agent !== undefined) where.and("session.agent = ?", agent);
  if (beginnings !== undefined) {
    const begins = "substr(entry.data, 1, length(value)) = value";
    where.and(`exists (select 1 from json_each(?) where ${begins})`, JSON.stringify(beginnings));
  }
  if (since !== undefined) where.and("entry.at >= ?", since);
  if (before !== undefined) where.and("entry.at < ?", before);
  if (after !== undefined) {
    const [at = 0, id = "", seq = 0] = decodeCursor(after, eventCursor);
    // The plain condition on the time lets the index scan begin there.
    const [upTo, beyond] = order === "ascending" ? [">=", ">"] : ["<=", "<"];
    where.and(`entry.at ${upTo} ? and (entry.at, session.id, entry.seq) ${beyond} (?, ?, ?)`, at, at, id, seq);
  }
  return where;
}
