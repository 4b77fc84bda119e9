/** Events about writers that the store refused because another writer had appended turns. */
import { defined } from "../values/defined.ts";
import { changeOf, type Change, type Draft } from "./change.ts";
import { appendEvent } from "./event.ts";
import type { Context } from "./guards.ts";

/** The turns that a refused writer had seen, and those that were stored. */
export interface Conflict {
  readonly seenTurn: number;
  readonly storedTurn: number;
  readonly seenVersion: number;
  readonly storedVersion: number;
  /** The name of the refused request or job, see `correlated`. */
  readonly correlation?: string;
}

/** Append events about conflicts, in any state of the session. They need no lease and are not activity. */
export function appendConflicts(
  draft: Draft,
  conflicts: readonly Conflict[],
  { now, chance, limits }: Context,
): Change {
  const { agent } = draft.record;
  for (const { seenTurn, storedTurn, seenVersion, storedVersion, correlation } of conflicts) {
    const context: Context = { now, chance, limits, ...defined({ correlation }) };
    appendEvent(draft, { type: "conflicted", agent, seenTurn, storedTurn, seenVersion, storedVersion }, context);
  }
  return changeOf(draft);
}
