/**
 * The events of a session: those that the ADK has stored, in the order of the turns, and between them events for messages that other
 * frameworks have added. Where another framework has changed or truncated a turn, the turn counts: stored events of its former messages are
 * left out.
 */
import { toFormat, type LogEntry, type Message, type Turn } from "../../index.ts";
import { digestsOf } from "../projection/shown-messages.ts";
import type { EventMessages } from "./events-in-turns.ts";
import type { AdkContent, AdkEvent } from "./package-adk.ts";
import { readEntry } from "./stored-events.ts";

/** A stored event. */
interface Stored {
  readonly event: AdkEvent;
  /** The turn that it is in, at the latest. */
  readonly turn: number;
  /** The time of an event, epoch ms, that was stored before events had a place: it is before the turns that began later. */
  readonly at: number | undefined;
  readonly messages: EventMessages | undefined;
}

/**
 * @param entries the last entries of the log of events, in order
 * @param turns the last turns, in order
 */
export function eventsOf(entries: readonly LogEntry[], turns: readonly Turn[]): AdkEvent[] {
  const stored = standing(entries.map(storedOf), turns.at(-1)?.seq ?? 0);
  const events: AdkEvent[] = [];
  let next = 0;
  const groupUntil = (isPast: (one: Stored) => boolean): readonly Stored[] => {
    const from = next;
    while (next < stored.length && !isPast(stored[next]!)) next++;
    return stored.slice(from, next);
  };
  for (const turn of turns) {
    const begun = turn.at.getTime();
    const before = groupUntil((one) => one.turn >= turn.seq && (one.at === undefined || one.at > begun));
    for (const { event } of before) events.push(event);
    const own = groupUntil((one) => one.turn !== turn.seq);
    for (const event of eventsOfTurn(turn, own)) events.push(event);
  }
  for (const { event } of stored.slice(next)) events.push(event);
  return events;
}

/** Entries and turns behind the turn that the first entry may be in the middle of. */
export function wholeTurns(
  entries: readonly LogEntry[],
  turns: readonly Turn[],
): [entries: readonly LogEntry[], turns: readonly Turn[]] {
  const turnAt = (entry: LogEntry | undefined): number => (entry && readEntry(entry.value).place?.turn) ?? 0;
  const cut = turnAt(entries[0]);
  if (cut === 0) return [entries, turns];
  const first = entries.findIndex((entry) => turnAt(entry) !== cut);
  return [first === -1 ? [] : entries.slice(first), turns.filter(({ seq }) => seq > cut)];
}

function storedOf({ value, at }: LogEntry): Stored {
  const { event, place } = readEntry(value);
  const placed = place === undefined ? { turn: Infinity, at: at.getTime() } : { turn: place.turn, at: undefined };
  return { event, ...placed, messages: place?.messages };
}

/** The events without those whose turn was truncated. One that says nothing stays, behind the turns that are left. */
function standing(stored: readonly Stored[], lastTurn: number): readonly Stored[] {
  let [end, isFollowed] = [lastTurn, false];
  const kept: Stored[] = [];
  for (const one of stored.toReversed()) {
    const { turn, at, messages } = one;
    const isInPlace = turn <= end || (at !== undefined && !isFollowed);
    if (isInPlace) kept.push(one);
    else if (messages === undefined) kept.push({ ...one, turn: end });
    if (at !== undefined) continue;
    end = Math.min(end, turn);
    isFollowed = true;
  }
  return kept.toReversed();
}

/** The stored events of a turn, and events for the messages that they are not. */
function eventsOfTurn(turn: Turn, stored: readonly Stored[]): readonly AdkEvent[] {
  const messages = [...turn.input, ...turn.output];
  const events: AdkEvent[] = [];
  let shown = 0;
  const showUntil = (end: number): void => {
    const others = messages.slice(shown, end);
    for (const event of foreignEvents(turn, others, shown)) events.push(event);
    shown = end;
  };
  for (const { event, messages: own } of said(messages, stored)) {
    if (own !== undefined) showUntil(own.from);
    events.push(event);
    shown = own?.to ?? shown;
  }
  showUntil(messages.length);
  return events;
}

/**
 * The stored events that a turn with these messages has, in order. Of two events in one place the later one counts, also where both say
 * the same: the turn of the earlier one was truncated.
 */
function said(messages: readonly Message[], stored: readonly Stored[]): readonly Stored[] {
  const digests = digestsOf(messages);
  let end = messages.length;
  const isSaid = ({ messages: own }: Stored): boolean => {
    if (own === undefined) return true;
    if (own.to > end || digests[own.to] !== own.digest) return false;
    end = own.from;
    return true;
  };
  return stored.toReversed().filter(isSaid).toReversed();
}

/** Messages of another framework as events. Their ids are made of the turn and their place in it. */
function foreignEvents({ seq, at, agent }: Turn, messages: readonly Message[], from: number): readonly AdkEvent[] {
  if (messages.length === 0) return [];
  const contents = toFormat(messages, "gemini") as unknown as readonly AdkContent[];
  return contents.map((content, index) => ({
    id: `turn-${seq}-${from + index + 1}`,
    invocationId: `turn-${seq}`,
    author: isOfAgent(content) ? agent : "user",
    timestamp: at.getTime(),
    content: { ...content },
    actions: { stateDelta: {}, artifactDelta: {}, requestedAuthConfigs: {}, requestedToolConfirmations: {} },
  }));
}

/** The ADK names the agent as the author of its answers, and of the results of its calls. */
function isOfAgent({ role, parts = [] }: AdkContent): boolean {
  return (
    role === "model" || parts.some((part) => (part as { functionResponse?: unknown }).functionResponse !== undefined)
  );
}
