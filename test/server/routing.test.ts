import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { createManager } from "../../src/index.ts";
import { createServer } from "../../src/server/index.ts";
import { callOn, serve } from "./serving.ts";

const agents = { front: { default: true }, billing: { keywords: ["invoice"] } };

test("a message over HTTP is routed, and its agent answers the next one at any instance", async () => {
  await using here = serve({ agents });
  const instance = () => createServer({ sessions: here.sessions, converse: createManager(here).send });
  const [one, two] = [instance(), instance()];
  const device = randomUUID();
  const say = async (server: typeof one, message: string): Promise<unknown> => {
    const { status, json } = await callOn(server, "POST", "/v1/chat", { device, body: { message } });
    assert.equal(status, 200);
    return [json.turn.seq, json.turn.agent];
  };
  assert.deepEqual(await say(one, "Hello"), [1, "front"]);
  assert.equal((await callOn(two, "GET", "/v1/chat/active-agent", { device })).status, 204);
  assert.deepEqual(await say(two, "my invoice"), [2, "billing"]);
  assert.deepEqual(await say(one, "and when?"), [3, "billing"]);
  assert.equal((await callOn(two, "GET", "/v1/chat/active-agent", { device })).json.agent, "billing");
});
