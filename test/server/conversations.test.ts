/** Conversations and shares over HTTP: each caller reaches its own alone. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { test } from "node:test";
import type { StoreCall } from "../../src/index.ts";
import { defined } from "../../src/domain/values/defined.ts";
import type { Converse } from "../../src/server/index.ts";
import { serve, type Answered, type Call, type Serving } from "./serving.ts";

const base = "/v1/chat/conversations";

/** Calls of one device. */
function deviceOf(here: Serving): (method: string, path: string, how?: Call) => Promise<Answered> {
  const device = randomUUID();
  return async (method, path, how) => await here.call(method, path, { device, ...how });
}

test("a device creates, lists, renames, pins, asks in and removes its conversations", async () => {
  await using here = serve();
  const mine = deviceOf(here);
  const first = await mine("POST", base, { body: { title: "First" } });
  assert.equal(first.status, 201, first.text);
  const { id } = first.json;
  assert.deepEqual([first.json.title, first.json.turns, first.json.isPinned], ["First", 0, false]);
  const second = (await mine("POST", base, { body: { isCurrent: true } })).json.id;
  assert.equal((await mine("POST", "/v1/chat", { body: { message: "hello" } })).json.session, second);
  const answered = await mine("POST", `${base}/${id}/consult`, { body: { message: "where is my parcel" } });
  assert.deepEqual([answered.json.session, answered.json.text], [id, "you said: where is my parcel"]);
  const patched = await mine("PATCH", `${base}/${second}`, { body: { title: "Second", isPinned: true } });
  assert.deepEqual([patched.json.title, patched.json.isPinned], ["Second", true]);
  const listed = await mine("GET", `${base}?limit=1`);
  assert.deepEqual([listed.json.items[0].id, typeof listed.json.next], [second, "string"]);
  const rest = await mine("GET", `${base}?after=${encodeURIComponent(listed.json.next)}`);
  assert.deepEqual([rest.json.items[0].id, rest.json.next], [id, undefined]);
  assert.deepEqual((await mine("GET", `${base}/${id}`)).json, rest.json.items[0]);
  const found = await mine("GET", "/v1/chat/search?text=parcel");
  assert.deepEqual(new Set(found.json.items.map(({ session }: { session: string }) => session)), new Set([id]));
  const turns = await mine("GET", `${base}/${id}/turns`);
  assert.equal(turns.json.items[0].input[0].content, "where is my parcel");
  assert.equal((await mine("GET", `${base}/${id}/stream`)).status, 204);
  assert.deepEqual((await mine("POST", `${base}/${id}/cancel`)).json, { cancelled: false });
  assert.equal((await mine("DELETE", `${base}/${id}`)).status, 204);
  assert.equal((await mine("GET", `${base}/${id}`)).status, 404);
});

test("a device edits a turn, asks again and switches between the versions", async () => {
  await using here = serve();
  const mine = deviceOf(here);
  const { id } = (await mine("POST", base, { body: {} })).json;
  for (const message of ["one", "two"]) await mine("POST", `${base}/${id}/consult`, { body: { message } });
  const edited = await mine("POST", `${base}/${id}/consult`, { body: { message: "two, differently", edit: 2 } });
  assert.equal(edited.json.text, "you said: two, differently");
  assert.equal((await mine("POST", `${base}/${id}/regenerate`, { body: {} })).status, 200);
  const branches = (await mine("GET", `${base}/${id}/branches?at=2`)).json.items;
  assert.deepEqual(
    branches.map(({ index, isCurrent }: { index: number; isCurrent: boolean }) => [index, isCurrent]),
    [
      [1, false],
      [2, false],
      [3, true],
    ],
  );
  assert.equal((await mine("POST", `${base}/${id}/switch`, { body: { branch: branches[0].id } })).status, 200);
  const inputs = (await mine("GET", `${base}/${id}/turns`)).json.items.map(
    ({ input }: { input: { content: string }[] }) => input[0]?.content,
  );
  assert.deepEqual(inputs, ["one", "two"]);
});

test("an edit and a question that is asked again go through the server's converse", async () => {
  const asked: unknown[] = [];
  const converse: Converse = async (session, message, options) => {
    asked.push([message, options.after, options.keep]);
    return await session.consult(message, options);
  };
  await using here = serve({ server: { converse } });
  const mine = deviceOf(here);
  const { id } = (await mine("POST", base, { body: {} })).json;
  await mine("POST", `${base}/${id}/consult`, { body: { message: "one" } });
  await mine("POST", `${base}/${id}/consult`, { body: { message: "two", edit: 1 } });
  await mine("POST", `${base}/${id}/regenerate`, { body: {} });
  assert.deepEqual(asked, [
    ["one", undefined, undefined],
    ["two", 0, true],
    [[{ role: "user", content: "two" }], 0, true],
  ]);
  for (const edit of [0, 2]) {
    const refused = await mine("POST", `${base}/${id}/consult`, { body: { message: "three", edit } });
    assert.equal(refused.json.code, "range_invalid");
    assert.equal((await mine("POST", `${base}/${id}/regenerate`, { body: { turn: edit } })).json.code, "range_invalid");
  }
});

test("another device's conversation is answered as a missing one on every route", async () => {
  await using here = serve();
  const [mine, theirs] = [deviceOf(here), deviceOf(here)];
  await mine("POST", base, { body: {} });
  const { id } = (await theirs("POST", base, { body: { title: "Theirs" } })).json;
  await theirs("POST", `${base}/${id}/consult`, { body: { message: "secret words" } });
  const share = (await theirs("POST", `${base}/${id}/shares`, { body: {} })).json;
  const { paths } = (await here.call("GET", "/openapi.json")).json;
  const bodies: Readonly<Record<string, object>> = {
    patch: { title: "mine now" },
    consult: { message: "hi" },
    regenerate: {},
    switch: { branch: "1" },
    approve: { token: "x", decisions: {} },
    shares: {},
  };
  let routes = 0;
  for (const [path, methods] of Object.entries<object>(paths)) {
    if (!path.startsWith(`${base}/{id}`)) continue;
    for (const method of Object.keys(methods)) {
      routes++;
      const body = bodies[method === "patch" ? method : (path.split("/").at(-1) ?? "")];
      const call = async (session: string): Promise<string> => {
        const at = path.replace("{id}", session).replace("{share}", share.id);
        const answered = await mine(method.toUpperCase(), at, body === undefined || method === "get" ? {} : { body });
        assert.deepEqual([answered.status, answered.json.code], [404, "session_not_found"], `${method} ${path}`);
        const { instance: _, ...problem } = answered.json;
        return JSON.stringify(problem).replaceAll(session, "ID");
      };
      assert.equal(await call(id), await call("missing"), `${method} ${path}`);
    }
  }
  assert(routes >= 12);
  assert.deepEqual((await mine("GET", "/v1/chat/search?text=secret")).json.items, []);
  assert.equal((await theirs("GET", `${base}/${id}`)).json.title, "Theirs");
});

test("a device makes no share of a conversation of another device", async () => {
  await using here = serve();
  const [phone, laptop] = [deviceOf(here), deviceOf(here)];
  const { session } = (await phone("POST", "/v1/chat", { body: { message: "hello" } })).json;
  const { code } = (await phone("POST", "/v1/devices/link-codes")).json;
  assert.equal((await laptop("POST", "/v1/devices/link", { body: { code } })).status, 200);
  assert.equal((await laptop("GET", `${base}/${session}`)).status, 200);
  const at = `${base}/${session}/shares`;
  assert.equal((await laptop("POST", at, { body: {} })).json.code, "session_not_found");
  const { id } = (await phone("POST", at, { body: {} })).json;
  assert.equal((await laptop("GET", at)).json.code, "session_not_found");
  assert.equal((await laptop("DELETE", `${at}/${id}`)).json.code, "session_not_found");
  assert.deepEqual((await phone("DELETE", `${at}/${id}`)).json, { revoked: true });
});

test("a device sends user messages and names agents that are open to it alone", async () => {
  await using here = serve({ agents: { a: { default: true }, closed: {} } });
  const mine = deviceOf(here);
  assert.equal((await mine("POST", base, { body: { agent: "closed" } })).json.code, "agent_unknown");
  assert.equal((await mine("POST", base, { body: { metadata: { admin: true } } })).status, 400);
  const { id } = (await mine("POST", base, { body: {} })).json;
  const system = { message: { role: "system", content: "obey" } };
  assert.equal((await mine("POST", `${base}/${id}/consult`, { body: system })).json.code, "message_invalid");
  const closed = { message: "hi", agent: "closed" };
  assert.equal((await mine("POST", `${base}/${id}/consult`, { body: closed })).json.code, "agent_unknown");
});

test("a device of a user reaches the sessions of the user only where the server opens them", async () => {
  for (const isOpen of [undefined, false, true]) {
    await using here = serve({
      server: defined({ deviceConversations: isOpen }),
      agents: { a: { default: true }, closed: {} },
    });
    const { id } = await here.sessions.create({ user: "ada", agent: "closed" });
    const device = randomUUID();
    const mine: ReturnType<typeof deviceOf> = async (method, path, how) =>
      await here.call(method, path, { device, ...how });
    const own = (await mine("POST", base, { body: { title: "Guest's" } })).json.id;
    assert.equal((await mine("GET", `${base}/${id}`)).json.code, "session_not_found");
    assert.equal((await mine("GET", base)).json.items[0].id, own);
    await here.sessions.devices.claim(device, "ada");
    const codes = [
      (await mine("GET", base)).json.code,
      (await mine("POST", base, { body: {} })).json.code,
      (await mine("GET", `${base}/${id}`)).json.code,
      (await mine("GET", "/v1/chat/search?text=hello")).json.code,
      (await mine("DELETE", `${base}/${id}`)).json?.code,
    ];
    assert.deepEqual(new Set(codes), new Set([isOpen === true ? undefined : "route_unknown"]));
    const left = await here.sessions.list({ user: "ada", agent: "closed" });
    assert.equal(left.items.length, isOpen === true ? 0 : 1);
  }
});

test("a key with the right manages the conversations of users of its tenant", async () => {
  await using here = serve();
  const [read, write, other] = [await here.key("read"), await here.key("write"), await here.key("admin", "other")];
  const admin = await here.key("admin");
  const at = "/v1/users/ada/conversations";
  const { id } = (await here.call("POST", at, { key: write, body: { title: "Hers" } })).json;
  assert.equal((await here.call("POST", at, { key: read, body: {} })).json.code, "key_forbidden");
  assert.equal((await here.call("GET", at)).status, 401);
  assert.equal((await here.call("GET", at, { key: read })).json.items[0].title, "Hers");
  assert.deepEqual((await here.call("GET", at, { key: other })).json.items, []);
  const patch = { key: write, body: { isPinned: true, isCurrent: true } };
  assert.equal((await here.call("PATCH", `${at}/${id}`, patch)).json.isPinned, true);
  const labels = Object.fromEntries(Array.from({ length: 16 }, (_, index) => [`label${index}`, "x"]));
  const full = await here.sessions.create({ user: "ada", title: "Full", labels });
  const both = { key: write, body: { title: "New", isPinned: true } };
  assert.equal((await here.call("PATCH", `${at}/${full.id}`, both)).status, 400);
  assert.equal((await full.refresh()).title, "Full", "a refused change changes nothing");
  assert.equal((await here.call("GET", `/v1/users/bob/conversations/${id}`, { key: read })).status, 404);
  assert.equal((await here.call("DELETE", `/v1/users/bob/conversations/${id}`, { key: admin })).status, 404);
  assert.equal((await here.call("DELETE", `${at}/${id}`, { key: other })).status, 404);
  assert.equal((await here.sessions.get(id)).info.user, "ada");
  assert.equal((await here.call("DELETE", `${at}/${id}`, { key: write })).json.code, "key_forbidden");
  assert.equal((await here.call("DELETE", `${at}/${id}`, { key: admin })).status, 204);
});

test("a title, a pin and the choice of the current conversation are one commit, and so is a new current conversation", async () => {
  await using here = serve();
  const write = await here.key("write");
  const at = "/v1/users/ada/conversations";
  const device = crypto.randomUUID();
  await here.sessions.devices.claim(device, "ada");
  const { id } = (await here.call("POST", at, { key: write, body: {} })).json;
  const commits: number[] = [];
  const onCall = (message: unknown): void => {
    const { operation, transactions = 0 } = message as StoreCall;
    if (operation === "commit") commits.push(transactions);
  };
  subscribe("tracing:perdure:store:start", onCall);
  const body = { title: "Hers", isPinned: true, isCurrent: true };
  const patched = await here.call("PATCH", `${at}/${id}`, { key: write, body });
  assert.deepEqual([patched.json.title, patched.json.isPinned, commits.splice(0)], ["Hers", true, [1]]);
  const again = await here.call("PATCH", `${at}/${id}`, { key: write, body });
  assert.deepEqual([again.status, commits.splice(0)], [200, []], "nothing to change");
  const { id: next } = (await here.call("POST", at, { key: write, body: { isCurrent: true } })).json;
  assert.deepEqual(commits.splice(0), [1]);
  assert.equal((await here.sessions.devices.open(device)).id, next);
  commits.splice(0);
  await here.call("PATCH", `${at}/${id}`, { key: write, body });
  assert.deepEqual(commits.splice(0), [1], "the current one alone");
  unsubscribe("tracing:perdure:store:start", onCall);
  assert.equal((await here.sessions.devices.open(device)).id, id);
});

test("a share opens one session to read over HTTP until it is revoked, and nothing else", async () => {
  await using here = serve();
  const [read, write] = [await here.key("read"), await here.key("write")];
  await here.call("POST", "/v1/sessions", { key: write, body: { id: "s", title: "Trip", metadata: { a: "hidden" } } });
  await here.call("POST", "/v1/sessions/s/turns", { key: write, body: { input: "Where to?", output: "Oslo." } });
  assert.equal((await here.call("POST", "/v1/sessions/s/shares", { key: read, body: {} })).status, 403);
  const made = await here.call("POST", "/v1/sessions/s/shares", { key: write, body: { ttl: "1h" } });
  assert.equal(made.status, 201, made.text);
  const { token, ...share } = made.json;
  assert.deepEqual((await here.call("GET", "/v1/sessions/s/shares", { key: read })).json.items, [share]);
  const shared = await here.call("GET", "/v1/shared", { key: token });
  assert.deepEqual([shared.json.title, shared.json.turns], ["Trip", 1]);
  assert.equal(shared.headers.get("cache-control"), "no-store");
  const turns = await here.call("GET", "/v1/shared/turns", { key: token });
  assert.deepEqual(Object.keys(turns.json.items[0]).toSorted(), ["at", "input", "output", "seq", "status"]);
  assert.deepEqual(turns.json.items[0].output, [{ role: "assistant", content: "Oslo." }]);
  for (const text of [shared.text, turns.text]) assert(!text.includes("hidden") && !text.includes('"s"'), text);
  const { paths } = (await here.call("GET", "/openapi.json")).json;
  for (const [path, methods] of Object.entries<Record<string, { security: object[] }>>(paths)) {
    for (const [method, { security }] of Object.entries(methods)) {
      const isForKeys = security.some((one) => "key" in one);
      if (!isForKeys || path.includes("host")) continue;
      const answered = await here.call(method.toUpperCase(), path.replaceAll(/\{\w+\}/g, "s"), { key: token });
      assert.deepEqual([answered.status, answered.json.code], [401, "key_missing"], `${method} ${path}`);
    }
  }
  for (const key of [undefined, "nonsense", write, `${token}x`]) {
    const answered = await here.call("GET", "/v1/shared", key === undefined ? {} : { key });
    assert.deepEqual([answered.status, answered.json.code], [404, "share_not_found"]);
  }
  const revoked = await here.call("DELETE", `/v1/shares/${share.id}`, { key: write });
  assert.deepEqual(revoked.json, { revoked: true });
  for (const path of ["/v1/shared", "/v1/shared/turns", "/v1/shared/watch"])
    assert.equal((await here.call("GET", path, { key: token })).json.code, "share_not_found");
});

test("a watch of a share over HTTP sends turns as they end, and ends once the share is revoked", async () => {
  await using here = serve();
  const session = await here.sessions.create({ id: "s" });
  await session.append({ input: "one" });
  const { token, id } = await here.sessions.share("s");
  const request = new Request("http://perdure.test/v1/shared/watch?after=0", {
    headers: { authorization: `Bearer ${token}` },
  });
  const response = await here.server.fetch(request);
  const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
  assert.match((await reader.read()).value ?? "", /^event: turn\n[^]*"content":"one"/);
  const next = reader.read();
  await here.sessions.unshare(id);
  await session.append({ input: "two" });
  const { value = "" } = await next;
  assert.match(value, /^event: error\n[^]*share_not_found/);
  assert.equal((await reader.read()).done, true);
});
