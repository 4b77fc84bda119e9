/**
 * Events: changes of a session other than turns, and what an application records beside them. They are entries of its log
 * `events`; the event of a change is in the same commit.
 */
import { defined } from "../values/defined.ts";
import { changeOf, headOf, splice, type Change, type Draft } from "./change.ts";
import { SessionError } from "../../errors.ts";
import { decode, encode, type Value } from "../values/codec.ts";
import { isDate } from "../values/limits.ts";
import type { Entry, LogName } from "./entry.ts";
import type { SessionState } from "./record.ts";
import { sessionIds, type Context } from "./guards.ts";

/** An event, by type. */
export type EventData =
  | { readonly type: "created"; readonly agent: string; readonly user: string | null }
  /** A reset: a new session began under the same id; the earlier one is archived as `archive`. */
  | { readonly type: "reset"; readonly agent: string; readonly user: string | null; readonly archive: string }
  /** Its logs were archived; or, with `of`, it is the archived session of a reset of `of`. */
  | { readonly type: "archived"; readonly of: string | null }
  /** Its logs were restored from the archive, and it has its earlier state again. */
  | { readonly type: "unarchived"; readonly state: Exclude<SessionState, "archived"> }
  /** An update gave it another user. */
  | { readonly type: "reassigned"; readonly user: string | null }
  /** The sweep recorded that it expired. */
  | { readonly type: "expired" }
  /** It was revived after it had expired. */
  | { readonly type: "revived" }
  /** It was ended on purpose. */
  | { readonly type: "ended"; readonly reason: string }
  /** The lease of a dead holder was cleared, and the turn that it had left open was sealed as interrupted. */
  | {
      readonly type: "recovered";
      /** The instance that held the lease; null if there was none. */
      readonly from: string | null;
      /** Smaller fencing tokens are superseded. */
      readonly fence: number;
      readonly turn: number | null;
      readonly reason: string;
    }
  /** The lease was taken from a holder that may be alive; its next write fails with `fenced`. */
  | {
      readonly type: "taken_over";
      readonly from: string;
      readonly to: string;
      readonly fence: number;
      readonly turn: number | null;
      readonly reason: string;
    }
  /** The session was activated: `instance` runs it; null if a write activated it. */
  | { readonly type: "activated"; readonly instance: string | null; readonly reason: string }
  /** Its host passivated it. */
  | { readonly type: "passivated"; readonly reason: string }
  /** Its host no longer restarts it after failures. */
  | { readonly type: "failed"; readonly code: string; readonly message: string }
  /** `agent` became the active agent; `from` was active until then. */
  | {
      readonly type: "handed_off";
      readonly agent: string;
      readonly from: string | null;
      readonly ttlMs: number;
      readonly note: string | null;
      /** Present if the application wrote the note, and not a model. */
      readonly noteFrom?: "application";
      /** How long `from` was active, ms; null if no agent was. */
      readonly activeMs: number | null;
    }
  /** The handoff was ended, or it expired. */
  | {
      readonly type: "handoff_ended";
      readonly agent: string;
      readonly reason: "released" | "expired";
      /** How long the agent was active, ms. */
      readonly activeMs: number;
    }
  /** A user claimed the session of a device. */
  | { readonly type: "claimed"; readonly user: string }
  /** Its user continues in another session. */
  | { readonly type: "superseded"; readonly by: string }
  /** Another device shares the session. */
  | { readonly type: "device_linked" }
  /** It was put under legal hold. */
  | { readonly type: "legal_hold_set"; readonly reason: string }
  /** The legal hold with this reason was cleared. */
  | { readonly type: "legal_hold_cleared"; readonly reason: string }
  /** The turn waits for a decision. `calls`: the ids of the tool calls that need approval. */
  | {
      readonly type: "turn_waiting";
      readonly turn: number;
      readonly reason: string;
      /** When the wait ends; null: it lasts as long as the session. */
      readonly expiresAt: Date | null;
      readonly calls: readonly string[];
    }
  /** A caller resumed the turn that waited. */
  | { readonly type: "turn_resumed"; readonly turn: number; readonly waitedMs: number }
  /** A caller decided on the tool calls of the turn that waited, by their ids, and the turn continues. */
  | {
      readonly type: "calls_decided";
      readonly turn: number;
      readonly waitedMs: number;
      readonly approved: readonly string[];
      readonly refused: readonly string[];
    }
  /** The turn waits no more, and was sealed as interrupted: its time was up, another writer interrupted it, or its session ended. */
  | { readonly type: "wait_ended"; readonly turn: number; readonly waitedMs: number; readonly reason: string }
  /** A write of turns was refused because another writer had written turns; nothing of it was stored. */
  | {
      readonly type: "conflicted";
      /** The agent of the session. */
      readonly agent: string;
      /** The last turn that the writer had seen, and the one that was stored. */
      readonly seenTurn: number;
      readonly storedTurn: number;
      /** The versions of the last change of the turns: the one that the writer had seen, and the stored one. */
      readonly seenVersion: number;
      readonly storedVersion: number;
    }
  /** A model was asked without the bytes of this attachment, which are missing or are not those that were put. */
  | { readonly type: "attachment_lost"; readonly hash: string }
  /** It was forked from another session, whose turns it shares up to number `turn`. */
  | { readonly type: "forked"; readonly from: string; readonly turn: number };

/** The type of an application's own event: `app.` and up to 60 lower case letters, digits, `_`, `.` and `-`, a letter first. */
export type AppEventType = `app.${string}`;

/** An event that the application has recorded. */
export interface AppEventData {
  readonly type: AppEventType;
  /** What the application recorded with it; null: nothing. */
  readonly data: Value;
}

/** The name of the type of a session's own event. */
export type OwnEventType = EventData["type"];
/** The name of an event's type. */
export type EventType = OwnEventType | AppEventType;
/** The subject of an event; `app` of those that an application records. */
export type EventCategory = "lifecycle" | "lease" | "handoff" | "device" | "waiting" | "app";
/** How serious an event is. */
export type EventSeverity = "info" | "warning" | "error";

/** Fields that follow from the type of an event, so they are not stored with it; the severity of an `app.` event is stored. */
export interface EventKind {
  readonly category: EventCategory;
  readonly severity: EventSeverity;
  /** Whether the operation succeeded. */
  readonly status: "ok" | "failed";
}

const info = (category: EventCategory): EventKind => ({ category, severity: "info", status: "ok" });

/** An event is committed at most this long after it was made, ms: a follower reads this span again. */
export const eventOverlapMs = 10_000;

/** In ascending order. */
export const eventSeverities: readonly EventSeverity[] = ["info", "warning", "error"];

/** All types of a session's own events, with their subject and severity. */
export const eventKinds: Readonly<Record<OwnEventType, EventKind>> = {
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
  turn_waiting: info("waiting"),
  turn_resumed: info("waiting"),
  calls_decided: info("waiting"),
  wait_ended: { category: "waiting", severity: "warning", status: "ok" },
  conflicted: { category: "lifecycle", severity: "warning", status: "ok" },
  attachment_lost: { category: "lifecycle", severity: "warning", status: "ok" },
};

/** One entry of the log of events. */
export type SessionEvent = (EventData | AppEventData) &
  EventKind & {
    /** Its number in the session's log of events, from 1. */
    readonly seq: number;
    /** When it happened. */
    readonly at: Date;
    /** The name of the request or job that caused it, see `correlated`; null if it had none. */
    readonly correlation: string | null;
  };

/** Types whose stored spelling is that of the first version. */
const storedTypes: { readonly [Type in OwnEventType]?: string } = {
  reset: "restarted",
  ended: "terminated",
  handoff_ended: "released",
  legal_hold_set: "held",
  legal_hold_cleared: "hold_released",
};
const typesOfStored: ReadonlyMap<string, OwnEventType> = new Map(
  Object.entries(storedTypes).map(([type, stored]) => [stored, type as OwnEventType]),
);

/** The stored spelling of a type. */
export function storedEventType(type: OwnEventType): string {
  return storedTypes[type] ?? type;
}

/**
 * The beginning of the stored text of an event of this type, and of no other type: stores filter by it without
 * decoding.
 */
export function eventBeginning(type: OwnEventType): string {
  return `{"type":"${storedEventType(type)}"`;
}

const appType = /^app\.[a-z][a-z0-9_.-]{0,59}$/;

export function isAppEventType(type: unknown): type is AppEventType {
  return typeof type === "string" && appType.test(type);
}

/**
 * The beginnings of the stored texts of `app.` events of these severities, of one type or of any. Their severity is stored
 * first, so that stores filter by it, too.
 */
export function appEventBeginnings(severities: readonly EventSeverity[], type?: AppEventType): readonly string[] {
  return severities.map((severity) => `{"severity":"${severity}","type":"${type === undefined ? "app." : `${type}"`}`);
}

/** An event to record. */
export interface NewAppEvent {
  readonly type: AppEventType;
  readonly severity: EventSeverity;
  readonly data: Value;
}

/**
 * Record an event of the application, whatever the state of the session; an archived one takes none.
 * @throws SessionError `session_archived`, `argument_invalid` for data that is too large, `value_unstorable`
 */
export function recordAppEvent(draft: Draft, { severity, type, data }: NewAppEvent, context: Context): Change {
  const { record } = draft;
  if (record.state === "archived") throw new SessionError("session_archived", sessionIds(record));
  const { eventBytesMax } = context.limits;
  const { correlation } = context;
  const text = encode({ severity, type, data, ...defined({ correlation }) }, "data");
  const bytes = Buffer.byteLength(text);
  if (bytes > eventBytesMax)
    throw new SessionError("argument_invalid", { name: "data", length: bytes, expected: "bytes", max: eventBytesMax });
  const seq = headOf(record, "events") + 1;
  splice(draft, "events", seq, [{ seq, key: null, at: context.now, data: text }]);
  return changeOf(draft);
}

/** True for a log that may lack its first entries: old events are deleted. */
export function mayLackItsBeginning(log: LogName): boolean {
  return log === "events";
}

/** Append an event to the log, in the draft. */
export function appendEvent(draft: Draft, event: EventData, { now, correlation }: Context): void {
  const seq = headOf(draft.record, "events") + 1;
  const { type, ...data } = event;
  const stored = {
    type: storedEventType(type),
    ...storedData(data),
    ...defined({ correlation }),
  };
  splice(draft, "events", seq, [{ seq, key: null, at: now, data: encode(stored, "event") }]);
}

/** The time that an agent was active is stored as `heldMs`, and an instant in epoch ms. */
function storedData(data: object): object {
  if ("expiresAt" in data) return { ...data, expiresAt: data.expiresAt && Number(data.expiresAt) };
  if (!("activeMs" in data)) return data;
  const { activeMs, ...rest } = data;
  return { ...rest, heldMs: activeMs };
}

/** The event of an entry, with the fields that follow from its type; a text says why the entry cannot be read. */
export function readEvent(entry: Entry): SessionEvent | string {
  if (!isDate(entry.at)) return "its time is beyond what a date holds";
  try {
    const event = eventOf(entry);
    return typeof event.type === "string" ? event : "it has no type";
  } catch {
    return "its data cannot be read";
  }
}

/** @throws an error for data that is not of an event; {@link readEvent} returns the reason instead */
export function eventOf({ seq, at, data }: Entry): SessionEvent {
  const decoded = decode(data) as unknown as StoredEvent;
  const { type: stored, correlation = null, heldMs, expiresAt, ...rest } = decoded;
  if (isAppEventType(stored)) {
    const { severity = "info", data: recorded = null } = decoded;
    return {
      type: stored,
      data: recorded,
      category: "app",
      severity,
      status: "ok",
      seq,
      at: new Date(at),
      correlation,
    };
  }
  const type = typesOfStored.get(stored) ?? (stored as OwnEventType);
  if (typeof expiresAt === "number" && !isDate(expiresAt)) throw new RangeError(`no date has the time ${expiresAt}`);
  const ends = typeof expiresAt === "number" ? new Date(expiresAt) : expiresAt;
  const event = { type, ...rest, ...defined({ activeMs: heldMs, expiresAt: ends }) };
  return { ...(event as unknown as EventData), ...eventKinds[type], seq, at: new Date(at), correlation };
}

interface StoredEvent {
  readonly type: string;
  readonly correlation?: string;
  readonly heldMs?: number | null;
  readonly expiresAt?: number | null;
  /** Of an `app.` event. */
  readonly severity?: EventSeverity;
  readonly data?: Value;
}
