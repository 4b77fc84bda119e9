/**
 * The floor: which agent answers, beside the one the session was opened for.
 *
 * It is *nobody's* until it is handed to an agent; then that agent's until it is handed on, released, or its time is
 * up, which is judged on read. Each change of the floor tells itself in the log of events, in the same commit.
 */
import { changeOf, draftOf, set, type Change, type Draft } from "./change.ts";
import { tell } from "./event.ts";
import { use } from "./lifecycle.ts";
import type { Floor, SessionRecord } from "./record.ts";
import type { Context } from "./guards.ts";

/** Who has the floor at `now`; null: nobody. */
export function floorAt({ floor }: Pick<SessionRecord, "floor">, now: number): Floor | null {
  return floor !== null && now < floor.expiresAt ? floor : null;
}

/** Whom the floor is handed to, and for how long. */
export interface HandOff {
  readonly agent: string;
  readonly ttlMs: number;
  /** What the next agent should know. */
  readonly note: string | null;
  /** The application wrote the note. @default a model did, and the next agent reads it as reported speech */
  readonly noteFrom?: "application";
}

/** Hand the floor to an agent, or prolong it. @throws SessionError that of the session's state */
export function handOff(record: SessionRecord, handed: HandOff, context: Context): Change {
  const draft = draftOf(record);
  giveFloor(draft, handed, context);
  return changeOf(draft);
}

/** Give the floor to an agent, in the draft. @throws SessionError that of the session's state */
export function giveFloor(draft: Draft, { agent, ttlMs, note, noteFrom }: HandOff, context: Context): void {
  const { now } = context;
  const noted = note === null || noteFrom === undefined ? { note } : { note, noteFrom };
  clearFloor(draft, context);
  const { floor } = draft.record;
  const from = floor?.agent ?? null;
  const heldMs = floor === null ? null : now - floor.lockedAt;
  const expiresAt = now + ttlMs;
  use(draft, context);
  set(draft, { floor: { agent, lockedAt: now, expiresAt, ...noted } });
  set(draft, { sweepAt: Math.min(draft.record.sweepAt, expiresAt) });
  tell(draft, { type: "handed_off", agent, from, ttlMs, ...noted, heldMs }, context);
}

/** Give the floor back; null where nobody has it. */
export function releaseFloor(record: SessionRecord, context: Context): Change | null {
  const draft = draftOf(record);
  clearFloor(draft, context);
  const { floor } = draft.record;
  if (floor !== null) {
    set(draft, { floor: null });
    tell(
      draft,
      { type: "released", agent: floor.agent, reason: "released", heldMs: context.now - floor.lockedAt },
      context,
    );
  }
  return draft.record === draft.base ? null : changeOf(draft);
}

/** Take an expired floor off the record, in the draft. True where there was one. */
export function clearFloor(draft: Draft, context: Context): boolean {
  const { floor } = draft.record;
  if (floor === null || context.now < floor.expiresAt) return false;
  set(draft, { floor: null });
  tell(
    draft,
    { type: "released", agent: floor.agent, reason: "expired", heldMs: floor.expiresAt - floor.lockedAt },
    context,
  );
  return true;
}
