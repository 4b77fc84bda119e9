/** What callers read in answers: request ids, instants, missing fields. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertProblem, serve } from "./serving.ts";

test("a caller's request id of any visible characters is kept; another one is replaced, and the response says so", async () => {
  await using here = serve();
  const ask = async (id: string): Promise<Headers> =>
    (await here.call("GET", "/healthz", { headers: { "x-request-id": id } })).headers;
  for (const id of ["1", "req:42/abc=", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "x".repeat(200)]) {
    const headers = await ask(id);
    assert.deepEqual([headers.get("x-request-id"), headers.get("x-request-id-replaced")], [id, null]);
  }
  for (const id of ["x".repeat(201), "two words", "caf\u00e9"]) {
    const headers = await ask(id);
    assert.match(headers.get("x-request-id") ?? "", /^[0-9a-f-]{36}$/);
    assert.equal(headers.get("x-request-id-replaced"), "true");
  }
  const { headers } = await here.call("GET", "/healthz");
  assert.equal(headers.get("x-request-id-replaced"), null, "a request without an id gets one");
});

test("the instants of stats are texts, as all others over HTTP", async () => {
  await using here = serve();
  const key = await here.key("read");
  const { json } = await here.call("GET", "/v1/stats?since=2026-01-01T00:00:00Z", { key });
  assert.match(json.at, /^\d{4}-\d{2}-\d{2}T.*Z$/);
  assert.equal(json.since, "2026-01-01T00:00:00.000Z");
  assert.equal((await here.call("GET", "/v1/stats", { key })).json.since, null);
});

test("a field that is missing in a body is named as missing", async () => {
  await using here = serve();
  const key = await here.key("write");
  await here.sessions.create({ id: "s" });
  const missing = await here.call("POST", "/v1/sessions/s/consult", { key, body: {} });
  assertProblem(missing, 400, "request_invalid");
  assert.equal(missing.json.detail, "body.message is missing; expected a value");
  const wrong = await here.call("POST", "/v1/sessions/s/consult", { key, body: { message: "hi", busy: "never" } });
  assertProblem(wrong, 400, "request_invalid");
  assert.doesNotMatch(wrong.json.detail, /missing/);
});
