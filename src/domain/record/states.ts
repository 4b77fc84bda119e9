/**
 * The states of a session and their exits, the only place that says which follows which.
 *
 * A session is `active` while it is used and `inactive` after its host put it to sleep; a new turn wakes it. When its
 * time to live has passed it is `expired`: readable, no longer written to, until it is revived or restarted. `ended`
 * is on purpose and for good. `archived` is cold: readable and counted; what comes back from there is what it was, or
 * `expired` where that is not known.
 */
import { SessionError } from "../../errors.ts";
import type { SessionRecord, SessionState } from "./record.ts";

export const sessionStates: readonly SessionState[] = ["active", "inactive", "expired", "ended", "archived"];

/** What moves a session from one state to another. */
export type Transition = "use" | "passivate" | "expire" | "revive" | "end" | "archive";

const exits: Readonly<Record<SessionState, Partial<Record<Transition, SessionState>>>> = {
  active: {
    use: "active",
    passivate: "inactive",
    expire: "expired",
    end: "ended",
    archive: "archived",
  },
  inactive: {
    use: "active",
    passivate: "inactive",
    expire: "expired",
    end: "ended",
    archive: "archived",
  },
  expired: { revive: "active", expire: "expired", end: "ended", archive: "archived" },
  ended: { end: "ended", archive: "archived" },
  archived: { archive: "archived" },
};

/** The state that holds at `now`: expiry is judged on read, so it holds with no timer running. */
export function stateAt(record: Pick<SessionRecord, "state" | "expiresAt">, now: number): SessionState {
  const perishable = record.state === "active" || record.state === "inactive";
  return perishable && record.expiresAt <= now ? "expired" : record.state;
}

/** What an archived session comes back as: what it was, or at its end, where a restart has put it away. */
export function stateBefore({ archive }: Pick<SessionRecord, "archive">): Exclude<SessionState, "archived"> {
  return archive?.state ?? "expired";
}

/**
 * The state after a transition.
 * @throws SessionError `session_expired`, `session_ended` or `session_archived` where the table has no such exit
 */
export function nextState(record: SessionRecord, transition: Transition, now: number): SessionState {
  const state = stateAt(record, now);
  const next = exits[state][transition];
  if (next !== undefined) return next;
  const session = { sessionId: record.id, tenant: record.tenant };
  if (state === "expired") throw new SessionError("session_expired", { ...session, expiresAt: record.expiresAt });
  if (state === "archived") throw new SessionError("session_archived", session);
  if (state === "ended") throw new SessionError("session_ended", session);
  throw new Error(`no rule for ${transition} in state ${state}`);
}
