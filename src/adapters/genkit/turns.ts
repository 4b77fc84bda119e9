/**
 * Messages of snapshots as turns, and turns of others as messages. A question after an answer begins a turn, and all else extends the last
 * one. The turns of a session are the messages of its newest snapshot: a branch replaces the turns that snapshots have written, and turns
 * of others stay where they are.
 *
 * Why these are no `ProjectedTurns`: a message of Genkit has no id that a mark could name. A snapshot is a list of all messages, and what is
 * compared is where a list goes on from another one.
 */
import { sameValue, toFormat, type Message, type Turn, type TurnsWrite, type Value } from "../../index.ts";
import { defined } from "../../domain/values/defined.ts";
import { freshName } from "../keys/composed-keys.ts";
import { digestOf, shownTogether, turnOfMessages } from "../projection/shown-messages.ts";
import type { SnapshotTurns } from "./stored-snapshot.ts";

/** The turn that the first so many messages of a list end with. */
interface Anchor {
  readonly turn: number;
  readonly count: number;
  readonly end: TurnEnd;
}

/** The messages of a turn, and what tells it from another turn with its number. */
type TurnEnd = Pick<SnapshotTurns, "count" | "digest" | "key" | "at">;

/** Messages as Genkit sees them, and the turns that they are. */
export interface Shown {
  readonly messages: readonly Value[];
  /** In their order. */
  readonly anchors: readonly Anchor[];
  /** The turns of the snapshot that all messages are of; undefined where others have added some. */
  readonly own: SnapshotTurns | undefined;
}

const noTurn: TurnEnd = { count: 0, digest: digestOf([]) };
const beginning: Anchor = { turn: 0, count: 0, end: noTurn };

function messagesOf({ input, output }: Pick<Turn, "input" | "output">): readonly Message[] {
  return [...input, ...output];
}

function asGenkit(messages: readonly Message[]): readonly Value[] {
  return messages.length === 0 ? [] : toFormat(messages, "genkit");
}

/**
 * True where the last turn of a snapshot is the one that the snapshot has written, or read, and begins with its messages. Then the turns
 * before it are the same too: a write that replaces a turn replaces those behind it.
 */
export function stands(turns: readonly Turn[], { to, count, digest, key, at }: SnapshotTurns): boolean {
  if (to === 0) return true;
  const turn = turns.find(({ seq }) => seq === to);
  if (turn === undefined || (key !== undefined && turn.key !== key)) return false;
  if (at !== undefined && turn.at.getTime() !== at) return false;
  const messages = messagesOf(turn);
  return messages.length >= count && digestOf(messages.slice(0, count)) === digest;
}

/**
 * The messages of a snapshot whose last turn stands, and of the turns behind it.
 * @param turns those from `firstTurnOf(own)` on
 */
export function shownBehind(messages: readonly Value[], own: SnapshotTurns, turns: readonly Turn[]): Shown {
  const turnAt = (number: number): Turn | undefined => turns.find(({ seq }) => seq === number);
  const [before, last] = [turnAt(own.from - 1), turnAt(own.to)];
  const later = turns.filter(({ seq }) => seq > own.to);
  const added = last === undefined ? [] : messagesOf(last).slice(own.count);
  const all = [...messages, ...asGenkit(added)];
  const anchors = [anchorAt(last, own.to, all.length)];
  if (own.from <= own.to) anchors.unshift(anchorAt(before, own.from - 1, own.skip));
  if (added.length === 0 && later.length === 0) return { messages: all, anchors, own };
  return withTurns({ messages: all, anchors }, later);
}

/** The first turn that `shownBehind` needs. */
export function firstTurnOf({ from, to }: SnapshotTurns): number {
  return Math.max(1, Math.min(from - 1, to));
}

/** The messages of a snapshot that was stored without turns, and of the later ones of the turns. */
export function shownBeforeTurns(messages: readonly Value[], at: Date, turns: readonly Turn[]): Shown {
  const before = turns.findLast((turn) => turn.at <= at);
  const anchors = turns.length > 0 ? [anchorAt(before, before?.seq ?? 0, messages.length)] : [];
  return withTurns(
    { messages, anchors },
    turns.filter((turn) => turn.at > at),
  );
}

/** The messages of turns behind those of a list. */
export function withTurns(base: Pick<Shown, "messages" | "anchors">, turns: readonly Turn[]): Shown {
  const messages = [...base.messages];
  const anchors = [...base.anchors];
  for (const turn of turns) {
    messages.push(...asGenkit(messagesOf(turn)));
    anchors.push(anchorAt(turn, turn.seq, messages.length));
  }
  return { messages, anchors, own: undefined };
}

function anchorAt(turn: Turn | undefined, number: number, count: number): Anchor {
  const messages = turn === undefined ? [] : messagesOf(turn);
  const at = turn?.at.getTime();
  return { turn: number, count, end: { count: messages.length, digest: digestOf(messages), ...defined({ at }) } };
}

/** The turns to write with a snapshot. */
export interface SnapshotProjection {
  readonly write: TurnsWrite | undefined;
  readonly turns: SnapshotTurns;
}

/** How the turns of a snapshot are placed. */
export interface Placement {
  /** The last turn of the session. */
  readonly lastTurn: number;
  /** True where the turns behind this number may be replaced. */
  readonly replaces: (after: number) => Promise<boolean>;
  /** The key that a snapshot has given to the turn with this number; undefined where it is not known. */
  readonly keyOf: (turn: number) => string | undefined;
  /** The most turns of one write: of more, the last ones are written. */
  readonly turnsMax: number;
}

/** The turns of the messages of a new snapshot, which goes on from `base`. */
export async function projected(
  messages: readonly Value[],
  base: Shown,
  { lastTurn, replaces, keyOf, turnsMax }: Placement,
): Promise<SnapshotProjection> {
  const anchor = anchorOf(messages, base);
  const isPlaced = anchor.turn === lastTurn || (await replaces(anchor.turn));
  const after = isPlaced ? anchor.turn : lastTurn;
  const exchanges = exchangesIn(messages, anchor.count).slice(-turnsMax);
  const [first, last] = [exchanges[0], exchanges.at(-1)];
  const isTruncated = after < lastTurn;
  if (first === undefined || last === undefined) {
    const { turn: to, count: skip, end } = anchor;
    const isSame = base.own?.to === to && skip === base.messages.length;
    const turns = isSame ? base.own : { from: to + 1, to, skip, ...end };
    return { write: isTruncated ? { from: after + 1, turns: [] } : undefined, turns };
  }
  const from = after + 1;
  const amends = isTruncated && from === lastTurn;
  // The amended turn keeps its key.
  const isAmended = amends && exchanges.length === 1;
  const key = isAmended ? keyOf(lastTurn) : `genkit-${freshName()}`;
  const turns = exchanges.map(({ messages: said }, index) => ({
    ...turnOfMessages(said),
    requests: said.filter(({ role }) => role === "assistant").length,
    ...defined({ key: !isAmended && index === exchanges.length - 1 ? key : undefined }),
  }));
  const end: TurnEnd = { count: last.messages.length, digest: digestOf(last.messages), ...defined({ key }) };
  return {
    write: isTruncated ? { from, turns, amends } : { turns },
    turns: { from, to: after + exchanges.length, skip: first.from, ...end },
  };
}

/** The last anchor at which these messages go on, in their numbers. One before all messages counts where no other does. */
function anchorOf(messages: readonly Value[], base: Shown): Anchor {
  const same = sameCount(messages, base.messages);
  const found = base.anchors.findLast(({ count }) => count <= same && goesOn(messages, count));
  if (found !== undefined && found.count > 0) return found;
  const last = base.anchors.at(-1);
  const moved = last?.count === base.messages.length ? movedBy(messages, base.messages) : undefined;
  const count = moved === undefined || last === undefined ? 0 : last.count + moved;
  return last !== undefined && count > 0 && goesOn(messages, count) ? { ...last, count } : (found ?? beginning);
}

/** The number of first messages that are those of the other list from `at` on. */
function sameCount(messages: readonly Value[], others: readonly Value[], at = 0): number {
  const isOther = (message: Value, index: number): boolean => {
    const other = others[at + index];
    return other === undefined || !sameValue(message, other);
  };
  const different = messages.findIndex(isOther);
  return different === -1 ? messages.length : different;
}

/**
 * Programs drop the first messages of a long history, and may put a summary in their place. Gives the difference between the numbers of
 * the messages that are left; undefined where the list does not go on from the end of the other one.
 */
function movedBy(messages: readonly Value[], others: readonly Value[]): number | undefined {
  for (const inserted of [0, 1]) {
    const kept = messages.slice(inserted);
    const at = others.findIndex((_, index) => sameCount(kept, others, index) === others.length - index);
    if (at !== -1) return inserted - at;
  }
  return undefined;
}

/** True where the messages end after so many, and where the next one begins a turn. */
function goesOn(messages: readonly Value[], count: number): boolean {
  return count === messages.length || count === 0 || beginsTurn(messages, count);
}

function beginsTurn(messages: readonly Value[], index: number): boolean {
  return isQuestion(messages[index]) && !isQuestion(messages[index - 1]);
}

function isQuestion(message: Value | undefined): boolean {
  const { role } = (message ?? {}) as { readonly role?: unknown };
  return role === "user" || role === "system";
}

/** The messages of each turn from this number on, with the number of the first one. */
function exchangesIn(
  messages: readonly Value[],
  from: number,
): readonly { readonly from: number; readonly messages: readonly Message[] }[] {
  const begins = messages.flatMap((_, index) => (index > from && beginsTurn(messages, index) ? [index] : []));
  return [from, ...begins]
    .map((start, index) => ({
      from: start,
      messages: shownTogether(messages.slice(start, begins[index] ?? messages.length), "genkit"),
    }))
    .filter(({ messages: said }) => said.length > 0);
}
