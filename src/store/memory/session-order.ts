/** The orders of `find` in memory: the place of a row in each, the page of a query, and the rows that match it. */
import { stateAt } from "../../domain/record/states.ts";
import { hasLabels } from "../../domain/values/labels.ts";
import { decodeCursor, type Position } from "../cursor.ts";
import { parsedLabels, type RecordRow } from "../row.ts";
import type { SessionQuery } from "../store.ts";

export function matches(query: SessionQuery, row: RecordRow): boolean {
  if (query.tenant !== undefined && row.tenant !== query.tenant) return false;
  switch (query.order) {
    case "key":
    case "recent":
    case "created":
      return (
        (query.agent === undefined || row.agent === query.agent) &&
        (query.user === undefined || row.user === query.user) &&
        (query.guest === undefined || (row.user === null && row.id.startsWith(query.guest))) &&
        (query.labels === undefined || hasLabels(parsedLabels(row.labels), query.labels)) &&
        (query.states === undefined || query.states.includes(stateAt(row, query.now))) &&
        (query.activeSince === undefined || row.lastActivityAt >= query.activeSince) &&
        (query.activeBefore === undefined || row.lastActivityAt < query.activeBefore) &&
        (query.createdSince === undefined || row.createdAt >= query.createdSince) &&
        (query.createdBefore === undefined || row.createdAt < query.createdBefore)
      );
    case "due":
      return isLive(row) && row.sweepAt <= query.before;
    case "settled":
      return (
        query.states.some((state) => state === row.state) &&
        row.stateSince < query.before &&
        (query.agent === undefined || row.agent === query.agent) &&
        (query.user === undefined || row.user === query.user)
      );
  }
}

function isLive({ state }: RecordRow): boolean {
  return state === "active" || state === "inactive";
}

/** The orders of lists that are read from their end. */
export function isNewestFirst(order: SessionQuery["order"]): order is "recent" | "created" {
  return order === "recent" || order === "created";
}

export const orders = ["key", "recent", "created", "due", "settled"] as const;

/**
 * The sort key of a row, each part ascending; undefined for a row that no query of this order finds. Lists by activity and by
 * creation are read from their end.
 */
export function positionOf(order: SessionQuery["order"], row: RecordRow): Position | undefined {
  switch (order) {
    case "key":
      return [row.tenant, row.id];
    case "recent":
      return [row.tenant, row.lastActivityAt, row.id];
    case "created":
      return [row.tenant, row.createdAt, row.id];
    case "due":
      return isLive(row) ? [row.sweepAt, row.tenant, row.id] : undefined;
    case "settled":
      return isLive(row) ? undefined : [row.stateSince, row.tenant, row.id];
  }
}

/** The position after which the page of the query begins. */
export function beginningOf(query: SessionQuery): Position {
  const { order, tenant, after } = query;
  if (after === undefined && isNewestFirst(order)) return [tenant ?? "", Number.POSITIVE_INFINITY];
  if (after === undefined) return order === "key" && tenant !== undefined ? [tenant] : [];
  const position = decodeCursor(after, cursorKinds[order]);
  // A list by activity or creation has one tenant, which its cursor omits.
  return isNewestFirst(order) ? [tenant ?? "", ...position] : position;
}

/** True if neither this row nor a later one can match. */
export function isBehind(query: SessionQuery, row: RecordRow): boolean {
  switch (query.order) {
    case "key":
    case "recent":
    case "created":
      return query.tenant !== undefined && row.tenant !== query.tenant;
    case "due":
      return row.sweepAt > query.before;
    case "settled":
      return row.stateSince >= query.before;
  }
}

const cursorKinds = {
  key: ["string", "string"],
  recent: ["number", "string"],
  created: ["number", "string"],
  due: ["number", "string", "string"],
  settled: ["number", "string", "string"],
} as const;
