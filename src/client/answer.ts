import { Answer } from "../domain/turns/answer.ts";
import type { Turn } from "../domain/turns/turn.ts";
import { SessionError } from "../errors.ts";
import { errorOf } from "../protocol/problem.ts";
import { turnOfWire, type WireTurn } from "../protocol/wire.ts";
import type { Http, HttpEvent, HttpRequest } from "./http.ts";

/** What an answer came to, beside its text. */
export interface Done {
  readonly turn: Turn;
  /** The session as it stood after the turn, where the server said. */
  readonly etag: string | undefined;
}

/** A stream that breaks is taken up again so often in a row without a word. */
const silentBreaksMax = 5;
const pauseMs = 300;

/**
 * Ask over HTTP. Resolves once the question is durable; a stream that breaks goes on where it was lost, at whichever
 * instance answers. `onDone` is told first of the end.
 */
export async function askOver(
  http: Http,
  request: HttpRequest,
  onDone: (done: Done) => Promise<void>,
): Promise<Answer> {
  const events = resuming(http, request);
  const first = await events.next();
  if (first.done === true) throw lost("nothing was answered");
  const { turn: seq } = first.value.data as { turn: number };
  return new Answer(seq, async (say) => {
    for await (const { event, data } of events) {
      if (event === "text") say((data as { text: string }).text);
      if (event !== "done") continue;
      const { turn: wire, etag } = data as { turn: WireTurn; etag?: string };
      const turn = turnOfWire(wire);
      await onDone({ turn, etag });
      return turn;
    }
    throw lost("the stream ended without the end of the answer");
  });
}

async function* resuming(http: Http, request: HttpRequest): AsyncGenerator<HttpEvent, void, void> {
  let lastId: string | undefined;
  for (let breaks = 0; breaks <= silentBreaksMax; breaks++) {
    const resumed = lastId === undefined ? {} : { "last-event-id": lastId };
    try {
      for await (const event of http.events({ ...request, headers: { ...request.headers, ...resumed } })) {
        breaks = 0;
        lastId = event.id ?? lastId;
        if (event.event === "error")
          throw errorOf(event.data) ?? lost("the server told of an error that is unknown here");
        yield event;
        if (event.event === "done") return;
      }
    } catch (error) {
      request.signal?.throwIfAborted();
      if (error instanceof SessionError && error.code !== "store_unavailable") throw error;
      if (breaks === silentBreaksMax) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

function lost(reason: string): SessionError {
  return new SessionError("store_unavailable", { store: "the server", reason });
}
