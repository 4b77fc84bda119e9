/** Summaries, marks and ratings over HTTP: the routes, and the client beside a local session. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, hasCode } from "../../src/client/index.ts";
import { assertProblem, serve } from "./serving.ts";

test("summaries, pins, turns that are left out and ratings over HTTP are those of the local session", async () => {
  await using place = serve();
  const far = connect({
    url: "http://perdure.test",
    key: await place.key("write"),
    fetch: async (input, init) => await place.server.fetch(new Request(input, init)),
  });
  const session = await far.create({ id: "s" });
  assert.equal(await session.summarize(), null, "too short");
  for (let turn = 1; turn <= 4; turn++) await session.append({ input: `question ${turn}`, output: "an answer" });
  const summary = await session.summarize({ to: 2 });
  assert.ok(summary !== null && summary.text !== "");
  const local = await place.sessions.get("s");
  assert.deepEqual(await Array.fromAsync(session.summaries()), await Array.fromAsync(local.summaries()));
  assert.deepEqual(
    (await Array.fromAsync(session.summaries())).map(({ from, to }) => [from, to]),
    [[1, 2]],
  );
  assert.deepEqual([await session.pin(1), await session.pin(1), await session.unpin(1)], [true, false, true]);
  await session.pin(2);
  assert.deepEqual([await session.leaveOut(4), await session.leaveOut(3), await session.takeIn(3)], [true, true, true]);
  assert.deepEqual(await session.memory(), { pinned: [2], leftOut: [4] });
  await session.rate(2, { rating: "up", comment: "helpful", by: "ana" });
  await session.rate(1, { rating: 0.5 });
  await session.rate(3, { rating: "down" });
  await session.rate(3, { rating: null });
  assert.deepEqual(await session.ratings(), await local.ratings());
  assert.deepEqual(
    (await session.ratings({ turn: 2 })).map(({ rating, comment, by }) => [rating, comment, by]),
    [["up", "helpful", "ana"]],
  );
  await session.append({ input: "a writer of turns has no conflict", output: "with any of it" });
  await assert.rejects(session.pin(9), (error) => hasCode(error, "range_invalid"));
  await assert.rejects(session.rate(1, { rating: "good" as "up" }), (error) => hasCode(error, "request_invalid"));
});

test("marks and ratings need the right to write, and wrong fields and turns are refused", async () => {
  await using place = serve();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "one", output: "two" });
  const [read, write] = [await place.key("read"), await place.key("write")];
  for (const [method, path, body] of [
    ["PUT", "turns/1/pin", undefined],
    ["DELETE", "turns/1/left-out", undefined],
    ["PUT", "turns/1/rating", { rating: "up" }],
    ["POST", "summaries", {}],
  ] as const)
    assertProblem(await place.call(method, `/v1/sessions/s/${path}`, { key: read, body }), 403, "key_forbidden");
  for (const [path, body] of [
    ["turns/one/rating", { rating: "up" }],
    ["turns/1/rating", { rating: "up", note: "x" }],
    ["turns/1/rating", { rating: "great" }],
    ["turns/1/rating", {}],
  ] as const)
    assertProblem(await place.call("PUT", `/v1/sessions/s/${path}`, { key: write, body }), 400, "request_invalid");
  assertProblem(await place.call("PUT", "/v1/sessions/none/turns/1/pin", { key: write }), 404, "session_not_found");
  for (const path of ["memory", "ratings", "summaries"])
    assert.equal((await place.call("GET", `/v1/sessions/s/${path}`, { key: read })).status, 200);
});
