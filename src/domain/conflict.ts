/** That a writer was refused because the turns went on elsewhere, in the record of events. */
import { changeOf, type Change, type Draft } from "./change.ts";
import { tell } from "./event.ts";
import type { Context } from "./writer.ts";

/** What a refused writer had seen of the turns, and what it met. */
export interface Conflict {
  readonly seenTurn: number;
  readonly storedTurn: number;
  readonly seenVersion: number;
  readonly storedVersion: number;
}

/** Tell of a conflict, whatever became of the session since: that takes no lease, and is no sign of life. */
export function tellConflict(
  draft: Draft,
  { seenTurn, storedTurn, seenVersion, storedVersion }: Conflict,
  context: Context,
): Change {
  const { agent } = draft.record;
  tell(draft, { type: "conflicted", agent, seenTurn, storedTurn, seenVersion, storedVersion }, context);
  return changeOf(draft);
}
