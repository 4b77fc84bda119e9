/**
 * A streamed answer that a client can resume at any instance after it lost the connection. The id of an event is the
 * turn and the number of characters sent so far; the rest is read from the log.
 */
import { saidIn } from "../../domain/turns/chunk.ts";
import { SessionError } from "../../errors.ts";
import type { Answer, Session, Turn } from "../../index.ts";
import type { Audience } from "../../protocol/problem.ts";
import { textOf, wireEtag, wireTurnFor, type WireAnswer } from "../../protocol/wire.ts";
import { doneTurn, turnNews } from "../../sessions/turns/running-answer.ts";
import type { StreamEvent } from "./event-stream.ts";
import type { OpenStreams } from "../http/open-streams.ts";
import { formatValue } from "../../domain/values/format-value.ts";

/** The part of an answer that the client has received. */
export interface HeardAnswer {
  readonly turn: number;
  /** Characters of its text (UTF-16 code units). */
  readonly length: number;
}

/** The reader of an answer that another request produces. */
export interface Reader {
  readonly audience: Audience;
  readonly signal: AbortSignal;
  readonly streams: Pick<OpenStreams, "recover">;
}

/** @throws SessionError `request_invalid` for an id that is not one of an answer's events */
export function parseAnswerId(id: string): HeardAnswer {
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(id);
  if (match !== null) return { turn: Number(match[1]), length: Number(match[2]) };
  throw new SessionError("request_invalid", {
    path: "header last-event-id",
    value: formatValue(id),
    expected: "event_id",
  });
}

/**
 * Streams an answer while it is produced. Where it fails, the event `state` has the ETag of the session after the failure,
 * for a client that goes on from there.
 */
export async function* spokenAnswer(
  session: Session,
  answer: Answer,
  audience: Audience,
): AsyncGenerator<StreamEvent, void, void> {
  yield turnEvent(session, answer.seq);
  let length = 0;
  try {
    for await (const text of answer) {
      length += text.length;
      yield textEvent(answer.seq, length, text);
    }
    const done = doneEvent(answerOf(session, await answer.done, audience), length);
    yield { ...done, data: { ...done.data, etag: wireEtag(session.info) } };
  } catch (error) {
    yield { event: "state", data: { etag: wireEtag(session.info) } };
    throw error;
  }
}

/** Streams an answer that another request started, from its beginning. */
export async function* attachedAnswer(
  session: Session,
  turn: number,
  reader: Reader,
): AsyncGenerator<StreamEvent, void, void> {
  yield turnEvent(session, turn);
  yield* resumedAnswer(session, { turn, length: 0 }, reader);
}

/** Streams an answer from where the client lost it to its end, whichever instance produces it. */
export async function* resumedAnswer(
  session: Session,
  heard: HeardAnswer,
  reader: Reader,
): AsyncGenerator<StreamEvent, void, void> {
  const { turn: head } = await session.refresh();
  if (heard.turn < 1 || heard.turn > head) {
    throw new SessionError("request_invalid", {
      path: "header last-event-id",
      value: `${heard.turn}-${heard.length}`,
      expected: "event_id",
    });
  }
  // Recovery seals a turn that a dead writer left open; otherwise the stream would never end.
  const stop = reader.streams.recover(session);
  try {
    yield* followed(session, heard, reader);
  } finally {
    stop();
  }
}

async function* followed(
  session: Session,
  { turn: seq, length: heardLength }: HeardAnswer,
  { audience, signal }: Reader,
): AsyncGenerator<StreamEvent, void, void> {
  let length = 0;
  for await (const news of turnNews(session, seq, signal)) {
    if (news.type === "chunk") {
      const text = saidIn(news.chunk);
      const unsent = text.slice(Math.max(0, heardLength - length));
      length += text.length;
      if (unsent !== "") {
        const event = textEvent(seq, length, unsent);
        yield unsent === text ? sharedEvent(event, news.chunk) : event;
      }
    } else {
      const sent = Math.max(length, heardLength);
      const unsent = textOf(news.turn.output).slice(sent);
      if (unsent !== "") {
        const event = textEvent(seq, sent + unsent.length, unsent);
        yield sent === 0 ? sharedEvent(event, news.turn) : event;
      }
      const done = doneEvent(answerOf(session, doneTurn(session, news.turn), audience), sent + unsent.length);
      yield sharedEvent(done, news.turn, audience);
    }
  }
}

function turnEvent({ id: session, durable }: Session, turn: number): StreamEvent {
  return { event: "turn", id: `${turn}-0`, data: { session, durable, turn } };
}

/** `length`: the characters of the answer up to the end of this text. */
function textEvent(turn: number, length: number, text: string): StreamEvent {
  return { event: "text", id: `${turn}-${length}`, data: { text } };
}

/** All streams of an answer send the same event for the same source. */
function sharedEvent(event: StreamEvent, source: object, audience: Audience | "" = ""): StreamEvent {
  return { ...event, shared: { source, slot: `answer ${event.event} ${audience}`, variant: event.id ?? "" } };
}

/** The response of an answer. */
export function answerOf({ id: session, durable }: Session, turn: Turn, audience: Audience): WireAnswer {
  return { session, durable, text: textOf(turn.output), turn: wireTurnFor(audience, turn) };
}

function doneEvent(answer: WireAnswer, length: number): StreamEvent & { readonly data: WireAnswer } {
  return { event: "done", id: `${answer.turn.seq}-${length}`, data: answer };
}
