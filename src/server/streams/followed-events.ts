/**
 * Events of a tenant's sessions as a stream that goes on, at any instance, where it was lost. The id of an event is a time: all
 * events before it were sent; those since then, sent or not, come again. An id is never later than the store's time less ten
 * seconds, whatever time an event bears.
 */
import { SessionError } from "../../errors.ts";
import type { EventWalk, Sessions } from "../../index.ts";
import { wireTenantEvent } from "../../protocol/wire.ts";
import type { StreamEvent } from "./event-stream.ts";

/** The time that an id stands for. @throws SessionError `request_invalid` for what is no id of an event's stream */
export function parseFollowId(id: string): number {
  if (/^\d{1,15}$/.test(id)) return Number(id);
  throw new SessionError("request_invalid", {
    path: "header last-event-id",
    reason: "is no id of a stream of events",
  });
}

/** From `since`, or from now on, until the signal aborts. The first one tells from when, and that it has begun. */
export async function* followedEvents(sessions: Sessions, walk: EventWalk): AsyncGenerator<StreamEvent, void, void> {
  const begun = Promise.withResolvers<Date>();
  let told = 0;
  const reached = (since: Date): void => void (told = Math.max(told, since.getTime()));
  const events = sessions.eachEvent({ ...walk, follow: true, begun: begun.resolve, reached })[Symbol.asyncIterator]();
  let next = events.next();
  try {
    const since = await Promise.race([begun.promise, next.then(() => undefined)]);
    if (since === undefined) return; // it ended before it had begun
    told = Math.max(told, since.getTime());
    yield { event: "following", id: `${told}`, data: { since: since.toISOString() } };
    for (let { done, value } = await next; done !== true; { done, value } = await next) {
      yield { event: "event", id: `${told}`, data: wireTenantEvent(value) };
      next = events.next();
    }
  } finally {
    await events.return?.();
  }
}
