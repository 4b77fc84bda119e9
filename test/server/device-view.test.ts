/** What a device may see and choose: its own conversation, and the agents that are open to devices. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { connect as connectSocket } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { chat, connect } from "../../src/client/index.ts";
import { listen } from "../../src/server/index.ts";
import { assertProblem, serve } from "./serving.ts";

const agents = {
  front: { default: true },
  sales: { openToDevices: true },
  "internal-refunds": { instructions: "Refund whatever is asked for." },
};

test("a device reaches the default agent and those open to devices; any other is reported as unknown", async () => {
  await using here = serve({ agents });
  const device = randomUUID();
  for (const agent of ["internal-refunds", "nothing-of-this-name"]) {
    for (const refused of [
      await here.call("POST", "/v1/chat", { device, body: { message: "Refund", agent } }),
      await here.call("PUT", "/v1/chat/active-agent", { device, body: { agent } }),
    ]) {
      assertProblem(refused, 404, "agent_unknown");
      assert.deepEqual(refused.json.details, { agent });
      for (const secret of ["sales", "front"]) assert.ok(!refused.text.includes(secret), refused.text);
    }
  }
  assert.equal((await here.call("GET", "/v1/chat/session", { device })).status, 404, "nothing was created");
  for (const agent of ["front", "sales"]) {
    const reply = await here.call("POST", "/v1/chat", { device, body: { message: "Hello", agent } });
    assert.equal(reply.json.turn.agent, agent);
  }
});

test("a client knows the error of an agent that is not open to devices", async () => {
  await using here = serve({ agents });
  const mine = chat({
    url: "http://server.test",
    device: randomUUID(),
    fetch: async (url: unknown, init?: RequestInit) => await here.server.fetch(new Request(String(url), init)),
  });
  await assert.rejects(mine.say("Refund", { agent: "internal-refunds" }), { code: "agent_unknown" });
});

test("a device sees no note of a handoff, no legal hold and no named log, and an operator sees all", async () => {
  await using here = serve({ agents });
  const device = randomUUID();
  const session = await here.sessions.devices.open(device);
  await session.handOff("internal-refunds", { note: "offer at most 10 %" });
  await session.setLegalHold("case 4711");
  await session.write({ logs: { "risk-score": { entries: [{ value: 7 }] } } });
  for (const path of ["/v1/chat/session", "/v1/chat/active-agent"]) {
    const seen = await here.call("GET", path, { device });
    assert.equal(seen.status, 200);
    assert.doesNotMatch(seen.text, /10 %|4711|risk-score/, path);
  }
  const code = await here.sessions.devices.linkCode(device);
  const linked = await here.call("POST", "/v1/devices/link", { device: randomUUID(), body: { code: code.code } });
  assert.equal(linked.status, 200);
  assert.doesNotMatch(linked.text, /10 %|4711/);
  const { json } = await here.call("GET", `/v1/sessions/${session.id}`, { key: await here.key("read") });
  assert.deepEqual([json.activeAgent.note, json.legalHold.reason], ["offer at most 10 %", "case 4711"]);
  assert.deepEqual(json.logs, { "risk-score": { end: 1 } });
});

test("the error of a busy session names no instance to a device", async () => {
  await using here = serve({ agents });
  const device = randomUUID();
  const session = await here.sessions.devices.open(device);
  const lease = await session.lease();
  const { instance } = (await session.leaseHolder()) ?? assert.fail();
  const refused = await here.call("POST", "/v1/chat", { device, body: { message: "Hello", busy: "reject" } });
  assertProblem(refused, 409, "busy");
  assert.ok(!refused.text.includes(instance));
  await lease.release();
});

test("the idempotency header is percent-encoded, and a malformed one is refused", async () => {
  await using here = serve();
  const device = randomUUID();
  const say = (key: string) =>
    here.call("POST", "/v1/chat", { device, body: { message: key }, headers: { "idempotency-key": key } });
  assert.equal((await say("50%25")).status, 200);
  assertProblem(await say("50%"), 400, "request_invalid");
  const { json } = await here.call("GET", "/v1/chat/turns", { device });
  assert.deepEqual(
    json.items.map(({ key }: { key: string }) => key),
    ["50%"],
  );
});

test("neither a key nor a device's id follows a redirect", async () => {
  const heard: IncomingMessage[] = [];
  const http = createHttpServer((request, response) => {
    heard.push(request);
    response.writeHead(307, { location: "/elsewhere" }).end();
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  try {
    const device = randomUUID();
    await assert.rejects(Array.fromAsync(chat({ url, device, retries: 0 }).turns()), { code: "store_unavailable" });
    await assert.rejects(connect({ url, key: "k", retries: 0 }).get("s"), { code: "store_unavailable" });
    assert.deepEqual(
      heard.map((request) => request.url),
      ["/v1/chat/turns?from=1", "/v1/sessions/s"],
    );
  } finally {
    http.closeAllConnections();
    http.close();
  }
});

test("an id with dot segments is refused by client and server", async () => {
  await using here = serve();
  const listening = await listen(here.server, { port: 0 });
  try {
    const key = await here.key("admin");
    await here.sessions.create({ id: "lock" });
    const sessions = connect({ url: listening.url, key });
    for (const id of [".", ".."]) {
      await assert.rejects(sessions.get(id), { code: "id_invalid" });
      await assert.rejects(sessions.remove(id), { code: "id_invalid" });
    }
    for (const path of ["/v1/sessions/./lock", "/v1/sessions/x/../lock", "/v1/sessions/%2E/lock"]) {
      const socket = connectSocket(Number(new URL(listening.url).port), "127.0.0.1");
      socket.write(`DELETE ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\nconnection: close\r\n\r\n`);
      assert.match(await text(socket), /^HTTP\/1\.1 400 [^]*"request_invalid"/, path);
    }
    await here.sessions.get("lock");
  } finally {
    await listening.close(0);
  }
});

test("the document of the interface is made once", async () => {
  await using here = serve();
  assert.equal((await here.call("GET", "/openapi.json")).text, (await here.call("GET", "/openapi.json")).text);
});
