/** The streams of a session. */
import type { SessionKey } from "../../domain/record/entry.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { streamScope } from "../../domain/values/internal-scope.ts";
import { hasCode } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { recordPages } from "../core/record-pages.ts";
import { Handle } from "../handle/handle.ts";

/** The records of a session's streams, page by page; none of a session under legal hold. */
export async function* streamPages(
  { core }: { readonly core: Core },
  { tenant, id, legalHold }: Pick<SessionRecord, "tenant" | "id" | "legalHold">,
): AsyncGenerator<readonly SessionRecord[]> {
  if (legalHold === null) yield* recordPages(core, streamScope(tenant), id);
}

/** Removes the streams of a session that was removed. */
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
