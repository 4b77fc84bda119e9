import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import type { LogEntry } from "../../src/server/index.ts";
import { assertProblem, eventsOf, requestOf, serve } from "./serving.ts";

test("a device is counted as itself, however its id is written and whatever cookies of others come along", async () => {
  await using here = serve({ server: { rates: { device: 2 } } });
  const device = randomUUID();
  const turns = async (id: string, cookie: string) =>
    await here.call("GET", "/v1/chat/turns", { device: id, headers: { cookie } });
  await turns(device, "ad=1");
  await turns(device.toUpperCase(), "ad=2");
  assertProblem(await turns(device, "ad=3"), 429, "rate_limited");
  assertProblem(await turns(device.toUpperCase(), "ad=4"), 429, "rate_limited");
});

test("a cookie that is not ours makes nobody a known device, and ours is counted behind any other", async () => {
  await using here = serve({ server: { rates: { device: 2, newDevices: 3 } } });
  const say = async (cookie: string) =>
    await here.call("POST", "/v1/chat", { body: { message: "Hello" }, headers: { cookie } });
  const sealed: string[] = [];
  for (const ad of [1, 2]) {
    const { headers } = await say(`ad=${ad}`);
    sealed.push((headers.get("set-cookie") ?? "").split(";", 1)[0] ?? "");
  }
  await say("perdure_device=altered");
  assertProblem(await say("ad=4"), 429, "rate_limited");
  const long = `ad=${"x".repeat(300)}`;
  for (const cookie of sealed) {
    assert.equal((await say(`${long}; ${cookie}`)).status, 200);
    assert.equal((await say(`${cookie}; ${long}`)).status, 200);
    assertProblem(await say(`other=1; ${cookie}`), 429, "rate_limited");
  }
});

test("a path that knows other methods says which, and one that knows none is not there", async () => {
  await using here = serve();
  const refused = await here.call("DELETE", "/v1/chat");
  assertProblem(refused, 405, "method_not_allowed");
  assert.equal(refused.headers.get("allow"), "POST");
  const onSession = await here.call("POST", "/v1/sessions/a%2Fb");
  assertProblem(onSession, 405, "method_not_allowed");
  assert.equal(onSession.headers.get("allow"), "PUT, GET, PATCH, DELETE, HEAD");
  assert.equal((await here.server.fetch(requestOf("HEAD", "/healthz"))).status, 200);
  assertProblem(await here.call("GET", "/v1/absent"), 404, "route_unknown");
});

test("the log names the session of a request, and neither the device nor what was said", async () => {
  const log: LogEntry[] = [];
  await using here = serve({ server: { log: (entry) => log.push(entry) } });
  const device = randomUUID();
  const said = await here.call("POST", "/v1/chat", { device, body: { message: "a secret of mine" } });
  await here.call("GET", "/v1/chat/turns", { device });
  const key = await here.key("write");
  await here.call("POST", "/v1/sessions", { key, body: { id: "an id/of theirs" } });
  await here.call("GET", "/v1/sessions/an%20id%2Fof%20theirs", { key });
  await here.call("GET", "/v1/sessions/unseen", {});
  assert.deepEqual(
    log.map(({ session }) => session),
    [said.json.session, said.json.session, "an id/of theirs", "an id/of theirs", undefined],
  );
  const text = JSON.stringify(log);
  for (const hidden of [device, "a secret of mine", key]) assert(!text.includes(hidden), text);
});

test("what a model said when it failed is told to keys and the log, and to no device", async () => {
  const log: LogEntry[] = [];
  const secret = "postgres://admin:hunter2@db.internal/app";
  await using here = serve({
    // oxlint-disable-next-line require-yield
    model: async function* () {
      throw new Error(secret);
    },
    server: { log: (entry) => log.push(entry) },
  });
  const device = randomUUID();
  const ask = { device, body: { message: "x" } };
  const plain = await here.call("POST", "/v1/chat", ask);
  assertProblem(plain, 502, "model_failed");
  const streamed = await here.call("POST", "/v1/chat", { ...ask, headers: { accept: "text/event-stream" } });
  const resumed = await here.call("GET", "/v1/chat/stream?lastEventId=1-0", { device });
  for (const { text } of [streamed, resumed]) {
    const failure = eventsOf(text).at(-1);
    assert.deepEqual([failure?.event, failure?.data["code"]], ["error", "model_failed"]);
  }
  const turns = await here.call("GET", "/v1/chat/turns", { device });
  assert.deepEqual(turns.json.turns[0].error, { code: "model_failed", message: "model failed" });
  for (const { text } of [plain, streamed, resumed, turns]) assert(!text.includes("hunter2"), text);
  assert.equal(log.filter(({ event, code }) => event === "failure" && code === "model_failed").length, 3);
  const key = await here.key("read");
  const seen = await here.call("GET", `/v1/sessions/${log[0]?.session}/turns`, { key });
  assert.equal(seen.json.turns[0].error.message, secret);
});

test("metrics have as many series as there are routes, whatever is asked, and scrapes at once look at the store once", async () => {
  await using here = serve({ server: { openMetrics: true } });
  for (let index = 0; index < 20; index++) await here.call(`ODD${index}`, `/v1/chat`);
  const scrapes = await Promise.all(Array.from({ length: 5 }, async () => await here.call("GET", "/metrics")));
  const { text } = scrapes[0] ?? { text: "" };
  assert.match(text, /_count\{method="other",route="\/v1\/chat",status="405"\} 20/);
  assert(!text.includes("ODD"), text);
  const { text: after } = await here.call("GET", "/metrics");
  const looks = /store_call_duration_seconds_count\{operation="find",outcome="ok"\} (\d+)/.exec(after)?.[1];
  assert.equal(looks, "1", after);
});
