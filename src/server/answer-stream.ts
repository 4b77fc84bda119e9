/**
 * A streamed answer that whoever lost the connection can go on with, at any instance. The id of an event is the turn and how
 * many characters of its text were sent up to there; the log tells the rest.
 */
import { SessionError } from "../errors.ts";
import type { Answer, Session, Turn } from "../index.ts";
import { textOf, wireEtag, wireTurn, type WireAnswer } from "../protocol/wire.ts";
import type { StreamEvent } from "./event-stream.ts";

/** What of an answer somebody has heard. */
export interface HeardAnswer {
  readonly turn: number;
  /** Characters of its text (UTF-16 code units). */
  readonly length: number;
}

/** How often an answer that does not move is looked after: its writer may be gone. */
const lookMs = 1000;

/** @throws SessionError `request_invalid` for what is no id of an answer's event */
export function parseAnswerId(id: string): HeardAnswer {
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(id);
  if (match !== null) return { turn: Number(match[1]), length: Number(match[2]) };
  throw new SessionError("request_invalid", {
    path: "header last-event-id",
    reason: "is no id of a stream of answers",
  });
}

/** An answer from its beginning, as it is spoken. */
export async function* spokenAnswer(session: Session, answer: Answer): AsyncGenerator<StreamEvent, void, void> {
  yield turnEvent(session, answer.seq);
  let length = 0;
  for await (const text of answer) {
    length += text.length;
    yield { event: "text", id: `${answer.seq}-${length}`, data: { text } };
  }
  const { id, data } = doneEvent(session, await answer.done, length);
  yield { event: "done", id, data: { ...data, etag: wireEtag(session.info) } };
}

/** An answer that somebody else began, from its beginning. */
export async function* attachedAnswer(
  session: Session,
  turn: number,
  signal: AbortSignal,
): AsyncGenerator<StreamEvent, void, void> {
  yield turnEvent(session, turn);
  yield* resumedAnswer(session, { turn, length: 0 }, signal);
}

/** An answer from where somebody lost it, whoever speaks it, to its end. */
export async function* resumedAnswer(
  session: Session,
  heard: HeardAnswer,
  signal: AbortSignal,
): AsyncGenerator<StreamEvent, void, void> {
  const { turn: head } = await session.refresh();
  if (heard.turn < 1 || heard.turn > head) {
    throw new SessionError("request_invalid", {
      path: "header last-event-id",
      reason: `tells of no turn of this session`,
    });
  }
  // What a writer that is gone left open would never end.
  const look = setInterval(() => void session.recover().catch(() => undefined), lookMs);
  try {
    yield* followed(session, heard, signal);
  } finally {
    clearInterval(look);
  }
}

async function* followed(
  session: Session,
  { turn: seq, length: heardLength }: HeardAnswer,
  signal: AbortSignal,
): AsyncGenerator<StreamEvent, void, void> {
  let length = 0;
  for await (const news of session.watch({ after: seq - 1, signal })) {
    if (news.type === "truncated") {
      throw new SessionError("interrupted", { sessionId: session.id, turn: seq, reason: "the turn was taken back" });
    }
    if (news.type === "chunk") {
      if (news.turn !== seq || !("text" in news.chunk)) continue;
      const { text } = news.chunk;
      const unheard = text.slice(Math.max(0, heardLength - length));
      length += text.length;
      if (unheard !== "") yield { event: "text", id: `${seq}-${length}`, data: { text: unheard } };
    } else if (news.turn.seq === seq && news.turn.status !== "open") {
      const sent = Math.max(length, heardLength);
      const unheard = unheardOf(news.turn, sent);
      if (unheard !== "") yield { event: "text", id: `${seq}-${sent + unheard.length}`, data: { text: unheard } };
      yield endOf(session, news.turn, sent + unheard.length);
      return;
    }
  }
}

/** What of a finished answer was not in any piece seen; between calls of tools, the turn as a whole tells it. */
function unheardOf({ output }: Turn, sent: number): string {
  const isPlain = output.every(({ role, content }) => role === "assistant" && typeof content === "string");
  return isPlain ? textOf(output).slice(sent) : "";
}

function endOf(session: Session, turn: Turn, length: number): StreamEvent {
  if (turn.status === "done") return doneEvent(session, turn, length);
  const ids = { sessionId: session.id, turn: turn.seq };
  const reason = turn.error?.message ?? turn.status;
  if (turn.status === "interrupted") throw new SessionError("interrupted", { ...ids, reason });
  throw new SessionError(turn.error?.code === "model_refused" ? "model_refused" : "model_failed", { ...ids, reason });
}

function turnEvent({ id: session, durable }: Session, turn: number): StreamEvent {
  return { event: "turn", id: `${turn}-0`, data: { session, durable, turn } };
}

/** What an answer comes to. */
export function answerOf({ id: session, durable }: Session, turn: Turn): WireAnswer {
  return { session, durable, text: textOf(turn.output), turn: wireTurn(turn) };
}

function doneEvent(session: Session, turn: Turn, length: number): StreamEvent & { readonly id: string } {
  return { event: "done", id: `${turn.seq}-${length}`, data: answerOf(session, turn) };
}
