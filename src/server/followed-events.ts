/**
 * Events of a tenant's sessions as a stream that goes on, at any instance, where it was lost. The id of an event is the time up
 * to which all of them have certainly been told; those since then, told or not, come again.
 */
import { eventOverlapMs } from "../domain/event.ts";
import { SessionError } from "../errors.ts";
import type { EventWalk, Sessions } from "../index.ts";
import { wireTenantEvent } from "../protocol/wire.ts";
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
  const events = sessions.eachEvent({ ...walk, follow: true, begun: begun.resolve })[Symbol.asyncIterator]();
  let next = events.next();
  try {
    const since = await Promise.race([begun.promise, next.then(() => undefined)]);
    if (since === undefined) return; // it ended before it had begun
    let told = since.getTime();
    yield { event: "following", id: `${told}`, data: { since: since.toISOString() } };
    for (let { done, value } = await next; done !== true; { done, value } = await next) {
      told = Math.max(told, value.at - eventOverlapMs);
      yield { event: "event", id: `${told}`, data: wireTenantEvent(value) };
      next = events.next();
    }
  } finally {
    await events.return?.();
  }
}
