import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogEntry } from "../../src/server/index.ts";
import { openMemory } from "../../src/store/memory.ts";
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
