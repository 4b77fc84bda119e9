/** A field of a body that its route does not have is refused: ignored, it would change what the caller asks for. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { assertProblem, serve, type Answered } from "./serving.ts";

function assertUnknown(answered: Answered, { path, nearest }: { path: string; nearest: string | undefined }): void {
  assertProblem(answered, 400, "request_invalid");
  const { details, detail } = answered.json;
  assert.deepEqual([details.path, details.expected, details.known[0]], [path, "known_field", nearest], answered.text);
  for (const named of [path, ...(nearest === undefined ? [] : [`"${nearest}"`])])
    assert.ok(detail.includes(named), detail);
}

test("a misspelt field is refused with the nearest one, and nothing is asked or written", async () => {
  await using here = serve();
  const key = await here.key("admin");
  const session = await here.sessions.create({ id: "s" });
  await session.append({ input: "one", output: "two" });
  const device = randomUUID();
  const consult = "/v1/sessions/s/consult";
  const cases = [
    ["POST", consult, { message: "x", aftr: 0 }, "body.aftr", "after"],
    ["POST", consult, { message: "x", Model: "m" }, "body.Model", "model"],
    ["POST", consult, { message: "x", window: { turn: 1 } }, "body.window.turn", "turns"],
    ["POST", consult, { message: "x", flush: { len: 1 } }, "body.flush.len", "length"],
    ["POST", consult, { mesage: "x" }, "body.mesage", "message"],
    ["POST", "/v1/sessions", { id: "t", metdata: {} }, "body.metdata", "metadata"],
    ["POST", "/v1/sessions", { id: "t", budget: { tokns: 1 } }, "body.budget.tokns", "tokens"],
    ["PUT", "/v1/sessions/t", { onexpired: "reset" }, "body.onexpired", "onExpired"],
    ["PATCH", "/v1/sessions/s", { instruction: "x" }, "body.instruction", "instructions"],
    ["POST", "/v1/sessions/s/turns", { input: "x", ouput: "y" }, "body.ouput", "output"],
    ["POST", "/v1/sessions/s/turns", { input: "x", usage: { inputToken: 1 } }, "body.usage.inputToken", "inputTokens"],
    ["POST", "/v1/sessions/s/truncate", { after: 1, before: 1 }, "body.before", "after"],
    ["PUT", "/v1/sessions/s/active-agent", { agent: "a", ttl: 1 }, "body.ttl", "ttlSeconds"],
    ["PUT", "/v1/sessions/s/legal-hold", { reason: "x", until: 1 }, "body.until", "reason"],
    ["POST", "/v1/sessions/s/fork", { At: 0 }, "body.At", "at"],
    ["POST", "/v1/erase", { user: "u", fork: "erase" }, "body.fork", "forks"],
    ["POST", "/v1/sweep", { dry: true }, "body.dry", "dryRun"],
    ["POST", "/v1/devices/claim", { device, user: "u", kep: "user" }, "body.kep", "keep"],
    ["POST", "/v1/sessions/s/cancel", { key: "k" }, "body.key", undefined],
    ["POST", "/v1/sessions/s/archive", { at: 1 }, "body.at", undefined],
  ] as const;
  const before = session.info.version;
  for (const [method, path, body, field, nearest] of cases) {
    const answered = await here.call(method, path, { key, body });
    assertUnknown(answered, { path: field, nearest });
  }
  assert.equal((await session.refresh()).version, before);
  assert.equal((await here.sessions.list()).items.length, 1);
});

test("a device's misspelt field is refused, also on a route without a body, and no session is made", async () => {
  await using here = serve();
  const device = randomUUID();
  const say = (body: object) => here.call("POST", "/v1/chat", { device, body });
  assertUnknown(await say({ message: "x", bussy: "queue" }), { path: "body.bussy", nearest: "busy" });
  assertUnknown(await say({ message: "x", key: "k" }), { path: "body.key", nearest: "busy" });
  const cancel = await here.call("POST", "/v1/chat/cancel", { device, body: { key: "k" } });
  assertUnknown(cancel, { path: "body.key", nearest: undefined });
  assert.deepEqual((await here.sessions.list()).items, []);
});

test("messages, metadata and settings hold any fields, and an empty body is none", async () => {
  await using here = serve();
  const key = await here.key("write");
  const create = await here.call("POST", "/v1/sessions", { key, body: { id: "s", metadata: { any: { thing: 1 } } } });
  assert.equal(create.status, 201);
  const message = { role: "user", content: "x", anything: { at: "all" } };
  const settings = { temperature: 0, body: { seed: 1 } };
  const asked = await here.call("POST", "/v1/sessions/s/consult", {
    key,
    body: { message, settings, window: { turns: 2 } },
  });
  assert.equal(asked.status, 200, asked.text);
  for (const body of ["", "{}"]) {
    const headers = { "content-type": "application/json" };
    const cancelled = await here.call("POST", "/v1/sessions/s/cancel", {
      key,
      ...(body === "" ? {} : { body }),
      headers,
    });
    assert.equal(cancelled.status, 200, cancelled.text);
  }
});

test("the description of the interface says that bodies have no other fields", async () => {
  await using here = serve();
  const { paths } = (await here.call("GET", "/openapi.json")).json;
  type Operation = {
    requestBody?: { content: { "application/json"?: { schema: { additionalProperties?: boolean } } } };
  };
  const bodies = Object.values<Record<string, Operation>>(paths).flatMap((methods) =>
    Object.values(methods).flatMap(({ requestBody }) => requestBody?.content["application/json"]?.schema ?? []),
  );
  assert.ok(bodies.length > 10);
  for (const schema of bodies) assert.equal(schema.additionalProperties, false, JSON.stringify(schema));
});

test("an option beyond the end of a session is named, with its value and the limit", async () => {
  await using here = serve();
  const key = await here.key("write");
  const session = await here.sessions.create({ id: "s" });
  await session.append({ input: "one", output: "two" });
  const cases = [
    ["consult", { message: "x", after: 99 }, "after"],
    ["truncate", { after: 99 }, "after"],
    ["fork", { at: 99 }, "at"],
  ] as const;
  for (const [route, body, name] of cases) {
    const answered = await here.call("POST", `/v1/sessions/s/${route}`, {
      key: route === "truncate" ? await here.key("admin") : key,
      body,
    });
    assertProblem(answered, 400, "range_invalid");
    assert.partialDeepStrictEqual(answered.json.details, { name, from: 99, to: 1 });
    assert.match(answered.json.detail, new RegExp(`^${name} is 99, expected a whole number from 0 to 1`));
  }
});

test("a number in a body is a number: null, a text or true is refused, and no turn is replaced", async () => {
  await using here = serve();
  const key = await here.key("write");
  const device = randomUUID();
  const session = await here.sessions.create({ id: "s" });
  const mine = await here.sessions.conversations({ device }).create();
  for (const one of [session, mine]) for (const input of ["one", "two"]) await one.append({ input, output: "yes" });
  const consult = "/v1/sessions/s/consult";
  const own = `/v1/chat/conversations/${mine.id}`;
  for (const value of [null, "", " ", "1", false, true, [1], 0.5, -1])
    for (const [path, who, body] of [
      [consult, { key }, { message: "x", after: value }],
      [consult, { key }, { message: "x", flush: { ms: value } }],
      [`${own}/consult`, { device }, { message: "x", edit: value }],
      [`${own}/regenerate`, { device }, { turn: value }],
    ] as const) {
      const answered = await here.call("POST", path, { ...who, body });
      assertProblem(answered, 400, "request_invalid");
    }
  for (const { id } of [session, mine]) assert.equal((await here.sessions.get(id)).info.turn, 2);
});
