/** What happened to a session beside its turns: entries of its log `events`, in the same commit as what they tell. */
import { defined } from "../values/defined.ts";
import { headOf, splice, type Draft } from "./change.ts";
import { decode, encode } from "../values/codec.ts";
import type { Entry, LogName } from "./entry.ts";
import type { SessionState } from "./record.ts";
import type { Context } from "./guards.ts";

/** What happened, by type. */
export type EventData =
  | { readonly type: "created"; readonly agent: string; readonly user: string | null }
  /** It began afresh under its own id; what was before is kept under `archive`. */
  | { readonly type: "reset"; readonly agent: string; readonly user: string | null; readonly archive: string }
  /** Its logs were put away; or it is what the session `of` was until that one began afresh. */
  | { readonly type: "archived"; readonly of: string | null }
  /** Its logs are back, and its state is what it was. */
  | { readonly type: "unarchived"; readonly state: Exclude<SessionState, "archived"> }
  /** Its user is another one from here on, by an update. */
  | { readonly type: "reassigned"; readonly user: string | null }
  /** Its time to live had passed, and the sweep came by. */
  | { readonly type: "expired" }
  /** Back to life after its time was up. */
  | { readonly type: "revived" }
  /** Ended for good. */
  | { readonly type: "ended"; readonly reason: string }
  /** What a dead holder left was put in order: its lease, and the turn it left open, sealed as interrupted. */
  | {
      readonly type: "recovered";
      /** Who held the lease; null where none stood. */
      readonly from: string | null;
      /** From here on, smaller ones are superseded. */
      readonly fence: number;
      readonly turn: number | null;
      readonly reason: string;
    }
  /** The lease was taken from a holder that may well live; its next write fails `fenced`. */
  | {
      readonly type: "taken_over";
      readonly from: string;
      readonly to: string;
      readonly fence: number;
      readonly turn: number | null;
      readonly reason: string;
    }
  /** A program made the session live: `instance` runs it; null where a write woke it and nobody does. */
  | { readonly type: "activated"; readonly instance: string | null; readonly reason: string }
  /** Its host put it to sleep. */
  | { readonly type: "passivated"; readonly reason: string }
  /** Its host gave it up: what it runs went wrong, for good. */
  | { readonly type: "failed"; readonly code: string; readonly message: string }
  /** The floor was given to `agent`; `from` had it until then. */
  | {
      readonly type: "handed_off";
      readonly agent: string;
      readonly from: string | null;
      readonly ttlMs: number;
      readonly note: string | null;
      /** There where the application wrote the note, and not a model. */
      readonly noteFrom?: "application";
      /** How long `from` had it, ms; null: nobody had. */
      readonly activeMs: number | null;
    }
  /** Who had the floor gave it back, or its time was up. */
  | {
      readonly type: "handoff_ended";
      readonly agent: string;
      readonly reason: "released" | "expired";
      /** How long it had it, ms. */
      readonly activeMs: number;
    }
  /** A device's session became a user's. */
  | { readonly type: "claimed"; readonly user: string }
  /** The user's conversation goes on in another session. */
  | { readonly type: "superseded"; readonly by: string }
  /** Another device shares the session from here on. */
  | { readonly type: "device_linked" }
  /** The session must not go. */
  | { readonly type: "legal_hold_set"; readonly reason: string }
  /** It may go again; `reason` is why it was held. */
  | { readonly type: "legal_hold_cleared"; readonly reason: string }
  /** A writer brought turns onto a log that had gone on elsewhere, was told so, and nothing of it was written. */
  | {
      readonly type: "conflicted";
      /** Whom the session is for. */
      readonly agent: string;
      /** The last turn that the writer had seen, and the one it met. */
      readonly seenTurn: number;
      readonly storedTurn: number;
      /** The versions of the last change of the turns that it had seen, and that it met. */
      readonly seenVersion: number;
      readonly storedVersion: number;
    }
  /** It began as a fork of another session, whose turns it shares up to number `turn`. */
  | { readonly type: "forked"; readonly from: string; readonly turn: number };

/** What happened, in one word. */
export type EventType = EventData["type"];
/** What an event is about. */
export type EventCategory = "lifecycle" | "lease" | "handoff" | "device";
/** How much it should worry whoever reads it. */
export type EventSeverity = "info" | "warning" | "error";

/** What follows from the type of an event alone, and is therefore not stored with it. */
export interface EventKind {
  readonly category: EventCategory;
  readonly severity: EventSeverity;
  /** Whether what it tells went well. */
  readonly status: "ok" | "failed";
}

const info = (category: EventCategory): EventKind => ({ category, severity: "info", status: "ok" });

/** From the least grave on. */
/** An event is made so long before it is committed at the most, ms: who follows reads again what came since. */
export const eventOverlapMs = 10_000;

export const eventSeverities: readonly EventSeverity[] = ["info", "warning", "error"];

/** Every type of event, the only place that says what it is about and how grave it is. */
export const eventKinds: Readonly<Record<EventType, EventKind>> = {
  created: info("lifecycle"),
  reset: info("lifecycle"),
  archived: info("lifecycle"),
  reassigned: info("lifecycle"),
  expired: info("lifecycle"),
  revived: info("lifecycle"),
  ended: info("lifecycle"),
  recovered: { category: "lease", severity: "warning", status: "ok" },
  taken_over: { category: "lease", severity: "warning", status: "ok" },
  activated: info("lifecycle"),
  passivated: info("lifecycle"),
  failed: { category: "lifecycle", severity: "error", status: "failed" },
  handed_off: info("handoff"),
  handoff_ended: info("handoff"),
  claimed: info("device"),
  superseded: info("device"),
  device_linked: info("device"),
  unarchived: info("lifecycle"),
  legal_hold_set: info("lifecycle"),
  legal_hold_cleared: info("lifecycle"),
  forked: info("lifecycle"),
  conflicted: { category: "lifecycle", severity: "warning", status: "ok" },
};

/** One entry of the log of events. */
export type SessionEvent = EventData &
  EventKind & {
    /** Its number in the session's log of events, from 1. */
    readonly seq: number;
    /** Epoch ms. */
    readonly at: number;
    /** Names the request or job that brought it about, see `correlated`; null where none was named. */
    readonly correlation: string | null;
  };

/** Types that stores spell as the first version did. */
const storedTypes: { readonly [Type in EventType]?: string } = {
  reset: "restarted",
  ended: "terminated",
  handoff_ended: "released",
  legal_hold_set: "held",
  legal_hold_cleared: "hold_released",
};
const typesOfStored: ReadonlyMap<string, EventType> = new Map(
  Object.entries(storedTypes).map(([type, stored]) => [stored, type as EventType]),
);

/** The beginning of the stored text of an event of this type, and of no other: stores filter by it without decoding. */
export function eventBeginning(type: EventType): string {
  return `{"type":"${storedTypes[type] ?? type}"`;
}

/** True for a log whose first entries may be gone: old events are forgotten. */
export function mayLackItsBeginning(log: LogName): boolean {
  return log === "events";
}

/** Append an event to the log, in the draft. */
export function appendEvent(draft: Draft, event: EventData, { now, correlation }: Context): void {
  const seq = headOf(draft.record, "events") + 1;
  const { type, ...data } = event;
  const stored = {
    type: storedTypes[type] ?? type,
    ...storedData(data),
    ...defined({ correlation }),
  };
  splice(draft, "events", seq, [{ seq, key: null, at: now, data: encode(stored, "event") }]);
}

/** The time that an agent was active is stored as `heldMs`. */
function storedData(data: object): object {
  if (!("activeMs" in data)) return data;
  const { activeMs, ...rest } = data;
  return { ...rest, heldMs: activeMs };
}

/** An event with what follows from its type. */
export function eventOf({ seq, at, data }: Entry): SessionEvent {
  const { type: stored, correlation = null, heldMs, ...rest } = decode(data) as unknown as StoredEvent;
  const type = typesOfStored.get(stored) ?? (stored as EventType);
  const event = { type, ...rest, ...defined({ activeMs: heldMs }) };
  return { ...(event as unknown as EventData), ...eventKinds[type], seq, at, correlation };
}

interface StoredEvent {
  readonly type: string;
  readonly correlation?: string;
  readonly heldMs?: number | null;
}
