/**
 * The events that a host appends to a session whose code it runs. The session is *live* from its activation until it is
 * passivated or fails for good: its state is `active` or `inactive`, and its events have the details.
 */
import { changeOf, headOf, set, splice, type Change, type Draft } from "./change.ts";
import { encode, type Value } from "../values/codec.ts";
import { appendEvent } from "./event.ts";
import { markExpired } from "./lifecycle.ts";
import { nextState, stateAt, type Transition } from "./states.ts";
import { busy, guardFence, sessionIds, turnOpen, type Context } from "./guards.ts";
import type { SessionRecord } from "./record.ts";
import { SessionError } from "../../errors.ts";

/** An activation: the instance that runs the session, and the reason. */
export interface Activation {
  readonly instance: string;
  /** Such as a message, a recovery, a restart after a crash. */
  readonly reason: string;
}

/**
 * Record that a host runs the session. The draft may have been through `recover` and `grant`.
 * @throws SessionError `busy` under the lease of another instance, or that of the session's state
 */
export function activateSession(draft: Draft, { instance, reason }: Activation, context: Context): Change {
  const { lease } = draft.record;
  if (lease !== null && lease.instance !== instance) throw busy(draft.record, lease, context.now);
  move(draft, "use", context);
  appendEvent(draft, { type: "activated", instance, reason: brief(reason, context) }, context);
  return changeOf(draft);
}

/** How a session is passivated. */
export interface Passivation {
  readonly reason: string;
  /** Release the lease with this fencing token in the same commit. */
  readonly fence?: number;
}

/**
 * Passivate the session until the next message activates it; null if it is passivated already. A session that expired
 * or ended meanwhile keeps that state.
 * @throws SessionError `turn_open`, `fenced`
 */
export function passivateSession(draft: Draft, { reason, fence }: Passivation, context: Context): Change | null {
  guardNoWriter(draft.record);
  if (fence !== undefined) giveBack(draft, fence);
  if (stateAt(draft.record, context.now) === "active") {
    move(draft, "passivate", context);
    appendEvent(draft, { type: "passivated", reason: brief(reason, context) }, context);
  }
  return draft.record === draft.base ? null : changeOf(draft);
}

/**
 * Store the value that the runtime gets at its next activation, in the log `state`; undefined deletes it.
 * @throws SessionError `state_too_large`, `value_unstorable`
 */
export function keepState(draft: Draft, state: Value | undefined, { now, limits }: Context): void {
  if (state === undefined) {
    if (headOf(draft.record, "state") > 0) splice(draft, "state", 1, []);
    return;
  }
  const data = encode(state, "state");
  const bytes = Buffer.byteLength(data);
  if (bytes > limits.stateBytesMax) {
    throw new SessionError("state_too_large", { ...sessionIds(draft.record), bytes, bytesMax: limits.stateBytesMax });
  }
  splice(draft, "state", 1, [{ seq: 1, key: null, at: now, data }]);
}

/** Why a session fails for good. */
export interface Failure {
  /** A code to branch on, and a message for people. */
  readonly cause: { readonly code: string; readonly message: string };
  /** Release the lease with this fencing token in the same commit. */
  readonly fence?: number;
}

/**
 * Record that the host no longer restarts the session. An active session is passivated; one that expired or ended keeps
 * that state. The event has the cause.
 * @throws SessionError `turn_open`, `fenced`
 */
export function failSession(draft: Draft, { cause, fence }: Failure, context: Context): Change {
  guardNoWriter(draft.record);
  if (fence !== undefined) giveBack(draft, fence);
  const state = stateAt(draft.record, context.now);
  if (state === "active") {
    move(draft, "passivate", context);
  } else if (state !== draft.record.state) {
    markExpired(draft, context);
  }
  appendEvent(
    draft,
    { type: "failed", code: brief(cause.code, context), message: brief(cause.message, context) },
    context,
  );
  return changeOf(draft);
}

/** A turn that waits has no writer, so its session may be passivated. @throws SessionError `turn_open` */
function guardNoWriter(record: SessionRecord): void {
  if (record.openTurn !== null && record.waiting === null) throw turnOpen(record, record.openTurn);
}

function giveBack(draft: Draft, fence: number): void {
  guardFence(draft.record, fence);
  set(draft, { lease: null });
}

function move(draft: Draft, transition: Transition, { now }: Context): void {
  const { state: before, stateSince } = draft.record;
  const state = nextState(draft.record, transition, now);
  set(draft, { state, stateSince: state === before ? stateSince : now });
}

/** Shortens a text to the length that an event may have: the message of a crash can be long. */
function brief(text: string, { limits }: Context): string {
  return text.length <= limits.noteLengthMax ? text : `${text.slice(0, limits.noteLengthMax - 1)}…`;
}
