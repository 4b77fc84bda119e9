/** Titles, labels and lists over HTTP: written, listed, and refused as in the library. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { connect } from "../../src/client/index.ts";
import { openMemory } from "../../src/store/memory.ts";
import { scriptedClock } from "../../src/testing/scripted-clock.ts";
import { serve, type Serving } from "./serving.ts";

const labels = { team: "ops", "a b&c": "x=y é" };

function ids({ items }: { readonly items: readonly { readonly id: string }[] }): string[] {
  return items.map(({ id }) => id);
}

test("titles and labels are written and lists filter by them, by key and by client", async () => {
  await using here = serve();
  const key = await here.key("write");
  const made = await here.call("POST", "/v1/sessions", { key, body: { id: "a", title: "Ordering flour", labels } });
  assert.deepEqual([made.status, made.json.title, made.json.labels], [201, "Ordering flour", labels]);
  await here.call("PUT", "/v1/sessions/b", { key, body: { labels: { team: "ops" } } });
  await here.call("PUT", "/v1/sessions/c", { key, body: { labels: { team: "sales" } } });
  const list = async (query: string): Promise<string[]> =>
    ids((await here.call("GET", `/v1/sessions?order=id&${query}`, { key })).json);
  assert.deepEqual(await list("label=team=ops"), ["a", "b"]);
  assert.deepEqual(await list("label=team"), ["a", "b", "c"]);
  assert.deepEqual(await list("label=team=ops&label=a%20b%26c"), ["a"]);
  assert.deepEqual(await list(`label=${encodeURIComponent("a b&c=x=y é")}`), ["a"]);
  assert.deepEqual(await list("label=team=ops&agent=other"), []);

  const patched = await here.call("PATCH", "/v1/sessions/a", {
    key,
    body: { title: null, labels: { team: null, tier: "1" } },
  });
  assert.deepEqual([patched.json.title, patched.json.labels], [null, { "a b&c": "x=y é", tier: "1" }]);
  const { paths } = (await here.call("GET", "/openapi.json")).json;
  const label = paths["/v1/sessions"].get.parameters.find(({ name }: { name: string }) => name === "label");
  assert.equal(label.schema.type, "array");
});

test("the client writes titles and labels, and lists by them", async () => {
  await using here = serve();
  const remote = connect({ url: "http://perdure.test", key: await here.key("write"), fetch: fetchOf(here) });
  const session = await remote.create({ id: "a", title: "Ordering flour", labels });
  await remote.create({ id: "b", labels: { team: "ops" } });
  assert.deepEqual([session.info.title, session.info.labels], ["Ordering flour", labels]);
  assert.deepEqual(ids(await remote.list({ labels, order: "created" })), ["a"]);
  assert.deepEqual(ids(await remote.list({ labels: { team: true }, order: "id", limit: 1 })), ["a"]);
  assert.deepEqual(ids({ items: await Array.fromAsync(remote.each({ labels: { team: "ops" } })) }), ["a", "b"]);
  await session.update({ title: null, labels: { team: null } });
  assert.deepEqual([session.info.title, session.info.labels], [null, { "a b&c": "x=y é" }]);
});

test("lists by creation, by key and by client", async () => {
  const clock = scriptedClock();
  await using here = serve({ store: openMemory({ clock }), clock });
  const key = await here.key("read");
  for (const id of ["a", "b", "c"]) {
    await here.sessions.create({ id });
    await clock.advance(60_000);
  }
  const { createdAt } = (await here.sessions.get("b")).info;
  const since = `createdSince=${createdAt.toISOString()}`;
  assert.deepEqual(ids((await here.call("GET", `/v1/sessions?${since}&order=id`, { key })).json), ["b", "c"]);
  const remote = connect({ url: "http://perdure.test", key, fetch: fetchOf(here) });
  assert.deepEqual(ids(await remote.list({ createdBefore: createdAt })), ["a"]);
  const between = { createdSince: createdAt, createdBefore: new Date(createdAt.getTime() + 1) };
  assert.deepEqual(ids({ items: await Array.fromAsync(remote.each(between)) }), ["b"]);
});

test("wrong titles and labels are refused, and nothing is written", async () => {
  await using here = serve();
  const key = await here.key("write");
  const before = (await here.sessions.create({ id: "a", labels: { team: "ops" } })).info.version;
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`label ${index}`, "x"]));
  const bodies = [
    { labels: many },
    { labels: { team: 7 } },
    { labels: ["team"] },
    { labels: "team=ops" },
    { labels: { "a=b": "" } },
    { labels: JSON.parse('{"__proto__":"x"}') as object },
    { title: "x".repeat(257) },
    { title: 7 },
  ];
  for (const body of bodies) {
    for (const [method, path] of [
      ["PATCH", "/v1/sessions/a"],
      ["POST", "/v1/sessions"],
    ] as const) {
      const { status, json } = await here.call(method, path, { key, body });
      assert.equal(status, 400, JSON.stringify(body).slice(0, 80));
      assert.match(json.code, /^(argument|request)_invalid$/);
    }
  }
  for (const query of [
    "label=",
    "label==x",
    `label=${"n".repeat(65)}`,
    "label=team&".repeat(17),
    "label=__proto__=x",
  ]) {
    assert.equal((await here.call("GET", `/v1/sessions?${query}`, { key })).status, 400, query);
  }
  assert.equal((await here.sessions.get("a")).info.version, before);
  assert.equal(await here.sessions.count(), 1);
});

test("a device sees the title and the labels of its session", async () => {
  await using here = serve();
  const device = randomUUID();
  await (await here.sessions.devices.open(device)).update({ title: "Ordering flour", labels: { team: "ops" } });
  const { json } = await here.call("GET", "/v1/chat/session", { device });
  assert.deepEqual([json.title, json.labels], ["Ordering flour", { team: "ops" }]);
});

/** A fetch that reaches the server without a port. */
function fetchOf(here: Serving): typeof fetch {
  return async (input, init) => await here.server.fetch(new Request(input, init));
}
