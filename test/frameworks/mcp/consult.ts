/** Questions over HTTP: answers that a client waits for, and answers as tasks. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as tick } from "node:timers/promises";
import { createManager, type Model, type Session, type Sessions, type Tool, type Turn } from "../../../src/index.ts";
import { inMemory } from "../../support/in-memory.ts";
import { call, post, posted, problemIn, serving, taskIn, withTasks, type Structured } from "./serving.ts";

/** A model that says what its test feeds it. */
function fed(): {
  readonly model: Model;
  readonly say: (text: string) => void;
  readonly end: () => void;
  readonly calls: () => number;
} {
  let calls = 0;
  const texts: string[] = [];
  let isOver = false;
  const model: Model = async function* ({ signal }) {
    calls++;
    for (let at = 0; !isOver || at < texts.length;) {
      signal.throwIfAborted();
      const text = texts[at];
      if (text === undefined) await tick();
      else {
        at++;
        yield { type: "text", text };
      }
    }
  };
  return { model, say: (text) => void texts.push(text), end: () => void (isOver = true), calls: () => calls };
}

async function turnsOf(sessions: Sessions, id = "s"): Promise<Turn[]> {
  return await Array.fromAsync((await sessions.get(id)).turns());
}

async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await check())) await tick();
}

const asked = { session: "s", key: "k", message: "Count", create: {} };
const consult = { name: "session_consult", arguments: asked };

test("a client that waits gets the text as progress; one that leaves stops the answer, and its key asks again in the same turn", async () => {
  await using place = inMemory();
  const { model, say, end, calls } = fed();
  await using server = await serving(place.another({ model }));
  const client = await server.client();
  const left = new AbortController();
  const pieces: string[] = [];
  const waiting = client.callTool(consult, {
    signal: left.signal,
    onprogress: ({ message }) => void pieces.push(message ?? ""),
  });
  say("one ");
  say("two ");
  await until(() => pieces.join("") === "one two ");
  left.abort();
  await assert.rejects(waiting);
  await until(async () => (await turnsOf(place.sessions))[0]?.status === "interrupted");
  assert.equal((await turnsOf(place.sessions))[0]?.output[0]?.content, "one two ");
  say("three.");
  end();
  assert.equal((await call(client, "session_consult", asked)).text, "one two three.");
  assert.equal(calls(), 2);
  assert.equal((await turnsOf(place.sessions)).length, 1);
});

test("an answer that was stopped after a tool ran is not asked again: its key gives the error, with what stands", async () => {
  await using place = inMemory();
  const left = new AbortController();
  const look: Tool = {
    name: "look",
    description: "Looks.",
    parameters: { type: "object" },
    run: () => "seen",
  };
  const model: Model = async function* ({ messages, signal }) {
    const hasLooked = messages.at(-1)?.role === "tool";
    if (hasLooked) {
      yield { type: "text", text: "I see " };
      left.abort();
      while (!signal.aborted) await tick();
      signal.throwIfAborted();
    }
    const call = { id: "call_1", type: "function" as const, function: { name: "look", arguments: "{}" } };
    yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
  };
  const sessions = place.another({ model, agents: { assistant: {} } });
  const { send } = createManager({ sessions, tools: { assistant: [look] } });
  await using server = await serving(sessions, { converse: send });
  const client = await server.client();
  await assert.rejects(client.callTool(consult, { signal: left.signal, onprogress: () => undefined }));
  await until(async () => (await turnsOf(place.sessions))[0]?.status === "interrupted");
  const again = await client.callTool(consult);
  assert.equal(problemIn(again).code, "interrupted");
  const { text, status } = again.structuredContent as Structured;
  assert.deepEqual([text, status], ["I see ", "interrupted"]);
});

test("the same key after a connection that broke is one turn and one call of the model: while it runs, and when it has ended", async () => {
  await using place = inMemory();
  const { model, say, end, calls } = fed();
  await using server = await serving(place.another({ model }));
  await using second = await serving(place.another({ model }));
  let isBroken = true;
  const client = await server.client({
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      if (!isBroken || !String(init?.body).includes("session_consult")) return response;
      // The response is lost on its way, when the answer is stored.
      await response.text();
      throw new TypeError("fetch failed");
    },
  });
  const lost = client.callTool(consult);
  await until(() => calls() === 1);
  const other = await second.client();
  const meanwhile = call(other, "session_consult", asked);
  say("One.");
  end();
  await assert.rejects(lost);
  isBroken = false;
  const again = await call(client, "session_consult", asked);
  assert.deepEqual(await meanwhile, again);
  assert.equal(again.text, "One.");
  assert.equal(calls(), 1);
  assert.equal((await turnsOf(place.sessions)).length, 1);
});

test("a task is durable before it is answered, outlives its client, and any server answers for it", async () => {
  await using place = inMemory();
  const { model, say, end, calls } = fed();
  await using server = await serving(place.another({ model }));
  await using second = await serving(place.another());
  const left = new AbortController();
  const created = await posted(server.url, "tools/call", consult, { signal: left.signal });
  left.abort();
  assert.deepEqual([created.resultType, created.status], ["task", "working"]);
  assert.equal((await turnsOf(place.sessions))[0]?.status, "open");
  const { taskId } = created;
  assert.match(taskId, /^s\/1\/[\w-]{16}$/);
  assert.equal((await posted(second.url, "tasks/get", { taskId })).status, "working");
  const again = await posted(server.url, "tools/call", consult);
  assert.equal(again.taskId, taskId, "the same key is the same task");
  say("Three.");
  end();
  const done = await taskIn(second.url, taskId, "completed");
  assert.deepEqual(done.result.structuredContent.text, "Three.");
  const waited = await post(server.url, "tools/call", consult, { capabilities: {} });
  const { content, structuredContent } = waited.result;
  assert.deepEqual(done.result, { content, structuredContent }, "as a client without tasks gets it");
  assert.equal(calls(), 1);
});

test("a cancelled task keeps what had arrived, and a task that failed is completed with an error", async () => {
  await using place = inMemory();
  const { model, say } = fed();
  const failing: Model = async function* () {
    yield { type: "text", text: "Half" };
    throw new Error("the endpoint is away");
  };
  await using server = await serving(place.another({ model }));
  await using second = await serving(place.another({ model: failing }));
  const { taskId } = await posted(server.url, "tools/call", consult);
  say("one ");
  await until(async () => (await (await place.sessions.get("s")).running()) !== undefined);
  assert.deepEqual((await posted(second.url, "tasks/cancel", { taskId })).resultType, "complete");
  const cancelled = await taskIn(second.url, taskId, "cancelled");
  assert.equal(cancelled.result, undefined);
  assert.equal((await turnsOf(place.sessions))[0]?.status, "interrupted");
  await posted(server.url, "tasks/cancel", { taskId });
  const broken = { name: "session_consult", arguments: { ...asked, key: "k2" } };
  const failed = await posted(second.url, "tools/call", broken);
  const { result } = await taskIn(server.url, failed.taskId, "completed");
  assert.equal(problemIn(result).code, "model_failed");
  assert.deepEqual([result.structuredContent.status, result.structuredContent.text], ["failed", "Half"]);
});

test("a task is unknown to other tenants, without its session, its turn or its key, and to clients that take no tasks", async () => {
  await using place = inMemory();
  const model: Model = async function* () {
    yield { type: "text", text: "Yes." };
  };
  const sessions = place.another({ model });
  await using server = await serving(sessions, { keys: [] });
  const key = async (right: "read" | "write", tenant = "default"): Promise<string> =>
    (await sessions.keys.create({ name: "k", right, tenant })).token;
  const [write, read, other] = [await key("write"), await key("read"), await key("write", "other")];
  const { taskId } = await posted(server.url, "tools/call", consult, { key: write });
  assert.equal((await taskIn(server.url, taskId, "completed", read)).status, "completed");
  const codeOf = async (method: string, id: string, how: Parameters<typeof post>[3]): Promise<number | undefined> =>
    (await post(server.url, method, { taskId: id }, how)).error?.code;
  for (const method of ["tasks/get", "tasks/cancel", "tasks/update"]) {
    assert.equal(await codeOf(method, taskId, { key: other }), -32602, `${method} of another tenant`);
    assert.equal(await codeOf(method, taskId, { key: write, capabilities: {} }), -32021, `${method} without tasks`);
    for (const id of [
      "",
      "s",
      "s/1",
      "s/2/aaaaaaaaaaaaaaaa",
      "s/1/aaaaaaaaaaaaaaaa",
      "%/1/aaaaaaaaaaaaaaaa",
      "t/1/x",
      "../1/aaaaaaaaaaaaaaaa",
    ])
      assert.equal(await codeOf(method, id, { key: write }), -32602, `${method} of ${id}`);
  }
  assert.equal(await codeOf("tasks/cancel", taskId, { key: read }), -32602, "a key that only reads cancels nothing");
  const listen = { notifications: { taskIds: [taskId] } };
  const { error } = await post(server.url, "subscriptions/listen", listen, { key: write, capabilities: {} });
  assert.equal(error?.code, -32021, "news of tasks without tasks");
  const session = await place.sessions.get("s");
  await session.truncate(0);
  await session.append({ input: "another turn" }, { key: "other" });
  assert.equal(await codeOf("tasks/get", taskId, { key: write }), -32602, "another turn has its number");
});

const refund: Tool = {
  name: "refund",
  description: "Pays money back.",
  parameters: { type: "object", properties: { euros: { type: "number" } } },
  approve: true,
  run: ({ euros }) => `${String(euros)} euros paid`,
};

/** A model that calls the tool, then says what came of it. */
const cautious: Model = async function* ({ messages }) {
  const results = messages
    .slice(messages.findLastIndex(({ role }) => role === "user"))
    .filter(({ role }) => role === "tool");
  if (results.length > 0) {
    yield { type: "text", text: results.map(({ content }) => String(content)).join(", ") };
    return;
  }
  const calls = [5, 7].map((euros) => ({
    id: `call_${euros}`,
    type: "function" as const,
    function: { name: "refund", arguments: `{"euros":${euros}}` },
  }));
  yield { type: "message", message: { role: "assistant", content: null, tool_calls: calls } };
};

/** A server whose agents run tools. */
function withRefunds(sessions: Sessions): Parameters<typeof serving>[1] {
  const manager = createManager({ sessions, tools: { support: [refund] } });
  return { converse: manager.send, approve: manager.approve };
}

const support = { model: cautious, agents: { support: {} } };
const wanted = { name: "session_consult", arguments: { ...asked, create: { agent: "support" } } };

test("a task asks the user of its client before a tool runs, and another server takes the decision", async () => {
  await using place = inMemory();
  const [one, two] = [place.another(support), place.another(support)];
  await using server = await serving(one, withRefunds(one));
  await using second = await serving(two, withRefunds(two));
  const { taskId } = await posted(server.url, "tools/call", wanted);
  const { inputRequests } = await taskIn(second.url, taskId, "input_required");
  const [[name, request]] = Object.entries(inputRequests) as [[string, Structured]];
  assert.equal(request.method, "elicitation/create");
  assert.deepEqual(Object.keys(request.params.requestedSchema.properties), ["call_5", "call_7"]);
  const { token } = (await (await place.sessions.get("s")).waiting())!;
  assert(!JSON.stringify(inputRequests).includes(token), "the token is a secret");
  // A response to no request of the server changes nothing.
  await posted(second.url, "tasks/update", { taskId, inputResponses: { other: { action: "accept", content: {} } } });
  assert.equal((await posted(server.url, "tasks/get", { taskId })).status, "input_required");
  const inputResponses = { [name]: { action: "accept", content: { call_5: true, call_7: false } } };
  await posted(second.url, "tasks/update", { taskId, inputResponses });
  // A client that sends it again is acknowledged too.
  await posted(second.url, "tasks/update", { taskId, inputResponses });
  const { result } = await taskIn(server.url, taskId, "completed");
  assert.match(result.structuredContent.text, /^5 euros paid, .*the user refused it/);
  assert.equal((await turnsOf(place.sessions)).length, 1);
});

test("a client without tasks asks its user too, where it can; else it gets the calls that wait", async () => {
  await using place = inMemory();
  const sessions = place.another(support);
  await using server = await serving(sessions, withRefunds(sessions));
  const silent = await server.client();
  const waits = await call(silent, "session_consult", wanted.arguments);
  assert.deepEqual(
    [waits.status, waits.waiting.reason, waits.waiting.calls.map(({ id }: { id: string }) => id)],
    ["waiting", "approval", ["call_5", "call_7"]],
  );
  const client = await server.client({ capabilities: { elicitation: { form: {} } } });
  const forms: string[] = [];
  client.setRequestHandler("elicitation/create", ({ params }) => {
    forms.push(params.message);
    return { action: "accept", content: { call_5: true, call_7: true } };
  });
  const answer = await call(client, "session_consult", wanted.arguments);
  assert.equal(answer.text, "5 euros paid, 7 euros paid");
  assert.deepEqual(forms, ['The agent asks to run refund({"euros":5}), refund({"euros":7}). Approve?']);
  assert.equal((await turnsOf(place.sessions)).length, 1, "the same key, the same turn");
});

test("a turn that waits in vain ends its task", async () => {
  await using place = inMemory();
  await using server = await serving(place.another({ model: fed().model }));
  const session: Session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("Count", { key: "k" });
  await turn.wait({ state: null, reason: "mail", expires: "1m" });
  const { taskId } = await posted(server.url, "tools/call", consult, { capabilities: withTasks });
  const waits = await posted(server.url, "tasks/get", { taskId });
  assert.deepEqual([waits.status, waits.statusMessage], ["working", "The turn waits: mail"]);
  await place.clock.advance(61_000);
  const { result } = await taskIn(server.url, taskId, "completed");
  assert.equal(problemIn(result).code, "interrupted");
});
