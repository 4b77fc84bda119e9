/**
 * The channel `messages` of a graph as the turns of its session, so that people and other frameworks read the conversation. The
 * graph reads its own checkpoints; turns that it has written are replaced where its messages have changed, and turns of others
 * stay as they are.
 */
import type { SessionWrite } from "../../index.ts";
import { endsAnswered, exchangesIn, turnOf } from "../langchain/exchanges.ts";
import { isMessage, type LangchainMessage } from "../langchain/package-core.ts";
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
];

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
 * @param turn the number of the session's last turn
 * @throws SessionError `message_invalid` for a message that cannot be shown as a turn
 */
export function projected(
  { messages, places }: { readonly messages: readonly LangchainMessage[]; readonly places: readonly Place[] },
  earlier: EarlierMessages,
  turn: number,
): Projection {
  const same = sameCount(places, earlier.places);
  const { turns } = earlier;
  // Another writer has added turns, or messages that are no turns have changed: later messages follow the turns that there are.
  if (turns === undefined || turns[2] !== turn || same < turns[1])
    return changed(messages, { base: turn, skip: same, last: turn, same });
  const [base, skip, last, lastFrom] = turns;
  if (last === base || same <= lastFrom) return changed(messages, { base, skip, last, same });
  // Only the last turn, and those behind it, can have changed.
  const { write, turns: now } = changed(messages, { base: last - 1, skip: lastFrom, last, same });
  return { write, turns: [base, skip, now[2], now[3]] };
}

interface Basis {
  readonly base: number;
  readonly skip: number;
  readonly last: number;
  /** The number of first messages that are the same as before. */
  readonly same: number;
}

/** The turns from the first one that differs from what is stored. */
function changed(messages: readonly LangchainMessage[], { base, skip, last, same }: Basis): Projection {
  const ranges = exchangesIn(messages, skip);
  const different = ranges.findIndex(({ to }) => to > same || (to === same && !endsAnswered(messages, to)));
  const first = different === -1 ? ranges.length : different;
  if (ranges.length - first > turnsMax) {
    const later = ranges.at(-turnsMax)?.from ?? messages.length;
    return changed(messages, { base: last, skip: later, last, same: later });
  }
  const from = base + first + 1;
  const turns = ranges.slice(first).map((range) => turnOf(messages, range));
  const now = [base, skip, base + ranges.length, ranges.at(-1)?.from ?? skip] as const;
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
