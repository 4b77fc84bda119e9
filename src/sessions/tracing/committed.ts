import { channel } from "node:diagnostics_channel";
import type { Change } from "../../domain/record/change.ts";
import { defined } from "../../domain/values/defined.ts";
import { isInternalScope } from "../../domain/values/internal-scope.ts";
import type { Entry, LogName } from "../../domain/record/entry.ts";
import { readEvent, type SessionEvent } from "../../domain/record/event.ts";
import { readableTurns, summaryOf, type TurnSummary } from "../../domain/turns/turn.ts";

/** Published on the channel `perdure:turn` once a finished turn is durable, from any code path. */
export interface TurnNews {
  readonly tenant: string;
  readonly session: string;
  readonly turn: TurnSummary;
}

/** Published on the channel `perdure:event` once an event of a session is durable. */
export interface EventNews {
  readonly tenant: string;
  readonly session: string;
  /** The agent of the session. */
  readonly agent: string;
  readonly event: SessionEvent;
  /** The agent that was active until this event, a handoff or its end, and for how long; absent for other events. */
  readonly ended?: { readonly agent: string; readonly activeMs: number };
}

const turns = channel("perdure:turn");
const events = channel("perdure:event");

/** Publish the finished turns and the events of changes that were just committed. */
export function publishCommitted(changes: readonly Change[]): void {
  if (!turns.hasSubscribers && !events.hasSubscribers) return;
  for (const change of changes) publishChange(change);
}

function publishChange(change: Change): void {
  const { record } = change;
  // Internal records are no conversations. The entries of staged logs were published when they happened.
  if (record === null || isInternalScope(record.tenant)) return;
  const { tenant, id: session, agent } = record;
  // A session created with whole logs is a copy: their turns and events were published for the original. Only the last event
  // may be its own.
  const isBirth = change.expected === null;
  // Turns that a fork copies from its parent were published before.
  const isMove = record.turnsVersion !== record.version;
  // A commit may carry entries that were stored before, and one of them may be damaged.
  for (const turn of readableTurns(isBirth || isMove ? [] : entriesOf(change, "turns"))) {
    if (turn.status !== "open") turns.publish({ tenant, session, turn: summaryOf(turn) } satisfies TurnNews);
  }
  const entries = entriesOf(change, "events");
  for (const entry of isBirth ? entries.slice(-1) : entries) {
    if (isBirth && entry.at < record.stateSince) continue;
    const event = readEvent(entry);
    if (typeof event === "string") continue;
    events.publish({ tenant, session, agent, event, ...defined({ ended: endedBy(event) }) } satisfies EventNews);
  }
}

function endedBy(event: SessionEvent): EventNews["ended"] {
  if (event.type === "handoff_ended") return { agent: event.agent, activeMs: event.activeMs };
  if (event.type !== "handed_off" || event.from === null || event.activeMs === null) return undefined;
  return { agent: event.from, activeMs: event.activeMs };
}

function entriesOf({ splices }: Change, log: LogName): readonly Entry[] {
  return splices.find((splice) => splice.log === log)?.entries ?? [];
}
