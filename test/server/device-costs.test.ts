/** What devices cost is bounded, whatever ids a caller makes up; and what one of them does stops no other. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { chat } from "../../src/client/index.ts";
import { defined } from "../../src/domain/values/defined.ts";
import { createServer } from "../../src/server/index.ts";
import { Windows } from "../../src/serving/rate-limits.ts";
import type { Model } from "../../src/index.ts";
import { assertProblem, callOn, requestOf, serve, unlimited, type Answered, type Serving } from "./serving.ts";

function counting(tokens = 0): { readonly model: Model; calls: number } {
  const counted = {
    calls: 0,
    model: async function* ({ messages }) {
      counted.calls++;
      if (messages.at(-1)?.content === "fail") throw new Error("the model fails");
      yield { type: "text", text: "answer" };
      yield { type: "usage", usage: { inputTokens: tokens, outputTokens: 0, totalTokens: tokens } };
    } satisfies Model,
  };
  return counted;
}

async function say(here: Serving, device: string, headers = {}, message = "Hello"): Promise<Answered> {
  return await here.call("POST", "/v1/chat", { device, body: { message }, headers });
}

test("new device ids are counted together, and devices with a session are not affected", async () => {
  const model = counting();
  await using here = serve({ model: model.model, server: { rates: { newDevices: 20 } } });
  const known = randomUUID();
  await say(here, known);
  const fresh = await Promise.all(Array.from({ length: 300 }, async () => await say(here, randomUUID())));
  const refused = fresh.filter(({ status }) => status !== 200);
  assert.equal(refused.length, 300 - 19);
  for (const one of refused) assertProblem(one, 429, "rate_limited");
  assert.equal(model.calls, 20);
  assertProblem(await here.call("GET", "/v1/chat/session", { device: randomUUID() }), 429, "rate_limited");
  assertProblem(
    await here.call("PUT", "/v1/chat/active-agent", { device: randomUUID(), body: { agent: "a" } }),
    429,
    "rate_limited",
  );
  assertProblem(await here.call("POST", "/v1/devices/link-codes", { device: randomUUID() }), 429, "rate_limited");
  assert.equal((await say(here, known)).status, 200);
  assert.equal((await here.sessions.list({ limit: 1000 })).items.length, 20);
});

/** Asks with a fresh device id each, as from one connection, and counts the model calls. */
async function burst(asked: number, headers: Record<string, string>, remoteAddress?: string): Promise<number> {
  const model = counting();
  await using here = serve({ model: model.model, server: { rates: {} } });
  const env = remoteAddress === undefined ? undefined : { incoming: { socket: { remoteAddress } } };
  const statuses = await Promise.all(
    Array.from({ length: asked }, async () => {
      const request = requestOf("POST", "/v1/chat", { device: randomUUID(), body: { message: "Hello" }, headers });
      const response = await here.server.fetch(request, env);
      await response.text();
      return response.status;
    }),
  );
  assert.equal(statuses.filter((status) => status === 200).length, model.calls);
  assert.equal(statuses.filter((status) => status === 429).length, asked - model.calls);
  return model.calls;
}

test("by default 1500 fresh device ids cost 300 model calls a minute, and 60 from one public address", async () => {
  assert.equal(await burst(1500, {}), 300);
  assert.equal(await burst(100, {}, "203.0.113.7"), 60);
  assert.equal(await burst(100, {}, "::ffff:203.0.113.7"), 60);
  assert.equal(await burst(100, {}, "2001:db8::1"), 60);
});

test("by default all clients behind a proxy do not count as one address", async () => {
  assert.equal(await burst(100, { "x-forwarded-for": "198.51.100.1" }, "203.0.113.7"), 100);
  for (const address of ["127.0.0.1", "::1", "10.1.2.3", "::ffff:10.1.2.3", "fd00::1"])
    assert.equal(await burst(61, {}, address), 61, address);
});

test("a client without an id is limited likewise, whatever cookies it throws away", async () => {
  const model = counting();
  await using here = serve({ model: model.model, server: { rates: { newDeviceSessions: 5 } } });
  const asked = await Promise.all(
    Array.from({ length: 20 }, () => here.call("POST", "/v1/chat", { body: { message: "Hello" } })),
  );
  assert.equal(asked.filter(({ status }) => status === 429).length, 15);
  assert.equal(model.calls, 5);
});

test("every route of devices counts a device without a session as new", async () => {
  await using here = serve({ server: { rates: { newDevices: 3 } } });
  const { paths } = (await here.call("GET", "/openapi.json")).json as { paths: Record<string, Record<string, object>> };
  const bodies: Readonly<Record<string, object>> = {
    "post /v1/chat": { message: "hi" },
    "post /v1/chat/approve": { token: "t", decisions: {} },
    "post /v1/chat/conversations": {},
    "patch /v1/chat/conversations/{id}": { isPinned: true },
    "post /v1/chat/conversations/{id}/consult": { message: "hi" },
    "post /v1/chat/conversations/{id}/regenerate": {},
    "post /v1/chat/conversations/{id}/approve": { token: "t", decisions: {} },
    "post /v1/chat/conversations/{id}/switch": { branch: "1" },
    "post /v1/chat/conversations/{id}/shares": {},
    "post /v1/devices/link": { code: "AAAA-BBBB" },
    "put /v1/chat/active-agent": { agent: "a" },
    "put /v1/chat/lock": { agent: "a" },
  };
  const routes = Object.entries(paths)
    .filter(([path]) => /^\/v1\/(chat|devices)/.test(path) && path !== "/v1/devices/claim")
    .flatMap(([path, methods]) => Object.keys(methods).map((method) => ({ path, method })));
  assert(routes.length > 12);
  for (let request = 0; request < 3; request++) await say(here, randomUUID());
  for (const { path, method } of routes) {
    const call = {
      device: randomUUID(),
      headers: { "last-event-id": "1-1" },
      ...defined({ body: bodies[`${method} ${path}`] }),
    };
    const answered = await here.call(
      method.toUpperCase(),
      path.replace("{device}", "device_1").replace("search", "search?text=a"),
      call,
    );
    assertProblem(answered, 429, "rate_limited");
  }
});

test("new devices of one address have their own limit, if the proxy sends the address", async () => {
  const server = { rates: { newDevicesOfAddress: 2 }, clientAddress: "x-real-address" } as const;
  await using here = serve({ server });
  const from = async (address: string): Promise<number> =>
    (await say(here, randomUUID(), { "x-real-address": address })).status;
  assert.deepEqual([await from("10.0.0.1"), await from("6.6.6.6, 10.0.0.1"), await from("10.0.0.1")], [200, 200, 429]);
  assert.equal(await from("10.0.0.2"), 200);
  const one = ["2001:db8::1", "2001:db8:0:0:ffff::2", "2001:DB8::3"];
  assert.deepEqual([await from(one[0]!), await from(one[1]!), await from(one[2]!)], [200, 200, 429], "one network");
  assert.equal(await from("2001:db8:0:1::1"), 200);
});

test("a device over its budget is refused before a model is called, and other devices are not affected", async () => {
  const model = counting();
  await using here = serve({ model: model.model, server: { deviceBudgets: { device: { requests: 2 } } } });
  const device = randomUUID();
  assert.deepEqual([(await say(here, device)).status, (await say(here, device)).status], [200, 200]);
  const refused = await say(here, device);
  assertProblem(refused, 429, "device_budget_exceeded");
  assert.ok(Number(refused.headers.get("retry-after")) > 86_000);
  assert.deepEqual(Object.keys(refused.json.details), ["retryAfterMs"]);
  assert.equal(model.calls, 2);
  assert.equal((await say(here, randomUUID())).status, 200);
  assert.equal((await here.call("GET", "/v1/chat/turns", { device })).json.items.length, 2, "nothing was written");
});

test("all devices together have a budget of requests and of tokens, failed answers among them", async () => {
  for (const all of [{ requests: 3 }, { tokens: 250 }]) {
    const model = counting(100);
    await using here = serve({ model: model.model, server: { deviceBudgets: { all } } });
    for (let asked = 0; asked < 3; asked++) assert.equal((await say(here, randomUUID())).status, 200);
    assertProblem(await say(here, randomUUID()), 429, "device_budget_exceeded");
    assert.equal(model.calls, 3);
  }
  const model = counting();
  await using here = serve({ model: model.model, server: { deviceBudgets: { device: { tokens: 1 } } } });
  const device = randomUUID();
  assertProblem(await say(here, device, {}, "fail"), 502, "model_failed");
  assertProblem(await say(here, device), 429, "device_budget_exceeded");
});

test("a repeated idempotency key is answered from the session, and counts no request and no tokens again", async () => {
  for (const budget of [{ requests: 1 }, { tokens: 150 }]) {
    const model = counting(100);
    await using here = serve({ model: model.model, server: { deviceBudgets: { device: budget, all: budget } } });
    const device = randomUUID();
    const first = await say(here, device, { "Idempotency-Key": "one" });
    assert.equal(first.status, 200);
    for (let again = 0; again < 5; again++) {
      const repeated = await say(here, device, { "Idempotency-Key": "one" });
      assert.deepEqual([repeated.status, repeated.json.text], [200, first.json.text]);
    }
    assert.equal(model.calls, 1);
    if (budget.tokens !== undefined) assert.equal((await say(here, device)).status, 200, "100 of 150 tokens are used");
    assertProblem(await say(here, device, { "Idempotency-Key": "another" }), 429, "device_budget_exceeded");
    assert.equal(
      (await say(here, device, { "Idempotency-Key": "one" })).status,
      200,
      "also once the budget is used up",
    );
  }
});

test("two requests at once with one idempotency key count once, and failing questions each time a model is asked", async () => {
  const model = counting();
  await using here = serve({ model: model.model, server: { deviceBudgets: { device: { requests: 4 } } } });
  const device = randomUUID();
  await say(here, device);
  const headers = { "Idempotency-Key": "one" };
  const both = await Promise.all([say(here, device, headers), say(here, device, headers)]);
  assert.deepEqual(
    both.map(({ status }) => status),
    [200, 200],
  );
  assert.equal(model.calls, 2);
  const failing = { "Idempotency-Key": "fails" };
  for (let tries = 0; tries < 20; tries++) await say(here, device, failing, "fail");
  const left = 4 - model.calls;
  for (let tries = 0; tries < left; tries++) assert.equal((await say(here, device)).status, 200);
  assertProblem(await say(here, device), 429, "device_budget_exceeded");
  assert.equal(model.calls, 4);
});

test("a device or a user over the budget of attachments puts nothing more, and asks all the same", async () => {
  const model = counting();
  const deviceBudgets = { device: { attachmentBytes: 1000 }, all: { attachmentBytes: 2500 } };
  await using here = serve({
    model: model.model,
    server: { deviceBudgets, deviceConversations: true },
  });
  const put = async (device: string, id: string, length: number): Promise<Answered> => {
    const path = `/v1/chat/conversations/${id}/attachments`;
    const headers = { "content-type": "image/png" };
    return await here.call("POST", path, { device, body: "x".repeat(length), headers });
  };
  const begin = async (device: string): Promise<string> =>
    (await here.call("POST", "/v1/chat/conversations", { device, body: {} })).json.id;
  const [one, two, third] = [randomUUID(), randomUUID(), randomUUID()];
  const own = await begin(one);
  assert.equal((await put(one, own, 600)).status, 201);
  const refused = await put(one, own, 401);
  assertProblem(refused, 429, "device_budget_exceeded");
  assert.ok(Number(refused.headers.get("retry-after")) > 86_000);
  assert.equal((await put(one, own, 400)).status, 201);
  assertProblem(await put(one, own, 1), 429, "device_budget_exceeded");
  assert.equal((await (await here.sessions.get(own)).attachments.list()).length, 2);
  assert.equal((await say(here, one)).status, 200);
  // The devices of a user have one budget.
  const [first, second] = [await begin(two), await begin(third)];
  for (const device of [two, third]) await here.sessions.devices.claim(device, "ada");
  assert.equal((await put(two, first, 900)).status, 201);
  const error = await put(third, second, 101);
  assertProblem(error, 429, "device_budget_exceeded");
  // All devices together have put 1900 bytes.
  const last = randomUUID();
  assertProblem(await put(last, await begin(last), 601), 429, "device_budget_exceeded");
});

test("a budget that is not a whole number is refused", async () => {
  await using here = serve();
  for (const requests of [-1, 0.5, Number.NaN])
    assert.throws(() => createServer({ sessions: here.sessions, deviceBudgets: { all: { requests } } }), {
      code: "argument_invalid",
    });
});

test("counts by sender are bounded in memory", () => {
  const windows = new Windows(60_000, 100);
  for (let sender = 0; sender < 1000; sender++) windows.of(`${sender}`).count++;
  assert.ok(windows.size <= 100);
  assert.equal(windows.of("999").count, 1, "the newest are kept");
});

test("wrong codes from one device prevent no other device from linking", async () => {
  await using here = serve({
    server: { rates: { ...unlimited, wrongCodes: 10, wrongTriesOfCode: 10, allWrongCodes: 1200 } },
  });
  const [phone, laptop, attacker] = [randomUUID(), randomUUID(), randomUUID()];
  await say(here, phone);
  const statuses: number[] = [];
  for (let tried = 0; tried < 80; tried++) {
    const code = `ZZ${String(tried).padStart(2, "0")}-ZZZZ`;
    statuses.push((await here.call("POST", "/v1/devices/link", { device: attacker, body: { code } })).status);
  }
  assert.deepEqual(
    [statuses.filter((one) => one === 404).length, statuses.filter((one) => one === 429).length],
    [10, 70],
  );
  const { code } = await here.sessions.devices.linkCode(phone);
  assert.equal((await here.call("POST", "/v1/devices/link", { device: laptop, body: { code } })).status, 200);
});

test("wrong attempts of one code are limited over all devices", async () => {
  await using here = serve({ server: { rates: { ...unlimited, wrongTriesOfCode: 3 } } });
  const statuses: number[] = [];
  for (let tried = 0; tried < 5; tried++) {
    const body = { code: `ZZZZ-ZZZ${tried}` };
    statuses.push((await here.call("POST", "/v1/devices/link", { device: randomUUID(), body })).status);
  }
  assert.deepEqual(statuses, [404, 404, 404, 429, 429]);
});

test("the owner of a session lists its devices and ends the sharing; the others can no longer read it", async () => {
  await using here = serve();
  const of = (device: string): ReturnType<typeof chat> =>
    chat({
      url: "http://server.test",
      device,
      fetch: async (url: unknown, init?: RequestInit) => await here.server.fetch(new Request(String(url), init)),
    });
  const [phone, laptop, thief] = [of(randomUUID()), of(randomUUID()), of(randomUUID())];
  await (
    await phone.say("my secret")
  ).done;
  assert.deepEqual([await Array.fromAsync(phone.eachSharing()), await phone.unlink()], [[], false]);
  for (const other of [laptop, thief]) await other.link((await phone.linkCode()).code);
  assert.equal((await Array.fromAsync(thief.turns())).length, 1);
  assert.equal((await Array.fromAsync(phone.eachSharing())).length, 2);
  assert.deepEqual(await Array.fromAsync(thief.eachSharing()), [], "only the owner sees who shares");
  const [first] = await Array.fromAsync(phone.eachSharing());
  assert.equal(await thief.endSharing(first?.id ?? ""), false, "and only the owner ends it");
  assert.equal(await phone.endSharing(first?.id ?? ""), true);
  assert.equal(await phone.endSharing(first?.id ?? ""), false);
  assert.equal((await Array.fromAsync(phone.eachSharing())).length, 1);
  assert.equal(await phone.unlink(), true);
  assert.deepEqual(await Array.fromAsync(phone.eachSharing()), []);
  for (const other of [laptop, thief]) assert.deepEqual(await Array.fromAsync(other.turns()), []);
  assert.equal((await Array.fromAsync(phone.turns())).length, 1, "the owner keeps its session");
});

test("ending the sharing with an unknown device is refused", async () => {
  await using here = serve();
  const device = randomUUID();
  const answered = await callOn(here.server, "DELETE", "/v1/devices/link/nobody", { device });
  assert.deepEqual(answered.json, { unlinked: false });
});
