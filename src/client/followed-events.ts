import { eventOverlapMs } from "../domain/record/event.ts";
import { SessionError } from "../errors.ts";
import type { TenantEvent } from "../index.ts";
import { errorOf } from "../protocol/problem.ts";
import { tenantEventOfWire, type WireTenantEvent } from "../protocol/wire.ts";
import type { Http, HttpRequest } from "./http.ts";

/** A stream that breaks is taken up again so often in a row without a word. */
const silentBreaksMax = 5;
const pauseMs = 300;

/** Events as they come, each once; a stream that breaks is taken up where it was lost, at whichever instance. */
export async function* followedEvents(
  http: Http,
  query: HttpRequest["query"],
  signal: AbortSignal | undefined,
): AsyncGenerator<TenantEvent, void, void> {
  /** What was told of the time that a stream taken up again tells of once more, with when it was. */
  const told = new Map<string, number>();
  let lastId: string | undefined;
  for (let breaks = 0; signal?.aborted !== true; breaks++) {
    const resumed = lastId === undefined ? {} : { headers: { "last-event-id": lastId } };
    try {
      const request = { method: "GET", path: "/v1/events", ...(query === undefined ? {} : { query }), signal } as const;
      for await (const { event, id, data } of http.events({ ...request, ...resumed })) {
        breaks = 0;
        lastId = id ?? lastId;
        if (event === "error") throw errorOf(data) ?? new Error("the server told of an error that is unknown here");
        if (event !== "event") continue;
        const happened = tenantEventOfWire(data as WireTenantEvent);
        const name = `${happened.at} ${happened.seq} ${happened.session}`;
        if (told.has(name)) continue;
        told.set(name, happened.at);
        forget(told, Number(lastId));
        yield happened;
      }
    } catch (error) {
      if (isAborted(signal)) return;
      // What the server refuses, it would refuse again; what broke on the way is taken up again.
      if (error instanceof SessionError && !error.retryable) throw error;
      if (breaks >= silentBreaksMax) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** Names come in about the order of their time: who is young stands behind those that are not. */
function forget(told: Map<string, number>, before: number): void {
  for (const [name, at] of told) {
    if (at >= before - eventOverlapMs) return;
    told.delete(name);
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}
