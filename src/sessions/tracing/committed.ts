import { channel } from "node:diagnostics_channel";
import type { Change, Transaction } from "../../domain/record/change.ts";
import { isStaged } from "../../domain/copies/staged.ts";
import type { Entry, LogName } from "../../domain/record/entry.ts";
import { eventOf, type SessionEvent } from "../../domain/record/event.ts";
import { summaryOf, turnOf, type TurnSummary } from "../../domain/turns/turn.ts";

/** What is published on the channel `perdure:turn` once a finished turn is durable, whichever way it came. */
export interface TurnNews {
  readonly tenant: string;
  readonly session: string;
  readonly turn: TurnSummary;
}

/** What is published on the channel `perdure:event` once an entry of a session's log of events is durable. */
export interface EventNews {
  readonly tenant: string;
  readonly session: string;
  /** The agent that the session is for. */
  readonly agent: string;
  readonly event: SessionEvent;
}

const turns = channel("perdure:turn");
const events = channel("perdure:event");

/** Tell who listens what was committed just now. */
export function tellCommitted(transaction: Transaction): void {
  if (!turns.hasSubscribers && !events.hasSubscribers) return;
  for (const change of transaction) tellOne(change);
}

function tellOne(change: Change): void {
  const { record } = change;
  // What is staged for a session was told when it happened.
  if (record === null || isStaged(record)) return;
  const { tenant, id: session, agent } = record;
  // A session that is born with whole logs is a copy: what they tell happened to another, and was told then. Only the last
  // event may be its own.
  const isBirth = change.expected === null;
  // Turns that a fork takes over from its parent are not news.
  const isMove = record.turnsVersion !== record.version;
  for (const entry of isBirth || isMove ? [] : entriesOf(change, "turns")) {
    const turn = turnOf(entry);
    if (turn.status !== "open") turns.publish({ tenant, session, turn: summaryOf(turn) } satisfies TurnNews);
  }
  const entries = entriesOf(change, "events");
  for (const entry of isBirth ? entries.slice(-1) : entries) {
    if (isBirth && entry.at < record.stateSince) continue;
    events.publish({ tenant, session, agent, event: eventOf(entry) } satisfies EventNews);
  }
}

function entriesOf({ splices }: Change, log: LogName): readonly Entry[] {
  return splices.find((splice) => splice.log === log)?.entries ?? [];
}
