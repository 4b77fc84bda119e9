/** Devices with the ids of a channel, over HTTP. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { chat } from "../../src/client/index.ts";
import { assertProblem, serve } from "./serving.ts";

test("the id of a channel needs the key of the program that serves the channel; a UUID needs none", async () => {
  await using here = serve({ deviceIds: "any" });
  const device = "4917012345678";
  const say = async (call: object) => await here.call("POST", "/v1/chat", { body: { message: "hi" }, ...call });
  assertProblem(await say({ device }), 401, "key_missing");
  assertProblem(await say({ device, key: await here.key("read") }), 403, "key_forbidden");
  assertProblem(await say({ device, key: await here.key("write", "other") }), 403, "key_forbidden");
  assert.equal(await here.sessions.count(), 0);
  const key = await here.key("write");
  assert.equal((await say({ device, key })).json.text, "you said: hi");
  assert.equal((await say({ device: randomUUID() })).status, 200);
  const mine = await here.call("GET", "/v1/chat/turns", { device, key });
  assert.equal(mine.json.items.length, 1);
  assertProblem(await here.call("GET", "/v1/chat/turns", { device }), 401, "key_missing");
  assert.equal(
    (await here.call("GET", "/v1/chat/turns", { device: "4917012345679", key })).json?.items?.length ?? 0,
    0,
  );
  assertProblem(await say({ device: "x".repeat(300), key }), 400, "id_invalid");
  const url = "http://server.test";
  const fetch = async (input: string | URL | Request, init?: RequestInit) =>
    await here.server.fetch(new Request(input, init));
  const remote = chat({ url, device, key, fetch });
  assert.equal((await (await remote.say("again")).done).output[0]?.content, "you said: again");
});

test("many devices of one channel do not count as new devices of one address", async () => {
  await using here = serve({ deviceIds: "any", server: { rates: { newDevices: 2, newDeviceSessions: 2, key: 1e9 } } });
  const key = await here.key("write");
  for (let index = 0; index < 6; index++) {
    const { status } = await here.call("POST", "/v1/chat", { device: `wa-${index}`, key, body: { message: "hi" } });
    assert.equal(status, 200);
  }
});

test("by default the id of a channel is refused, also with a key", async () => {
  await using here = serve();
  const call = { device: "device-123", key: await here.key("admin"), body: { message: "hi" } };
  assertProblem(await here.call("POST", "/v1/chat", call), 400, "id_invalid");
});
