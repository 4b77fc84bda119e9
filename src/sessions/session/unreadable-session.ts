/** Names and removes sessions whose record is damaged. */
import { hasCode, SessionError, type ErrorDetails } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { keyOf } from "../core/record-pages.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { removeStreamsOf } from "../handle/session-streams.ts";

/** A session whose record is damaged. */
export interface UnreadableSession {
  readonly id: string;
  /** The damaged part. */
  readonly reason: string;
}

/** The name of a session for a report of what was passed over. */
export function unreadableSession({
  details: { sessionId, field },
}: SessionError<"session_unreadable">): UnreadableSession {
  return { id: sessionId, reason: `its ${field} cannot be read` };
}

/**
 * Remove a session whose record cannot be read. A legal hold and shared turns are respected if the readable part of the
 * record has them.
 * @throws SessionError `legal_hold`, `session_forked`, `contended`
 */
export async function removeUnreadable(core: Core, error: SessionError<"session_unreadable">): Promise<void> {
  const key = keyOf(error);
  const ids = { sessionId: key.id, tenant: key.tenant };
  let { details }: { readonly details: ErrorDetails["session_unreadable"] } = error;
  await retryOnConflict({ ...ids, attemptsMax: 5 }, async () => {
    guardRemoval(ids, details);
    try {
      const { version, commitId } = details;
      const change = { key, expected: { version, commitId }, record: null, splices: [], claims: [] };
      const outcome = await core.commit([change]);
      if (outcome.status === "ok") return true;
      // Another process has removed the session.
      if (outcome.status === "conflict" && outcome.current === undefined) return true;
    } catch (failure) {
      if (!hasCode(failure, "session_unreadable")) throw failure;
      ({ details } = failure);
    }
    return undefined;
  });
  await removeStreamsOf(core, key);
}

function guardRemoval(
  ids: { readonly sessionId: string; readonly tenant: string },
  { isUnderLegalHold, forkedAt }: ErrorDetails["session_unreadable"],
): void {
  if (isUnderLegalHold) throw new SessionError("legal_hold", ids);
  if (forkedAt > 0) throw new SessionError("session_forked", { ...ids, forkedAt });
}
