import { defined } from "../domain/values/defined.ts";
import { SessionError } from "../errors.ts";
import { errorOf } from "../protocol/problem.ts";
import type { Http, HttpEvent, HttpRequest } from "./http.ts";

const pauseMs = 300;

/** How a broken stream is resumed. */
export interface ResumeOptions {
  /** The stream that a request has opened already: it is read before another one is requested. */
  readonly begun?: AsyncIterable<HttpEvent>;
  /** The event id to start after; undefined: from the beginning. */
  readonly lastId?: string;
  /** Breaks in a row without an event, after which the stream fails. @default 5 */
  readonly breaksMax?: number;
  /** Whether a server error is temporary. @default its `retryable` */
  readonly isTemporary?: (error: SessionError) => boolean;
  /**
   * Asked after each break, before the stream is resumed: such a stream may end cleanly any number of times, as one that has no
   * news. Without it, a stream that ends again and again without an event is broken.
   */
  readonly continues?: () => Promise<boolean>;
}

/**
 * The events of a stream. When the connection breaks, the stream is resumed after the last event, at whichever instance
 * answers. Ends when the signal aborts.
 * @throws SessionError the server's; `store_unavailable` after too many breaks without an event
 */
export async function* resumeEvents(
  http: Http,
  request: HttpRequest,
  { begun, lastId, breaksMax = 5, isTemporary = ({ retryable }) => retryable, continues }: ResumeOptions = {},
): AsyncGenerator<HttpEvent, void, void> {
  let last = lastId;
  let opened = begun;
  for (let breaks = 0; !isAborted(request); breaks++) {
    const headers = { ...request.headers, ...defined({ "last-event-id": last }) };
    try {
      const events = opened ?? http.events({ ...request, headers });
      opened = undefined;
      for await (const event of events) {
        breaks = 0;
        last = event.id ?? last;
        if (event.event === "error") throw errorOf(event.data) ?? streamBroken();
        yield event;
      }
      if (continues === undefined && breaks >= breaksMax) throw streamBroken();
    } catch (error) {
      if (isAborted(request)) return;
      // An error without a code is one of the connection.
      if (error instanceof SessionError && !isTemporary(error)) throw error;
      if (breaks >= breaksMax) throw error instanceof SessionError ? error : streamBroken(error);
    }
    try {
      if (continues !== undefined && !(await continues())) return;
    } catch (error) {
      if (isAborted(request)) return;
      throw error;
    }
    await pause(request);
  }
}

/** Waits before a stream is resumed, or until the signal aborts. */
async function pause({ signal }: HttpRequest): Promise<void> {
  if (signal?.aborted === true) return;
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, pauseMs);
    signal?.addEventListener("abort", end);
  });
}

/** The error of a stream that cannot be resumed. */
export function streamBroken(cause?: unknown): SessionError {
  return new SessionError("store_unavailable", { problem: "stream_broken" }, { cause });
}

function isAborted({ signal }: HttpRequest): boolean {
  return signal?.aborted === true;
}
