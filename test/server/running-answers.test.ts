/** The running answer without an event id: a page that was reloaded has all of it, and hears the rest. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { chat, connect } from "../../src/client/index.ts";
import type { Answer, Model } from "../../src/index.ts";
import { callOn, assertProblem, eventsOf, requestOf, serve, type Serving } from "./serving.ts";
import { createServer } from "../../src/server/index.ts";

const streaming = { accept: "text/event-stream" };

/** Says "one two ", and "three" once the gate opens. */
function gated(): { readonly model: Model; readonly open: () => void } {
  const gate = Promise.withResolvers<void>();
  const model: Model = async function* () {
    yield { type: "text", text: "one " };
    yield { type: "text", text: "two " };
    await gate.promise;
    yield { type: "text", text: "three" };
  };
  return { model, open: gate.resolve };
}

/** Asks as a device whose connection ends once it has the first text. */
async function askAndLeave({ server }: Serving, device: string): Promise<void> {
  const response = await server.fetch(
    requestOf("POST", "/v1/chat", { device, body: { message: "q" }, headers: streaming }),
  );
  const reader = (response.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  for (let heard = ""; !heard.includes("one "); heard += (await reader.read()).value ?? assert.fail());
  await reader.cancel();
}

async function firstText(answer: Answer | undefined): Promise<string> {
  for await (const text of answer ?? assert.fail("no answer runs")) return text;
  return "";
}

test("a stream without an event id begins at the start of the running answer, at any instance", async () => {
  const { model, open } = gated();
  await using here = serve({ model });
  const elsewhere = createServer({ sessions: here.sessions });
  const device = randomUUID();
  const stream = (path = "/v1/chat/stream"): ReturnType<typeof callOn> => callOn(elsewhere, "GET", path, { device });
  assert.deepEqual([(await stream()).status, (await stream()).text], [204, ""], "a device without a session");
  assertProblem(await stream("/v1/chat/stream?lastEventId=1-0"), 404, "session_not_found");
  await askAndLeave(here, device);
  const all = await elsewhere.fetch(requestOf("GET", "/v1/chat/stream", { device }));
  open();
  const events = eventsOf(await all.text());
  const texts = events.filter(({ event }) => event === "text").map(({ data }) => data["text"]);
  assert.deepEqual([events[0]?.event, events.at(-1)?.event], ["turn", "done"]);
  assert.match(events[0]?.id ?? "", /^1-0@\d+$/);
  assert.equal(texts.join(""), "one two three");
  assert.equal((await stream()).status, 204, "the answer is done");
});

test("the running answer of a chat, a remote session and a session is whole, and continues", async () => {
  const { model, open } = gated();
  await using here = serve({ model });
  const device = randomUUID();
  const how = {
    url: "http://server.test",
    fetch: async (url: string | URL | Request, init?: RequestInit) => await here.server.fetch(new Request(url, init)),
  };
  const mine = chat({ ...how, device });
  assert.equal(await mine.running(), undefined);
  await askAndLeave(here, device);
  const { id = "" } = (await mine.session()) ?? {};
  const remote = await connect({ ...how, key: await here.key("read") }).get(id);
  const session = await here.sessions.get(id);
  const running = await Promise.all([mine.running(), remote.running(), session.running()]);
  for (const answer of running) assert.match(await firstText(answer), /^one /);
  open();
  for (const answer of running) {
    assert.deepEqual([answer?.seq, await answer?.text()], [1, "one two three"]);
    assert.equal((await answer?.done)?.status, "done");
  }
  assert.deepEqual(await Promise.all([mine.running(), remote.running(), session.running()]), Array(3).fill(undefined));
});

test("the running answer fails with the error of its turn", async () => {
  const { model } = gated();
  await using here = serve({ model });
  const session = await here.sessions.ensure("s");
  await session.consult("q");
  const other = await here.sessions.get("s");
  const running = (await other.running()) ?? assert.fail();
  assert.match(await firstText(running), /^one /);
  await other.cancel();
  await assert.rejects(running.done, { code: "interrupted" });
});

test("a running answer whose stream breaks before its first event is asked for again", async () => {
  const { model, open } = gated();
  await using here = serve({ model });
  const device = randomUUID();
  await askAndLeave(here, device);
  let requests = 0;
  const mine = chat({
    url: "http://server.test",
    device,
    fetch: async (url, init) =>
      requests++ === 0
        ? new Response("", { headers: { "content-type": "text/event-stream" } })
        : await here.server.fetch(new Request(url, init)),
  });
  const answer = await mine.running();
  open();
  assert.equal(await answer?.text(), "one two three");
});

test("a stream ends, and does not resume, where the turn gave its number back to a turn that it had replaced", async () => {
  await using here = serve();
  const session = await here.sessions.create({ id: "s" });
  for (const input of ["one", "two"]) await session.append({ input, output: `an answer to ${input}` });
  const [replaced] = await Array.fromAsync(session.turns({ last: 1 }));
  // Turns that begin in one millisecond are told apart by nothing.
  while (Date.now() <= (replaced?.at.getTime() ?? assert.fail())) await setImmediate();
  const turn = await session.begin("again", { after: 1 });
  const key = await here.key("read");
  const response = await here.server.fetch(requestOf("GET", "/v1/sessions/s/stream", { key, headers: streaming }));
  const reader = (response.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  let heard = "";
  while (!heard.includes("event: turn")) heard += (await reader.read()).value ?? assert.fail();
  await turn.seal({ status: "failed", error: { code: "model_failed", message: "overloaded" } });
  for (let read = await reader.read(); !read.done; read = await reader.read()) heard += read.value;
  const id = eventsOf(heard)[0]?.id ?? assert.fail();
  const resumed = await here.call("GET", "/v1/sessions/s/stream", { key, headers: { "last-event-id": id } });
  for (const text of [heard, resumed.text]) {
    assert.doesNotMatch(text, /an answer to two/);
    assert.equal(eventsOf(text).at(-1)?.data["code"], "interrupted");
  }
});

test("over HTTP a session ends after its running answer", async () => {
  const { model, open } = gated();
  await using here = serve({ model });
  const remote = await connect({
    url: "http://perdure.test",
    key: await here.key("write"),
    fetch: async (input, init) => await here.server.fetch(new Request(input, init)),
  }).create({ id: "s" });
  const local = await here.sessions.get("s");
  const answer = await local.consult("q");
  await assert.rejects(remote.end(), { code: "busy" });
  await remote.end({ reason: "solved", after: "answer" });
  assert.equal((await remote.refresh()).state, "active");
  open();
  assert.equal((await answer.done).status, "done");
  assert.equal((await remote.refresh()).state, "ended");
});
