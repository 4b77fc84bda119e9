/** Instants in the library, in the client and in JSON over HTTP. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../../src/client/index.ts";
import { serve } from "./serving.ts";

test("the client gives the same dates as the library, and JSON has them as ISO 8601", async () => {
  await using here = serve();
  const session = await here.sessions.create({ id: "s" });
  await session.write({ logs: { facts: { entries: [{ value: 1 }] } } });
  await here.sessions.documents("state").put("k", 1, { ttl: "1h" });
  const turn = await session.begin("may I?");
  await turn.wait({ state: null, reason: "approval", expires: "2h" });
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(url, init));
  const remotes = connect({ url: "http://server.test", key: await here.key("write"), fetch });
  const remote = await remotes.get("s");

  const turns = await Array.fromAsync(session.turns());
  assert.ok(turns[0]?.at instanceof Date);
  assert.deepEqual(await Array.fromAsync(remote.turns()), turns);

  const events = await Array.fromAsync(session.events());
  const waits = events.find((event) => event.type === "turn_waiting");
  assert.ok(waits?.at instanceof Date && waits.expiresAt instanceof Date);
  assert.deepEqual(await Array.fromAsync(remote.events()), events);
  assert.deepEqual((await remotes.listEvents()).items, (await here.sessions.listEvents()).items);

  const entries = await Array.fromAsync(session.log("facts").entries());
  assert.ok(entries[0]?.at instanceof Date);
  assert.deepEqual(await Array.fromAsync(remote.log("facts").entries()), entries);
  const wanted = [{ log: "turns", last: 1 }] as const;
  assert.deepEqual((await remote.look(wanted)).tails, (await session.look(wanted)).tails);

  const document = await here.sessions.documents("state").get("k");
  assert.equal(Number(document?.expiresAt) - Number(document?.updatedAt), 3_600_000);
  assert.ok(document?.createdAt instanceof Date);
  assert.deepEqual(await remotes.documents("state").get("k"), document);

  const waiting = await session.waiting();
  assert.equal(Number(waiting?.expiresAt) - Number(waiting?.since), 7_200_000);
  assert.deepEqual(waiting?.expiresAt, waits.expiresAt);
  assert.deepEqual(await remote.waiting(), waiting);

  const key = await here.key("read");
  const { json } = await here.call("GET", "/v1/sessions/s/events?last=1", { key });
  const [sent] = json.items;
  assert.deepEqual([sent.at, sent.expiresAt], [waits.at.toISOString(), waits.expiresAt.toISOString()]);
});
