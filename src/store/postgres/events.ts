import { decodeCursor, encodeCursor, eventCursor, eventPosition } from "../cursor.ts";
import type { FoundEvents, EventScan, FoundEvent } from "../store.ts";
import { entryBytes, pageOf } from "../within-bytes.ts";
import type { Database, Row } from "./connection/database.ts";
import { sqlInto, type Sql } from "./connection/sql.ts";

/** One page of events. One more row than the limit is read to find out whether another page follows. */
export async function eventPage(ask: Database["ask"], schema: string, scan: EventScan): Promise<FoundEvents> {
  const values: unknown[] = [];
  const sql = sqlInto(values);
  const conditions = conditionsOf(sql, scan);
  // Session by session in the order of the events: with a plain join the server may read all sessions of the tenant.
  const direction = scan.order === "ascending" ? "asc" : "desc";
  const order = `order by entry.at ${direction}, entry.session ${direction}, entry.seq ${direction}`;
  const found = `
     from ${schema}.entries entry
     cross join lateral (
       select found.agent from ${schema}.sessions found
       where found.tenant = entry.tenant and found.id = entry.session and found.logs = entry.logs limit 1
     ) session
     where ${conditions.join(" and ")}
     ${order} limit ${sql`${scan.limit + 1}`}`;
  const columns = "entry.session, session.agent, entry.seq, entry.key, entry.at, entry.data";
  // The size of a text is in its header: texts over the limit are neither read nor sent, except the first one over it.
  const bounded = (bytesMax: number): string => `
    select * from (
      select ${columns}, row_number() over (${order}) as place, sum(octet_length(entry.data)) over (
        ${order} rows between unbounded preceding and 1 preceding
      ) as ahead ${found}
    ) entry
    where ahead <= ${sql`${bytesMax}`} or place <= 2 order by place`;
  const rows = await ask(scan.bytesMax === undefined ? `select ${columns} ${found}` : bounded(scan.bytesMax), values);
  const { page, hasMore } = pageOf(rows.map(eventOf), ({ entry }) => entryBytes(entry), scan);
  const last = page.at(-1);
  const next = hasMore && last !== undefined ? encodeCursor(eventPosition(last)) : undefined;
  return { events: page, next };
}

/**
 * Removes the oldest events before a time, and returns their number. It skips events that another transaction removes at the
 * same time, so it waits for no lock.
 */
export async function deleteEvents(
  ask: Database["ask"],
  schema: string,
  { tenant, before, limit }: { readonly tenant?: string; readonly before: number; readonly limit: number },
): Promise<number> {
  const values: unknown[] = [before, limit];
  const sql = sqlInto(values);
  const entries = `${schema}.entries`;
  // The index begins with the tenant: one lookup for each tenant instead of a scan of all rows.
  const tenants =
    tenant === undefined
      ? `recursive tenants as (
           (select tenant from ${entries} where log = 'events' order by tenant limit 1)
           union all
           select (
             select entry.tenant from ${entries} entry
             where entry.log = 'events' and entry.tenant > tenants.tenant order by entry.tenant limit 1
           ) from tenants where tenants.tenant is not null
         )`
      : `tenants as (select ${sql`${tenant}`}::text collate "C" as tenant)`;
  const [row] = await ask(
    `with ${tenants}, past as materialized (
       select entry.tenant, entry.session, entry.logs, entry.seq
       from tenants cross join lateral (
         select entry.tenant, entry.session, entry.logs, entry.seq from ${entries} entry
         where entry.log = 'events' and entry.tenant = tenants.tenant and entry.at < $1
         order by entry.at, entry.session, entry.seq limit $2 for update skip locked
       ) entry
       limit $2
     ), deleted as (
       delete from ${entries} entry using past
       where entry.tenant = past.tenant and entry.session = past.session and entry.logs = past.logs
         and entry.log = 'events' and entry.seq = past.seq
       returning 1
     )
     select count(*) as count from deleted`,
    values,
  );
  return Number(row?.["count"]);
}

function eventOf({ session, agent, seq, key, at, data }: Row): FoundEvent {
  const entry = { seq: Number(seq), key: key as string | null, at: Number(at), data: String(data) };
  return { session: String(session), agent: String(agent), entry };
}

function conditionsOf(
  sql: Sql,
  { tenant, session, agent, beginnings, since, before, order, after }: EventScan,
): string[] {
  // The condition on the log is that of the index, word for word, so that the server uses the index.
  const conditions = ["entry.log = 'events'", sql`entry.tenant = ${tenant}`];
  if (session !== undefined) conditions.push(sql`entry.session = ${session}`);
  if (agent !== undefined) conditions.push(sql`session.agent = ${agent}`);
  if (beginnings !== undefined) {
    const begins = beginnings.map((beginning) => sql`starts_with(entry.data, ${beginning})`);
    conditions.push(`(${["false", ...begins].join(" or ")})`);
  }
  if (since !== undefined) conditions.push(sql`entry.at >= ${since}`);
  if (before !== undefined) conditions.push(sql`entry.at < ${before}`);
  if (after !== undefined) {
    const [at, id, seq] = decodeCursor(after, eventCursor);
    conditions.push(
      `(entry.at, entry.session, entry.seq) ${order === "ascending" ? ">" : "<"} ${sql`(${at}, ${id}, ${seq})`}`,
    );
  }
  return conditions;
}
