/** Responses shared by several routes. */
import { defined } from "../../domain/values/defined.ts";
import type { Answer, Session, SessionInfo } from "../../index.ts";
import { SessionError } from "../../errors.ts";
import type { HandoffBody } from "../../protocol/schemas.ts";
import { wireEtag, wireActiveAgentFor, wireSessionFor } from "../../protocol/wire.ts";
import {
  answerOf,
  attachedAnswer,
  awayAnswer,
  parseAnswerId,
  resumedAnswer,
  spokenAnswer,
} from "../streams/answer-stream.ts";
import {
  countStream,
  eventStream,
  wantsStream,
  type StreamEvent,
  type StreamOptions,
  type StreamReader,
} from "../streams/event-stream.ts";
import { jsonAnswer, type RequestContext } from "../http/route.ts";
import type { Shared } from "../http/server-context.ts";
import { openTurnOf, type FollowedTurn } from "../../sessions/turns/running-answer.ts";
import { idempotencyKey } from "./request-headers.ts";

export function sessionReply(c: RequestContext, info: SessionInfo, status: 200 | 201 = 200): Response {
  c.set("session", info.id);
  c.header("etag", wireEtag(info));
  return jsonAnswer(c, wireSessionFor(c.get("audience"), info), status);
}

/** The active agent, or 204 if no handoff is in force. */
export async function activeAgentReply(c: RequestContext, session: Session | undefined): Promise<Response> {
  const active = (await session?.activeAgent()) ?? null;
  return active === null ? c.body(null, 204) : jsonAnswer(c, wireActiveAgentFor(c.get("audience"), active));
}

export async function handOffReply(c: RequestContext, session: Session, body: HandoffBody): Promise<Response> {
  const { agent, ttlSeconds, note } = body;
  const active = await session.handOff(
    agent,
    defined({ ttl: ttlSeconds === undefined ? undefined : Math.max(1, Math.round(ttlSeconds * 1000)), note }),
  );
  return jsonAnswer(c, wireActiveAgentFor(c.get("audience"), active));
}

/** Asks, and answers as JSON or as a stream. A request with `Last-Event-ID` resumes a lost stream without asking again. */
export async function answerReply(
  c: RequestContext,
  session: Session,
  {
    ask,
    outlive,
    stop,
  }: Pick<Shared, "outlive" | "stop"> & {
    /** Asks; the signal withdraws a question that waits for its session. */
    readonly ask: (withdraw: AbortSignal) => Promise<Answer>;
  },
): Promise<Response> {
  const lost = c.req.header("last-event-id");
  if (lost !== undefined && wantsStream(c) && (await isKept(c, session, lost)))
    return resumeReply(c, session, lost, { stop });
  // A stream over the limit is refused before its question is asked.
  const close = wantsStream(c) ? countStream(c) : undefined;
  const follow = new AbortController();
  let answer: Answer;
  try {
    // A client that leaves withdraws a question that waits; a turn that began continues.
    answer = await ask(AbortSignal.any([c.req.raw.signal, follow.signal]));
  } catch (error) {
    close?.();
    throw error;
  }
  if (answer.repeats === "running") {
    // All readers of an answer share one watch of its session, and each ends with its connection.
    follow.abort();
    return await attachReply(c, session, { turn: { seq: answer.seq }, stop, close });
  }
  outlive(c, answer);
  const audience = c.get("audience");
  // A stopping server does not end this stream: a running answer finishes, and its reader receives it.
  if (close !== undefined) return eventStream(c, () => spokenAnswer(session, answer, audience), { close });
  const turn = await answer.done;
  c.header("etag", wireEtag(session.info));
  return jsonAnswer(c, answerOf(session, turn, audience));
}

/**
 * False where the turn of a lost stream is not in the log: its answer failed before its first word, and the turns that it
 * had replaced are back. The request is then a new one.
 * @throws SessionError `store_unavailable` for an answer in the store, in a session of the fallback
 */
async function isKept(c: RequestContext, session: Session, lost: string): Promise<boolean> {
  const { turn, sent } = parseAnswerId(lost);
  const { key } = idempotencyKey(c);
  const hasBegun = sent.text + sent.others + sent.reasoning + sent.parts > 0;
  if (key === undefined || (hasBegun && !session.inFallback)) return true;
  const isHere = (await session.turnByKey(key))?.seq === turn;
  if (hasBegun && !isHere) throw awayAnswer();
  return isHere;
}

/** The answer to an earlier request with the same key, while it runs. */
async function attachReply(
  c: RequestContext,
  session: Session,
  {
    turn,
    stop,
    close,
  }: { readonly turn: FollowedTurn; readonly stop: AbortSignal; readonly close: (() => void) | undefined },
): Promise<Response> {
  const audience = c.get("audience");
  const streams = c.get("streams");
  if (close !== undefined) {
    const attached = ({ signal }: StreamReader): AsyncIterable<StreamEvent> =>
      attachedAnswer(session, turn, { audience, signal, streams });
    return eventStream(c, attached, { stop, close });
  }
  // A client that disconnects ends the wait; the answer itself continues.
  const { signal } = c.req.raw;
  for await (const { event, data } of attachedAnswer(session, turn, { audience, signal, streams }))
    if (event === "done") return jsonAnswer(c, data);
  throw new SessionError("interrupted", { sessionId: session.id, turn: turn.seq, how: "session_ended" });
}

/** The rest of an answer after an event id; without one the running answer from its beginning, or 204 if none runs. */
export async function streamReply(
  c: RequestContext,
  session: Session | undefined,
  { lost, ...options }: StreamOptions & { readonly lost: string | undefined },
): Promise<Response> {
  if (lost !== undefined) {
    if (session === undefined) throw new SessionError("session_not_found", {});
    return resumeReply(c, session, lost, options);
  }
  const turn = session && (await openTurnOf(session));
  if (session === undefined || turn === undefined) return c.body(null, 204);
  const audience = c.get("audience");
  const streams = c.get("streams");
  return eventStream(c, ({ signal }) => attachedAnswer(session, turn, { audience, signal, streams }), options);
}

function resumeReply(c: RequestContext, session: Session, lost: string, options: StreamOptions): Response {
  const received = parseAnswerId(lost);
  const audience = c.get("audience");
  const streams = c.get("streams");
  return eventStream(c, ({ signal }) => resumedAnswer(session, received, { audience, signal, streams }), options);
}
