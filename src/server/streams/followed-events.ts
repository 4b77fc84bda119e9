/**
 * Events of a tenant's sessions as a stream that can be resumed at any instance. The id of an event is a time: all
 * events before it were sent, and later ones are sent again. An id is at least ten seconds before the store's time, which
 * is independent of the event's own time.
 */
import { SessionError } from "../../errors.ts";
import type { EventWalk, Sessions } from "../../index.ts";
import { wireTenantEvent } from "../../protocol/wire.ts";
import type { StreamEvent } from "./event-stream.ts";
import { formatValue } from "../../domain/values/format-value.ts";

/**
 * The time of an event id.
 * @throws SessionError `request_invalid` for an id that is not one of an event stream
 */
export function parseFollowId(id: string): number {
  if (/^\d{1,15}$/.test(id)) return Number(id);
  throw new SessionError("request_invalid", {
    path: "header last-event-id",
    value: formatValue(id),
    expected: "event_id",
  });
}

/** Streams events from `since`, or from now on, until the signal aborts. The first event names the start time. */
export async function* followedEvents(sessions: Sessions, walk: EventWalk): AsyncGenerator<StreamEvent, void, void> {
  const begun = Promise.withResolvers<Date>();
  let sentUntil = 0;
  const reached = (since: Date): void => void (sentUntil = Math.max(sentUntil, since.getTime()));
  const events = sessions.eachEvent({ ...walk, follow: true, begun: begun.resolve, reached })[Symbol.asyncIterator]();
  let next = events.next();
  try {
    const since = await Promise.race([begun.promise, next.then(() => undefined)]);
    if (since === undefined) return; // the stream ended before its start time was known
    sentUntil = Math.max(sentUntil, since.getTime());
    yield { event: "following", id: `${sentUntil}`, data: { since: since.toISOString() } };
    for (let { done, value } = await next; done !== true; { done, value } = await next) {
      yield { event: "event", id: `${sentUntil}`, data: wireTenantEvent(value) };
      next = events.next();
    }
  } finally {
    await events.return?.();
  }
}
