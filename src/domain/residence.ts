/**
 * A session that lives in a host. Whoever takes it in is granted its lease (`grant`); at the end it is put to sleep with what
 * its runtime wants to know the next time, in the log `state`.
 */
import { changeOf, set, splice, type Change, type Draft } from "./change.ts";
import { decode, encode, type Value } from "./codec.ts";
import type { Entry } from "./entry.ts";
import { nextState, stateAt } from "./states.ts";
import { SessionError } from "../errors.ts";
import { guardFence, sessionIds, type Context } from "./writer.ts";

/** How a live session is put to sleep. */
export interface Passivation {
  readonly fence: number;
  /** What its runtime wants to know the next time; undefined: nothing. */
  readonly state: Value | undefined;
}

/**
 * Put a live session to sleep: its lease is given back and its state kept, in one step.
 * @throws SessionError `fenced`, `turn_open`, `state_too_large`
 */
export function passivate(draft: Draft, { fence, state }: Passivation, context: Context): Change {
  const { record } = draft;
  guardFence(record, fence);
  if (record.openTurn !== null) throw new SessionError("turn_open", { ...sessionIds(record), turn: record.openTurn });
  keepState(draft, state, context);
  set(draft, { lease: null });
  // One whose time ran out while it was live is left for the sweep to expire.
  const now = stateAt(record, context.now);
  if (now === "active" || now === "inactive") {
    set(draft, { state: nextState(record, "passivate", context.now), stateSince: context.now });
  }
  return changeOf(draft);
}

function keepState(draft: Draft, state: Value | undefined, { now, limits }: Context): void {
  if (state === undefined) {
    if (draft.record.heads["state"] !== undefined) splice(draft, "state", 1, []);
    return;
  }
  const data = encode(state, "state");
  const bytes = Buffer.byteLength(data);
  if (bytes > limits.stateBytesMax) {
    throw new SessionError("state_too_large", { ...sessionIds(draft.record), bytes, bytesMax: limits.stateBytesMax });
  }
  splice(draft, "state", 1, [{ seq: 1, key: null, at: now, data }]);
}

/** What the runtime left behind. */
export function stateOf(entry: Entry | undefined): Value | undefined {
  return entry === undefined ? undefined : (decode(entry.data) as Value);
}
