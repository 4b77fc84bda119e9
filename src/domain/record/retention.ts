/** What is kept and for how long: holds, and the policies by which the sweep puts away and removes. */
import { changeOf, draftOf, set, type Change } from "./change.ts";
import { appendEvent } from "./event.ts";
import type { SessionRecord, SettledState } from "./record.ts";
import { sessionIds, type Context } from "./guards.ts";
import { SessionError } from "../../errors.ts";

/** Keep the session from going, for this reason, until {@link clearLegalHold}. */
export function setLegalHold(record: SessionRecord, reason: string, context: Context): Change {
  const draft = draftOf(record);
  set(draft, { legalHold: { reason, at: context.now } });
  appendEvent(draft, { type: "legal_hold_set", reason }, context);
  return changeOf(draft);
}

/** Null where nothing held it. */
export function clearLegalHold(record: SessionRecord, context: Context): Change | null {
  if (record.legalHold === null) return null;
  const draft = draftOf(record);
  set(draft, { legalHold: null });
  appendEvent(draft, { type: "legal_hold_cleared", reason: record.legalHold.reason }, context);
  return changeOf(draft);
}

/**
 * Nothing of a session under hold goes.
 * @throws SessionError `legal_hold`
 */
export function guardLegalHold(record: SessionRecord): void {
  const { legalHold } = record;
  if (legalHold !== null) throw new SessionError("legal_hold", { ...sessionIds(record), reason: legalHold.reason });
}

/**
 * The turns that forks share stay where they are.
 * @throws SessionError `session_forked` where forks share turns after number `after`
 */
export function guardForks(record: SessionRecord, after: number): void {
  if (record.forkedAt > after)
    throw new SessionError("session_forked", { ...sessionIds(record), forkedAt: record.forkedAt });
}

/** What becomes of sessions that have been in a state for a while. */
export interface Policy {
  /** Of this agent only. */
  readonly agent?: string;
  /** Of this user only. */
  readonly user?: string;
  readonly state: SettledState;
  readonly afterMs: number;
  readonly action: "archive" | "purge";
}

/** The one that speaks of a session: the first that fits, whatever its age. */
export function policyFor(policies: readonly Policy[], record: SessionRecord): Policy | undefined {
  return policies.find(
    ({ agent, user, state }) =>
      state === record.state &&
      (agent === undefined || agent === record.agent) &&
      (user === undefined || user === record.user),
  );
}
