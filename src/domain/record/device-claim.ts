/** A user claims the session of a guest, and a session that another one supersedes. */
import { changeOf, draftOf, set, type Change } from "./change.ts";
import { claimedLabels } from "./pin.ts";
import { appendEvent } from "./event.ts";
import { deadlines, endSession, use } from "./lifecycle.ts";
import type { SessionRecord } from "./record.ts";
import type { Context } from "./guards.ts";
import { nextState } from "./states.ts";

/** Assign the session to this user. @throws SessionError that of the session's state */
export function claimSession(
  record: SessionRecord,
  { user, ttlMs }: { readonly user: string; readonly ttlMs: number },
  context: Context,
): Change {
  const draft = draftOf(record);
  use(draft, context);
  set(draft, { user, ttlMs, labels: claimedLabels(record, user) });
  set(draft, deadlines(draft.record));
  appendEvent(draft, { type: "claimed", user }, context);
  return changeOf(draft);
}

/** Assign a session to the user that its device speaks for from now on. @throws SessionError that of the session's state */
export function moveSession(
  record: SessionRecord,
  { user, ttlMs }: { readonly user: string; readonly ttlMs: number },
  context: Context,
): Change {
  const draft = draftOf(record);
  nextState(record, "use", context.now);
  set(draft, { user, ttlMs, labels: claimedLabels(record, user) });
  // A shorter time to live begins with the claim: a move expires no session.
  set(draft, deadlines(draft.record, Math.max(draft.record.lastActivityAt, context.now)));
  appendEvent(draft, { type: "claimed", user }, context);
  return changeOf(draft);
}

/**
 * End the session because its user continues in another one. The session belongs to the user from now on, with what a
 * guest wrote in it. Devices that shared it do not reset it.
 * @throws SessionError `busy`, `turn_open`
 */
export function supersedeSession(
  record: SessionRecord,
  { by, user }: { readonly by: string; readonly user: string },
  context: Context,
): Change | null {
  const draft = draftOf(record);
  set(draft, { user, labels: claimedLabels(record, user) });
  appendEvent(draft, { type: "superseded", by }, context);
  return endSession(draft, { fence: null, reason: "superseded" }, context);
}

/** Record that another device shares the session. */
export function appendDeviceLinked(record: SessionRecord, context: Context): Change {
  const draft = draftOf(record);
  appendEvent(draft, { type: "device_linked" }, context);
  return changeOf(draft);
}
