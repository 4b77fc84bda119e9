/** A message of a device that meets a running answer, and a retry of the message that is being answered. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { BusyPolicy, Model, Session } from "../../src/index.ts";
import { sessionsOn } from "../../src/sessions/sessions.ts";
import { createServer } from "../../src/server/index.ts";
import { assertProblem, callOn, eventsOf, requestOf, serve, type Serving } from "./serving.ts";
import { coreOf } from "../../src/sessions/sessions.ts";

const policies: readonly (BusyPolicy | undefined)[] = [undefined, "reject", "queue", "interrupt", "take-over"];

/** Says "half " to each question and goes on once its gate opens; its calls are the questions. */
function gated() {
  const asked: string[] = [];
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const gate = (question: string): PromiseWithResolvers<void> => {
    const known = gates.get(question) ?? Promise.withResolvers<void>();
    gates.set(question, known);
    return known;
  };
  const model: Model = async function* ({ messages }) {
    const question = String(messages.at(-1)?.content);
    asked.push(question);
    yield { type: "text", text: "half " };
    await gate(question).promise;
    yield { type: "text", text: "and half" };
  };
  return { asked, model, open: (question: string) => gate(question).resolve() };
}

const streaming = { accept: "text/event-stream" };

/** The reader of a stream of an answer, once the stream has its first text. */
async function listen(
  here: Pick<Serving, "server">,
  device: string,
  body: object,
  headers = {},
): Promise<() => Promise<string>> {
  const request = requestOf("POST", "/v1/chat", { device, body, headers: { ...streaming, ...headers } });
  const response = await here.server.fetch(request);
  const reader = (response.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  let heard = "";
  const more = async (): Promise<boolean> => {
    const { value, done } = await reader.read();
    heard += value ?? "";
    return !done;
  };
  while (!heard.includes("half ")) assert(await more(), heard);
  return async () => {
    while (await more());
    return heard;
  };
}

function textOf(stream: string): string {
  const events = eventsOf(stream);
  assert.equal(events.at(-1)?.event, "done", stream);
  return events.map(({ event, data }) => (event === "text" ? String(data["text"]) : "")).join("");
}

async function sessionOf(here: Serving, device: string): Promise<Session> {
  return (await here.sessions.devices.find(device)) ?? assert.fail("the device has no session");
}

for (const busy of policies) {
  test(`a retry of the message that is being answered follows that answer as it runs, busy: ${busy ?? "default"}`, async () => {
    const { asked, model, open } = gated();
    await using here = serve({ model });
    const elsewhere = createServer({
      sessions: sessionsOn(coreOf(here.sessions).store, { model, secret: "a secret for tests only" }),
    });
    const device = randomUUID();
    const headers = { "idempotency-key": "k" };
    const body = { message: "one", ...(busy === undefined ? {} : { busy }) };
    const first = await listen(here, device, body, headers);
    // Each of them has the beginning while the answer runs.
    const again = [
      await listen(here, device, body, headers),
      await listen({ server: elsewhere }, device, body, headers),
    ];
    const json = here.call("POST", "/v1/chat", { device, body, headers });
    const reused = await here.call("POST", "/v1/chat", { device, body: { ...body, message: "other" }, headers });
    assertProblem(reused, 422, "key_reused");
    open("one");
    for (const rest of [first, ...again]) assert.equal(textOf(await rest()), "half and half");
    assert.equal((await json).json.text, "half and half");
    assert.deepEqual(asked, ["one"]);
    await elsewhere.stop();
  });
}

test("by default a message of a device stops its running answer, and keeps what was said", async () => {
  const { model, open } = gated();
  await using here = serve({ model });
  const device = randomUUID();
  const first = await listen(here, device, { message: "one" });
  open("two");
  const second = await here.call("POST", "/v1/chat", { device, body: { message: "two" } });
  assert.deepEqual([second.status, second.json.text], [200, "half and half"]);
  const stopped = eventsOf(await first()).at(-1);
  assert.deepEqual([stopped?.event, stopped?.data["code"]], ["error", "interrupted"]);
  const turns = await Array.fromAsync((await sessionOf(here, device)).turns());
  assert.deepEqual(
    turns.map(({ status, output }) => [status, output[0]?.content]),
    [
      ["interrupted", "half "],
      ["done", "half and half"],
    ],
  );
});

test("the policy of the options and that of the message come before the default of devices", async () => {
  const { model, open } = gated();
  await using here = serve({ model });
  const sessions = sessionsOn(coreOf(here.sessions).store, {
    model,
    secret: "a secret for tests only",
    busy: "reject",
  });
  const strict = createServer({ sessions });
  const device = randomUUID();
  const first = await listen(here, device, { message: "one" });
  assertProblem(await callOn(strict, "POST", "/v1/chat", { device, body: { message: "two" } }), 409, "busy");
  const refused = await here.call("POST", "/v1/chat", { device, body: { message: "two", busy: "reject" } });
  assertProblem(refused, 409, "busy");
  const opened = await sessions.devices.open(device);
  await assert.rejects(opened.consult("two"), { code: "busy" });
  open("one");
  assert.equal(textOf(await first()), "half and half");
  await strict.stop();
});

test("in the library too a session that a device opened lets a message stop the running answer, and others refuse it", async () => {
  const { model, open } = gated();
  await using here = serve({ model });
  const device = randomUUID();
  const opened = await here.sessions.devices.open(device);
  const first = await opened.consult("one");
  const other = await here.sessions.get(opened.id);
  await assert.rejects(other.consult("two"), { code: "busy" });
  open("two");
  const second = await (await here.sessions.devices.open(device)).consult("two");
  assert.equal(await second.text(), "half and half");
  await assert.rejects(first.done, { code: "interrupted" });
});

test("a retry that waits beside its first try does not stop the answer to it", async () => {
  const { asked, model, open } = gated();
  await using here = serve({ model });
  const device = randomUUID();
  const running = await listen(here, device, { message: "one" });
  const session = await sessionOf(here, device);
  // The session's lease is free again once "one" has stopped; until then both wait.
  const body = { message: "two" };
  const headers = { "idempotency-key": "k" };
  const both = [1, 2].map(() => here.call("POST", "/v1/chat", { device, body, headers }));
  assert.match(await running(), /interrupted/);
  while (!asked.includes("two")) await setImmediate();
  while ((await session.refresh()).waiting > 0) await setImmediate();
  open("two");
  for (const { status, json } of await Promise.all(both)) assert.deepEqual([status, json.text], [200, "half and half"]);
  assert.deepEqual(asked, ["one", "two"]);
});

test("a late retry of a stopped message gets its error, and does not stop the answer that runs", async () => {
  const { model, open } = gated();
  await using here = serve({ model });
  const device = randomUUID();
  const headers = { "idempotency-key": "k" };
  const first = await listen(here, device, { message: "one" }, headers);
  const second = await listen(here, device, { message: "two" });
  await first();
  const late = await here.call("POST", "/v1/chat", { device, body: { message: "one" }, headers });
  assertProblem(late, 499, "interrupted");
  open("two");
  assert.equal(textOf(await second()), "half and half");
});

test("a session's retry with a key follows the running answer under each policy", async () => {
  for (const busy of policies) {
    const { asked, model, open } = gated();
    await using here = serve({ model });
    const key = await here.key("write");
    const { id } = await here.sessions.create();
    const ask = () =>
      here.call("POST", `/v1/sessions/${id}/consult`, {
        key,
        body: { message: "one", ...(busy === undefined ? {} : { busy }) },
        headers: { "idempotency-key": "k" },
      });
    const first = ask();
    while (asked.length === 0) await setImmediate();
    const again = ask();
    open("one");
    for (const { status, json } of await Promise.all([first, again]))
      assert.deepEqual([status, json.text], [200, "half and half"], busy);
    assert.equal(asked.length, 1);
  }
});
