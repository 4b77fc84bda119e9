/** Turns that wait for the approval of tool calls, over real HTTP. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { chat, connect, type RemoteSessions } from "../../src/client/index.ts";
import { systemClock } from "../../src/clock.ts";
import { createManager, type Model, type Tool } from "../../src/index.ts";
import { createServer, listen, type ServerOptions } from "../../src/server/index.ts";
import { sessionsOn, type Sessions } from "../../src/sessions/sessions.ts";
import { openMemory } from "../../src/store/memory.ts";

const device = "0b0f7c3e-9a54-4b0e-8f0a-1d2c3b4a5f60";

/** Calls the tool `send` once for each question, and answers with the result of the call. */
const model: Model = async function* caller({ messages }) {
  const last = messages.at(-1);
  if (last?.role === "tool") {
    yield { type: "text", text: `So: ${String(last.content)}` };
    return;
  }
  const call = { id: "call-1", function: { name: "send", arguments: '{"to":"eve"}' } };
  yield { type: "text", text: "Let me ask. " };
  yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
};

interface Place extends AsyncDisposable {
  readonly sessions: Sessions;
  readonly url: string;
  readonly runs: string[];
  readonly as: (right: "read" | "write") => Promise<RemoteSessions>;
}

async function place(options: Partial<ServerOptions> = {}): Promise<Place> {
  const sessions = sessionsOn(openMemory({ clock: systemClock }), {
    sweep: false,
    model,
    agents: { mail: { default: true } },
    secret: "a secret for tests only",
  });
  const runs: string[] = [];
  const send: Tool = {
    name: "send",
    description: "sends a mail",
    parameters: { type: "object", properties: { to: { type: "string" } } },
    approve: true,
    run: ({ to }) => {
      runs.push(String(to));
      return "sent";
    },
  };
  const manager = createManager({ sessions, tools: { mail: [send] } });
  const server = createServer({ sessions, converse: manager.send, approve: manager.approve, ...options });
  const listening = await listen(server, { port: 0 });
  return {
    sessions,
    runs,
    url: listening.url,
    async as(right) {
      const { token: key } = await sessions.keys.create({ name: right, right });
      return connect({ url: listening.url, key });
    },
    async [Symbol.asyncDispose]() {
      await listening.close(0);
      await sessions.close();
    },
  };
}

test("an operator finds the turn that waits, approves its call, and reads the rest of the answer as a stream", async () => {
  await using at = await place();
  const phone = chat({ url: at.url, device });
  const asked = await phone.say("mail eve");
  assert.equal(await asked.text(), "Let me ask. ");
  assert.equal((await asked.done).status, "waiting");
  assert.equal(await phone.running(), undefined);

  const operators = await at.as("write");
  const [info] = (await operators.list({ waiting: "approval" })).items;
  assert.ok(info);
  assert.deepEqual([info.waitingTurn?.turn, info.waitingTurn?.reason], [1, "approval"]);
  assert.equal((await operators.list({ waiting: "payment" })).items.length, 0);
  const session = await operators.get(info.id);
  const waiting = await session.waiting();
  assert.ok(waiting);
  assert.deepEqual(
    waiting.calls.map((call) => [call.id, call.function.arguments]),
    [["call-1", '{"to":"eve"}']],
  );
  await assert.rejects(session.append({ input: "q", output: "a" }), { code: "turn_waiting" });
  await assert.rejects(session.approve(waiting.token, {}), { code: "argument_invalid" });
  const answer = await session.approve(waiting.token, { "call-1": true });
  const events = await Array.fromAsync(answer.events());
  assert.deepEqual(
    events.map(({ type }) => type),
    ["tool_result", "text"],
  );
  const turn = await answer.done;
  assert.deepEqual([turn.seq, turn.status, at.runs], [1, "done", ["eve"]]);
  assert.equal(turn.output.at(-1)?.content, "So: sent");
  assert.equal(await session.waiting(), null);
  await assert.rejects(session.approve(waiting.token, { "call-1": true }), { code: "turn_not_waiting" });
  await session.append({ input: "q", output: "a" });
  assert.deepEqual(
    (await Array.fromAsync(phone.turns())).map(({ seq, status }) => [seq, status]),
    [
      [1, "done"],
      [2, "done"],
    ],
  );
});

test("a key that writes seals a turn that waits: with its token, once, and with an output of its own", async () => {
  await using at = await place();
  const writers = await at.as("write");
  const session = await writers.create({ id: "s" });
  const pause = async (): Promise<string> => {
    const turns = {
      turns: [{ input: "Refund it.", output: "Shall I?" }],
      wait: { state: { order: 7 }, reason: "payment" },
    };
    const paused = await session.write({ turns });
    assert.ok(paused.status === "ok" && paused.waiting !== undefined);
    return paused.waiting.token;
  };
  const token = await pause();
  await assert.rejects(session.sealWaiting("other"), { code: "turn_not_waiting" });
  await assert.rejects(session.sealWaiting(token, { steps: [7] } as object), { code: "argument_invalid" });
  await assert.rejects(session.sealWaiting(token, { until: "1h" } as object), { code: "request_invalid" });
  const usage = { inputTokens: 4, outputTokens: 3, totalTokens: 7 };
  const output = [{ role: "assistant", content: "It is on its way." }] as const;
  const sealed = await session.sealWaiting(token, {
    output,
    usage,
    requests: 2,
    model: "m",
    steps: [{ usage, durationMs: 5 }],
  });
  assert.deepEqual(
    [sealed.seq, sealed.status, sealed.output, sealed.usage?.totalTokens, sealed.model],
    [1, "done", output, 7, "m"],
  );
  assert.deepEqual(await Array.fromAsync(session.turns()), [sealed]);
  await assert.rejects(session.sealWaiting(token), { code: "turn_not_waiting" });
  await session.append({ input: "q", output: "a" }); // the sealed turn counts as seen
  const asItIs = await session.sealWaiting(await pause());
  assert.equal(asItIs.output[0]?.content, "Shall I?");
  const reader = await (await at.as("read")).get("s");
  await assert.rejects(reader.sealWaiting(await pause()), { code: "key_forbidden" });
});

test("a key that only reads sees that a turn waits, and neither its token nor its state", async () => {
  await using at = await place();
  await (
    await chat({ url: at.url, device }).say("mail eve")
  ).done;
  const readers = await at.as("read");
  const [info] = (await readers.list({ waiting: true })).items;
  assert.ok(info);
  const session = await readers.get(info.id);
  const { token } = (await (await at.sessions.get(info.id)).waiting())!;
  assert.equal(JSON.stringify([info, await Array.fromAsync(session.turns())]).includes(token), false);
  await assert.rejects(session.waiting(), { code: "key_forbidden" });
  await assert.rejects(session.approve(token, { "call-1": true }), { code: "key_forbidden" });
});

test("a device decides on the calls of its own chat if the server says so, and otherwise not", async () => {
  await using closed = await place();
  const phone = chat({ url: closed.url, device });
  await (
    await phone.say("mail eve")
  ).done;
  await assert.rejects(phone.waiting(), { code: "key_forbidden" });
  await assert.rejects(phone.approve("token", { "call-1": true }), { code: "key_forbidden" });
  assert.deepEqual(closed.runs, []);

  await using open = await place({ deviceApprovals: true });
  const laptop = chat({ url: open.url, device });
  assert.equal(await laptop.waiting(), null);
  await (
    await laptop.say("mail eve")
  ).done;
  const waiting = await laptop.waiting();
  assert.ok(waiting);
  assert.equal(waiting.state, null);
  const other = chat({ url: open.url, device: "5d9a3f40-0c6e-4f0d-9a2b-7e8f9a0b1c2d" });
  await (
    await other.say("mail ada")
  ).done;
  await assert.rejects(other.approve(waiting.token, { "call-1": true }), { code: "turn_not_waiting" });
  const refused = await laptop.approve(waiting.token, { "call-1": { refused: "not now" } });
  const turn = await refused.done;
  assert.equal(turn.status, "done");
  assert.deepEqual(open.runs, []);
  const result = turn.output.find(({ role }) => role === "tool");
  assert.equal(result?.content, "Error", "a device reads no text of a failed call");
  const reply = await (await laptop.say("another")).done;
  assert.equal(reply.status, "waiting");
  assert.equal(await laptop.cancel(), true);
  assert.equal(await laptop.waiting(), null);
});

test("a device decides on the calls of one of its conversations, if the server says so", async () => {
  await using closed = await place();
  const refused = await chat({ url: closed.url, device }).conversations.create();
  await assert.rejects(refused.waiting(), { code: "key_forbidden" });
  await assert.rejects(refused.approve("token", { "call-1": true }), { code: "key_forbidden" });

  await using open = await place({ deviceApprovals: true });
  const mine = chat({ url: open.url, device }).conversations;
  const [asked, other] = [await mine.create(), await mine.create()];
  assert.equal(await asked.waiting(), null);
  await (
    await asked.say("mail eve")
  ).done;
  const waiting = await asked.waiting();
  assert.ok(waiting);
  assert.equal(await other.waiting(), null);
  await assert.rejects(other.approve(waiting.token, { "call-1": true }), { code: "turn_not_waiting" });
  const { status } = await (await asked.approve(waiting.token, { "call-1": true })).done;
  assert.deepEqual([status, open.runs.length], ["done", 1]);
  const [turn] = await Array.fromAsync(asked.turns());
  assert.equal(turn?.status, "done");
});

test("a message of a device interrupts the turn that waits, and a wait is a JSON answer with its status", async () => {
  await using at = await place();
  const post = async (message: string): Promise<{ text: string; turn: { seq: number; status: string } }> => {
    const headers = { "content-type": "application/json", "x-device-id": device };
    const response = await fetch(`${at.url}/v1/chat`, { method: "POST", headers, body: JSON.stringify({ message }) });
    assert.equal(response.status, 200);
    return (await response.json()) as { text: string; turn: { seq: number; status: string } };
  };
  const first = await post("mail eve");
  assert.deepEqual([first.text, first.turn.status], ["Let me ask. ", "waiting"]);
  const second = await post("mail ada");
  assert.deepEqual([second.turn.seq, second.turn.status], [2, "waiting"]);
  const [turn] = await Array.fromAsync(chat({ url: at.url, device }).turns());
  assert.equal(turn?.status, "interrupted");
});

test("the rest of an answer whose stream broke goes on after the last event that its reader got", async () => {
  await using at = await place({ deviceApprovals: true });
  const phone = chat({ url: at.url, device });
  await (
    await phone.say("mail eve")
  ).done;
  const waiting = await phone.waiting();
  assert.ok(waiting);
  const stream = async (path: string, init: RequestInit): Promise<{ id: string; event: string; data: string }[]> => {
    const headers = { accept: "text/event-stream", "x-device-id": device, ...init.headers };
    const response = await fetch(`${at.url}${path}`, { ...init, headers });
    assert.equal(response.status, 200, await response.clone().text());
    return (await response.text())
      .split("\n\n")
      .filter((block) => block.includes("event:"))
      .map((block) => {
        const field = (name: string): string => new RegExp(`^${name}: ?(.*)$`, "m").exec(block)?.[1] ?? "";
        return { id: field("id"), event: field("event"), data: field("data") };
      });
  };
  const body = JSON.stringify({ token: waiting.token, decisions: { "call-1": true } });
  const headers = { "content-type": "application/json" };
  const whole = await stream("/v1/chat/approve", { method: "POST", headers, body });
  assert.deepEqual(
    whole.map(({ event }) => event),
    ["turn", "tool_result", "text", "done"],
  );
  const [, result] = whole;
  const rest = await stream("/v1/chat/stream", { headers: { "last-event-id": result!.id } });
  assert.deepEqual(
    rest.map(({ event, data }) => [event, event === "text" ? data : ""]),
    [
      ["text", '{"text":"So: sent"}'],
      ["done", ""],
    ],
  );
});
