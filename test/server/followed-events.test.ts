/** Events followed over real HTTP: as a stream, by the client, through breaks and restarts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../src/client/index.ts";
import type { TenantEvent } from "../../src/index.ts";
import { createServer } from "../../src/server/index.ts";
import { inMemory } from "../support/in-memory.ts";
import { assertProblem, callOn, eventsOf, requestOf, serve } from "./serving.ts";
import { follow, followedServer } from "./followed-server.ts";

test("a stream of events begins now and resumes where it was lost, also before the first event", async () => {
  await using here = await followedServer();
  const { sessions } = here;
  await sessions.create({ id: "before" });
  await sleep(5);
  const stream = await follow(here, "/v1/events");
  const begun = await stream.next();
  assert.equal(begun.event, "following");
  assert.equal(Date.parse(String(begun.data["since"])), Number(begun.id));
  await stream.leave();
  await sessions.create({ id: "meanwhile" });
  const resumed = await follow(here, "/v1/events", begun.id);
  assert.equal((await resumed.next()).id, begun.id);
  const { event, data } = await resumed.next();
  assert.deepEqual([event, data["session"], data["type"]], ["event", "meanwhile", "created"]);
  assert.match(String(data["at"]), /^\d{4}-\d\d-\d\dT.*Z$/);
  await (await sessions.get("before")).end({ reason: "enough" });
  assert.deepEqual((await resumed.next()).data["reason"], "enough");
  await resumed.leave();
});

test("a stream of events has the requested filters and start, and only its own tenant's events", async () => {
  await using here = await followedServer();
  const { sessions } = here;
  await sessions.for("other").create({ id: "another tenant's" });
  const session = await sessions.create({ id: "a", agent: "ceo" });
  await sessions.create({ id: "b" });
  await session.handOff("cto");
  const stream = await follow(here, "/v1/events?since=2020-01-01T00:00:00Z&agent=ceo&type=created,handed_off");
  await stream.next();
  const received = [await stream.next(), await stream.next()];
  assert.deepEqual(
    received.map(({ data }) => [data["session"], data["type"]]),
    [
      ["a", "created"],
      ["a", "handed_off"],
    ],
  );
  await sessions.for("other").create({ id: "another one of theirs", agent: "ceo" });
  await sessions.create({ id: "c", agent: "ceo" });
  assert.equal((await stream.next()).data["session"], "c");
  await stream.leave();
});

test("the client reports each event once, however often the connection breaks and the server restarts", async () => {
  await using here = await followedServer();
  const { sessions, url, key } = here;
  const remote = connect({ url, key });
  const leaving = new AbortController();
  const heard: TenantEvent[] = [];
  await sessions.create({ id: "s0" });
  const hearing = (async () => {
    for await (const event of remote.eachEvent({ follow: true, since: new Date(0), signal: leaving.signal }))
      heard.push(event);
  })();
  for (let index = 1; index <= 12; index++) {
    if (index % 4 === 0) await here.restart();
    await sessions.create({ id: `s${index}` });
    await sleep(100);
  }
  const ids = Array.from({ length: 13 }, (_, index) => `s${index}`);
  while (heard.length < ids.length) await sleep(10);
  await sleep(1500); // an event that is sent twice comes within this time
  assert.deepEqual(
    heard.map(({ session }) => session),
    ids,
  );
  assert.deepEqual(heard[0], (await sessions.listEvents()).items[0], "as the sessions themselves tell it");
  leaving.abort();
  await hearing;
  const all = await Array.fromAsync(remote.eachEvent({ type: "created" }));
  assert.deepEqual(
    all.map(({ session }) => session),
    ids,
    "without follow, it ends",
  );
});

test("an event committed late is sent by the stream that was resumed meanwhile", async () => {
  await using late = inMemory();
  const { sessions, clock, store } = late;
  const server = createServer({ sessions });
  const { token: key } = await sessions.keys.create({ name: "test", right: "read" });
  const follow = async (headers: Record<string, string>, last: string): Promise<ReturnType<typeof eventsOf>> => {
    const how = { key, headers: { accept: "text/event-stream", ...headers } };
    const { body } = await server.fetch(requestOf("GET", "/v1/events?since=1970-01-01T00:00:00Z", how));
    const reader = (body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes(`"session":"${last}"`)) text += (await reader.read()).value ?? assert.fail("it ended");
    await reader.cancel();
    return eventsOf(text);
  };
  const held = Promise.withResolvers<void>();
  store.plan({ [store.commits + 1]: { hold: held.promise } });
  const slow = late.another().create({ id: "slow" });
  await clock.advance(2000);
  await sessions.create({ id: "fast" });
  const heard = await follow({}, "fast");
  assert.deepEqual(
    heard.map(({ data }) => data["session"]),
    [undefined, "fast"],
  );
  held.resolve();
  await slow;
  const again = await follow({ "last-event-id": heard.at(-1)?.id ?? "" }, "fast");
  assert.deepEqual(
    again.map(({ data }) => data["session"]),
    [undefined, "slow", "fast"],
  );
  await server.stop();
});

test("a client continues to follow where streams without news end cleanly, however often", async () => {
  await using here = await followedServer();
  let streams = 0;
  const emptyAtFirst: typeof fetch = async (...request) =>
    ++streams <= 8 ? new Response("", { headers: { "content-type": "text/event-stream" } }) : await fetch(...request);
  const followed = connect({ url: here.url, key: here.key, fetch: emptyAtFirst }).eachEvent({ follow: true });
  const first = followed[Symbol.asyncIterator]().next();
  while (streams <= 8) await Promise.race([first, sleep(20)]);
  let created = 0;
  const creating = setInterval(() => void here.sessions.create({ id: `s${created++}` }), 50);
  try {
    assert.equal((await first).value?.type, "created");
  } finally {
    clearInterval(creating);
    await followed[Symbol.asyncIterator]().return?.();
  }
});

test("a client whose server stays away, or whose key is refused, throws the error", async () => {
  const here = await followedServer();
  const { url, key } = here;
  const refused = connect({ url, key: "pdk_wrong" }).eachEvent({ follow: true });
  await assert.rejects(refused.next(), { code: "key_missing" });
  const remote = connect({ url, key, retries: 0 }).eachEvent({ follow: true });
  const next = remote.next();
  await sleep(200);
  await here[Symbol.asyncDispose]();
  await assert.rejects(next, { code: "store_unavailable" });
});

test("page parameters and invalid ids are refused before a stream begins; a stopping server ends it", async () => {
  await using here = serve();
  const key = await here.key("read");
  const asked = async (query: string, headers = {}) =>
    await callOn(here.server, "GET", `/v1/events?${query}`, {
      key,
      headers: { accept: "text/event-stream", ...headers },
    });
  for (const query of ["before=2020-01-01T00:00:00Z", "order=descending", "limit=5", "after=x", "type=born"])
    assertProblem(await asked(query), 400, "request_invalid");
  assertProblem(await asked("", { "last-event-id": "1-2" }), 400, "request_invalid");
  const how = { key, headers: { accept: "text/event-stream" } };
  const { body } = await here.server.fetch(requestOf("GET", "/v1/events", how));
  const reader = (body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  assert.match((await reader.read()).value ?? "", /^event: following\n/);
  const stopping = here.server.stop();
  while (!(await reader.read()).done);
  await stopping;
});
