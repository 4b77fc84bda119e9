import { headOf, turnsIdentity } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";

/** What a caller has seen of a session's turns: `info.seen` of an earlier look. */
export interface Seen {
  /** The version of the last change of the turns. */
  readonly version: number;
  /** The commit that made it. */
  readonly commitId: string;
  /** The number of the last turn. */
  readonly turn: number;
}

/** What a caller has seen that has seen all of this record. */
export function seenOf(record: SessionRecord): Seen {
  return { ...turnsIdentity(record), turn: headOf(record, "turns") };
}
