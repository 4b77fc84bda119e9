/** That a writer was refused because the turns went on elsewhere, in the record of events. */
import { defined } from "../values/defined.ts";
import { changeOf, type Change, type Draft } from "./change.ts";
import { appendEvent } from "./event.ts";
import type { Context } from "./guards.ts";

/** What a refused writer had seen of the turns, and what it met. */
export interface Conflict {
  readonly seenTurn: number;
  readonly storedTurn: number;
  readonly seenVersion: number;
  readonly storedVersion: number;
  /** Names the request or job that was refused. */
  readonly correlation?: string;
}

/** Tell of conflicts, whatever became of the session since: that takes no lease, and is no sign of life. */
export function tellConflicts(draft: Draft, conflicts: readonly Conflict[], { now, chance, limits }: Context): Change {
  const { agent } = draft.record;
  for (const { seenTurn, storedTurn, seenVersion, storedVersion, correlation } of conflicts) {
    const context: Context = { now, chance, limits, ...defined({ correlation }) };
    appendEvent(draft, { type: "conflicted", agent, seenTurn, storedTurn, seenVersion, storedVersion }, context);
  }
  return changeOf(draft);
}
