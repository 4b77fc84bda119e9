import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { createManager, type Sessions } from "../../src/index.ts";
import { createServer } from "../../src/server/index.ts";
import { inMemory } from "../support/in-memory.ts";
import { callOn, echo, serve } from "./serving.ts";

const agents = { front: { default: true }, billing: { keywords: ["invoice"] } };

test("a message over HTTP is routed, and its agent answers the next one at any instance", async () => {
  await using here = serve({ agents });
  const instance = () =>
    createServer({ sessions: here.sessions, converse: createManager({ sessions: here.sessions }).send });
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

test("the only agent is the default: it answers devices, and devices may name it", async () => {
  await using here = serve({ agents: { ceo: { instructions: "You run a bakery." } } });
  const device = randomUUID();
  for (const body of [{ message: "Hello" }, { message: "Hello", agent: "ceo" }]) {
    const { status, json } = await here.call("POST", "/v1/chat", { device, body });
    assert.deepEqual([status, json.turn?.agent], [200, "ceo"]);
  }
});

test("the agent that a device names opens its session", async () => {
  await using here = serve({ agents: { front: { default: true }, sales: { openToDevices: true } } });
  const device = randomUUID();
  await here.call("POST", "/v1/chat", { device, body: { message: "Hello", agent: "sales" } });
  assert.equal((await here.call("GET", "/v1/chat/session", { device })).json.agent, "sales");
  assert.equal((await here.call("POST", "/v1/chat", { device, body: { message: "And?" } })).json.turn.agent, "sales");
});

test("a server of several agents without a default one is refused at its creation, and the error names the fix", async () => {
  const message = /agents.default is missing; expected "default": true for one of ceo, cto/;
  assert.throws(() => serve({ agents: { ceo: {}, cto: {} } }), { code: "argument_invalid", message });
});

test("a device whose agent was renamed is answered by the default agent", async () => {
  const options = { model: echo, secret: "a secret for tests only" };
  await using place = inMemory({ ...options, agents: { support: {} } });
  const device = randomUUID();
  const ask = async (sessions: Sessions): Promise<unknown> => {
    const server = createServer({ sessions });
    const { status, json } = await callOn(server, "POST", "/v1/chat", { device, body: { message: "Hello" } });
    await server.stop();
    return [status, json.turn?.seq, json.turn?.agent];
  };
  assert.deepEqual(await ask(place.sessions), [200, 1, "support"]);
  assert.deepEqual(await ask(place.another({ ...options, agents: { helpdesk: {} } })), [200, 2, "helpdesk"]);
});
