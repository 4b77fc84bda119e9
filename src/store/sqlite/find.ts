import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { defined } from "../../domain/values/defined.ts";
import type { SessionState } from "../../domain/record/record.ts";
import { decodeCursor, encodeCursor, type Position } from "../cursor.ts";
import { activeMinuteOf, recordsOf, rowBytes, type RecordRow } from "../row.ts";
import type { CountQuery, FoundRecords, SessionFilter, SessionQuery } from "../store.ts";
import { pageOf } from "../within-bytes.ts";
import { prepared } from "./connection/prepared.ts";
import { recordColumns } from "./record-columns.ts";
import { countLabelled, endOf, sourceOf, type CreationRange, type Source } from "./source.ts";
import { Where } from "./where.ts";

/** One page of records. One more row than the limit is read to find out whether another page follows. */
export function findPage(database: DatabaseSync, query: SessionQuery): FoundRecords {
  const where = whereOf(query);
  const source = sourceOf(database, where, { ...query, created: creationOf(query) });
  const order = orderOf(query, source);
  const conditions = where.conditions.join(" and ") || "true";
  // The sessions of one minute are sorted: their numbers alone, and only the records of the page are read whole.
  const sql =
    query.order === "recent"
      ? `select ${recordColumns} from
          (select no as place from ${source.sql} where ${conditions} order by ${order} limit ?)
          cross join sessions on no = place order by ${order}`
      : `select ${recordColumns} from ${source.sql} where ${conditions} order by ${order} limit ?`;
  const statement = prepared(database, sql);
  const rows = statement.iterate(...source.values, ...where.values, query.limit + 1) as unknown as Iterable<RecordRow>;
  const { page, hasMore } = pageOf(rows, rowBytes, query);
  const last = page.at(-1);
  const next = hasMore && last !== undefined ? encodeCursor(positionOf(query, last)) : undefined;
  return { ...recordsOf(page), next };
}

export function countFound(database: DatabaseSync, query: CountQuery): number {
  const { tenant, labels = {}, now: _, ...others } = query;
  const isByLabels = tenant !== undefined && Object.keys(others).length === 0 && Object.keys(labels).length > 0;
  if (isByLabels) return countLabelled(database, tenant, labels);
  const { sql, values } = numbersFound(database, query);
  return Number(prepared(database, `select count(*) as count from (${sql})`).get(...values)?.["count"]);
}

/** A statement that returns the numbers of the sessions that match, and the values it binds. */
export function numbersFound(database: DatabaseSync, query: CountQuery): { sql: string; values: SQLInputValue[] } {
  const where = new Where();
  if (query.tenant !== undefined) where.and("tenant = ?", query.tenant);
  filter(where, query, "count");
  const source = sourceOf(database, where, { ...query, order: "count" });
  return {
    sql: `select no from ${source.sql} where ${where.conditions.join(" and ") || "true"}`,
    values: [...source.values, ...where.values],
  };
}

function orderOf(query: SessionQuery, { createdAt }: Source): string {
  switch (query.order) {
    case "key":
      return "tenant, id";
    case "recent":
      return "active_minute desc, last_activity_at desc, id desc";
    case "created":
      return `${createdAt} desc, id desc`;
    default:
      return `${timeOf(query)}, tenant, id`;
  }
}

/** The sort column of a query over all tenants. */
function timeOf(query: { readonly order: "due" | "settled" }): string {
  return query.order === "due" ? "sweep_at" : "state_since";
}

function positionOf({ order }: SessionQuery, row: RecordRow): Position {
  if (order === "key") return [row.tenant, row.id];
  if (order === "recent") return [row.lastActivityAt, row.id];
  if (order === "created") return [row.createdAt, row.id];
  return [order === "due" ? row.sweepAt : row.stateSince, row.tenant, row.id];
}

function whereOf(query: SessionQuery): Where {
  const where = new Where();
  if (query.tenant !== undefined) where.and("tenant = ?", query.tenant);
  if (query.order !== "due" && query.order !== "settled") {
    filter(where, query, query.order);
    if (query.after !== undefined) goOn(where, query.order, query.after);
    return where;
  }
  // The condition on the state is that of the index, word for word, so that SQLite uses the index.
  if (query.order === "due") {
    where.and("state in ('active', 'inactive') and sweep_at <= ?", query.before);
  } else {
    where.and("state not in ('active', 'inactive') and state_since < ?", query.before);
    where.and("state in (select value from json_each(?))", JSON.stringify(query.states));
    // The plus keeps the planner on the index of the time, which has the order of the page.
    if (query.agent !== undefined) where.and("+agent = ?", query.agent);
    if (query.user !== undefined) where.and("+user = ?", query.user);
  }
  if (query.after !== undefined) {
    const [time = 0, tenant = "", id = ""] = decodeCursor(query.after, ["number", "string", "string"]);
    where.and(`(${timeOf(query)}, tenant, id) > (?, ?, ?)`, time, tenant, id);
  }
  return where;
}

/** The condition of the filter; a plus keeps the planner off an index that has not the order of the page. */
function filter(where: Where, query: SessionFilter, order: "key" | "recent" | "created" | "count"): void {
  const { agent, user, guest, states, activeSince, activeBefore, createdSince, createdBefore, now } = query;
  const [agentColumn, userColumn, createdAt] = [
    order === "count" ? "agent" : "+agent",
    order === "count" || order === "recent" ? "user" : "+user",
    order === "count" || order === "created" ? "created_at" : "+created_at",
  ];
  if (agent !== undefined) where.and(`${agentColumn} = ?`, agent);
  if (createdSince !== undefined) where.and(`${createdAt} >= ?`, createdSince);
  if (createdBefore !== undefined) where.and(`${createdAt} < ?`, createdBefore);
  if (user !== undefined) where.and(`${userColumn} = ?`, user);
  if (guest !== undefined) where.and("user is null and id >= ? and id < ?", guest, endOf(guest));
  if (states !== undefined) filterStates(where, states, now);
  if (activeSince !== undefined) {
    where.and("active_minute >= ? and last_activity_at >= ?", activeMinuteOf(activeSince), activeSince);
  }
  if (activeBefore !== undefined) {
    where.and("active_minute <= ? and last_activity_at < ?", activeMinuteOf(activeBefore), activeBefore);
  }
}

/** The range of creation of the rest of a list. */
function creationOf(query: SessionQuery): CreationRange {
  if (query.order === "due" || query.order === "settled") return {};
  const { createdSince: since, createdBefore: before, order, after } = query;
  if (order !== "created" || after === undefined) return defined({ since, before });
  const [createdAt] = decodeCursor(after, ["number", "string"]);
  const end = Number(createdAt) + 1;
  return defined({ since, before: before === undefined ? end : Math.min(before, end) });
}

function goOn(where: Where, order: "key" | "recent" | "created", after: string): void {
  if (order === "created") {
    const [createdAt = 0, id = ""] = decodeCursor(after, ["number", "string"]);
    where.and("(created_at, id) < (?, ?)", createdAt, id);
  } else if (order === "key") {
    const [tenant = "", id = ""] = decodeCursor(after, ["string", "string"]);
    where.and("(tenant, id) > (?, ?)", tenant, id);
  } else {
    const [activeAt = 0, id = ""] = decodeCursor(after, ["number", "string"]);
    where.and("active_minute <= ?", activeMinuteOf(Number(activeAt)));
    where.and("(last_activity_at, id) < (?, ?)", activeAt, id);
  }
}

/** The states at `now`: a live session that is past its expiry counts as expired. */
function filterStates(where: Where, states: readonly SessionState[], now: number): void {
  const judged = `case when state in ('active', 'inactive') and expires_at <= ? then 'expired' else state end`;
  where.and(`${judged} in (select value from json_each(?))`, now, JSON.stringify(states));
}
