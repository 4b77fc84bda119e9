/** A serverless host freezes a function whose connection is closed, unless its context is told to wait. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import type { Model } from "../../src/index.ts";
import { assertProblem, eventsOf, requestOf, serve } from "./serving.ts";

/** The context of a request of Workers: its method needs its object. */
class FakeContext {
  readonly #work: Promise<unknown>[] = [];
  waitUntil(work: Promise<unknown>): void {
    this.#work.push(work);
  }

  /** Settles once all work has, also what is added meanwhile. */
  async settled(): Promise<void> {
    for (let index = 0; index < this.#work.length; index++) await this.#work[index];
  }
}

test("an answer whose connection is closed is handed to the host, and its turn is sealed when that ends", async () => {
  let gate = Promise.withResolvers<void>();
  const model: Model = async function* () {
    yield { type: "text", text: "one " };
    await gate.promise;
    yield { type: "text", text: "two" };
  };
  await using here = serve({ model });
  const key = await here.key("write");
  await here.sessions.ensure("s");
  const device = randomUUID();
  const headers = { accept: "text/event-stream" };
  for (const [path, who] of [
    ["/v1/chat", { device }],
    ["/v1/sessions/s/consult", { key }],
  ] as const) {
    gate = Promise.withResolvers();
    const context = new FakeContext();
    const request = requestOf("POST", path, { ...who, body: { message: "q" }, headers });
    const response = await here.server.fetch(request, undefined, context);
    await response.body?.cancel();
    let isOver = false;
    const over = context.settled().then(() => (isOver = true));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isOver, false, `${path}: the answer still runs`);
    gate.resolve();
    await over;
    const read = await here.call("GET", path === "/v1/chat" ? "/v1/chat/turns" : "/v1/sessions/s/turns", who);
    const [turn] = read.json.items;
    assert.deepEqual([turn.status, turn.output], ["done", [{ role: "assistant", content: "one two" }]], path);
  }
});

test("what is handed to the host never rejects, and a host without a context is no error", async () => {
  const broken: Model = async function* () {
    yield { type: "text", text: "one " };
    throw new Error("away");
  };
  await using here = serve({ model: broken });
  const device = randomUUID();
  const context = new FakeContext();
  const refused = await here.server.fetch(requestOf("GET", "/v1/chat/session", { device }), undefined, context);
  assert.equal(refused.status, 404);
  const call = { device, body: { message: "q" }, headers: { accept: "text/event-stream" } };
  const response = await here.server.fetch(requestOf("POST", "/v1/chat", call), undefined, context);
  assert.equal(eventsOf(await response.text()).at(-1)?.event, "error");
  await context.settled();
  assertProblem(await here.call("POST", "/v1/chat", { device, body: { message: "again" } }), 502, "model_failed");
});
