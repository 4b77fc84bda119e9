/** A guest's session becomes a user's, and the one that goes on instead of another. */
import { changeOf, draftOf, set, type Change } from "./change.ts";
import { appendEvent } from "./event.ts";
import { deadlines, endSession, use } from "./lifecycle.ts";
import type { SessionRecord } from "./record.ts";
import type { Context } from "./guards.ts";

/** From here on the session is this user's. @throws SessionError that of the session's state */
export function claimSession(
  record: SessionRecord,
  { user, ttlMs }: { readonly user: string; readonly ttlMs: number },
  context: Context,
): Change {
  const draft = draftOf(record);
  use(draft, context);
  set(draft, { user, ttlMs });
  set(draft, deadlines(draft.record));
  appendEvent(draft, { type: "claimed", user }, context);
  return changeOf(draft);
}

/**
 * End the session because its user's conversation goes on in another: what a guest said in it is the user's from here on. Nobody who shared it
 * begins it anew.
 * @throws SessionError `busy`, `turn_open`
 */
export function supersedeSession(
  record: SessionRecord,
  { by, user }: { readonly by: string; readonly user: string },
  context: Context,
): Change | null {
  const draft = draftOf(record);
  set(draft, { user });
  appendEvent(draft, { type: "superseded", by }, context);
  return endSession(draft, { fence: null, reason: "superseded" }, context);
}

/** Another device shares the session from here on. */
export function tellLinked(record: SessionRecord, context: Context): Change {
  const draft = draftOf(record);
  appendEvent(draft, { type: "device_linked" }, context);
  return changeOf(draft);
}
