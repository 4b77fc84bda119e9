/** Tool calls, their results and reasoning as they happen: live, resumed at every place, and after the end. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { chat, connect } from "../../src/client/index.ts";
import { createManager, type Answer, type AnswerEvent, type Model } from "../../src/index.ts";
import { callOn, eventsOf, requestOf, serve } from "./serving.ts";
import { createServer } from "../../src/server/index.ts";

const streaming = { accept: "text/event-stream" };
const call = { id: "c1", type: "function", function: { name: "look", arguments: '{"at":"it"}' } } as const;

/** Thinks, looks by a tool that fails, and says what it found; stops before its last word until the gate opens. */
function thinker(): { readonly model: Model; readonly open: () => void } {
  const gate = Promise.withResolvers<void>();
  const model: Model = async function* () {
    yield { type: "reasoning", text: "Hm, " };
    yield { type: "reasoning", text: "a parcel." };
    yield { type: "text", text: "Let me look. " };
    yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
    yield { type: "message", message: { role: "tool", tool_call_id: "c1", content: "disk 7 failed", is_error: true } };
    yield { type: "text", text: "It is " };
    await gate.promise;
    yield { type: "text", text: "lost." };
  };
  return { model, open: gate.resolve };
}

const toolCall = { id: "c1", name: "look", arguments: '{"at":"it"}' };
const failedResult = { id: "c1", content: "disk 7 failed", isError: true };

/** The events with texts and reasoning in a row joined. */
function joined(events: Iterable<{ readonly event: string; readonly data: object }>): [string, unknown][] {
  const all: [string, unknown][] = [];
  for (const { event, data } of events) {
    const last = all.at(-1);
    const value = "text" in data && event !== "done" ? data.text : data;
    if (typeof value === "string" && last?.[0] === event) last[1] += value;
    else all.push([event, value]);
  }
  return all;
}

const partTypes = ["text", "reasoning", "tool_call", "tool_result"];

function partsOf(text: string): [string, unknown][] {
  return joined(eventsOf(text).filter(({ event }) => partTypes.includes(event)));
}

const whole = (result: object): [string, unknown][] => [
  ["reasoning", "Hm, a parcel."],
  ["text", "Let me look. "],
  ["tool_call", toolCall],
  ["tool_result", result],
  ["text", "It is lost."],
];

/** Resolves with what a stream has sent once the text before the gate is there; `rest` is all of it. */
async function readToGate(response: Response): Promise<{ heard: string; rest: Promise<string> }> {
  const reader = (response.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  let heard = "";
  while (!heard.includes("It is ")) heard += (await reader.read()).value ?? assert.fail(heard);
  const rest = (async () => {
    for (let text = heard; ;) {
      const { value, done } = await reader.read();
      if (done) return text;
      text += value;
    }
  })();
  return { heard, rest };
}

test("a device and a key read tool calls, results and reasoning as they happen, and resume after any event", async () => {
  const { model, open } = thinker();
  await using here = serve({ model });
  const elsewhere = createServer({ sessions: here.sessions });
  const device = randomUUID();
  const asked = requestOf("POST", "/v1/chat", { device, body: { message: "q" }, headers: streaming });
  const { heard, rest } = await readToGate(await here.server.fetch(asked));
  const [session] = (await here.sessions.list()).items;
  const key = await here.key("read");
  const ids = eventsOf(heard).map(({ id = "" }) => id);
  assert.deepEqual(ids.at(-1), "1-19-2-13");
  const resume = async (id: string, who: object, path = "/v1/chat"): Promise<Response> =>
    await elsewhere.fetch(requestOf("GET", `${path}/stream?lastEventId=${id}`, who));
  const read = async (stream: { readonly rest: Promise<string> }): Promise<[string, unknown][]> =>
    partsOf(await stream.rest);
  const live = await Promise.all(ids.slice(0, -1).map(async (id) => await readToGate(await resume(id, { device }))));
  const operator = await readToGate(await resume("1-0", { key }, `/v1/sessions/${session?.id}`));
  const last = await resume(ids.at(-1) ?? "", { device });
  open();
  const shown = { ...failedResult, content: "Error" };
  assert.deepEqual(partsOf(await rest), whole(shown));
  assert.deepEqual(await read(operator), whole(failedResult));
  assert.deepEqual(partsOf(await last.text()), [["text", "lost."]]);
  const sent = eventsOf(heard);
  for (const [index, stream] of live.entries()) {
    const before = joined(sent.slice(0, index + 1).filter(({ event }) => partTypes.includes(event)));
    assert.deepEqual(joinedPairs([...before, ...(await read(stream))]), whole(shown), `live, after ${ids[index]}`);
    // Reasoning is not kept: the sealed turn has the text, the calls and the results.
    const later = joinedPairs([
      ...before,
      ...partsOf(await (await resume(ids[index] ?? "", { device })).text()),
    ]).filter(([type]) => type !== "reasoning");
    assert.deepEqual(later, whole(shown).slice(1), `sealed, after ${ids[index]}`);
  }
});

test("parts stream as they are, their text as text, and a stream resumes after any of them without gap or repeat", async () => {
  await using here = serve();
  const key = await here.key("read");
  const session = await here.sessions.create({ id: "s" });
  const turn = await session.begin("q", { flush: { ms: 0 } });
  const parts = [
    { part: { type: "start" } },
    { part: { type: "text-delta", delta: "It " }, said: "It " },
    { part: { type: "text-delta", delta: "is lost." }, said: "is lost." },
  ];
  for (const part of parts) await turn.write(part);
  const streamed = await here.server.fetch(requestOf("GET", "/v1/sessions/s/stream", { key, headers: streaming }));
  const reader = (streamed.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  let heard = "";
  while (!heard.includes('event: text\ndata: {"text":"is lost.')) heard += (await reader.read()).value ?? assert.fail();
  await reader.cancel();
  const sent = eventsOf(heard).slice(1);
  const expected = [
    ["part", parts[0]],
    ["part", parts[1]],
    ["text", "It "],
    ["part", parts[2]],
    ["text", "is lost."],
  ].map(([event, value]) => [event, typeof value === "string" ? value : { part: (value as { part: object }).part }]);
  const valuesOf = (events: ReturnType<typeof eventsOf>): unknown[] =>
    events
      .filter(({ event }) => event === "part" || event === "text")
      .map(({ event, data }) => [event, "text" in data ? data.text : data]);
  assert.deepEqual(valuesOf(sent), expected);
  const rest = async (id = ""): Promise<unknown[]> => {
    const path = `/v1/sessions/s/stream?lastEventId=${encodeURIComponent(id)}`;
    return valuesOf(eventsOf(await (await here.server.fetch(requestOf("GET", path, { key }))).text()));
  };
  const live = sent.map(({ id }) => rest(id));
  const fetched = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(url, init));
  const remote = connect({ url: "http://server.test", key, fetch: fetched });
  const running = await (await remote.get("s")).running();
  const events = Array.fromAsync(running?.events() ?? assert.fail());
  for await (const _ of running ?? []) break;
  await turn.seal();
  const texts = (values: readonly unknown[]): string =>
    values.flatMap((value) => ((value as unknown[])[0] === "text" ? [(value as string[])[1]] : [])).join("");
  for (const [index, following] of live.entries()) {
    const all = await following;
    // A stream that begins after the seal has no parts: the sealed turn has the text alone.
    const after = texts(expected.slice(index + 1));
    assert.equal(texts(all), after, `live, after ${sent[index]?.id}`);
    assert.equal(texts(await rest(sent[index]?.id)), after, `sealed, after ${sent[index]?.id}`);
    if (all.some((value) => (value as unknown[])[0] === "part")) assert.deepEqual(all, expected.slice(index + 1));
  }
  assert.deepEqual(
    (await events).map(({ type, ...data }) => [type, "text" in data ? data.text : data]),
    expected,
  );
});

function joinedPairs(pairs: readonly [string, unknown][]): [string, unknown][] {
  return joined(
    pairs.map(([event, value]) => ({ event, data: typeof value === "string" ? { text: value } : (value as object) })),
  );
}

async function eventsIn(answer: Answer | undefined): Promise<[string, unknown][]> {
  const events: AnswerEvent[] = await Array.fromAsync(answer?.events() ?? assert.fail("no answer runs"));
  return joined(events.map(({ type, ...data }) => ({ event: type, data })));
}

test("the events of an answer are those of its stream: of consult, of the clients, and of the running answer", async () => {
  const { model, open } = thinker();
  await using here = serve({ model });
  const how = {
    url: "http://server.test",
    fetch: async (url: string | URL | Request, init?: RequestInit) => await here.server.fetch(new Request(url, init)),
  };
  const device = randomUUID();
  const mine = chat({ ...how, device });
  const answered = await mine.say("q");
  const session = await here.sessions.devices.find(device);
  const remote = await connect({ ...how, key: await here.key("write") }).ensure("remote");
  const asked = await remote.consult("q");
  const local = await (await here.sessions.ensure("local")).consult("q");
  const running = await Promise.all([mine.running(), remote.running(), session?.running()]);
  const all = [answered, asked, local, ...running].map(eventsIn);
  // Each of them reads the running answer before it ends.
  for (const answer of running) for await (const _ of answer ?? []) break;
  open();
  const shown = whole({ ...failedResult, content: "Error" });
  const full = whole(failedResult);
  assert.deepEqual(await Promise.all(all), [shown, full, full, shown, full, full]);
  assert.deepEqual(await eventsIn(local), full, "again, from the beginning");
  assert.equal(await answered.text(), "Let me look. It is lost.");
  assert.deepEqual((await local.done).output[0], {
    role: "assistant",
    content: "Let me look. ",
    tool_calls: [call],
  });
});

test("the events of an answer that fails end with its error, and a repeated key has the events of the turn", async () => {
  let fails = true;
  await using here = serve({
    model: async function* () {
      yield { type: "message", message: { role: "assistant", content: "I look.", tool_calls: [call] } };
      yield { type: "message", message: { role: "tool", tool_call_id: "c1", content: "there" } };
      if (fails) throw new Error("away");
      yield { type: "text", text: "There." };
    },
  });
  const session = await here.sessions.ensure("s");
  const heard: string[] = [];
  const hearing = (async () => {
    for await (const { type } of (await session.consult("q")).events()) heard.push(type);
  })();
  await assert.rejects(hearing, { code: "model_failed" });
  assert.deepEqual(heard, ["text", "tool_call", "tool_result"]);
  fails = false;
  await (
    await session.consult("again", { key: "k" })
  ).done;
  const repeated = await eventsIn(await session.consult("again", { key: "k" }));
  assert.deepEqual(repeated, [
    ["text", "I look."],
    ["tool_call", toolCall],
    ["tool_result", { id: "c1", content: "there" }],
    ["text", "There."],
  ]);
});

test("a stream that is resumed after its answer broke off has the events of the live one: no result of a call that did not run", async () => {
  await using here = serve({ agents: { assistant: {} } });
  const tools = {
    assistant: ["a", "b"].map((name) => ({
      name,
      description: "a tool",
      parameters: { type: "object" },
      run: () => "done",
    })),
  };
  const model: Model = async function* () {
    const tool_calls = ["a", "b"].map((name) => ({ id: name, function: { name, arguments: "{}" } }));
    yield { type: "message", message: { role: "assistant", content: "Let me look. ", tool_calls } };
  };
  const manager = createManager({ sessions: here.sessions, tools, stepsMax: 2 });
  const server = createServer({
    sessions: here.sessions,
    converse: (session, message, how) => manager.send(session, message, { ...how, model }),
  });
  const device = randomUUID();
  const headers = { accept: "text/event-stream", "idempotency-key": "k" };
  const live = await callOn(server, "POST", "/v1/chat", { device, body: { message: "go" }, headers });
  assert.equal(eventsOf(live.text).at(-1)?.data["code"], "tool_steps_exceeded");
  const parts = partsOf(live.text);
  assert.deepEqual(
    parts.map(([event]) => event),
    ["text", "tool_call", "tool_call", "tool_result", "tool_result", "text", "tool_call", "tool_call"],
  );
  const resumed = await callOn(server, "GET", "/v1/chat/stream", { device, headers: { "last-event-id": "1-0" } });
  assert.deepEqual(partsOf(resumed.text), parts);
  const again = await callOn(server, "POST", "/v1/chat", { device, body: { message: "go" }, headers });
  assert.deepEqual(partsOf(again.text), parts);
  await server.stop();
});

test("a program names the flush of an answer over HTTP, within its bounds", async () => {
  await using here = serve();
  const key = await here.key("write");
  await here.sessions.create({ id: "s" });
  const ask = async (flush: object): Promise<{ status: number; code: string | undefined }> => {
    const answered = await here.call("POST", "/v1/sessions/s/consult", { key, body: { message: "q", flush } });
    return { status: answered.status, code: answered.json.code };
  };
  assert.deepEqual(await ask({ ms: 0, length: 1 }), { status: 200, code: undefined });
  assert.deepEqual(await ask({ ms: 60_001 }), { status: 400, code: "argument_invalid" });
  assert.deepEqual(await ask({ ms: -1 }), { status: 400, code: "request_invalid" });
});
