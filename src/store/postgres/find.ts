import { decodeCursor, encodeCursor, type Position } from "../cursor.ts";
import { activeMinuteOf, recordsOf, rowBytes, type RecordRow } from "../row.ts";
import type { LabelFilter } from "../../domain/values/labels.ts";
import type { CountQuery, FoundRecords, SessionQuery } from "../store.ts";
import { pageOf } from "../within-bytes.ts";
import type { Database } from "./connection/database.ts";
import { recordJson } from "./connection/record-json.ts";
import { sqlInto, type Sql } from "./connection/sql.ts";

/** One page of records. One more row than the limit is read to find out whether another page follows. */
export async function findPage(ask: Database["ask"], schema: string, query: SessionQuery): Promise<FoundRecords> {
  const values: unknown[] = [];
  const sql = sqlInto(values);
  const conditions =
    query.order === "due" || query.order === "settled" ? forSweep(sql, query) : listed(sql, schema, query);
  const order = orderOf(query);
  const found = `
    from ${schema}.sessions session
    where ${conditions.join(" and ") || "true"}
    order by ${order} limit ${sql`${query.limit + 1}`}`;
  // The size of a text is in its header: texts over the limit are neither read nor sent, except the first one over it.
  const bounded = (bytesMax: number): string => `
    from (
      select session.*, row_number() over (order by ${order}) as place, sum(octet_length(session.data)) over (
        order by ${order} rows between unbounded preceding and 1 preceding
      ) as ahead ${found}
    ) session
    where ahead <= ${sql`${bytesMax}`} or place <= 2 order by ${order}`;
  const rows = await ask(
    `select ${recordJson("session")}::text as record ${query.bytesMax === undefined ? found : bounded(query.bytesMax)}`,
    values,
  );
  const { page, hasMore } = pageOf(
    rows.map(({ record }) => JSON.parse(String(record)) as RecordRow),
    rowBytes,
    query,
  );
  const last = page.at(-1);
  const next = hasMore && last !== undefined ? encodeCursor(positionOf(query, last)) : undefined;
  return { ...recordsOf(page), next };
}

export async function countFound(ask: Database["ask"], schema: string, query: CountQuery): Promise<number> {
  const values: unknown[] = [];
  const sql = sqlInto(values);
  const { tenant, labels = {}, now: _, ...others } = query;
  const isByLabels = tenant !== undefined && Object.keys(others).length === 0 && Object.keys(labels).length > 0;
  const source = isByLabels
    ? labelled(sql, schema, { tenant, labels })
    : `${schema}.sessions session where ${listed(sql, schema, { ...query, order: "key", limit: 0 }).join(" and ") || "true"}`;
  const [row] = await ask(`select count(*) as count from ${source}`, values);
  return Number(row?.["count"]);
}

/** The rows of `labels` of sessions that have all these labels, one for each session. */
function labelled(
  sql: Sql,
  schema: string,
  { tenant, labels }: { readonly tenant: string; readonly labels: LabelFilter },
): string {
  const [first, ...more] = Object.entries(labels).map(([name, value]) => {
    const named = sql`name = ${name}`;
    return value === true ? named : `${named} and ${sql`value = ${value}`}`;
  });
  const others = more.map(
    (condition) =>
      ` and exists (select from ${schema}.labels where tenant = first.tenant and session = first.session and ${condition})`,
  );
  return `${schema}.labels first where ${sql`tenant = ${tenant}`} and ${first}${others.join("")}`;
}

function orderOf(query: SessionQuery): string {
  switch (query.order) {
    case "key":
      return "tenant, id";
    case "recent":
      return "active_minute desc, last_activity_at desc, id desc";
    case "created":
      return "created_at desc, id desc";
    default:
      return `${timeOf(query)}, tenant, id`;
  }
}

/** The sort column of a query over all tenants. */
function timeOf({ order }: ForSweep): string {
  return order === "due" ? "sweep_at" : "state_since";
}

function positionOf(query: SessionQuery, row: RecordRow): Position {
  if (query.order === "key") return [row.tenant, row.id];
  if (query.order === "recent") return [row.lastActivityAt, row.id];
  if (query.order === "created") return [row.createdAt, row.id];
  return [query.order === "due" ? row.sweepAt : row.stateSince, row.tenant, row.id];
}

type ForSweep = Extract<SessionQuery, { order: "due" | "settled" }>;

function forSweep(sql: Sql, query: ForSweep): string[] {
  const conditions: string[] = [];
  if (query.tenant !== undefined) conditions.push(sql`tenant = ${query.tenant}`);
  // The condition on the state is that of the index, word for word, so that the server uses the index.
  if (query.order === "due") {
    conditions.push("state in ('active', 'inactive')", sql`sweep_at <= ${query.before}`);
  } else {
    conditions.push("state not in ('active', 'inactive')", sql`state_since < ${query.before}`);
    conditions.push(sql`state = any (array(select json_array_elements_text(${JSON.stringify(query.states)}::json)))`);
    if (query.agent !== undefined) conditions.push(sql`agent = ${query.agent}`);
    if (query.user !== undefined) conditions.push(sql`user_id = ${query.user}`);
  }
  if (query.after !== undefined) {
    const [time, tenant, id] = decodeCursor(query.after, ["number", "string", "string"]);
    conditions.push(`(${timeOf(query)}, tenant, id) > ${sql`(${time}, ${tenant}, ${id})`}`);
  }
  return conditions;
}

/** The conditions of a list, on the columns of `session`. */
export function listed(sql: Sql, schema: string, query: Exclude<SessionQuery, ForSweep>): string[] {
  const { order, tenant, agent, user, guest, labels = {}, states, now, after } = query;
  const { activeSince, activeBefore, createdSince, createdBefore } = query;
  const conditions = tenant === undefined ? [] : [sql`tenant = ${tenant}`];
  if (agent !== undefined) conditions.push(sql`agent = ${agent}`);
  if (user !== undefined) conditions.push(sql`user_id = ${user}`);
  if (guest !== undefined) conditions.push("user_id is null", sql`id >= ${guest}`, sql`id < ${`${guest}\u{10ffff}`}`);
  for (const [name, value] of Object.entries(labels)) {
    const hasValue = value === true ? "" : sql` and label.value = ${value}`;
    conditions.push(`exists (
      select from ${schema}.labels label
      where label.tenant = session.tenant and label.session = session.id and ${sql`label.name = ${name}`}${hasValue}
    )`);
  }
  // The states at `now`: a live session that is past its expiry counts as expired.
  if (states !== undefined) {
    conditions.push(sql`
      case when state in ('active', 'inactive') and expires_at <= ${now} then 'expired' else state end
        = any (array(select json_array_elements_text(${JSON.stringify(states)}::json)))`);
  }
  if (activeSince !== undefined)
    conditions.push(sql`active_minute >= ${activeMinuteOf(activeSince)} and last_activity_at >= ${activeSince}`);
  if (activeBefore !== undefined)
    conditions.push(sql`active_minute <= ${activeMinuteOf(activeBefore)} and last_activity_at < ${activeBefore}`);
  if (createdSince !== undefined) conditions.push(sql`created_at >= ${createdSince}`);
  if (createdBefore !== undefined) conditions.push(sql`created_at < ${createdBefore}`);
  if (after !== undefined && order === "key") {
    const [afterTenant, id] = decodeCursor(after, ["string", "string"]);
    conditions.push(`(tenant, id) > ${sql`(${afterTenant}, ${id})`}`);
  } else if (after !== undefined && order === "created") {
    const [createdAt, id] = decodeCursor(after, ["number", "string"]);
    conditions.push(`(created_at, id) < ${sql`(${createdAt}, ${id})`}`);
  } else if (after !== undefined) {
    const [activeAt, id] = decodeCursor(after, ["number", "string"]);
    conditions.push(sql`active_minute <= ${activeMinuteOf(Number(activeAt))}`);
    conditions.push(`(last_activity_at, id) < ${sql`(${activeAt}, ${id})`}`);
  }
  return conditions;
}
