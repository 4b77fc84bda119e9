/** News over real HTTP: as a stream, by the client, through breaks and restarts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../../src/client/index.ts";
import type { News } from "../../src/index.ts";
import { coreOf } from "../../src/sessions/sessions.ts";
import { assertProblem, requestOf, serve } from "./serving.ts";
import { follow, followedServer } from "./followed-server.ts";

test("a stream of news has the cursor as its id, and is resumed by Last-Event-ID or by a parameter", async () => {
  await using here = await followedServer();
  const { sessions } = here;
  const stream = await follow(here, "/v1/news");
  const begun = await stream.next();
  assert.deepEqual([begun.event, begun.data["items"]], ["news", [{ reset: true }]]);
  const session = await sessions.create({ id: "s" });
  const created = await stream.next();
  assert.partialDeepStrictEqual(created.data["items"], [{ session: "s", turns: 0 }]);
  await stream.leave();
  await session.append({ input: "meanwhile" });
  for (const [path, lastId] of [
    ["/v1/news", created.id],
    [`/v1/news?after=${created.id}`, undefined],
  ] as const) {
    const resumed = await follow(here, path, lastId);
    assert.partialDeepStrictEqual((await resumed.next()).data["items"], [{ session: "s", turns: 1 }]);
    await resumed.leave();
  }
});

test("a key reads the news of its tenant; devices, missing keys and wrong cursors are refused before the stream", async () => {
  await using here = serve();
  const { sessions } = here;
  const key = await here.key("read");
  assertProblem(await here.call("GET", "/v1/news"), 401, "key_missing");
  const device = crypto.randomUUID();
  assertProblem(await here.call("GET", "/v1/news", { device }), 401, "key_missing");
  for (const headers of [{ "last-event-id": "17" }, { "last-event-id": "x y" }])
    assertProblem(await here.call("GET", "/v1/news", { key, headers }), 400, "request_invalid");
  assertProblem(await here.call("GET", "/v1/news?after=17", { key }), 400, "request_invalid");
  assertProblem(await here.call("GET", "/v1/news?follow=true", { key }), 400, "request_invalid");
  assert.equal(coreOf(sessions).newsFeeds.size, 0);

  const theirs = await here.key("read", "other");
  const { body } = await here.server.fetch(requestOf("GET", "/v1/news", { key: theirs }));
  const reader = (body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  assert.match(String((await reader.read()).value), /reset/);
  await sessions.create({ id: "ours" });
  await sessions.for("other").create({ id: "theirs" });
  assert.match(String((await reader.read()).value), /"session":"theirs"/);
  await reader.cancel();
});

test("the client gets all news, however often the server restarts, and continues from its cursor", async () => {
  await using here = await followedServer();
  const { sessions, url, key } = here;
  const remote = connect({ url, key });
  const leaving = new AbortController();
  const known = new Map<string, number>();
  let resets = 0;
  let last: News | undefined;
  const arrived = Promise.withResolvers<void>();
  const following = (async () => {
    for await (const news of remote.news({ signal: leaving.signal })) {
      last = news;
      for (const item of news.items) {
        if ("reset" in item) resets++;
        if ("session" in item && "version" in item) known.set(item.session, item.version);
      }
      if (known.has("last")) arrived.resolve();
    }
  })();
  following.catch(arrived.reject);
  while (resets === 0) await new Promise((resolve) => setImmediate(resolve));
  for (let round = 0; round < 4; round++) {
    const session = await sessions.create({ id: `s${round}` });
    await here.restart();
    await session.append({ input: "after the restart" });
  }
  await sessions.create({ id: "last" });
  await arrived.promise;
  leaving.abort();
  await following;
  assert.equal(resets, 1);
  const stored = await Array.fromAsync(sessions.each());
  assert.deepEqual(new Map(stored.map(({ id, version }) => [id, version])), known);

  await sessions.create({ id: "later" });
  for await (const { items } of remote.news({ after: last?.cursor ?? "" })) {
    assert.partialDeepStrictEqual(items, [{ session: "later" }]);
    break;
  }
  await assert.rejects(remote.news({ after: "17" }).next(), { code: "request_invalid" });
  await assert.rejects(remote.news({ follow: true } as object).next(), { code: "argument_invalid" });
});

test("a stream of news ends when the server stops, and leaves no feed", async () => {
  await using here = serve();
  const key = await here.key("read");
  const { body } = await here.server.fetch(requestOf("GET", "/v1/news", { key }));
  const reader = (body ?? assert.fail()).getReader();
  await reader.read();
  assert.equal(coreOf(here.sessions).newsFeeds.size, 1);
  await here.server.stop();
  assert.equal((await reader.read()).done, true);
  assert.equal(coreOf(here.sessions).newsFeeds.size, 0);
});
