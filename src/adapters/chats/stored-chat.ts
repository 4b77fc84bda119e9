/** A chat as it is stored: the turns of its session as messages of `useChat`, at one moment. */
import { hasCode, type Session, type SessionWrite, type Streams, type Turn } from "../../index.ts";
import { idFor } from "../../index.ts";
import { assembled } from "./package-ai.ts";
import { partsOfStream } from "./reading.ts";
import { fieldsOf, messagesOfTurn, rangeOf, storedForm, type AnyUiMessage } from "./ui-message.ts";

/** The basis of a write. */
type Onto = NonNullable<SessionWrite["onto"]>;

/** The place of a message. */
export interface Place {
  readonly turn: Turn;
  readonly message: AnyUiMessage;
  /** The number of messages of the chat before it. */
  readonly before: number;
}

export class StoredChat {
  readonly onto: Onto;
  readonly turns: readonly Turn[];
  readonly messages: readonly AnyUiMessage[];
  readonly #places = new Map<string, Place>();

  constructor(onto: Onto, turns: readonly Turn[]) {
    const messages: AnyUiMessage[] = [];
    for (const turn of turns)
      for (const message of messagesOfTurn(turn)) {
        this.#places.set(message.id, { turn, message, before: messages.length });
        messages.push(message);
      }
    this.onto = onto;
    this.turns = turns;
    this.messages = messages;
  }

  get last(): Turn | undefined {
    return this.turns.at(-1);
  }

  hasKey(key: string): boolean {
    return this.turns.some((turn) => turn.key === key);
  }

  placeOf(id: string): Place | undefined {
    return this.#places.get(id);
  }

  /** The last of these messages that is stored; undefined if none is. */
  lastOf(ids: readonly string[]): string | undefined {
    return ids.findLast((id) => this.#places.has(id));
  }

  /** The same chat after a write of its turns from this one on. */
  with(version: number, turns: readonly Turn[]): StoredChat {
    const [first] = turns;
    const kept = this.turns.filter(({ seq }) => first === undefined || seq < first.seq);
    return new StoredChat({ version, marks: {} }, [...kept, ...turns]);
  }
}

/** The chat of a session. An answer whose producer has ended becomes what had arrived of it. */
export async function loadChat(session: Session, streams: Streams): Promise<StoredChat> {
  const look = await session.look([{ log: "turns", last: 1 }]);
  const stored = new StoredChat(look, await Array.fromAsync(session.turns()));
  const { last } = stored;
  if (last?.status !== "interrupted") return stored;
  const id = streamOf(session.id, last);
  if ((await streams.status(id)) !== "lost") return stored;
  const written = await keepArrived(session, stored, last, await partsOfStream(streams, id));
  if (!written) return stored;
  await streams.delete(id);
  return await loadChat(session, streams);
}

/** The stream of the answer to a turn, always the same: its next answer takes the place of the one before. */
export function streamOf(session: string, { seq, at }: Pick<Turn, "seq" | "at">): string {
  return idFor(`${session}/${seq}/${at.getTime().toString(36)}`);
}

/** Writes what had arrived of a lost answer. False if another writer was first. */
async function keepArrived(
  session: Session,
  { onto }: StoredChat,
  { seq, input, output }: Turn,
  parts: Awaited<ReturnType<typeof partsOfStream>>,
): Promise<boolean> {
  const { messageId } = fieldsOf(parts.find(({ type }) => type === "start"));
  const id = typeof messageId === "string" ? messageId : streamOf(session.id, { seq, at: new Date(0) });
  // Chunks that fit no message leave the question without an answer.
  const message = await assembled(parts, { id, base: undefined }).catch(() => undefined);
  const { from, to } = rangeOf(output, id);
  const arrived = message === undefined || message.parts.length === 0 ? output.slice(from, to) : storedForm(message);
  const all = [...output.slice(0, from), ...arrived, ...output.slice(to)];
  const write = async (turn: object): Promise<boolean> => {
    const turns = { from: seq, amends: true, turns: [{ input, status: "interrupted" as const, ...turn }] };
    return (await session.write({ turns, onto })).status === "ok";
  };
  try {
    return await write({ output: all });
  } catch (error) {
    // Too large to store.
    if (hasCode(error, "turn_too_large") || hasCode(error, "turn_parts_exceeded")) return await write({});
    if (hasCode(error, "conflict") || hasCode(error, "busy")) return false;
    throw error;
  }
}
