/** The answer that a session is giving now, read from the store: any process can follow it, from its beginning. */
import { eventsOfChunk, eventsOfMessage, type AnswerEvent } from "../../domain/turns/answer-event.ts";
import { Answer } from "../../domain/turns/answer.ts";
import type { Turn } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import type { Handle } from "../handle/handle.ts";
import { recoverFollowed } from "../handle/recoveries.ts";
import { errorOfTurn } from "./progress/turn-error.ts";
import { readTurns, type EntryRange } from "./entry-reader.ts";
import { watchSession, type SessionNews, type WatchOptions } from "./watch.ts";

/** The members of a session that its running answer is read from. */
export interface FollowedSession {
  readonly id: string;
  turns(range: EntryRange): AsyncIterable<Turn>;
  watch(options: WatchOptions): AsyncIterable<SessionNews>;
  /** Seals the turn of a writer that has ended, until the returned function is called. */
  recoverFollowed(): () => void;
}

/** The longest wait for the seal of a cancelled turn: a writer notices the request within a second. */
const sealWaitMs = 3000;

/**
 * The turn whose answer is followed. With `at`, the epoch ms when it began, another turn that takes its number later is not
 * mistaken for it: a turn that it replaced, and that its end puts back.
 */
export type FollowedTurn = Pick<Turn, "seq"> & { readonly at?: number };

/** The open turn; undefined if no answer runs. */
export async function openTurnOf(session: Pick<FollowedSession, "turns">): Promise<FollowedTurn | undefined> {
  const [last] = await Array.fromAsync(session.turns({ last: 1 }));
  return last?.status === "open" ? { seq: last.seq, at: last.at.getTime() } : undefined;
}

/** The answer of the open turn; undefined if no answer runs. */
export async function runningAnswer(session: FollowedSession): Promise<Answer | undefined> {
  const turn = await openTurnOf(session);
  if (turn === undefined) return undefined;
  return new Answer(turn.seq, async (emit) => doneTurn(session, await followAnswer(session, turn, { emit })));
}

/**
 * Passes on the events of an open turn, from its beginning, and resolves with the sealed turn, or with the turn as it waits.
 * The signal ends this, not the answer.
 * @throws SessionError `interrupted` where the turn ends unsealed or the signal aborts, the store's
 */
export async function followAnswer(
  session: FollowedSession,
  turn: FollowedTurn,
  { emit, signal }: { readonly emit: (event: AnswerEvent) => void; readonly signal?: AbortSignal | undefined },
): Promise<Turn> {
  // Recovery seals a turn that a dead writer left open; otherwise the answer would never end.
  const unfollow = session.recoverFollowed();
  const position = new AnswerPosition();
  try {
    for await (const news of turnNews(session, turn, signal)) {
      for (const event of position.unsent(news)) emit(event);
      if (news.type === "turn") return news.turn;
    }
  } finally {
    unfollow();
  }
  throw new SessionError("interrupted", { sessionId: session.id, turn: turn.seq, how: "session_ended" });
}

/** The session of a handle, to follow its running answer. */
export function followedSession(handle: Handle): FollowedSession {
  return {
    id: handle.record.id,
    turns: (range) => readTurns(handle, range),
    watch: (options) => watchSession(handle, options),
    recoverFollowed: () => recoverFollowed(handle.core, handle.key),
  };
}

/** Clear the lease of a dead holder, and seal the turn that it left open; false where there is nothing to clear. */
export async function recoverPolled(handle: Handle): Promise<boolean> {
  // The record of a watched session is at most one poll old, and the write compares it.
  const polled = handle.core.poller.recordOf(handle.key);
  if (polled === undefined) await handle.peek();
  else handle.learn(polled);
  return (await handle.recoverAbandoned()).status === "ok";
}

/** The parts that the reader of an answer has: how many characters of text and reasoning, how many parts, and how many other events. */
export interface SentParts {
  readonly text: number;
  readonly reasoning: number;
  readonly parts: number;
  readonly others: number;
}

/**
 * The place of a reader in a running answer. It hears the chunks from the first one, and at the end the sealed turn, which
 * has again what the chunks had, and what the reader missed; a reader that came back has some of it already.
 */
export class AnswerPosition {
  #sent: SentParts;
  #received: SentParts = nothing;

  /** `sent`: what the reader has from an earlier stream. */
  constructor(sent: SentParts = nothing) {
    this.#sent = sent;
  }

  get sent(): SentParts {
    return this.#sent;
  }

  /** The events of this news that the reader has not, each moving `sent` as it is taken. */
  *unsent(news: TurnNews): Generator<AnswerEvent, void, undefined> {
    if (news.type === "turn") {
      const { reasoning, parts } = this.#received;
      this.#received = { ...nothing, reasoning, parts };
    }
    const events = news.type === "turn" ? news.turn.output.flatMap(eventsOfMessage) : eventsOfChunk(news.chunk);
    for (const event of events) {
      const unsent = this.hear(event);
      if (unsent !== undefined) yield unsent;
    }
  }

  /** Moves on by an event; the part of it that the reader has not. */
  hear(event: AnswerEvent): AnswerEvent | undefined {
    const kind = kindOf(event);
    const length = "text" in event ? event.text.length : 1;
    const before = this.#received[kind];
    this.#received = { ...this.#received, [kind]: before + length };
    const missed = before + length - this.#sent[kind];
    if (missed <= 0) return undefined;
    this.#sent = { ...this.#sent, [kind]: before + length };
    return "text" in event && missed < length ? { ...event, text: event.text.slice(length - missed) } : event;
  }
}

const nothing: SentParts = { text: 0, reasoning: 0, parts: 0, others: 0 };

function kindOf({ type }: AnswerEvent): keyof SentParts {
  if (type === "part") return "parts";
  return type === "text" || type === "reasoning" ? type : "others";
}

/** A chunk of the followed turn, or its end; a turn that waits has ended for its followers. */
export type TurnNews = Extract<SessionNews, { type: "chunk" | "turn" }>;

/**
 * The chunks of a turn from its beginning, then the sealed turn.
 * @throws SessionError `interrupted` where another turn has its number
 */
export async function* turnNews(
  session: Pick<FollowedSession, "id" | "watch">,
  { seq, at }: FollowedTurn,
  signal?: AbortSignal,
): AsyncGenerator<TurnNews, void, void> {
  for await (const news of session.watch(defined({ after: seq - 1, signal }))) {
    const isAnother =
      news.type === "turn" && news.turn.seq === seq && at !== undefined && news.turn.at.getTime() !== at;
    if (news.type === "truncated" || isAnother)
      throw new SessionError("interrupted", { sessionId: session.id, turn: seq, how: "truncated" });
    if (news.type === "chunk") {
      if (news.turn === seq) yield news;
    } else if (news.turn.seq === seq && news.turn.status !== "open") {
      // A turn that waits has no answer that runs.
      yield news;
      return;
    }
  }
}

/** @throws SessionError the error that ended the answer */
export function doneTurn({ id: sessionId }: Pick<FollowedSession, "id">, turn: Turn): Turn {
  if (turn.status === "done" || turn.status === "waiting") return turn;
  throw errorOfTurn(turn, { sessionId, turn: turn.seq });
}

/** Waits until the turn whose cancellation is stored is over, for at most {@link sealWaitMs}. */
export async function untilStopped({ core, key }: Pick<Handle, "core" | "key">, turn: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, sealWaitMs);
  const watch = core.poller.watch(key, { needs: "record" }, (found) => {
    // The request is deleted together with the end of its turn. A later turn may have the same number.
    if (found.status !== "found" || found.view.record.cancel?.turn !== turn) resolve();
  });
  watch.look();
  await promise;
  clearTimeout(timer);
  watch.stop();
}
