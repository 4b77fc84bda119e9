import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogEntry } from "../../src/server/index.ts";
import { openMemory } from "../../src/store/memory.ts";
import { scriptedClock } from "../../src/testing/scripted-clock.ts";
import { damage } from "../conformance/damaged-sessions.ts";
import { serve } from "./serving.ts";

test("a session on which a sweep failed is in the response, the metrics and the log", async () => {
  const log: LogEntry[] = [];
  const store = openMemory();
  await using here = serve({ store, server: { log: (entry) => log.push(entry) } });
  const key = await here.key("admin");
  await here.sessions.create({ id: "bad" });
  await damage(store, { tenant: here.sessions.tenant, id: "bad" });
  const { status, json } = await here.call("POST", "/v1/sweep", { key, body: {} });
  assert.equal(status, 200);
  assert.equal(json.failed, 1);
  assert.partialDeepStrictEqual(json.failures, [{ session: "bad", action: "expire", code: "store_invalid" }]);
  assert.partialDeepStrictEqual(
    log.filter(({ event }) => event === "session_sweep_failed"),
    [{ level: "error", session: "bad", code: "store_invalid" }],
  );
  const { text } = await here.call("GET", "/metrics", { key });
  assert.match(text, /^perdure_sweep_failures_total\{of="session"\} 1$/m);
});

test("the metrics count every action of a sweep, archived sessions too", async () => {
  const clock = scriptedClock();
  const ceo = { retention: [{ state: "ended", after: "1d", do: "archive" }] } as const;
  await using here = serve({ store: openMemory({ clock }), agents: { ceo } });
  const key = await here.key("admin");
  await (await here.sessions.create({ id: "s", agent: "ceo" })).end();
  await clock.advance(2 * 86_400_000);
  assert.equal((await here.call("POST", "/v1/sweep", { key, body: {} })).json.archived, 1);
  assert.match((await here.call("GET", "/metrics", { key })).text, /^perdure_swept_total\{action="archived"\} 1$/m);
});

test("a sweep by age over HTTP reports its count, within the bounds of a request", async () => {
  const clock = scriptedClock();
  await using here = serve({ store: openMemory({ clock }) });
  const key = await here.key("admin");
  for (let index = 0; index < 3; index++) await (await here.sessions.create({ id: `s${index}` })).end();
  await clock.advance(86_400_000);
  const sweep = async (body: object) => (await here.call("POST", "/v1/sweep", { key, body })).json;
  const first = await sweep({ olderThan: "1h", rows: 2 });
  assert.deepEqual([first.removed, first.complete], [2, false]);
  const second = await sweep({ olderThan: "1h" });
  assert.deepEqual([second.removed, second.complete], [1, true]);
});
