import { eventOverlapMs } from "../domain/record/event.ts";
import { defined } from "../domain/values/defined.ts";
import type { TenantEvent } from "../index.ts";
import { tenantEventOfWire, type WireTenantEvent } from "../protocol/wire.ts";
import type { Http, HttpRequest } from "./http.ts";
import { resumeEvents } from "./resume-events.ts";

/** Follows the events of a tenant, each once, until the signal aborts; a stream that breaks is resumed. */
export async function* followedEvents(
  http: Http,
  query: HttpRequest["query"],
  signal: AbortSignal | undefined,
): AsyncGenerator<TenantEvent, void, void> {
  /** Recent events, by identity, with their time: a resumed stream repeats them. */
  const recent = new Map<string, number>();
  let lastId: string | undefined;
  const request = { method: "GET", path: "/v1/events", ...defined({ query }), signal } as const;
  for await (const { event, id, data } of resumeEvents(http, request, { continues: () => Promise.resolve(true) })) {
    lastId = id ?? lastId;
    if (event !== "event") continue;
    const happened = tenantEventOfWire(data as WireTenantEvent);
    const at = happened.at.getTime();
    const identity = `${at} ${happened.seq} ${happened.session}`;
    if (recent.has(identity)) continue;
    recent.set(identity, at);
    forget(recent, Number(lastId));
    yield happened;
  }
}

/** Forgets events that no stream repeats. They are roughly ordered by time, so the first recent one ends the search. */
function forget(recent: Map<string, number>, before: number): void {
  for (const [identity, at] of recent) {
    if (at >= before - eventOverlapMs) return;
    recent.delete(identity);
  }
}
