import { headOf, isSame, turnsIdentity } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";

/** The turns of a session that a caller has seen: `info.seen`, as it read it. */
export interface Seen {
  /** The version of the last change of the turns. */
  readonly version: number;
  /** The commit that made it. */
  readonly commitId: string;
  /** The number of the last turn. */
  readonly turn: number;
}

/** The `seen` of a caller that has seen all turns of this record. */
export function seenOf(record: SessionRecord): Seen {
  return { version: record.turnsVersion, commitId: record.turnsCommitId, turn: headOf(record, "turns") };
}

/** True if these are all turns of the record. */
export function hasSeen(seen: Seen, record: SessionRecord): boolean {
  return isSame(seen, turnsIdentity(record));
}
