import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { defined } from "../../src/domain/values/defined.ts";
import { connect } from "../../src/client/index.ts";
import { hasCode } from "../../src/errors.ts";
import { createServer, type ConfiguredKey } from "../../src/server/index.ts";
import { sessionsOn } from "../../src/sessions/sessions.ts";
import { openMemory } from "../../src/store/memory.ts";
import { scriptedClock } from "../../src/testing/scripted-clock.ts";
import { assertProblem, eventsOf, requestOf, serve } from "./serving.ts";

test("sessions over HTTP: create, ensure, read, list, change, end and remove", async () => {
  await using here = serve();
  const key = await here.key("admin");
  const made = await here.call("POST", "/v1/sessions", {
    key,
    body: { id: "a/b c", agent: "ceo", user: "ada", metadata: { x: null } },
  });
  assert.equal(made.status, 201);
  assert.deepEqual(made.json.metadata, { x: null });
  assertProblem(await here.call("POST", "/v1/sessions", { key, body: { id: "a/b c" } }), 409, "session_exists");
  const path = `/v1/sessions/${encodeURIComponent("a/b c")}`;
  assert.equal((await here.call("PUT", path, { key, body: {} })).json.version, made.json.version);
  assert.equal((await here.call("GET", path, { key })).json.user, "ada");
  const patched = await here.call("PATCH", path, {
    key,
    body: { metadata: { y: { $type: "date", value: "2026-01-01T00:00:00.000Z" } }, removeMetadata: ["x"], ttl: "1h" },
  });
  assert.deepEqual(patched.json.metadata, { y: { $type: "date", value: "2026-01-01T00:00:00.000Z" } });
  assert.deepEqual((await here.sessions.get("a/b c")).info.metadata, { y: new Date("2026-01-01") });
  await here.call("POST", "/v1/sessions", { key, body: { agent: "cfo" } });
  const page = await here.call("GET", "/v1/sessions?limit=1", { key });
  const next = await here.call("GET", `/v1/sessions?limit=1&after=${encodeURIComponent(page.json.next)}`, { key });
  assert.notEqual(page.json.items[0].id, next.json.items[0].id);
  assert.equal((await here.call("GET", "/v1/sessions?agent=cfo&state=active", { key })).json.items.length, 1);
  assert.equal((await here.call("POST", `${path}/end`, { key })).json.state, "ended");
  assertProblem(await here.call("PUT", path, { key, body: {} }), 409, "session_ended");
  assert.equal((await here.call("DELETE", path, { key })).status, 204);
  assertProblem(await here.call("GET", path, { key }), 404, "session_not_found");
});

test("the ETag of a removed session is refused by a new session under its id", async () => {
  await using here = serve();
  const key = await here.key("admin");
  const begin = async (input: string): Promise<string> => {
    await here.call("POST", "/v1/sessions", { key, body: { id: "s" } });
    const { headers } = await here.call("POST", "/v1/sessions/s/turns", { key, body: { input } });
    return headers.get("etag") ?? "";
  };
  const gone = await begin("old");
  assert.equal((await here.call("DELETE", "/v1/sessions/s", { key })).status, 204);
  const etag = await begin("new");
  const append = (tag: string) =>
    here.call("POST", "/v1/sessions/s/turns", { key, body: { input: "x" }, headers: { "if-match": tag } });
  assertProblem(await append(gone), 409, "conflict");
  // The same numbers in another history: only the ids of the commits differ.
  const [version, commitId, turn, seenVersion] = etag.slice(1, -1).split("-");
  assertProblem(await append(`"${[version, "other.1", turn, seenVersion, "other.1"].join("-")}"`), 409, "conflict");
  assert.equal((await append(`"${[version, commitId, turn, seenVersion, commitId].join("-")}"`)).json.seq, 2);
});

test("turns over HTTP: appended once by key, on the state of an ETag, read in ranges, truncated", async () => {
  await using here = serve();
  const key = await here.key("write");
  const made = await here.call("POST", "/v1/sessions", { key, body: { id: "s" } });
  const etag = made.headers.get("etag") ?? "";
  const append = (input: string, headers: Record<string, string> = {}) =>
    here.call("POST", "/v1/sessions/s/turns", { key, body: { input, output: "ok" }, headers });
  const first = await append("one", { "idempotency-key": "k", "if-match": etag });
  assert.equal(first.status, 201);
  assert.equal(
    (await append("one", { "idempotency-key": "k", "if-match": etag })).json.seq,
    1,
    "a retry is the same turn",
  );
  assertProblem(await append("two", { "if-match": etag }), 409, "conflict");
  assert.equal((await append("two", { "if-match": first.headers.get("etag") ?? "" })).json.seq, 2);
  await here.call("PATCH", "/v1/sessions/s", { key, body: { metadata: { touched: true } } });
  const seen = (await here.call("GET", "/v1/sessions/s", { key })).headers.get("etag") ?? "";
  await here.call("POST", "/v1/sessions/s/touch", { key });
  assert.equal((await append("three", { "if-match": seen })).json.seq, 3, "a touch since is no conflict");
  assertProblem(await append("x", { "if-match": '"nonsense"' }), 400, "request_invalid");
  const seqs = async (query: string): Promise<number[]> =>
    (await here.call("GET", `/v1/sessions/s/turns?${query}`, { key })).json.items.map(
      (turn: { seq: number }) => turn.seq,
    );
  assert.deepEqual(await seqs("last=2"), [2, 3]);
  assert.deepEqual(await seqs("from=1&to=2"), [1, 2]);
  assert.equal((await here.call("POST", "/v1/sessions/s/truncate", { key, body: { after: 1 } })).json.turn, 1);
  assert.deepEqual(await seqs(""), [1]);
  const events = async (query: string): Promise<[number, string][]> =>
    (await here.call("GET", `/v1/sessions/s/events?${query}`, { key })).json.items.map(
      ({ seq, type }: { seq: number; type: string }) => [seq, type],
    );
  await here.call("PUT", "/v1/sessions/s/active-agent", { key, body: { agent: "ceo" } });
  assert.deepEqual(await events(""), [
    [1, "created"],
    [2, "handed_off"],
  ]);
  assert.deepEqual([await events("last=1"), await events("from=1&to=1")], [[[2, "handed_off"]], [[1, "created"]]]);
  assertProblem(await here.call("GET", "/v1/sessions/s/events?from=2&to=1", { key }), 400, "range_invalid");
  const consulted = await here.call("POST", "/v1/sessions/s/consult", { key, body: { message: "Hi", window: 1 } });
  assert.equal(consulted.json.text, "you said: Hi");
  const consult = (fields: object) =>
    here.call("POST", "/v1/sessions/s/consult", { key, body: { message: "Hi", ...fields } });
  const settings = { temperature: 0.5, maxTokens: 100, body: { seed: 1 } };
  assert.equal((await consult({ settings, window: { turns: 1, tokens: 100 } })).json.text, "you said: Hi");
  assertProblem(await consult({ settings: { heat: 1 } }), 400, "argument_invalid");
  assertProblem(await consult({ settings: [] }), 400, "request_invalid");
  assertProblem(await consult({ window: { turns: -1 } }), 400, "request_invalid");
});

test("budgets over HTTP: given, used up, raised", async () => {
  await using here = serve();
  const key = await here.key("write");
  const made = await here.call("POST", "/v1/sessions", { key, body: { id: "s", budget: { turns: 1 } } });
  assert.deepEqual(made.json.budget, { turns: 1 });
  const append = () => here.call("POST", "/v1/sessions/s/turns", { key, body: { input: "q", output: "a" } });
  assert.equal((await append()).status, 201);
  assertProblem(await append(), 402, "budget_exceeded");
  assert.equal((await here.call("PATCH", "/v1/sessions/s", { key, body: { budget: null } })).json.budget, null);
  assert.equal((await append()).status, 201);
  assertProblem(
    await here.call("POST", "/v1/sessions", { key, body: { budget: { euros: 1 } } }),
    400,
    "request_invalid",
  );
});

test("held sessions over HTTP: only those with a lease, with their holder, and looking changes nothing", async () => {
  await using here = serve();
  const key = await here.key("read");
  for (const id of ["a", "b", "c"]) await here.sessions.create({ id });
  const held = await here.sessions.get("b");
  const lease = await held.lease();
  const { version } = await held.refresh();
  const { status, json } = await here.call("GET", "/v1/sessions?held=true", { key });
  assert.equal(status, 200);
  assert.equal(json.items.length, 1);
  const [{ id, leaseHolder }] = json.items;
  assert.equal(id, "b");
  assert.partialDeepStrictEqual(leaseHolder, { pid: process.pid, fence: lease.fence, alive: true });
  assert.ok(leaseHolder.heldMs >= 0 && !("address" in leaseHolder) && Date.parse(leaseHolder.acquiredAt) > 0);
  assert.equal((await held.refresh()).version, version);
  await lease.release();
  assert.deepEqual((await here.call("GET", "/v1/sessions?held=true", { key })).json.items, []);
  assertProblem(await here.call("GET", "/v1/sessions?held=maybe", { key }), 400, "request_invalid");
});

test("stats over HTTP: of the key's own tenant, by each kind of group", async () => {
  await using here = serve();
  const key = await here.key("read");
  const session = await here.sessions.create({ agent: "ceo" });
  await session.append({ input: "q", output: "a", usage: { inputTokens: 3, outputTokens: 4, totalTokens: 7 } });
  const { json } = await here.call("GET", "/v1/stats?by=agent", { key });
  assert.equal(json.turns.totalTokens, 7);
  assert.deepEqual(
    json.groups.agent.map(({ key: agent, turns }: { key: string; turns: number }) => [agent, turns]),
    [["ceo", 1]],
  );
  const remote = connect({
    url: "http://server.test",
    key,
    fetch: async (...args) => await here.server.fetch(new Request(...args)),
  });
  const stats = await remote.stats({ by: "agent", since: new Date(0) });
  assert.deepEqual([stats.groups, stats.since], [json.groups, new Date(0)]);
  assert.ok(stats.at instanceof Date);
  const since = encodeURIComponent(new Date(Date.now() + 86_400_000).toISOString());
  assert.equal((await here.call("GET", `/v1/stats?since=${since}`, { key })).json.turns.turns, 0);
  assertProblem(await here.call("GET", "/v1/stats?by=colour", { key }), 400, "request_invalid");
  assertProblem(await here.call("GET", "/v1/stats"), 401, "key_missing");
});

test("a handoff and its events over HTTP", async () => {
  await using here = serve();
  const key = await here.key("write");
  await here.call("POST", "/v1/sessions", { key, body: { id: "s" } });
  assert.equal((await here.call("GET", "/v1/sessions/s/active-agent", { key })).status, 204);
  await here.call("PUT", "/v1/sessions/s/active-agent", { key, body: { agent: "ceo" } });
  assert.equal((await here.call("GET", "/v1/sessions/s/active-agent", { key })).json.agent, "ceo");
  await here.call("DELETE", "/v1/sessions/s/active-agent", { key });
  const { items: events } = (await here.call("GET", "/v1/sessions/s/events", { key })).json;
  assert.deepEqual(
    events.map((event: { type: string }) => event.type),
    ["created", "handed_off", "handoff_ended"],
  );
});

test("the events of all sessions over HTTP: the key's own tenant's, each with the request it came of", async () => {
  await using here = serve();
  const [mine, theirs] = [await here.key("write", "mine"), await here.key("read", "theirs")];
  const headers = { "x-request-id": "request-1" };
  await here.call("POST", "/v1/sessions", { key: mine, body: { id: "s" }, headers });
  await here.call("POST", "/v1/sessions/s/end?reason=enough", { key: mine });
  const { items: events } = (await here.call("GET", "/v1/events?type=created,ended", { key: mine })).json;
  assert.deepEqual(
    events.map(({ session, type, reason }: Record<string, string>) => [session, type, reason]),
    [
      ["s", "created", undefined],
      ["s", "ended", "enough"],
    ],
  );
  assert.equal(events[0].correlation, "request-1");
  assert.match(events[1].correlation, /^[0-9a-f-]{36}$/, "a name of the server's where the caller gave none");
  assert.deepEqual((await here.call("GET", "/v1/events", { key: theirs })).json, { items: [] });
  assertProblem(await here.call("GET", "/v1/events"), 401, "key_missing");
  for (const query of ["type=born", "type=", "severity=fatal", "since=yesterday", "limit=0", "limit=1001"])
    assertProblem(await here.call("GET", `/v1/events?${query}`, { key: mine }), 400, "request_invalid");
});

test("a key reaches its own tenant only, and foreign and missing sessions are answered alike", async () => {
  await using here = serve();
  const [mine, theirs] = [await here.key("admin", "mine"), await here.key("admin", "theirs")];
  await here.call("POST", "/v1/sessions", { key: mine, body: { id: "secret", metadata: { word: "swordfish" } } });
  const routes: [string, string, unknown?][] = [
    ["GET", ""],
    ["PATCH", "", { metadata: {} }],
    ["POST", "/end"],
    ["POST", "/touch"],
    ["DELETE", ""],
    ["GET", "/instructions"],
    ["GET", "/turns"],
    ["POST", "/turns", { input: "x" }],
    ["POST", "/truncate", { after: 0 }],
    ["POST", "/consult", { message: "x" }],
    ["POST", "/cancel"],
    ["GET", "/watch"],
    ["GET", "/active-agent"],
    ["PUT", "/active-agent", { agent: "x" }],
    ["DELETE", "/active-agent"],
    ["GET", "/events"],
  ];
  for (const [method, path, body] of routes) {
    const how = body === undefined ? { key: theirs } : { key: theirs, body };
    const foreign = await here.call(method, `/v1/sessions/secret${path}`, how);
    const absent = await here.call(method, `/v1/sessions/absent${path}`, how);
    assertProblem(foreign, 404, "session_not_found");
    const { instance: _, ...one } = foreign.json;
    const { instance: __, ...other } = absent.json;
    assert.deepEqual(JSON.parse(JSON.stringify(one).replaceAll("secret", "absent")), other);
  }
  assert.deepEqual((await here.call("GET", "/v1/sessions", { key: theirs })).json.items, []);
  assert.equal((await here.sessions.for("mine").get("secret")).info.state, "active");
});

test("the right of a key limits its requests; missing, altered and revoked keys are refused alike", async () => {
  await using here = serve();
  const [read, write, admin] = [await here.key("read"), await here.key("write"), await here.key("admin")];
  assertProblem(await here.call("POST", "/v1/sessions", { key: read, body: {} }), 403, "key_forbidden");
  assert.equal((await here.call("POST", "/v1/sessions", { key: write, body: { id: "s" } })).status, 201);
  assert.equal((await here.call("GET", "/v1/sessions/s", { key: read })).status, 200);
  assertProblem(await here.call("DELETE", "/v1/sessions/s", { key: write }), 403, "key_forbidden");
  assertProblem(await here.call("POST", "/v1/sweep", { key: write, body: {} }), 403, "key_forbidden");
  assert.equal((await here.call("POST", "/v1/sweep", { key: admin, body: {} })).json.complete, true);
  const [newest] = await Array.fromAsync(here.sessions.keys.each());
  await here.sessions.keys.revoke(newest?.id ?? "");
  const revoked = [read, write, admin];
  const answers = [];
  for (const key of revoked) {
    const answered = await here.call("GET", "/v1/sessions/s", { key });
    if (answered.status !== 200) answers.push(answered);
  }
  answers.push(await here.call("GET", "/v1/sessions/s"));
  answers.push(await here.call("GET", "/v1/sessions/s", { key: `${admin.slice(0, -2)}xx` }));
  answers.push(await here.call("GET", "/v1/sessions/s", { headers: { authorization: "Basic YTpi" } }));
  assert.equal(answers.length, 4);
  for (const answered of answers) {
    assertProblem(answered, 401, "key_missing");
    assert.equal(answered.headers.get("www-authenticate"), "Bearer");
  }
});

test("a watch sends turns as they are committed, and resumes after the last one received", async () => {
  await using here = serve();
  const key = await here.key("write");
  await here.call("POST", "/v1/sessions", { key, body: { id: "s" } });
  const session = await here.sessions.get("s");
  await session.append({ input: "one" });
  const heardUntilEnd = async (headers: Record<string, string>): Promise<string> =>
    await (await here.server.fetch(requestOf("GET", "/v1/sessions/s/watch", { key, headers }))).text();
  const [all, later] = [heardUntilEnd({ "last-event-id": "0.0" }), heardUntilEnd({ "last-event-id": "1.0" })];
  await new Promise((resolve) => setTimeout(resolve, 50));
  await session.append({ input: "two" });
  await new Promise((resolve) => setTimeout(resolve, 100));
  await session.end();
  assert.deepEqual(
    eventsOf(await all).map(({ event, id }) => [event, id]),
    [
      ["turn", "1.0"],
      ["turn", "2.0"],
    ],
  );
  assert.deepEqual(
    eventsOf(await later).map(({ id }) => id),
    ["2.0"],
  );
  assertProblem(
    await here.call("GET", "/v1/sessions/s/watch", { key, headers: { "last-event-id": "x" } }),
    400,
    "request_invalid",
  );
});

test("health, readiness, metrics and documents", async () => {
  await using here = serve();
  const key = await here.key("read");
  assert.deepEqual((await here.call("GET", "/healthz")).json, { status: "ok" });
  assert.deepEqual((await here.call("GET", "/readyz")).json, { ready: true, store: "up", degraded: false, waiting: 0 });
  assertProblem(await here.call("GET", "/metrics"), 401, "key_missing");
  await (await here.sessions.create({ agent: "ceo" })).handOff("cfo");
  assertProblem(await here.call("GET", "/absent"), 404, "route_unknown");
  const { text } = await here.call("GET", "/metrics", { key });
  for (const line of [
    'perdure_active_sessions{agent="ceo"} 1',
    'perdure_active_handoffs{agent="cfo"} 1',
    'perdure_errors_total{code="route_unknown"} 1',
    "perdure_store_up 1",
    "perdure_commit_batch_size_count",
    'perdure_store_call_duration_seconds_count{operation="commit",outcome="ok"}',
    'perdure_http_request_duration_seconds_count{method="GET",route="/healthz",status="200"} 1',
  ]) {
    assert(text.includes(line), `${line} in\n${text}`);
  }
  const document = (await here.call("GET", "/openapi.json")).json;
  assert.equal(document.openapi, "3.1.0");
  assert(Object.keys(document.paths).length >= 20);
  const references = JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g);
  for (const [, name = ""] of references) assert(Object.hasOwn(document.components.schemas, name), name);
});

test("a stopping server is not ready, ends its streams and lets running requests finish", async () => {
  const here = serve();
  const key = await here.key("write");
  await here.call("POST", "/v1/sessions", { key, body: { id: "s" } });
  const watching = here.call("GET", "/v1/sessions/s/watch", { key });
  await new Promise((resolve) => setTimeout(resolve, 20));
  await here.server.stop();
  assert.equal((await watching).status, 200);
  assert.equal((await here.call("GET", "/readyz")).status, 503);
  await here.sessions.close();
});

test("a watch ends once its key is revoked", async (t) => {
  await using here = serve();
  const [key, other] = [await here.key("write"), await here.key("read")];
  await here.call("POST", "/v1/sessions", { key, body: { id: "s" } });
  t.mock.timers.enable({ apis: ["setInterval"] });
  const response = await here.server.fetch(requestOf("GET", "/v1/sessions/s/watch", { key: other }));
  const text = response.text();
  t.mock.timers.tick(15_000);
  await here.call("POST", "/v1/sessions/s/turns", { key, body: { input: "before" } });
  const id =
    (await Array.fromAsync(here.sessions.keys.each())).find(({ right }) => right === "read")?.id ?? assert.fail();
  assert.equal(await here.sessions.keys.revoke(id), true);
  t.mock.timers.tick(15_000);
  assert.match(await text, /keep-alive/);
});

test("an expired key is refused with its own error, and ends its watch", async (t) => {
  const clock = scriptedClock();
  await using here = serve({ store: openMemory({ clock }), clock });
  const { token: key, id } = await here.sessions.keys.create({ name: "partner", right: "admin", ttl: "1h" });
  await here.call("POST", "/v1/sessions", { key, body: { id: "s" } });
  t.mock.timers.enable({ apis: ["setInterval"] });
  const response = await here.server.fetch(requestOf("GET", "/v1/sessions/s/watch", { key }));
  const text = response.text();
  await clock.advance(3_600_000);
  const refused = await here.call("GET", "/v1/sessions/s", { key });
  assertProblem(refused, 401, "key_expired");
  assert.equal(refused.headers.get("www-authenticate"), 'Bearer error="invalid_token"');
  assert.deepEqual([refused.json.details.id, refused.json.details.expiresAt], [id, clock.now()]);
  t.mock.timers.tick(15_000);
  await text;
});

test("a server admits the keys of its options beside those of the store, each for its tenant and right", async () => {
  const [own, other] = ["o".repeat(32), "t".repeat(200)];
  const keys = [{ token: own }, { token: other, name: "reports", tenant: "other", right: "read" }] as const;
  await using here = serve({ server: { keys } });
  assert.equal((await here.call("POST", "/v1/sessions", { key: own, body: { id: "s" } })).status, 201);
  assertProblem(await here.call("DELETE", "/v1/sessions/s", { key: own }), 403, "key_forbidden");
  assertProblem(await here.call("GET", "/v1/sessions/s", { key: other }), 404, "session_not_found");
  assertProblem(await here.call("POST", "/v1/sessions", { key: other, body: {} }), 403, "key_forbidden");
  assertProblem(await here.call("GET", "/v1/sessions/s", { key: own.slice(1) }), 401, "key_missing");
  assert.equal((await here.call("GET", "/v1/sessions/s", { key: await here.key("read") })).status, 200);
});

test("a server refuses keys of its options that are guessable, twice there, or of no right, without their secret", () => {
  const secret = "s3cret-".repeat(6);
  const refused: readonly (readonly [keys: object[], message: RegExp])[] = [
    [[{ token: secret.slice(0, 31) }], /^keys\[0\]\.token /],
    [[{ token: `${secret} ${secret}` }], /^keys\[0\]\.token /],
    [
      [{ token: secret }, { token: secret, right: "admin" }],
      /^keys\[1\]\.token is keys\[0\]\.token; expected a value that occurs once/,
    ],
    [[{ token: secret, right: "owner" }], /^keys\[0\]\.right /],
  ];
  for (const [keys, message] of refused) {
    const sessions = sessionsOn(openMemory(), { sweep: false });
    assert.throws(
      () => createServer({ sessions, keys: keys as ConfiguredKey[] }),
      (error: Error) =>
        hasCode(error, "argument_invalid") && message.test(error.message) && !error.message.includes("s3cret"),
    );
  }
});

test("metadata is an object over HTTP too", async () => {
  await using here = serve();
  const key = await here.key("write");
  await here.call("POST", "/v1/sessions", { key, body: { id: "s", metadata: { keep: 1 } } });
  for (const metadata of ["abc", null, [1], 5]) {
    for (const removeMetadata of [[], ["keep"]]) {
      const body = { metadata, removeMetadata };
      assertProblem(await here.call("PATCH", "/v1/sessions/s", { key, body }), 400, "argument_invalid");
    }
  }
  assert.deepEqual((await here.call("GET", "/v1/sessions/s", { key })).json.metadata, { keep: 1 });
});

test("metrics are those of the server's tenant, so only its keys may read them", async () => {
  await using here = serve();
  assert.equal((await here.call("GET", "/metrics", { key: await here.key("read") })).status, 200);
  const foreign = await here.call("GET", "/metrics", { key: await here.key("admin", "other") });
  assertProblem(foreign, 403, "key_forbidden");
});

test("a HEAD request starts no stream", async () => {
  await using here = serve();
  const key = await here.key("write");
  await here.call("POST", "/v1/sessions", { key, body: { id: "s" } });
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  for (let index = 0; index < 10; index++) {
    const { status, headers } = await here.call("HEAD", "/v1/sessions/s/watch", { key });
    assert.deepEqual([status, headers.get("content-type")], [200, "text/event-stream"]);
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert(timers() < before + 5, `${before} timers before, ${timers()} after`);
});

test("a backend links a guest's session to its user after a login; a device alone cannot", async () => {
  await using here = serve();
  const key = await here.key("write");
  const [phone, laptop] = [randomUUID(), randomUUID()];
  for (const device of [phone, laptop]) {
    await here.call("POST", "/v1/chat", { device, body: { message: device } });
  }
  const claim = (device: string, keep?: string) =>
    here.call("POST", "/v1/devices/claim", {
      key,
      body: { device, user: "ada", ...defined({ keep }) },
    });
  assertProblem(
    await here.call("POST", "/v1/devices/claim", { device: phone, body: { device: phone, user: "ada" } }),
    401,
    "key_missing",
  );
  assert.equal((await claim(phone)).json.user, "ada");
  assertProblem(await claim(laptop), 409, "claim_undecided");
  assert.equal((await claim(laptop, "user")).json.turn, 1);
  const { items: turns } = (await here.call("GET", "/v1/chat/turns", { device: laptop })).json;
  assert.equal(turns[0].input[0].content, phone);
  assertProblem(await claim("no uuid"), 400, "id_invalid");
});

test("an erasure over HTTP takes a user or the device of a guest, and not both", async () => {
  await using here = serve();
  const key = await here.key("admin");
  const [device, user] = [randomUUID(), "ada"];
  await here.call("POST", "/v1/chat", { device, body: { message: "a word" } });
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(url, init));
  const remote = connect({ url: "http://server.test", key, fetch });
  const receipt = await remote.erase({ device });
  assert.deepEqual([receipt.erased.sessions, receipt.erased.turns, receipt.erased.devices], [1, 1, 1]);
  assert.equal(await here.sessions.devices.find(device), undefined);
  assert.equal((await remote.erase({ user })).erased.sessions, 0);
  for (const body of [{}, { device, user }, { device: "no uuid" }])
    assert.equal((await here.call("POST", "/v1/erase", { key, body })).status, 400);
});
