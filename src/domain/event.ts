/** What happened to a session beside its turns: entries of its log `events`, in the same commit as what they tell. */
import { headOf, splice, type Draft } from "./change.ts";
import { decode, encode } from "./codec.ts";
import type { Entry } from "./entry.ts";
import type { Context } from "./writer.ts";

/** What happened, by type. */
export type EventData =
  /** The floor was given to `agent`; `from` had it until then. */
  | {
      readonly type: "handed_off";
      readonly agent: string;
      readonly from: string | null;
      readonly ttlMs: number;
      readonly note: string | null;
    }
  /** Who had the floor gave it back, or its time was up. */
  | { readonly type: "released"; readonly agent: string; readonly reason: "released" | "expired" }
  /** A device's session became a user's. */
  | { readonly type: "claimed"; readonly user: string }
  /** The user's conversation goes on in another session. */
  | { readonly type: "superseded"; readonly by: string }
  /** Another device shares the session from here on. */
  | { readonly type: "device_linked" }
  /** The session must not go. */
  | { readonly type: "held"; readonly reason: string }
  /** It may go again; `reason` is why it was held. */
  | { readonly type: "hold_released"; readonly reason: string }
  /** It began as a fork of another session, whose turns it shares up to number `turn`. */
  | { readonly type: "forked"; readonly from: string; readonly turn: number };

/** One entry of the log of events. */
export type SessionEvent = EventData & {
  /** Its number in the session's log of events, from 1. */
  readonly seq: number;
  /** Epoch ms. */
  readonly at: number;
};

/** Add an event to the log, in the draft. */
export function tell(draft: Draft, event: EventData, { now }: Context): void {
  const seq = headOf(draft.record, "events") + 1;
  splice(draft, "events", seq, [{ seq, key: null, at: now, data: encode(event, "event") }]);
}

export function eventOf({ seq, at, data }: Entry): SessionEvent {
  return { ...(decode(data) as unknown as EventData), seq, at };
}
