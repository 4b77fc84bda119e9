/** A client that follows events leaves no timer, no listener and no request behind when its signal aborts. */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { serve } from "../../test/server/serving.ts";
import { countTimers, settled } from "../../test/support/count-timers.ts";
import { connect } from "./index.ts";
import { Http } from "./http.ts";
import { resumeEvents } from "./resume-events.ts";

/** A stream that ends without an event. */
function emptyStream(): Response {
  return new Response("", { headers: { "content-type": "text/event-stream" } });
}

test("a follower whose signal aborts between two streams ends at once, with no timer and no listener", async () => {
  const stop = new AbortController();
  let requests = 0;
  const fetch = async (): Promise<Response> => (requests++, emptyStream());
  const timers = countTimers();
  const events = connect({ url: "http://server.test", key: "k", fetch }).eachEvent({
    follow: true,
    signal: stop.signal,
  });
  const next = events.next();
  await settled();
  assert.deepEqual([requests, timers.running().length], [1, 1], "it waits before the next stream");
  stop.abort();
  await settled();
  timers.stop();
  assert.deepEqual(timers.running(), []);
  assert.equal((await next).done, true);
  assert.deepEqual(getEventListeners(stop.signal, "abort"), []);
  assert.equal(requests, 1);
});

test("a follower whose signal aborts while it asks whether to continue ends, and throws nothing", async () => {
  const stop = new AbortController();
  const http = new Http({ url: "http://server.test", headers: {}, fetch: async () => emptyStream() });
  const request = { method: "GET", path: "/v1/events", signal: stop.signal } as const;
  const continues = async (): Promise<boolean> => {
    stop.abort();
    throw stop.signal.reason;
  };
  assert.equal((await resumeEvents(http, request, { continues }).next()).done, true);
});

test("a watch whose signal aborts while it asks for the session's state ends that request", async () => {
  await using here = serve();
  const stop = new AbortController();
  const looked = Promise.withResolvers<AbortSignal | null | undefined>();
  const fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    if (String(input).endsWith("/watch")) return emptyStream();
    if (init?.method !== "GET") return await here.server.fetch(new Request(input, init));
    looked.resolve(init.signal);
    return await new Promise((_, reject) => init.signal?.addEventListener("abort", () => reject(stop.signal.reason)));
  };
  const session = await connect({ url: "http://server.test", key: await here.key("write"), fetch }).ensure("s");
  const next = session.watch({ after: 0, signal: stop.signal }).next();
  assert.equal(await looked.promise, stop.signal);
  stop.abort();
  assert.equal((await next).done, true);
});

test("a stream whose connection breaks again and again fails with store_unavailable, and the cause", async () => {
  const broken = new TypeError("terminated");
  const fetch = async (): Promise<Response> => {
    const body = new ReadableStream({ pull: (controller) => controller.error(broken) });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  };
  const http = new Http({ url: "http://server.test", headers: {}, fetch });
  const events = resumeEvents(http, { method: "GET", path: "/v1/streams/run/parts" }, { breaksMax: 1 });
  await assert.rejects(events.next(), { code: "store_unavailable", cause: broken });
});
