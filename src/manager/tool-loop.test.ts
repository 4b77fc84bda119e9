import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import { modelOfSteps as scripted, textEvent as text, usageEvent as counted } from "../../test/support/model-steps.ts";
import type { Message, ToolCall } from "../domain/turns/turn.ts";
import { defined } from "../domain/values/defined.ts";
import type { Model, ModelEvent } from "../sessions/options/model.ts";
import type { Session } from "../sessions/session/session.ts";
import { createManager } from "./manager.ts";
import type { Tool } from "./tool.ts";
import { withTools } from "./tool-loop.ts";

function callsFor(...wanted: readonly (readonly [id: string, name: string, args: string])[]): ModelEvent {
  const calls = wanted.map(([id, name, args]): ToolCall => ({ id, function: { name, arguments: args } }));
  return { type: "message", message: { role: "assistant", content: null, tool_calls: calls } };
}
const parameters = { type: "object", properties: {} };
function tool(name: string, run: Tool["run"], rest: Partial<Tool> = {}): Tool {
  return { name, description: `does ${name}`, parameters, run, ...rest };
}

/** The results that the model read, by call. */
function results(messages: readonly Message[]): Record<string, unknown> {
  const read = messages.filter(({ role }) => role === "tool");
  return Object.fromEntries(read.map(({ tool_call_id: id = "", content }) => [id, content]));
}

async function ask(
  session: Session,
  model: Model,
  tools: readonly Tool[],
  stepsMax = 10,
): ReturnType<Session["consult"]> {
  return await session.consult("go", { key: "k", model: withTools(model, tools, { session, stepsMax }) });
}

test("calls and results are messages of the turn, in order; calls of the model and tokens add up", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", agent: "a" });
  const { model, requests } = scripted(
    [text("Let me see. "), callsFor(["1", "add", '{"a":1,"b":2}'], ["2", "who", ""]), counted(10, 5)],
    [callsFor(["1", "add", '{"a":3,"b":4}']), counted(20, 5)],
    [text("Seven."), counted(30, 2)],
  );
  const seen: unknown[] = [];
  const tools = [
    tool("add", ({ a, b }) => ({ sum: Number(a) + Number(b) })),
    tool("who", (args, { session: of, agent, callId }) => {
      seen.push([args, of.id, agent, callId]);
      return Promise.resolve("you");
    }),
  ];
  const turn = await (await ask(session, model, tools)).done;
  const shape = turn.output.map(({ role, content, tool_calls: calls }) => [role, content, calls?.map(({ id }) => id)]);
  assert.deepEqual(shape, [
    ["assistant", "Let me see. ", ["1", "2"]],
    ["tool", '{"sum":3}', undefined],
    ["tool", "you", undefined],
    ["assistant", null, ["1"]],
    ["tool", '{"sum":7}', undefined],
    ["assistant", "Seven.", undefined],
  ]);
  assert.deepEqual(seen, [[{}, "s", "a", "2"]]);
  assert.equal(turn.requests, 3);
  assert.deepEqual(turn.usage, { inputTokens: 60, outputTokens: 12, totalTokens: 72 });
  assert.deepEqual(
    requests.map(({ messages }) => messages.length),
    [1, 4, 6],
  );
  const shown = JSON.parse(
    JSON.stringify(turn.output.slice(0, 5)).replace('"arguments":""', '"arguments":"{}"'),
  ) as Message[];
  assert.deepEqual(requests[2]?.messages.slice(1), shown, "the model reads what is kept");
  assert.deepEqual(requests[0]?.tools, [
    { name: "add", description: "does add", parameters },
    { name: "who", description: "does who", parameters },
  ]);
  const { counters } = await session.refresh();
  assert.deepEqual([counters.requests, counters.totalTokens, counters.messages], [3, 72, 7]);
  const [kept] = await Array.fromAsync(session.turns());
  assert.deepEqual(kept, turn);
});

test("estimated usage of a step marks the sum as estimated", async () => {
  await using place = inMemory();
  const session = await place.sessions.create();
  const { model } = scripted([callsFor(["1", "f", "{}"])], [text("done"), counted(100, 1)]);
  const { usage } = await (await ask(session, model, [tool("f", () => "")])).done;
  assert.equal(usage?.estimated, true);
  assert(usage.totalTokens > 101);
});

test("a failure of a tool is a marked result that the model reads, and does not end the turn", async () => {
  await using place = inMemory();
  const session = await place.sessions.create();
  let aborted: unknown;
  const { model, requests } = scripted(
    [
      callsFor(
        ["throws", "throws", "{}"],
        ["rejects", "rejects", "{}"],
        ["unknown", "nothing", "{}"],
        ["text", "fine", "not json"],
        ["list", "fine", "[1]"],
        ["null", "fine", "null"],
        ["hangs", "hangs", "{}"],
        ["circle", "circle", "{}"],
        ["fine", "fine", '{"__proto__":1}'],
      ),
    ],
    [text("ok")],
  );
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  const turn = await (
    await ask(session, model, [
      tool("throws", () => {
        throw new Error("no ink");
      }),
      tool("rejects", () => Promise.reject(new Error("x".repeat(5000)))),
      tool(
        "hangs",
        (_args, { signal }) => {
          signal.addEventListener("abort", () => (aborted = signal.reason));
          return new Promise(() => undefined);
        },
        { timeout: 20 },
      ),
      tool("circle", () => circle),
      tool("fine", (args) => Object.keys(args).join()),
    ])
  ).done;
  const read = results(requests[1]?.messages ?? []);
  assert.equal(turn.status, "done");
  assert.equal(read["throws"], "Error: no ink");
  assert.equal(String(read["rejects"]).length, "Error: ".length + 1000 + 1);
  assert.match(String(read["unknown"]), /^Error: there is no tool "nothing"; known: throws, rejects/);
  assert.match(String(read["text"]), /^Error: the arguments are not JSON/);
  assert.match(String(read["list"]), /^Error: the arguments are an array; expected an object/);
  assert.match(String(read["null"]), /^Error: the arguments are null/);
  assert.match(String(read["hangs"]), /^Error: nothing came for 20 ms/);
  assert.equal((aborted as DOMException).name, "TimeoutError");
  assert.equal(read["circle"], "The call is done, but its result cannot be shown.");
  assert.equal(read["fine"], "__proto__");
  const marked = turn.output.filter(({ is_error: isError }) => isError === true).map(({ tool_call_id: id }) => id);
  assert.deepEqual(marked, ["throws", "rejects", "unknown", "text", "list", "null", "hangs"]);
});

test("a result is cut after 64 KiB, between characters", async () => {
  await using place = inMemory();
  const session = await place.sessions.create();
  const { model, requests } = scripted([callsFor(["1", "long", "{}"])], []);
  await (
    await ask(session, model, [tool("long", () => "€".repeat(1_000_000))])
  ).done;
  const content = String(results(requests[1]?.messages ?? [])["1"]);
  assert.equal(content, `${"€".repeat(Math.floor(65_536 / 3))}\n[cut: the first 65536 of 3000000 bytes]`);
});

test("pictures and files of a tool are stored as they are, the model sees them, and 64 KiB are no limit for them", async () => {
  await using place = inMemory();
  const session = await place.sessions.create();
  const picture = {
    type: "image_url",
    image_url: { url: `data:image/png;base64,${"A".repeat(200_000)}`, detail: "low" },
  };
  const file = { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AAAA" } };
  const parts = [{ type: "text", text: "a chart" }, picture, file];
  const { model, requests } = scripted([callsFor(["1", "draw", "{}"], ["2", "say", "{}"])], [text("A chart.")]);
  const turn = await (
    await ask(session, model, [tool("draw", () => parts), tool("say", () => [{ type: "text", text: "x" }])])
  ).done;
  assert.deepEqual(turn.output[1], { role: "tool", tool_call_id: "1", content: parts });
  assert.equal(turn.output[2]?.content, "x");
  const shown = requests[1]?.messages ?? [];
  assert.deepEqual(
    shown.map(({ role }) => role),
    ["user", "assistant", "tool", "tool", "assistant", "user"],
  );
  assert.match(String(shown[2]?.content), /^a chart\n\(a picture follows .*\)\n\(a file follows/);
  assert.deepEqual(shown.at(-1)?.content, [{ type: "text", text: "[Result of the tool call 1]" }, picture, file]);
  const [kept] = await Array.fromAsync(session.turns());
  assert.deepEqual(kept, turn);
});

test("pictures over 4 MiB are left out of a result with a text that says so, and its text is cut", async () => {
  await using place = inMemory();
  const session = await place.sessions.create();
  const picture = (length: number): unknown => ({ type: "image_url", image_url: { url: "A".repeat(length) } });
  const parts = [{ type: "text", text: "b".repeat(70_000) }, picture(3_000_000), picture(2_000_000)];
  const { model } = scripted([callsFor(["1", "draw", "{}"])], [text("ok")]);
  const turn = await (await ask(session, model, [tool("draw", () => parts)])).done;
  const content = turn.output[1]?.content as readonly { readonly text?: string }[];
  assert.equal(content[0]?.text, `${"b".repeat(65_536)}\n[cut: the first 65536 of 70000 bytes]`);
  assert.deepEqual(content[1], parts[1]);
  assert.match(String(content[2]?.text), /^\[left out: image_url of 2000\d+ bytes; .* 4194304 bytes/);
});

test("a list that is not made of content parts alone is data", async () => {
  await using place = inMemory();
  const session = await place.sessions.create();
  const data = [
    [],
    [{ type: "text", text: "a", author: "b" }],
    [{ type: "image_url", image_url: "https://e.example/p.png" }, 1],
    [{ type: "file", file: { filename: "a.pdf" } }],
    [{ type: "shop", shop: { url: "https://e.example" } }],
  ];
  for (const one of data) {
    const { model } = scripted([callsFor(["1", "list", "{}"])], [text("ok")]);
    const equipped = withTools(model, [tool("list", () => one)], { session });
    const { output } = await (await session.consult("go", { model: equipped })).done;
    assert.equal(output[1]?.content, JSON.stringify(one));
  }
});

test("a model that never stops calling tools is stopped after its last step, and its output is kept", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  let runs = 0;
  const again: Model = async function* (request) {
    yield text(`${request.messages.length} `);
    yield callsFor(["1", "f", "{}"]);
  };
  const answer = await ask(session, again, [tool("f", () => ++runs)], 3);
  const ids = { sessionId: "s", tenant: "default", agent: "assistant", command: "consult", turn: 1 };
  const exceeded = { code: "tool_steps_exceeded", details: { ...ids, stepsMax: 3, tools: ["f"] } };
  await assert.rejects(answer.done, exceeded);
  const retry = await ask(session, again, [tool("f", () => ++runs)], 3);
  await assert.rejects(retry.done, exceeded, "a retry receives the same error");
  assert.equal(runs, 2, "the calls of the last step do not run: no model call would read their results");
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.status, "failed");
  assert.equal(turn.error?.code, "tool_steps_exceeded");
  assert.equal(turn.requests, 3);
  assert.deepEqual(
    turn.output.map(({ role, synthetic }) => (synthetic === true ? "closed" : role)),
    ["assistant", "tool", "assistant", "tool", "assistant", "closed"],
  );
});

test("cancelling stops a tool that ignores its signal, and leaves no call without a result", async () => {
  await using place = inMemory();
  const session = await place.sessions.create();
  const { model } = scripted([callsFor(["1", "hangs", "{}"])]);
  const running = Promise.withResolvers<void>();
  const stop = new AbortController();
  const hangs = tool("hangs", () => {
    running.resolve();
    return new Promise(() => undefined);
  });
  const equipped = withTools(model, [hangs], { session });
  const answer = await session.consult("go", { model: equipped, signal: stop.signal });
  await running.promise;
  stop.abort();
  await assert.rejects(answer.done, { code: "interrupted" });
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.status, "interrupted");
  assert.deepEqual(
    turn.output.map(({ role, synthetic }) => [role, synthetic]),
    [
      ["assistant", undefined],
      ["tool", true],
    ],
  );
});

test("an answer aborted while a tool runs throws the reason, and no result is invented", async () => {
  await using place = inMemory();
  const session = await place.sessions.create();
  const stop = new AbortController();
  const { model, requests } = scripted([callsFor(["1", "f", "{}"])]);
  const stops = tool("f", () => {
    stop.abort(new Error("enough"));
    return new Promise(() => undefined);
  });
  const events: ModelEvent[] = [];
  const answering = async (): Promise<void> => {
    const request = { messages: [], agent: "a", signal: stop.signal };
    for await (const event of withTools(model, [stops], { session })(request)) events.push(event);
  };
  await assert.rejects(answering(), /enough/);
  assert.deepEqual(
    events.map(({ type }) => type),
    ["waiting", "message", "waiting", "usage", "step", "waiting"],
  );
  assert.equal(requests.length, 1);
});

test("calls that the provider has already answered are not run again", async () => {
  await using place = inMemory();
  const session = await place.sessions.create();
  const result: ModelEvent = { type: "message", message: { role: "tool", tool_call_id: "1", content: "there" } };
  const { model, requests } = scripted([callsFor(["1", "f", "{}"]), result, text("so")]);
  const run = (): never => assert.fail("it has been run");
  assert.equal((await (await ask(session, model, [tool("f", run)])).done).requests, 1);
  assert.equal(requests.length, 1);
});

test("after a handoff by the model, the current agent finishes its answer and the new one gets the next message", async () => {
  const agents = { front: { default: true }, billing: { description: "money" } };
  const note = '{"agent":"billing","note":"wants it back"}';
  const { model, requests } = scripted(
    [callsFor(["1", "hand_off", note])],
    [text("My colleague takes over.")],
    [callsFor(["2", "release", "{}"], ["3", "release", ""])],
    [text("Bye.")],
    [callsFor(["4", "hand_off", '{"agent":"nobody"}'], ["5", "hand_off", "{}"])],
    [text("Hm.")],
  );
  await using place = inMemory({ agents, model });
  const manager = createManager({ sessions: place.sessions });
  const session = await place.sessions.create({ id: "s", agent: "front" });
  const send = async (): Promise<readonly [string, readonly Message[]]> => {
    const { agent, output } = await (await manager.send(session, "hm")).done;
    return [agent, output];
  };
  assert.equal((await send())[0], "front");
  assert.equal((await (await place.another().get("s")).activeAgent())?.agent, "billing");
  const [second, output] = await send();
  assert.equal(second, "billing");
  const shown = requests[2]?.messages ?? [];
  assert.deepEqual(
    shown.filter(({ role }) => role === "system"),
    [],
    "a model's words are no instructions",
  );
  assert.equal(shown[0]?.role, "user");
  assert.match(String(shown[0].content), /not an instruction.*The previous agent reported: "wants it back"$/);
  assert.deepEqual(shown.at(-1), { role: "user", content: "hm" });
  assert.deepEqual(results(output), { "2": "released", "3": "no handoff to end" });
  const [third, refused] = await send();
  assert.equal(third, "front");
  assert.match(
    String(results(refused)["4"]),
    /^Error: agent "nobody" is not configured; configured agents: front, billing/,
  );
  assert.match(String(results(refused)["5"]), /^Error: agent is undefined; expected a text/);
  const events = await Array.fromAsync(session.events());
  assert.deepEqual(
    events.map(({ type }) => type),
    ["created", "handed_off", "handoff_ended"],
  );
});

test("each agent is offered the handoff tools and its own; a model without tools is offered none", async () => {
  const agents = { front: { default: true }, billing: { description: "money" } };
  const { model, requests } = scripted();
  await using place = inMemory({ agents, model });
  const { sessions } = place;
  const tools = { billing: [tool("refund", () => "done")] };
  const session = await sessions.create({ id: "s", agent: "front" });
  const offered = async (agent: string, offersHandoffs?: boolean): Promise<readonly string[] | undefined> => {
    const manager = createManager({ sessions, tools, ...defined({ offersHandoffs }) });
    await (
      await manager.send(session, "hm", { agent })
    ).done;
    return requests.at(-1)?.tools?.map(({ name }) => name);
  };
  assert.deepEqual(await offered("front"), ["hand_off", "release"]);
  assert.deepEqual(await offered("billing"), ["hand_off", "release", "refund"]);
  assert.deepEqual(await offered("billing", false), ["refund"]);
  assert.equal(await offered("front", false), undefined);
});

test("invalid tools are refused before any message is accepted", async () => {
  await using place = inMemory({ agents: { front: {} } });
  const { sessions } = place;
  const run = (): string => "";
  const refused = (tools: Readonly<Record<string, readonly Tool[]>>, code: string): void =>
    assert.throws(() => createManager({ sessions, tools }), { code });
  refused({ nobody: [] }, "agent_unknown");
  refused({ front: [tool("release", run)] }, "argument_invalid");
  refused({ front: [tool("a", run), tool("a", run)] }, "argument_invalid");
  refused({ front: [tool("a b", run)] }, "argument_invalid");
  refused({ front: [tool("a", run, { timeout: -1 })] }, "duration_invalid");
  const session = await sessions.create({ id: "options" });
  for (const options of [{ session, stepMax: 3 }, null])
    assert.throws(() => withTools(scripted().model, [], options as never), { code: "argument_invalid" });
  for (const stepsMax of [0, 1.5, 1001])
    assert.throws(() => createManager({ sessions, stepsMax }), { code: "argument_invalid" });
});

const cycle: { self?: unknown } = {};
cycle.self = cycle;
const oddResults: readonly (readonly [title: string, result: unknown, shown: string])[] = [
  ["a bigint as digits", { receipt: 4711n }, '{"receipt":"4711"}'],
  [
    "bytes as base64",
    { file: new Uint8Array([1, 2, 3]), buffer: Buffer.from("hi") },
    `{"file":"AQID","buffer":"aGk="}`,
  ],
  ["a cycle as done", cycle, "The call is done, but its result cannot be shown."],
  ["a map as an object", new Map([["a", 1]]), '{"a":1}'],
  ["a map with other keys as pairs", new Map([[1, "a"]]), '[[1,"a"]]'],
  ["a set as a list", new Set([1]), "[1]"],
  ["an error as name and message", { cause: new TypeError("no") }, '{"cause":{"name":"TypeError","message":"no"}}'],
  ["a symbol as nothing", Symbol("x"), "(no output)"],
];

for (const [title, result, shown] of oddResults) {
  test(`the model reads ${title}, and no error`, async () => {
    await using place = inMemory();
    const { sessions } = place;
    const session = await sessions.create({ agent: "a" });
    const { model, requests } = scripted([callsFor(["c1", "pay", "{}"])], [text("done")]);
    await (
      await session.consult("pay", { model: withTools(model, [tool("pay", () => result)], { session }) })
    ).done;
    const answered = requests[1]?.messages.at(-1);
    assert.deepEqual([answered?.content, answered?.["is_error"]], [shown, undefined]);
  });
}

test("a tool ends its session after the answer, in the commit that stores it", async () => {
  await using place = inMemory();
  const session = await place.sessions.create();
  const ends = tool("bye", async (_args, { session: own }) => {
    await assert.rejects(own.end(), { code: "busy" });
    await own.end({ reason: "solved", after: "answer" });
    assert.equal((await (await place.another().get(own.id)).refresh()).state, "active");
    return "ends after this answer";
  });
  const { model } = scripted([callsFor(["1", "bye", "{}"])], [text("Goodbye.")]);
  const turn = await (await ask(session, model, [ends])).done;
  assert.deepEqual([turn.status, turn.output.at(-1)?.content], ["done", "Goodbye."]);
  const other = await place.another().get(session.id);
  assert.deepEqual([other.info.state, other.info.lease ?? null], ["ended", null]);
  assert.deepEqual(await Array.fromAsync(other.turns()), [turn]);
  const events = await Array.fromAsync(other.events());
  assert.deepEqual(
    events.filter(({ type }) => type === "ended").map((event) => ("reason" in event ? event.reason : "")),
    ["solved"],
  );
  await assert.rejects(session.consult("more", { model }), { code: "session_ended" });
  assert.deepEqual(await (await ask(session, model, [ends])).done, turn, "a retry of the question is the same turn");
});

test("an answer that fails does not end the session that its tool wants ended; without an answer it ends at once", async () => {
  await using place = inMemory();
  const session = await place.sessions.create();
  const ends = tool("bye", (_args, { session: own }) => own.end({ after: "answer" }));
  const fails: Model = async function* (request) {
    if (request.messages.length > 1) throw new Error("gone");
    yield callsFor(["1", "bye", "{}"]);
  };
  await assert.rejects((await ask(session, fails, [ends])).done, { code: "model_failed" });
  assert.equal((await session.refresh()).state, "active");
  const { model } = scripted([text("still here")]);
  await (
    await session.consult("again", { model })
  ).done;
  assert.equal((await session.refresh()).state, "active", "a later answer does not end it");
  await session.end({ after: "answer" });
  assert.equal((await session.refresh()).state, "ended");
  await assert.rejects(session.end({ after: "turn" as "answer" }), { code: "argument_invalid" });
});
