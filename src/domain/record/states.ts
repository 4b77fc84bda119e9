/**
 * The states of a session and the transitions between them:
 *
 * - `active`: in use. Exits: inactive, expired, ended, archived.
 * - `inactive`: its host passivated it; a new turn activates it. Exits: active, expired, ended, archived.
 * - `expired`: its time to live has passed. It can be read, and written to after it is revived or reset. Exits: active,
 *   ended, archived.
 * - `ended`: on purpose. It can be read. Exit: archived.
 * - `archived`: its logs are compressed. It can be read and counted; a restore gives it its earlier state.
 */
import { SessionError } from "../../errors.ts";
import type { SessionRecord, SessionState, SettledState } from "./record.ts";

export const sessionStates: readonly SessionState[] = ["active", "inactive", "expired", "ended", "archived"];

/** A transition between states. */
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

/** The state at `now`: expiry is judged on read, so no timer has to run. */
export function stateAt(record: Pick<SessionRecord, "state" | "expiresAt">, now: number): SessionState {
  const perishable = record.state === "active" || record.state === "inactive";
  return perishable && record.expiresAt <= now ? "expired" : record.state;
}

/** True for a state on which retention policies act. */
export function isSettled(state: SessionState): state is SettledState {
  return state !== "active" && state !== "inactive";
}

/** The state of an archived session after its restore; `expired` for the archived session of a reset. */
export function stateBefore({ archive }: Pick<SessionRecord, "archive">): Exclude<SessionState, "archived"> {
  return archive?.state ?? "expired";
}

/**
 * The state after a transition.
 * @throws SessionError `session_expired`, `session_ended` or `session_archived` if the table has no such transition
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
