import type { AnswerEvent } from "../domain/turns/answer-event.ts";
import { Answer } from "../domain/turns/answer.ts";
import type { Turn } from "../domain/turns/turn.ts";
import type { SessionError } from "../errors.ts";
import type { Decisions, WaitingTurn, WriteKey } from "../index.ts";
import { turnOfWire, waitingOfWire, type WireTurn, type WireWaitingTurn } from "../protocol/wire.ts";
import type { Http, HttpEvent, HttpRequest } from "./http.ts";
import { resumeEvents, streamBroken } from "./resume-events.ts";
import { defined } from "../domain/values/defined.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";

/** The only option of `append` and `cancel`. */
export const keyNames: OptionNames<WriteKey> = { key: true };

/** The end of an answer. */
export interface End {
  /** The turn; undefined for an answer that failed. */
  readonly turn: Turn | undefined;
  /** The ETag of the session after the answer, if the server sent it. */
  readonly etag: string | undefined;
}

/**
 * Asks over HTTP. Resolves once the question is durable; a stream that breaks is resumed. `onEnd` is called before the
 * answer resolves or fails.
 */
export async function askOver(http: Http, request: HttpRequest, onEnd: (end: End) => Promise<void>): Promise<Answer> {
  return await answerFrom(resumeEvents(http, request, { isTemporary }), request, onEnd);
}

/** The answer that runs now, from its beginning; undefined if none runs. `path`: of its session or chat. */
export async function runningOver(http: Http, path: string): Promise<Answer | undefined> {
  const request = { method: "GET", path: `${path}/stream` } as const;
  const begun = await http.askOrHear(request);
  if (!(Symbol.asyncIterator in begun)) return undefined;
  return await answerFrom(resumeEvents(http, request, { isTemporary, begun }), request, async () => undefined);
}

/** The turn that waits to be resumed; null if none does. */
export async function waitingOver(http: Http, path: string): Promise<WaitingTurn | null> {
  const { status, body } = await http.ask({ method: "GET", path: `${path}/waiting` });
  return status === 204 ? null : waitingOfWire(body as WireWaitingTurn);
}

/** Decides on the tool calls of a turn that waits, and follows the rest of its answer. A token is used once: nothing is repeated. */
export async function approveOver(
  http: Http,
  path: string,
  body: { readonly token: string; readonly decisions: Decisions },
  onEnd: (end: End) => Promise<void>,
): Promise<Answer> {
  return await askOver(http, { method: "POST", path: `${path}/approve`, body, once: true }, onEnd);
}

/** Cancels the running answer, or only the question of a key, also while it waits. */
export async function cancelOver(http: Http, path: string, options: WriteKey): Promise<boolean> {
  // Without its key, a cancel would stop whichever answer runs.
  guardNames(options, "options", keyNames);
  const { key } = options;
  const headers = defined({ "idempotency-key": key === undefined ? undefined : encodeKey(key) });
  const { body } = await http.ask({ method: "POST", path: `${path}/cancel`, headers });
  return (body as { cancelled: boolean }).cancelled;
}

/** Encodes a key for a header, which allows no other characters. */
export function encodeKey(key: string): string {
  return encodeURIComponent(key);
}

function isTemporary({ code }: SessionError): boolean {
  return code === "store_unavailable";
}

/** The events of a stream that are parts of the answer. */
const partTypes: ReadonlySet<string | undefined> = new Set([
  "text",
  "reasoning",
  "tool_call",
  "tool_result",
  "part",
] satisfies AnswerEvent["type"][]);

async function answerFrom(
  events: AsyncGenerator<HttpEvent, void, void>,
  request: HttpRequest,
  onEnd: (end: End) => Promise<void>,
): Promise<Answer> {
  const first = await events.next();
  if (first.done === true) {
    request.signal?.throwIfAborted();
    throw streamBroken();
  }
  const { turn: seq } = first.value.data as { turn: number };
  return new Answer(seq, async (emit) => {
    for await (const { event, data } of events) {
      if (partTypes.has(event)) emit({ ...(data as object), type: event } as AnswerEvent);
      if (event === "state") await onEnd({ turn: undefined, etag: (data as { etag: string }).etag });
      if (event !== "done") continue;
      const { turn: wire, etag } = data as { turn: WireTurn; etag?: string };
      const turn = turnOfWire(wire);
      await onEnd({ turn, etag });
      return turn;
    }
    request.signal?.throwIfAborted();
    throw streamBroken();
  });
}
