import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import type { Model } from "../../src/index.ts";
import { coreOf, sessionsOn } from "../../src/sessions/sessions.ts";
import { assertProblem, callOn, echo, eventsOf, requestOf, serve } from "./serving.ts";
import { createServer } from "../../src/server/index.ts";

const chat = (device: string, message: unknown, headers = {}) => ({ device, body: { message }, headers });

test("a device's chat continues at any instance, and no other device can read it", async () => {
  await using here = serve();
  const elsewhere = createServer({ sessions: here.sessions });
  const [one, other] = [randomUUID(), randomUUID()];
  const first = await here.call("POST", "/v1/chat", chat(one, "Hello"));
  assert.equal(first.status, 200);
  assert.equal(first.json.text, "you said: Hello");
  assert.equal(first.json.turn.seq, 1);
  const second = await callOn(elsewhere, "POST", "/v1/chat", chat(one, "Again"));
  assert.equal(second.json.turn.seq, 2);
  assert.equal((await here.call("POST", "/v1/chat", chat(other, "Me too"))).json.turn.seq, 1);
  const { json } = await here.call("GET", "/v1/chat/turns?last=1", { device: one });
  assert.deepEqual(
    json.items.map((turn: { input: unknown }) => turn.input),
    [[{ role: "user", content: "Again" }]],
  );
  const session = await here.call("GET", "/v1/chat/session", { device: one });
  assert.equal(session.json.turn, 2);
  assert.match(session.headers.get("etag") ?? "", /^"\d+-[\w.]+-2-\d+-[\w.]+"$/);
});

test("a device without messages has no session, and reading creates none", async () => {
  await using here = serve();
  const device = randomUUID();
  assertProblem(await here.call("GET", "/v1/chat/session", { device }), 404, "session_not_found");
  assert.deepEqual((await here.call("GET", "/v1/chat/turns", { device })).json, { items: [] });
  assert.equal((await here.call("GET", "/v1/chat/active-agent", { device })).status, 204);
  assert.equal((await here.call("DELETE", "/v1/chat/active-agent", { device })).status, 204);
  assert.deepEqual((await here.call("POST", "/v1/chat/cancel", { device })).json, { cancelled: false });
  assert.deepEqual((await here.sessions.list()).items, []);
});

test("a repeated message with the same key is the same turn; with another text it is refused", async () => {
  await using here = serve();
  const device = randomUUID();
  const headers = { "idempotency-key": "k1" };
  const first = await here.call("POST", "/v1/chat", chat(device, "Hello", headers));
  const again = await here.call("POST", "/v1/chat", chat(device, "Hello", headers));
  assert.equal(again.json.turn.seq, first.json.turn.seq);
  assert.equal(again.json.text, first.json.text);
  assertProblem(await here.call("POST", "/v1/chat", chat(device, "Other", headers)), 422, "key_reused");
});

test("a handoff is made, read and ended; the active agent answers", async () => {
  await using here = serve({ agents: { assistant: {}, scheduling: { openToDevices: true } } });
  const device = randomUUID();
  const put = await here.call("PUT", "/v1/chat/active-agent", {
    device,
    body: { agent: "scheduling", ttlSeconds: 3600 },
  });
  assert.equal(Date.parse(put.json.expiresAt) - Date.parse(put.json.since), 3_600_000);
  assert.deepEqual((await here.call("GET", "/v1/chat/active-agent", { device })).json, put.json);
  assert.deepEqual((await here.call("GET", "/v1/chat/lock", { device })).json, put.json, "the alias answers the same");
  assert.equal((await here.call("POST", "/v1/chat", chat(device, "When?"))).json.turn.agent, "scheduling");
  assert.equal((await here.call("DELETE", "/v1/chat/active-agent", { device })).status, 204);
  assert.equal((await here.call("POST", "/v1/chat", chat(device, "Bye"))).json.turn.agent, "assistant");
  assertProblem(
    await here.call("PUT", "/v1/chat/active-agent", { device, body: { agent: "nobody" } }),
    404,
    "agent_unknown",
  );
  for (const ttlSeconds of [0, -1, "1h", 1e12, null]) {
    const bad = await here.call("PUT", "/v1/chat/active-agent", { device, body: { agent: "scheduling", ttlSeconds } });
    assertProblem(bad, 400, "request_invalid");
  }
});

test("a client without an id gets a sealed cookie, and an altered one opens nothing", async () => {
  await using here = serve();
  const first = await here.call("POST", "/v1/chat", { body: { message: "Hello" } });
  const given = first.headers.get("set-cookie") ?? "";
  assert.match(given, /^__Host-perdure_device=[0-9a-f-]{36}\.[\w-]{43}; .*HttpOnly; Secure; SameSite=Lax$/);
  const cookie = given.split(";", 1)[0] ?? "";
  const second = await here.call("POST", "/v1/chat", { body: { message: "Again" }, headers: { cookie } });
  assert.equal(second.json.turn.seq, 2);
  assert.equal(second.headers.get("set-cookie"), null);
  const mine = cookie.slice("__Host-perdure_device=".length);
  for (const altered of [
    mine.slice(0, 36),
    `${mine}A`,
    mine.replace(/^./, (digit) => (digit === "0" ? "1" : "0")),
    "",
    randomUUID(),
  ]) {
    const headers = { cookie: `__Host-perdure_device=${altered}` };
    assertProblem(await here.call("POST", "/v1/chat", { body: { message: "x" }, headers }), 401, "device_missing");
    assertProblem(await here.call("GET", "/v1/chat/turns", { headers }), 401, "device_missing");
  }
  assertProblem(await here.call("GET", "/v1/chat/turns"), 401, "device_missing");
  assertProblem(await here.call("POST", "/v1/chat", chat("no-uuid", "x")), 400, "id_invalid");
});

test("a cookie of an earlier secret is answered with one of the new secret, which opens the same chat", async () => {
  await using here = serve();
  const first = await here.call("POST", "/v1/chat", { body: { message: "Hello" } });
  const [old = ""] = (first.headers.get("set-cookie") ?? "").split(";", 1);
  const store = coreOf(here.sessions).store;
  const sessions = (previousSecrets: readonly string[]) =>
    sessionsOn(store, { model: echo, sweep: false, secret: "another secret for tests", previousSecrets });
  const both = createServer({ sessions: sessions(["a secret for tests only"]) });
  const again = await callOn(both, "GET", "/v1/chat/session", { headers: { cookie: old } });
  assert.equal(again.status, 200);
  const [renewed = ""] = (again.headers.get("set-cookie") ?? "").split(";", 1);
  assert.match(renewed, /^__Host-perdure_device=/);
  assert.notEqual(renewed, old);
  const second = await callOn(both, "POST", "/v1/chat", { body: { message: "Again" }, headers: { cookie: renewed } });
  assert.equal(second.headers.get("set-cookie"), null);
  const alone = createServer({ sessions: sessions([]) });
  const third = await callOn(alone, "POST", "/v1/chat", {
    body: { message: "And again" },
    headers: { cookie: renewed },
  });
  assert.equal(third.json.turn.seq, 3);
  assertProblem(await callOn(alone, "GET", "/v1/chat/session", { headers: { cookie: old } }), 401, "device_missing");
});

test("a code makes two devices share a session; wrong, used and foreign codes are refused alike, and guessing is slowed", async () => {
  await using here = serve({ server: { rates: { wrongCodes: 3 } } });
  const [one, other] = [randomUUID(), randomUUID()];
  await here.call("POST", "/v1/chat", chat(one, "Mine"));
  const { json, status } = await here.call("POST", "/v1/devices/link-codes", { device: one });
  assert.equal(status, 201);
  const linked = await here.call("POST", "/v1/devices/link", { device: other, body: { code: json.code } });
  assert.equal(linked.json.turn, 1);
  assert.deepEqual((await here.call("DELETE", "/v1/devices/link", { device: other })).json, { unlinked: true });
  assert.deepEqual((await here.call("GET", "/v1/chat/turns", { device: other })).json.items, []);
  const refusals = [];
  for (const code of [json.code, "ABCD-EFGH", ""]) {
    const refused = await here.call("POST", "/v1/devices/link", { device: other, body: { code } });
    assertProblem(refused, 404, "link_code_invalid");
    const { instance: _, ...problem } = refused.json;
    refusals.push(problem);
  }
  assert.deepEqual(refusals[1], refusals[0]);
  assert.deepEqual(refusals[2], refusals[0]);
  const slowed = await here.call("POST", "/v1/devices/link", { device: other, body: { code: "ABCD-EFGH" } });
  assertProblem(slowed, 429, "rate_limited");
  assert(Number(slowed.headers.get("retry-after")) > 0);
});

/** Says what it is told to say, a piece at a time. */
function slowModel(): { model: Model; say: (text: string) => void; end: () => void } {
  let texts: string[] = [];
  let over = false;
  let wake = Promise.withResolvers<void>();
  const model: Model = async function* () {
    for (;;) {
      for (const text of texts.splice(0)) yield { type: "text", text };
      if (over) break;
      await wake.promise;
      wake = Promise.withResolvers();
    }
    over = false;
    texts = [];
  };
  return {
    model,
    say(text) {
      texts.push(text);
      wake.resolve();
    },
    end() {
      over = true;
      wake.resolve();
    },
  };
}

const streaming = { accept: "text/event-stream" };

test("a stream sends the text as it arrives, and a lost one resumes after the last character received", async () => {
  const { model, say, end } = slowModel();
  await using here = serve({ model });
  const elsewhere = createServer({ sessions: here.sessions });
  const device = randomUUID();
  const response = await here.server.fetch(requestOf("POST", "/v1/chat", chat(device, "Tell", streaming)));
  assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
  const reader = (response.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  let heard = "";
  const until = async (text: string): Promise<void> => {
    while (!heard.includes(text)) heard += (await reader.read()).value ?? assert.fail("the stream ended");
  };
  say("one ");
  await until("one ");
  say("two ");
  await until("two ");
  await reader.cancel();

  const lastId = eventsOf(heard).at(-1)?.id ?? assert.fail();
  assert.equal(lastId, "1-8");
  const resumed = callOn(elsewhere, "GET", "/v1/chat/stream", {
    device,
    headers: { ...streaming, "last-event-id": "1-4" },
  });
  const posted = callOn(elsewhere, "POST", "/v1/chat", chat(device, "Tell", { ...streaming, "last-event-id": lastId }));
  await new Promise((resolve) => setTimeout(resolve, 50));
  say("three");
  end();
  const texts = eventsOf((await resumed).text);
  assert.equal(
    texts
      .filter(({ event }) => event === "text")
      .map(({ data }) => data["text"])
      .join(""),
    "two three",
  );
  assert.equal(texts.at(-1)?.data["text"], "one two three");
  const rest = eventsOf((await posted).text);
  assert.equal(
    rest
      .filter(({ event }) => event === "text")
      .map(({ data }) => data["text"])
      .join(""),
    "three",
  );
  assert.equal((await here.call("GET", "/v1/chat/turns", { device })).json.items.length, 1, "nothing was asked twice");
});

test("a stream lost between tool calls resumes with every character, live and after the end", async () => {
  const call = { id: "c1", type: "function", function: { name: "look", arguments: "{}" } } as const;
  const { promise: goOn, resolve } = Promise.withResolvers<void>();
  await using here = serve({
    model: async function* () {
      yield { type: "text", text: "Let me look. " };
      yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
      yield { type: "message", message: { role: "tool", tool_call_id: "c1", content: "there" } };
      yield { type: "message", message: { role: "assistant", content: "It is " } };
      await goOn;
      yield { type: "text", text: "there." };
    },
  });
  const device = randomUUID();
  const asked = here.call("POST", "/v1/chat", chat(device, "Where?", streaming));
  // The question is kept, and a moment later what came first.
  const asker = async (): Promise<string> => (await here.call("GET", "/v1/chat/session", { device })).text;
  while (!(await asker()).includes('"turn":1')) await new Promise((done) => setTimeout(done, 20));
  await new Promise((done) => setTimeout(done, 300));
  const resume = async () => await here.call("GET", "/v1/chat/stream?lastEventId=1-4", { device });
  const live = resume();
  await new Promise((done) => setTimeout(done, 20));
  resolve();
  const texts = [await asked, await live, await resume()].map(({ text }) =>
    eventsOf(text)
      .filter(({ event }) => event === "text")
      .map(({ data }) => data["text"])
      .join(""),
  );
  assert.deepEqual(texts, ["Let me look. It is there.", "me look. It is there.", "me look. It is there."]);
});

test("a stopping server lets streamed answers finish, also those without a reader", async () => {
  const { model, say, end } = slowModel();
  await using here = serve({ model });
  const [hearer, left] = [randomUUID(), randomUUID()];
  const asked = async (device: string): Promise<void> => {
    const session = async () => await here.call("GET", "/v1/chat/session", { device });
    while (!(await session()).text.includes('"turn":1')) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  const heard = here.call("POST", "/v1/chat", chat(hearer, "Tell", streaming));
  say("one ");
  await asked(hearer);
  let stopped = false;
  const stop = here.server.stop().then(() => (stopped = true));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert(!stopped, "it waits for the answer");
  say("two");
  end();
  await stop;
  assert.equal(eventsOf((await heard).text).at(-1)?.data["text"], "one two");

  const other = createServer({ sessions: here.sessions });
  const response = await other.fetch(requestOf("POST", "/v1/chat", chat(left, "Tell", streaming)));
  await asked(left);
  await response.body?.cancel();
  const stopping = other.stop();
  say("all the same");
  end();
  await stopping;
  const { json } = await here.call("GET", "/v1/chat/turns", { device: left });
  assert.equal(json.items[0].output[0].content, "all the same");
});

test("a stream of an answer that fails or is cancelled ends with the problem, live and resumed", async () => {
  const { model, say } = slowModel();
  await using here = serve({ model });
  const device = randomUUID();
  const asked = here.call("POST", "/v1/chat", chat(device, "Tell", streaming));
  say("half");
  // There is something to stop once the question is kept.
  for (let cancelled = false; !cancelled;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    cancelled = (await here.call("POST", "/v1/chat/cancel", { device })).json.cancelled;
  }
  const last = eventsOf((await asked).text).at(-1);
  assert.equal(last?.event, "error");
  assert.equal(last?.data["code"], "interrupted");
  const resumed = await here.call("GET", "/v1/chat/stream", { device, headers: { "last-event-id": "1-0" } });
  assert.equal(eventsOf(resumed.text).at(-1)?.data["code"], "interrupted");
  for (const id of ["", "7", "1", "1-", "x-y", "0-0", "2-0", "99999999999999999-1"]) {
    const refused = await here.call("GET", `/v1/chat/stream?lastEventId=${id}`, { device });
    const code = refused.json?.code ?? eventsOf(refused.text).at(-1)?.data["code"];
    assert.equal(code, "request_invalid", `${id}: ${refused.text}`);
  }
});

test("a message during a running answer is refused or waits, as requested", async () => {
  const { model, say, end } = slowModel();
  await using here = serve({ model });
  const device = randomUUID();
  const first = here.call("POST", "/v1/chat", chat(device, "One"));
  say("1");
  const asked = async () => (await here.call("GET", "/v1/chat/session", { device })).text.includes('"turn":1');
  while (!(await asked())) await new Promise((resolve) => setTimeout(resolve, 10));
  const refused = await here.call("POST", "/v1/chat", { device, body: { message: "Two", busy: "reject" } });
  assertProblem(refused, 409, "busy");
  const queued = here.call("POST", "/v1/chat", { device, body: { message: "Two", busy: "queue" } });
  end();
  assert.equal((await first).json.turn.seq, 1);
  say("2");
  await new Promise((resolve) => setTimeout(resolve, 400));
  end();
  assert.equal((await queued).json.turn.seq, 2);
});

test("an answer over the time limit of a request is a typed refusal, and is stored all the same", async () => {
  const { model, say, end } = slowModel();
  await using here = serve({ model, server: { deadline: 50 } });
  const device = randomUUID();
  say("late");
  assertProblem(await here.call("POST", "/v1/chat", chat(device, "Slow")), 504, "deadline_passed");
  end();
  const patient = createServer({ sessions: here.sessions });
  const lastTurn = async () => (await callOn(patient, "GET", "/v1/chat/turns", { device })).json.items[0];
  let turn = await lastTurn();
  for (; turn === undefined || turn.status === "open"; turn = await lastTurn())
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual([turn.status, turn.output[0].content], ["done", "late"]);
});

test("requests over a device's limit are refused with the time to wait, and other devices are not affected", async () => {
  await using here = serve({ server: { rates: { device: 3 } } });
  const device = randomUUID();
  for (let index = 0; index < 3; index++) await here.call("GET", "/v1/chat/turns", { device });
  assertProblem(await here.call("GET", "/v1/chat/turns", { device }), 429, "rate_limited");
  assert.equal((await here.call("GET", "/v1/chat/turns", { device: randomUUID() })).status, 200);
});

test("a cookie is secure whenever the client's side is HTTPS, also behind a proxy", async () => {
  await using here = serve({ server: { secureCookies: false } });
  const cookie = async (headers: Record<string, string>): Promise<string> =>
    (await here.call("POST", "/v1/chat", { body: { message: "x" }, headers })).headers.get("set-cookie") ?? "";
  assert.doesNotMatch(await cookie({}), /Secure/);
  assert.match(await cookie({ "x-forwarded-proto": "https" }), /Secure/);
  assert.doesNotMatch(await cookie({ "x-forwarded-proto": "http" }), /Secure/);
});
