/**
 * Chooses the rows that a list or a count begins with: those of a label, of an agent or of a time of creation where they are
 * few, else the index of the order.
 */
import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type { LabelFilter } from "../../domain/values/labels.ts";
import type { SessionQuery } from "../store.ts";
import { prepared } from "./connection/prepared.ts";
import { Where } from "./where.ts";

/** The tables that a query reads, and the values they bind. */
export interface Source {
  readonly sql: string;
  readonly values: readonly SQLInputValue[];
  /** The column of the creation that has the order of the index. */
  readonly createdAt: string;
}

/**
 * A filter that more sessions pass than this is common: a page is then found by walking the index of its order and checking
 * each session. The sessions of a rarer filter are all read, and sorted.
 */
const rareMax = 4096;

/** Sessions of one tenant that were created at or after `since` and before `before`, epoch ms; an absent bound holds for all. */
export interface CreationRange {
  readonly since?: number;
  readonly before?: number;
}

/** A list, or a count of all that it matches. */
interface Filtered {
  readonly order: SessionQuery["order"] | "count";
  readonly tenant?: string;
  readonly labels?: LabelFilter;
  readonly agent?: string;
  readonly user?: string;
  readonly guest?: string;
  readonly created?: CreationRange;
}

/** A filter with an index of its own. */
interface Narrowing {
  /** The table of the index, and the column with the number of the session. */
  readonly table: "labels" | "sessions";
  readonly where: Where;
  /** The name of the label. */
  readonly label?: string;
  /** Its index has the order of the creation. Where it has not, a plus keeps the planner off the index that has. */
  readonly isByCreation: boolean;
}

/** A narrowing with the number of its sessions, at most {@link rareMax} + 1. */
interface Counted extends Narrowing {
  readonly count: number;
}

/** The source of the sessions that have all labels of the query; `where` gets the conditions on the other labels. */
export function sourceOf(database: DatabaseSync, where: Where, query: Filtered): Source {
  const { tenant, labels = {} } = query;
  const first = tenant === undefined ? undefined : firstNarrowing(database, { ...query, tenant });
  for (const [name, value] of Object.entries(labels)) {
    if (name === first?.label) continue;
    const condition = labelIs(name, value);
    where.and(
      `exists (select 1 from labels where session = no and ${condition.conditions.join(" and ")})`,
      ...condition.values,
    );
  }
  if (first === undefined) return { sql: "sessions", values: [], createdAt: "created_at" };
  // A cross join reads its left side first.
  return {
    sql: `(select ${numberIn(first)} as found, ${first.isByCreation ? "" : "+"}created_at as found_at from ${rowsOf(first)})
      cross join sessions on no = found`,
    values: first.where.values,
    createdAt: "found_at",
  };
}

/** The number of sessions that have all these labels, at least one; it reads the rows of labels alone. */
export function countLabelled(database: DatabaseSync, tenant: string, labels: LabelFilter): number {
  const first = firstNarrowing(database, { order: "count", tenant, labels });
  const where = new Where();
  for (const [name, value] of Object.entries(labels)) {
    const { conditions, values } = labelIs(name, value);
    const condition = conditions.join(" and ");
    if (name === first?.label) where.and(condition, ...values);
    else where.and(`exists (select 1 from labels where session = first.session and ${condition})`, ...values);
  }
  const statement = prepared(
    database,
    `
    select count(*) as count from labels first where tenant = ? and ${where.conditions.join(" and ")}`,
  );
  return Number(statement.get(tenant, ...where.values)?.["count"]);
}

/** The narrowing whose sessions are read first; undefined if the index of the order is better. */
function firstNarrowing(database: DatabaseSync, query: Filtered & { readonly tenant: string }): Counted | undefined {
  const counted = narrowingsOf(query).map((narrowing) => countedOf(database, narrowing));
  const rarest = counted.toSorted((a, b) => a.count - b.count)[0];
  if (rarest === undefined || rarest.count <= rareMax || query.order === "count") return rarest;
  return query.order === "created" ? counted.find(({ isByCreation }) => isByCreation) : undefined;
}

/** The narrowings of a query. A count of sessions without labels finds its index by itself. */
function narrowingsOf({
  order,
  tenant,
  labels = {},
  agent,
  user,
  guest,
  created = {},
}: Filtered): readonly Narrowing[] {
  const ofTenant = (condition?: Where, createdAt = "created_at"): Where => {
    const where = new Where();
    where.and("tenant = ?", tenant ?? "");
    if (condition !== undefined) where.and(condition.conditions.join(" and "), ...condition.values);
    if (created.since !== undefined) where.and(`${createdAt} >= ?`, created.since);
    if (created.before !== undefined) where.and(`${createdAt} < ?`, created.before);
    return where;
  };
  const byLabel = Object.entries(labels).map(([name, value]): Narrowing => ({
    table: "labels",
    where: ofTenant(labelIs(name, value)),
    label: name,
    isByCreation: value !== true,
  }));
  // A device has few sessions.
  if (guest !== undefined) {
    const where = ofTenant(undefined, "+created_at");
    where.and("id >= ? and id < ?", guest, endOf(guest));
    return [{ table: "sessions", where, isByCreation: false }];
  }
  if (order === "count") return byLabel;
  if (user !== undefined) {
    // The index of users has the order of a list by activity.
    if (order === "recent") return byLabel;
    return [...byLabel, { table: "sessions", where: ofTenant(isIn("user", user), "+created_at"), isByCreation: false }];
  }
  if (agent !== undefined)
    return [...byLabel, { table: "sessions", where: ofTenant(isIn("agent", agent)), isByCreation: true }];
  // A list by creation reads its range anyway.
  const isInRange = order !== "created" && (created.since !== undefined || created.before !== undefined);
  return isInRange ? [...byLabel, { table: "sessions", where: ofTenant(), isByCreation: true }] : byLabel;
}

function countedOf(database: DatabaseSync, narrowing: Narrowing): Counted {
  const statement = prepared(
    database,
    `select count(*) as count from (select 1 from ${rowsOf(narrowing)} limit ${rareMax + 1})`,
  );
  return { ...narrowing, count: Number(statement.get(...narrowing.where.values)?.["count"]) };
}

function rowsOf({ table, where }: Narrowing): string {
  return `${table} where ${where.conditions.join(" and ")}`;
}

function numberIn({ table }: Narrowing): string {
  return table === "labels" ? "session" : "no";
}

function isIn(column: "user" | "agent", value: string): Where {
  const where = new Where();
  where.and(`${column} = ?`, value);
  return where;
}

/** The text behind all ids that begin with this one. */
export function endOf(beginning: string): string {
  return `${beginning}\u{10ffff}`;
}

function labelIs(name: string, value: string | true): Where {
  const where = new Where();
  where.and("name = ?", name);
  if (value !== true) where.and("value = ?", value);
  return where;
}
