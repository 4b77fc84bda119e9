/** Events of an application, over HTTP and by the client. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../../src/client/index.ts";
import { assertProblem, serve } from "./serving.ts";

test("an application records events with a key, reads them filtered, and the metrics count them by type", async () => {
  await using here = serve({ server: { openMetrics: true } });
  await here.sessions.create({ id: "s" });
  const key = await here.key("write");
  const record = async (body: object, how: object = { key }) =>
    await here.call("POST", "/v1/sessions/s/events", { body, ...how });
  const { status, json } = await record({ type: "app.order_placed", data: { order: 7 }, severity: "warning" });
  assert.equal(status, 201);
  assert.partialDeepStrictEqual(json, { type: "app.order_placed", data: { order: 7 }, severity: "warning", seq: 2 });
  assert.match(json.at, /^\d{4}-.*Z$/);
  assert.equal((await record({ type: "app.viewed" })).status, 201);
  assertProblem(await record({ type: "ended" }), 400, "argument_invalid");
  assertProblem(await record({ type: "app.a", data: "x".repeat(70_000) }), 400, "argument_invalid");
  assertProblem(await record({ type: "app.a", more: 1 }), 400, "request_invalid");
  assertProblem(await record({ type: "app.a" }, { key: await here.key("read") }), 403, "key_forbidden");
  assertProblem(await record({ type: "app.a" }, {}), 401, "key_missing");
  assertProblem(await record({ type: "app.a" }, { device: crypto.randomUUID() }), 401, "key_missing");
  const listed = async (query: string): Promise<string[]> => {
    const page = await here.call("GET", `/v1/events?${query}`, { key });
    return page.json.items.map(({ type }: { type: string }) => type);
  };
  assert.deepEqual(await listed("category=app"), ["app.order_placed", "app.viewed"]);
  assert.deepEqual(await listed("type=app.viewed,created"), ["created", "app.viewed"]);
  assert.deepEqual(await listed("severity=warning"), ["app.order_placed"]);
  const remote = connect({
    url: "http://server.test",
    key,
    fetch: async (input, init) => await here.server.fetch(new Request(input, init)),
  });
  const event = await (await remote.get("s")).record({ type: "app.by_client", data: { at: new Date(0) } });
  assert.partialDeepStrictEqual(event, { type: "app.by_client", data: { at: new Date(0) }, category: "app" });
  for (let index = 0; index < 120; index++) await record({ type: `app.t${index}` });
  const { text } = await here.call("GET", "/metrics");
  assert.match(text, /^perdure_app_events_total\{type="app\.order_placed",severity="warning"\} 1$/m);
  assert.match(text, /^perdure_app_events_total\{type="other",severity="info"\} \d+$/m);
  assert.equal(text.match(/^perdure_app_events_total\{/gm)?.length, 51);
});
