/**
 * Handoffs: another agent than the session's own is active for a time. States:
 *
 * - *none*: no agent is active; the session's agent answers.
 * - *active*: from a handoff until the next handoff, its end, or its expiry, which is judged on read.
 *
 * Each change appends an event in the same commit.
 */
import { changeOf, draftOf, set, type Change, type Draft } from "./change.ts";
import { appendEvent } from "./event.ts";
import { use } from "./lifecycle.ts";
import type { Handoff, SessionRecord } from "./record.ts";
import type { Context } from "./guards.ts";

/** The handoff in force at `now`; null: none. */
export function handoffAt({ handoff }: Pick<SessionRecord, "handoff">, now: number): Handoff | null {
  return handoff !== null && now < handoff.expiresAt ? handoff : null;
}

/** A handoff to an agent, for a time. */
export interface HandoffRequest {
  readonly agent: string;
  readonly ttlMs: number;
  /** Information for the next agent. */
  readonly note: string | null;
  /** The application wrote the note. @default a model wrote it; the next agent reads it as reported speech */
  readonly noteFrom?: "application";
}

/** Make an agent the active one, or prolong its time. @throws SessionError that of the session's state */
export function handOff(record: SessionRecord, handed: HandoffRequest, context: Context): Change {
  const draft = draftOf(record);
  startHandoff(draft, handed, context);
  return changeOf(draft);
}

/** Start a handoff, in the draft. @throws SessionError that of the session's state */
export function startHandoff(draft: Draft, { agent, ttlMs, note, noteFrom }: HandoffRequest, context: Context): void {
  const { now } = context;
  const noted = note === null || noteFrom === undefined ? { note } : { note, noteFrom };
  clearExpiredHandoff(draft, context);
  const { handoff } = draft.record;
  const from = handoff?.agent ?? null;
  const activeMs = handoff === null ? null : now - handoff.since;
  const expiresAt = now + ttlMs;
  use(draft, context);
  set(draft, { handoff: { agent, since: now, expiresAt, ...noted } });
  set(draft, { sweepAt: Math.min(draft.record.sweepAt, expiresAt) });
  appendEvent(draft, { type: "handed_off", agent, from, ttlMs, ...noted, activeMs }, context);
}

/** End the handoff; null if none is in force. */
export function endHandoff(record: SessionRecord, context: Context): Change | null {
  const draft = draftOf(record);
  clearExpiredHandoff(draft, context);
  const { handoff } = draft.record;
  if (handoff !== null) {
    set(draft, { handoff: null });
    appendEvent(
      draft,
      { type: "handoff_ended", agent: handoff.agent, reason: "released", activeMs: context.now - handoff.since },
      context,
    );
  }
  return draft.record === draft.base ? null : changeOf(draft);
}

/** Remove an expired handoff from the record, in the draft. True if there was one. */
export function clearExpiredHandoff(draft: Draft, context: Context): boolean {
  const { handoff } = draft.record;
  if (handoff === null || context.now < handoff.expiresAt) return false;
  set(draft, { handoff: null });
  appendEvent(
    draft,
    { type: "handoff_ended", agent: handoff.agent, reason: "expired", activeMs: handoff.expiresAt - handoff.since },
    context,
  );
  return true;
}

/** A handoff as rows and snapshots store it. */
export type StoredHandoff = Omit<Handoff, "since"> & { readonly lockedAt: number };

export function storedHandoff({ since, ...handoff }: Handoff): StoredHandoff {
  return { ...handoff, lockedAt: since };
}

export function handoffOf({ lockedAt, ...handoff }: StoredHandoff): Handoff {
  return { ...handoff, since: lockedAt };
}
