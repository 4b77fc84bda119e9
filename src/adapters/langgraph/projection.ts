/**
 * The channel `messages` of a graph as the turns of its session, so that people and other frameworks read the conversation. The
 * graph reads its own checkpoints; turns that it has written are replaced where its messages have changed, and turns of others
 * stay as they are.
 */
import type { Message, SessionWrite } from "../../index.ts";
import { endsAnswered, exchangesIn, turnOf } from "../langchain/exchanges.ts";
import { isMessage, type LangchainMessage } from "../langchain/package-core.ts";
import { digestOf } from "../projection/shown-messages.ts";
import type { Place } from "./stored-lists.ts";

/** The turns that the messages of a checkpoint are. Messages before number `skip` are no turns of theirs. */
export type ProjectedTurns = readonly [
  /** The number of the last turn before them. */
  base: number,
  skip: number,
  /** The number of the last one. */
  last: number,
  /** The number of the message that the last one begins with. */
  lastFrom: number,
  /** The version of the session by the last change of its turns, if no other write came between; absent in older checkpoints. */
  version?: number,
  /** The digest of the messages of the last turn; empty where it is no turn of theirs. */
  digest?: string,
];

/** The last turn of the session, when a checkpoint is put. */
export interface LastTurn {
  readonly turn: number;
  /** False: the turn with this number is not the one that the checkpoint before has written. */
  readonly isOwn: boolean;
  /** The version of the session that the turns have after this put. */
  readonly version: number;
}

/** The messages of the checkpoint before, and their turns. */
export interface EarlierMessages {
  readonly places: readonly Place[];
  readonly turns: ProjectedTurns | undefined;
}

/** A write of turns, and the state behind it. */
export interface Projection {
  readonly write: NonNullable<SessionWrite["turns"]> | undefined;
  readonly turns: ProjectedTurns;
}

/** Turns of one write; of a longer history the last ones are written. */
const turnsMax = 500;

/** The messages of the channel; undefined where the graph has no such channel, or other values in it. */
export function messagesIn(values: Readonly<Record<string, unknown>>): readonly LangchainMessage[] | undefined {
  const messages = Object.hasOwn(values, "messages") ? values["messages"] : undefined;
  return Array.isArray(messages) && messages.every((one) => isMessage(one)) ? messages : undefined;
}

/**
 * The turns to write for these messages.
 * @throws SessionError `message_invalid` for a message that cannot be shown as a turn
 */
export function projected(
  { messages, places }: { readonly messages: readonly LangchainMessage[]; readonly places: readonly Place[] },
  earlier: EarlierMessages,
  { turn, isOwn, version }: LastTurn,
): Projection {
  const same = sameCount(places, earlier.places);
  const { turns } = earlier;
  // Another writer has changed turns, or messages that are no turns have changed: later messages follow the turns that there are.
  if (turns === undefined || !isOwn || turns[2] !== turn || same < turns[1])
    return changed(messages, { base: turn, skip: same, last: turn, same, version });
  const [base, skip, last, lastFrom] = turns;
  if (last === base || same <= lastFrom) return changed(messages, { base, skip, last, same, version });
  // Only the last turn, and those behind it, can have changed.
  const { write, turns: now } = changed(messages, { base: last - 1, skip: lastFrom, last, same, version });
  return { write, turns: [base, skip, now[2], now[3], version, now[5] ?? ""] };
}

/** The digest of the messages of a turn, of which another form may be stored than was written. */
export function turnDigest({ input, output = [] }: { readonly input: unknown; readonly output?: unknown }): string {
  return digestOf([...(input as readonly Message[]), ...(output as readonly Message[])]);
}

interface Basis {
  readonly base: number;
  readonly skip: number;
  readonly last: number;
  /** The number of first messages that are the same as before. */
  readonly same: number;
  readonly version: number;
}

/** The turns from the first one that differs from what is stored. */
function changed(messages: readonly LangchainMessage[], { base, skip, last, same, version }: Basis): Projection {
  const ranges = exchangesIn(messages, skip);
  const different = ranges.findIndex(({ to }) => to > same || (to === same && !endsAnswered(messages, to)));
  const first = different === -1 ? ranges.length : different;
  if (ranges.length - first > turnsMax) {
    const later = ranges.at(-turnsMax)?.from ?? messages.length;
    return changed(messages, { base: last, skip: later, last, same: later, version });
  }
  const from = base + first + 1;
  const turns = ranges.slice(first).map((range) => turnOf(messages, range));
  const end = ranges.at(-1);
  const written = turns.at(-1) ?? (end && turnOf(messages, end));
  const digest = written === undefined ? "" : turnDigest(written);
  const now = [base, skip, base + ranges.length, end?.from ?? skip, version, digest] as const;
  if (turns.length === 0 && from > last) return { write: undefined, turns: now };
  return { write: { from, turns, amends: from === last && turns.length > 0 }, turns: now };
}

/** The number of first elements that are the same. */
function sameCount(places: readonly Place[], earlier: readonly Place[]): number {
  const different = places.findIndex((place, index) => {
    const other = earlier[index];
    return other?.list !== place.list || other.index !== place.index;
  });
  return different === -1 ? places.length : different;
}
