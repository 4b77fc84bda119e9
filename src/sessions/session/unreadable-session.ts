/** Sessions whose record is damaged: what can still be done with them. */
import { hasCode, SessionError, type ErrorDetails } from "../../errors.ts";
import { keyOf } from "../../store/row.ts";
import type { Core } from "../core/core.ts";

const attemptsMax = 5;

/**
 * Remove a session whose record cannot be read. A legal hold and the turns that forks share are respected as far as the
 * record says something of them.
 * @throws SessionError `legal_hold`, `session_forked`, `contended`
 */
export async function removeUnreadable(core: Core, error: SessionError<"session_unreadable">): Promise<void> {
  const key = keyOf(error);
  const ids = { sessionId: key.id, tenant: key.tenant };
  let { details }: { readonly details: ErrorDetails["session_unreadable"] } = error;
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    guardRemoval(ids, details);
    try {
      const { version, commitId } = details;
      const change = { key, expected: { version, commitId }, record: null, splices: [], claims: [] };
      const outcome = await core.commit([change]);
      if (outcome.status === "ok") return;
      // Another process has removed it, or restored it: then it is no longer this session.
      if (outcome.status === "conflict" && outcome.current === undefined) return;
      break;
    } catch (failure) {
      if (!hasCode(failure, "session_unreadable")) throw failure;
      ({ details } = failure);
    }
  }
  throw new SessionError("contended", { ...ids, attempts: attemptsMax });
}

function guardRemoval(
  ids: { readonly sessionId: string; readonly tenant: string },
  { isHeld, forkedAt }: ErrorDetails["session_unreadable"],
): void {
  if (isHeld) throw new SessionError("legal_hold", { ...ids, reason: "its record cannot be read" });
  if (forkedAt > 0) throw new SessionError("session_forked", { ...ids, forkedAt });
}
