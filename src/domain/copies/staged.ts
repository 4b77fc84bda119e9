/**
 * Staged logs are written in several steps beside the session that they are for. They have a record of their own, in a scope that
 * no list shows, until the session takes them over in one change.
 */
import { changeOf, draftOf, lastOwn, set, splice, type Change } from "../record/change.ts";
import type { SessionKey, Splice } from "../record/entry.ts";
import { stayLive } from "../record/lifecycle.ts";
import type { Context } from "../record/guards.ts";
import type { SessionRecord } from "../record/record.ts";
import { internalScope } from "../values/internal-scope.ts";

const kind = "staged";

/** The scope of a tenant's staged logs. */
export function stagedScope(tenant: string): string {
  return internalScope(tenant, kind);
}

/** True for the record of staged logs. */
export function isStaged({ tenant }: SessionKey): boolean {
  return tenant.endsWith(internalScope("", kind));
}

/** The place of staged logs, and the last seq of each. */
export interface Staged {
  readonly key: SessionKey;
  readonly heads: SessionRecord["heads"];
}

/** Append entries to staged logs; a log begins with the seq of its first entry. */
export function stageEntries(record: SessionRecord, more: readonly Splice[], context: Context): Change {
  const draft = draftOf(record);
  for (const { log, from, entries } of more) {
    if (lastOwn(draft.record, log) === 0) set(draft, { heads: { ...draft.record.heads, [log]: from - 1 } });
    splice(draft, log, from, entries);
  }
  stayLive(draft, context);
  return changeOf(draft, { moves: true });
}
