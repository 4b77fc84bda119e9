import { SessionError } from "../errors.ts";
import { errorOf } from "../protocol/problem.ts";
import type { Http, HttpEvent, HttpRequest } from "./http.ts";
import { streamBroken } from "./resume-events.ts";

/**
 * Sends a message to a session's runtime. Resolves with its answer: a value, or its chunks as they arrive. It is sent
 * once, as a lost answer does not tell whether the message was handled.
 */
export async function sendOver(http: Http, request: HttpRequest): Promise<unknown> {
  const reply = await http.askOrHear({ ...request, once: true });
  if (Symbol.asyncIterator in reply) return closable(reply, partsOf(reply, request.signal));
  return (reply.body as { readonly answer: unknown }).answer;
}

/** The chunks. A generator that was not started would not close the events that it reads. */
function closable(
  events: AsyncIterableIterator<HttpEvent, void>,
  parts: AsyncGenerator<unknown, void, undefined>,
): AsyncIterableIterator<unknown, void> {
  const chunks: AsyncIterableIterator<unknown, void> = {
    next: () => parts.next(),
    async return() {
      await events.return?.();
      return await parts.return();
    },
    [Symbol.asyncIterator]: () => chunks,
  };
  return chunks;
}

async function* partsOf(
  events: AsyncIterable<HttpEvent>,
  signal: AbortSignal | undefined,
): AsyncGenerator<unknown, void, undefined> {
  try {
    for await (const { event, data } of events) {
      if (event === "part") yield (data as { readonly part: unknown }).part;
      if (event === "done") return;
      if (event === "error") throw errorOf(data) ?? streamBroken();
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof SessionError ? error : streamBroken(error);
  }
  throw streamBroken();
}
