/** Finds sessions by their labels, by the index of labels or by that of the order, whichever reads less. */
import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type { LabelFilter } from "../../domain/values/labels.ts";
import type { SessionQuery } from "../store.ts";
import type { Where } from "./where.ts";

/** The tables that a query reads, and the values they bind. */
export interface Source {
  readonly sql: string;
  readonly values: readonly SQLInputValue[];
  /** The column of the creation that has the order of the index. */
  readonly createdAt: string;
}

/**
 * A label of more sessions than this is common: a page is then found by walking the index of its order and looking up the
 * labels of each session. The sessions of a rarer label are all read, and sorted.
 */
const rareMax = 4096;

interface Label {
  readonly name: string;
  readonly value: string | true;
  /** The sessions with it, at most {@link rareMax} + 1. */
  readonly count: number;
}

/** A query, or a count of all that it matches. */
interface Labelled {
  readonly order: SessionQuery["order"] | "count";
  readonly tenant?: string;
  readonly labels?: LabelFilter;
}

/** The source of the sessions that have all labels of the query; `where` gets the conditions that remain. */
export function sourceOf(database: DatabaseSync, where: Where, { order, tenant, labels = {} }: Labelled): Source {
  const first = tenant === undefined ? undefined : firstLabel(database, tenant, { order, labels });
  for (const [name, value] of Object.entries(labels)) {
    if (name === first?.name) continue;
    const condition = labelIs({ name, value });
    where.and(`exists (select 1 from labels where session = no and ${condition.sql})`, ...condition.values);
  }
  if (first === undefined || tenant === undefined) return { sql: "sessions", values: [], createdAt: "created_at" };
  const condition = labelIs(first);
  // A cross join reads its left side first.
  return {
    sql: `(select session as labelled, created_at as labelled_at from labels where tenant = ? and ${condition.sql})
      cross join sessions on no = labelled`,
    values: [tenant, ...condition.values],
    createdAt: "labelled_at",
  };
}

/** The number of sessions that have all these labels, at least one; it reads the rows of labels alone. */
export function countLabelled(database: DatabaseSync, tenant: string, labels: LabelFilter): number {
  const first = firstLabel(database, tenant, { order: "count", labels });
  const conditions = Object.entries(labels).map(([name, value]) => {
    const { sql, values } = labelIs({ name, value });
    if (name === first?.name) return { sql, values };
    return { sql: `exists (select 1 from labels where session = first.session and ${sql})`, values };
  });
  const statement = database.prepare(`
    select count(*) as count from labels first
    where tenant = ? and ${conditions.map(({ sql }) => sql).join(" and ")}`);
  return Number(statement.get(tenant, ...conditions.flatMap(({ values }) => values))?.["count"]);
}

/** The label whose sessions are read first; undefined if the index of the order is better. */
function firstLabel(
  database: DatabaseSync,
  tenant: string,
  { order, labels }: Required<Pick<Labelled, "order" | "labels">>,
): Label | undefined {
  const counted = Object.entries(labels).map(([name, value]) => countedLabel(database, tenant, { name, value }));
  const rarest = counted.toSorted((a, b) => a.count - b.count)[0];
  if (rarest === undefined || rarest.count <= rareMax || order === "count") return rarest;
  // The rows of one value of a label are in the order of creation.
  return order === "created" ? counted.find(({ value }) => value !== true) : undefined;
}

function countedLabel(database: DatabaseSync, tenant: string, label: Omit<Label, "count">): Label {
  const { sql, values } = labelIs(label);
  const statement = database.prepare(
    `select count(*) as count from (select 1 from labels where tenant = ? and ${sql} limit ${rareMax + 1})`,
  );
  return { ...label, count: Number(statement.get(tenant, ...values)?.["count"]) };
}

function labelIs({ name, value }: Omit<Label, "count">): Pick<Source, "sql" | "values"> {
  return value === true
    ? { sql: "name = ?", values: [name] }
    : { sql: "name = ? and value = ?", values: [name, value] };
}
