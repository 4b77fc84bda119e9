/**
 * A streamed answer that a client can resume at any instance after it lost the connection. The id of an event is the
 * turn, the number of characters sent so far, and if there were any, the numbers of tool calls and results, of characters
 * of reasoning, and of parts; where it is known, also the time when the turn began. The rest is read from the log.
 */
import { SessionError } from "../../errors.ts";
import type { Answer, AnswerEvent, Session, Turn } from "../../index.ts";
import type { Audience } from "../../protocol/problem.ts";
import { textOf, wireEtag, wireTurnFor, type WireAnswer } from "../../protocol/wire.ts";
import {
  AnswerPosition,
  doneTurn,
  turnNews,
  type FollowedTurn,
  type SentParts,
} from "../../sessions/turns/running-answer.ts";
import { defined } from "../../domain/values/defined.ts";
import type { StreamEvent } from "./event-stream.ts";
import type { OpenStreams } from "../http/open-streams.ts";
import { formatValue } from "../../domain/values/format-value.ts";

/** The part of an answer that the client has received. */
export interface ReceivedAnswer {
  readonly turn: number;
  /** When the turn began, epoch ms; absent in the stream of the request that asked. */
  readonly at?: number;
  readonly sent: SentParts;
}

/** The reader of an answer that another request produces. */
export interface Reader {
  readonly audience: Audience;
  readonly signal: AbortSignal;
  readonly streams: Pick<OpenStreams, "recover">;
}

/** @throws SessionError `request_invalid` for an id that is not one of an answer's events */
export function parseAnswerId(id: string): ReceivedAnswer {
  const match = /^(\d{1,15})-(\d{1,15})(?:-(\d{1,15})-(\d{1,15})(?:-(\d{1,15}))?)?(?:@(\d{1,15}))?$/.exec(id);
  if (match !== null) {
    const [turn = 0, text = 0, others = 0, reasoning = 0, parts = 0] = match
      .slice(1, 6)
      .map((sent) => Number(sent ?? 0));
    const at = match[6] === undefined ? undefined : Number(match[6]);
    return { turn, ...defined({ at }), sent: { text, others, reasoning, parts } };
  }
  throw new SessionError("request_invalid", {
    path: "header last-event-id",
    value: formatValue(id),
    expected: "event_id",
  });
}

/** The short forms have no parts, and no other events and no reasoning. */
function answerId({ turn, at, sent: { text, others, reasoning, parts } }: ReceivedAnswer): string {
  const rest = others + reasoning + parts === 0 ? "" : `-${others}-${reasoning}`;
  const sent = `${turn}-${text}${rest}${parts === 0 ? "" : `-${parts}`}`;
  return at === undefined ? sent : `${sent}@${at}`;
}

/**
 * Streams an answer while it is produced. Where it fails, the event `state` has the ETag of the session after the failure,
 * for a client that continues from there.
 */
export async function* spokenAnswer(
  session: Session,
  answer: Answer,
  audience: Audience,
): AsyncGenerator<StreamEvent, void, void> {
  const seq = answer.seq;
  yield turnEvent(session, { seq });
  const position = new AnswerPosition();
  for (const event of answer.before) position.hear(event);
  try {
    for await (const event of answer.events()) {
      position.hear(event);
      yield partEvent(event, { turn: seq, sent: position.sent }, audience);
    }
    const done = doneEvent(answerOf(session, await answer.done, audience), { turn: seq, sent: position.sent });
    yield { ...done, data: { ...done.data, etag: wireEtag(session.info) } };
  } catch (error) {
    yield { event: "state", data: { etag: wireEtag(session.info) } };
    throw error;
  }
}

/** Streams an answer that another request started, from its beginning. */
export async function* attachedAnswer(
  session: Session,
  turn: FollowedTurn,
  reader: Reader,
): AsyncGenerator<StreamEvent, void, void> {
  yield turnEvent(session, turn);
  yield* resumedAnswer(session, receivedNothing(turn), reader);
}

/** The error of an answer in the store while the store is away: its session in the fallback has other turns. */
export function awayAnswer(): SessionError {
  return new SessionError("store_unavailable", { problem: "fallback" });
}

/** Streams an answer from where the client lost it to its end, whichever instance produces it. */
export async function* resumedAnswer(
  session: Session,
  received: ReceivedAnswer,
  reader: Reader,
): AsyncGenerator<StreamEvent, void, void> {
  const { turn: head } = await session.refresh();
  if (received.turn > head && session.inFallback) throw awayAnswer();
  if (received.turn < 1 || received.turn > head) {
    throw new SessionError("request_invalid", {
      path: "header last-event-id",
      value: answerId(received),
      expected: "event_id",
    });
  }
  // Recovery seals a turn that a dead writer left open; otherwise the stream would never end.
  const stop = reader.streams.recover(session);
  try {
    yield* followed(session, received, reader);
  } finally {
    stop();
  }
}

async function* followed(
  session: Session,
  { turn, at, sent }: ReceivedAnswer,
  { audience, signal }: Reader,
): AsyncGenerator<StreamEvent, void, void> {
  const position = new AnswerPosition(sent);
  const received = (): ReceivedAnswer => ({ turn, ...defined({ at }), sent: position.sent });
  for await (const news of turnNews(session, { seq: turn, ...defined({ at }) }, signal)) {
    const source = news.type === "chunk" ? news.chunk : news.turn;
    for (const event of position.unsent(news))
      yield sharedEvent(partEvent(event, received(), audience), source, audience);
    if (news.type === "chunk") continue;
    const done = doneEvent(answerOf(session, doneTurn(session, news.turn), audience), received());
    yield sharedEvent(done, news.turn, audience);
  }
}

function turnEvent({ id: session, durable }: Session, turn: FollowedTurn): StreamEvent {
  return { event: "turn", id: answerId(receivedNothing(turn)), data: { session, durable, turn: turn.seq } };
}

function receivedNothing({ seq, ...rest }: FollowedTurn): ReceivedAnswer {
  return { turn: seq, ...rest, sent: { text: 0, others: 0, reasoning: 0, parts: 0 } };
}

/**
 * A part of the answer; `received` includes it. A device reads what the turn shows it: calls and results, but not the text of
 * a tool's error.
 */
function partEvent({ type, ...data }: AnswerEvent, received: ReceivedAnswer, audience: Audience): StreamEvent {
  const shown = audience === "device" && "isError" in data ? { ...data, content: "Error" } : data;
  return { event: type, id: answerId(received), data: shown };
}

/**
 * All streams of an answer send the same event for the same source. The rest of a text whose beginning a client has is
 * another event: its id is the same.
 */
function sharedEvent(event: StreamEvent, source: object, audience: Audience): StreamEvent {
  const { text } = event.data as { readonly text?: string };
  const variant = `${event.id} ${text?.length ?? ""}`;
  return { ...event, shared: { source, slot: `answer ${event.event} ${audience}`, variant } };
}

/** The response of an answer. */
export function answerOf({ id: session, durable }: Session, turn: Turn, audience: Audience): WireAnswer {
  return { session, durable, text: textOf(turn.output), turn: wireTurnFor(audience, turn) };
}

function doneEvent(answer: WireAnswer, received: ReceivedAnswer): StreamEvent & { readonly data: WireAnswer } {
  return { event: "done", id: answerId(received), data: answer };
}
