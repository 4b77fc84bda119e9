/** The streams of a session. */
import type { Change } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { streamScope } from "../../domain/values/internal-scope.ts";
import { hasCode } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { recordPages } from "../core/record-pages.ts";
import { Handle } from "./handle.ts";

/** The records of a session's streams, page by page; none of a session under legal hold. */
export async function* streamPages(
  { core }: { readonly core: Core },
  { tenant, id, legalHold }: Pick<SessionRecord, "tenant" | "id" | "legalHold">,
): AsyncGenerator<readonly SessionRecord[]> {
  if (legalHold === null) yield* recordPages(core, streamScope(tenant), id);
}

/** The most streams of a session that are removed in the commit of its removal: a commit is bounded. */
const removedTogetherMax = 200;

/**
 * The changes that remove the streams of a session, for the commit that removes the session: those that were written last, which
 * include the ones in progress. {@link removeStreamsOf} removes the others.
 */
export async function streamRemovals(core: Core, { tenant, id }: SessionKey): Promise<readonly Change[]> {
  const changes: Change[] = [];
  for await (const page of recordPages(core, streamScope(tenant), id)) {
    changes.push(...page.map((record) => removeSession(record)));
    if (changes.length >= removedTogetherMax) break;
  }
  return changes;
}

/** Removes the streams that are left of a session that was removed. */
export async function removeStreamsOf(core: Core, { tenant, id }: SessionKey): Promise<void> {
  for await (const page of recordPages(core, streamScope(tenant), id))
    for (const record of page) await remove(core, record);
}

async function remove(core: Core, record: SessionRecord): Promise<void> {
  try {
    await new Handle(core, record).write((draft) => removeSession(draft.base));
  } catch (error) {
    // Another process removed it.
    if (!hasCode(error, "session_not_found")) throw error;
  }
}
