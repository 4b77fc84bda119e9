/** Retention: legal holds, and the policies by which the sweep archives and removes sessions. */
import { changeOf, draftOf, set, type Change, type Draft } from "./change.ts";
import { appendEvent } from "./event.ts";
import type { SessionRecord, SettledState } from "./record.ts";
import { sessionIds, type Context } from "./guards.ts";
import { SessionError } from "../../errors.ts";

/** Put the session under legal hold, until {@link clearLegalHold}. */
export function setLegalHold(draft: Draft, reason: string, context: Context): Change {
  set(draft, { legalHold: { reason, at: context.now } });
  appendEvent(draft, { type: "legal_hold_set", reason }, context);
  return changeOf(draft);
}

/** End the legal hold; null if there is none. */
export function clearLegalHold(record: SessionRecord, context: Context): Change | null {
  if (record.legalHold === null) return null;
  const draft = draftOf(record);
  set(draft, { legalHold: null });
  appendEvent(draft, { type: "legal_hold_cleared", reason: record.legalHold.reason }, context);
  return changeOf(draft);
}

/** A session under legal hold must not be removed or truncated. @throws SessionError `legal_hold` */
export function guardLegalHold(record: SessionRecord): void {
  const { legalHold } = record;
  if (legalHold !== null) throw new SessionError("legal_hold", { ...sessionIds(record), reason: legalHold.reason });
}

/**
 * Turns that forks share must not be removed or truncated.
 * @throws SessionError `session_forked` if forks share turns after number `after`
 */
export function guardForks(record: SessionRecord, after: number): void {
  if (record.forkedAt > after)
    throw new SessionError("session_forked", { ...sessionIds(record), forkedAt: record.forkedAt });
}

/** An action on sessions that have been in a state for a while. */
export interface Policy {
  /** Only sessions for this agent. */
  readonly agent?: string;
  /** Only sessions of this user. */
  readonly user?: string;
  readonly state: SettledState;
  readonly afterMs: number;
  readonly action: "archive" | "purge";
}

/** The policy for a session: the first one that matches, whatever its age. */
export function policyFor(policies: readonly Policy[], record: SessionRecord): Policy | undefined {
  return policies.find(
    ({ agent, user, state }) =>
      state === record.state &&
      (agent === undefined || agent === record.agent) &&
      (user === undefined || user === record.user),
  );
}
