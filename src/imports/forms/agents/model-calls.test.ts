import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";
import { textOf } from "../../../domain/turns/message-steps.ts";

const lines = (...all: readonly object[]): string => all.map((line) => `${JSON.stringify(line)}\n`).join("");
const at = (second: number): string => new Date(Date.UTC(2025, 0, 2, 3, 4, second)).toISOString();
const user = (content: unknown): object => ({ role: "user", content });
const text = (words: string): object => ({ type: "text", text: words });
const use = { type: "tool_use", id: "t", name: "peek", input: { shelf: 2 } };
const result = { type: "tool_result", tool_use_id: "t", content: "done" };

const anthropicCall = (
  second: number,
  messages: readonly object[],
  content: readonly object[],
  id: string,
): object => ({
  timestamp: at(second),
  request: { model: "c", max_tokens: 9, system: [text("You bake.")], messages, tools: [{ name: "peek" }] },
  response: {
    id,
    type: "message",
    role: "assistant",
    model: "c",
    content,
    usage: { input_tokens: 10, output_tokens: 2 },
  },
});

test("requests of Anthropic with their responses are one conversation, whose last request has all of it", async () => {
  await using place = inMemory();
  const forms: string[] = [];
  const report = await importText(
    place.sessions,
    lines(
      anthropicCall(1, [user("Done?")], [use], "msg_1"),
      // The second request marks its messages for a cache.
      anthropicCall(
        2,
        [
          user([{ ...text("Done?"), cache_control: { type: "ephemeral" } }]),
          { role: "assistant", content: [use] },
          user([result]),
        ],
        [text("Yes.")],
        "msg_2",
      ),
    ),
    { onForm: ({ format }) => forms.push(format) },
  );
  assert.deepEqual(
    [report.restored, report.skipped, report.leftOut, forms],
    [1, 0, { "tool definition": 1 }, ["model-calls"]],
  );
  const session = await place.sessions.get("msg_1");
  const messages = await messagesOf(place.sessions, "msg_1");
  assert.deepEqual(
    messages.map(({ role, tool_calls: calls }) => [role, calls?.[0]?.function.name]),
    [
      ["user", undefined],
      ["assistant", "peek"],
      ["tool", undefined],
      ["assistant", undefined],
    ],
  );
  const [turn, ...others] = await Array.fromAsync(session.turns());
  assert.deepEqual(
    [await session.instructions(), turn?.model, turn?.at.toISOString(), turn?.usage, others.length],
    ["You bake.", "c", at(1), { inputTokens: 20, outputTokens: 4, totalTokens: 24 }, 0],
  );
  assert.deepEqual(session.info.metadata, { max_tokens: 9 });
});

test("a response of OpenAI continues the one that it names, or its conversation", async () => {
  const responseOf = (id: string, created_at: number, input: unknown, said: string, more: object): object => ({
    id,
    object: "response",
    created_at,
    model: "m",
    instructions: "You bake.",
    input,
    output: [{ type: "message", role: "assistant", content: [{ type: "output_text", text: said }] }],
    usage: { input_tokens: 10, output_tokens: 2, total_tokens: 12 },
    ...more,
  });
  for (const [id, first, second] of [
    ["resp_1", {}, { previous_response_id: "resp_1" }],
    ["conv", { conversation: { id: "conv" } }, { conversation: { id: "conv" } }],
  ] as const) {
    await using place = inMemory();
    const report = await importText(
      place.sessions,
      lines(
        responseOf("resp_2", 1_700_000_009, [user("And now?")], "Now.", second),
        responseOf("resp_1", 1_700_000_000, "Done?", "Yes.", first),
      ),
    );
    assert.deepEqual([report.restored, report.skipped, report.leftOut], [1, 0, {}]);
    assert.deepEqual(
      (await messagesOf(place.sessions, id)).map(({ content }) => content),
      ["Done?", "Yes.", "And now?", "Now."],
    );
    const session = await place.sessions.get(id);
    const turns = await Array.fromAsync(session.turns());
    assert.deepEqual(
      [await session.instructions(), ...turns.map((turn) => [turn.at.getTime(), turn.model, turn.usage?.totalTokens])],
      ["You bake.", [1_700_000_000_000, "m", 12], [1_700_000_009_000, "m", 12]],
    );
  }
});

test("chats of OpenAI: a request that failed and was repeated is one question; other answers are a branch", async () => {
  await using place = inMemory();
  const chat = (second: number, messages: readonly object[], response: object): object => ({
    session_id: "s",
    timestamp: at(second),
    request: { body: { model: "m", messages } },
    response: { body: response },
  });
  const answer = (content: string): object => ({ role: "assistant", content });
  const choices = (...contents: readonly string[]): object => ({
    id: `chatcmpl-${contents[0]}`,
    choices: contents.map((content) => ({ message: answer(content) })),
  });
  const report = await importText(
    place.sessions,
    lines(
      chat(1, [user("Hi")], { error: { message: "overloaded" } }),
      chat(2, [user("Hi")], choices("Ho")),
      chat(3, [user("Hi"), answer("Ho"), user("Rye?")], choices("No.")),
      chat(4, [user("Hi"), answer("Ho"), user("Rye?")], choices("Yes.", "Maybe.")),
    ),
  );
  assert.deepEqual([report.restored, report.leftOut], [1, { branch: 1, error: 1, "other choice": 1 }]);
  assert.deepEqual(
    (await messagesOf(place.sessions, "s")).map(({ content }) => content),
    ["Hi", "Ho", "Rye?", "Yes."],
  );
});

test("calls of different conversations are a session each", async () => {
  await using place = inMemory();
  const gemini = {
    request: { contents: "Rye?", systemInstruction: { parts: [{ text: "Be brief." }] } },
    response: {
      responseId: "g",
      candidates: [{ content: { role: "model", parts: [{ text: "Yes." }] } }],
      usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 1 },
      modelVersion: "gm",
    },
  };
  const report = await importText(
    place.sessions,
    lines(gemini, anthropicCall(1, [user("A?")], [text("A.")], "a"), anthropicCall(2, [user("B?")], [text("B.")], "b")),
  );
  assert.deepEqual([report.restored, report.skipped], [3, 0]);
  const session = await place.sessions.get("g");
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual([await session.instructions(), turn?.model, turn?.usage?.inputTokens], ["Be brief.", "gm", 3]);
});

test("calls of several users that begin alike are sessions of their own", async () => {
  await using place = inMemory();
  const call = (user: string, ...words: string[]): string =>
    JSON.stringify({
      request: {
        user,
        messages: words.map((content, index) => ({ role: index % 2 === 0 ? "user" : "assistant", content })),
      },
      response: { choices: [{ message: { role: "assistant", content: "Hello." } }] },
    });
  const lines = [
    call("ada", "Hi"),
    call("bob", "Hi", "Hello.", "My door code is 0000"),
    call("ada", "Hi", "Hello.", "Rye?"),
  ];
  const report = await importText(place.sessions, lines.join("\n"));
  assert.deepEqual([report.restored, report.turns], [2, 4]);
  const { items } = await place.sessions.list({});
  assert.deepEqual(new Set(items.map(({ user }) => user)), new Set(["ada", "bob"]));
});

const completion = (id: string, content: string): object => ({
  id,
  object: "chat.completion",
  created: 1_735_787_041,
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
  usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
});

test("a response alone is an answer without its question, with its model, its time and its tokens", async () => {
  await using place = inMemory();
  const candidate = { content: { role: "model", parts: [{ text: "Rye." }] }, finishReason: "STOP" };
  const gemini = { responseId: "g1", modelVersion: "g", candidates: [candidate] };
  for (const [id, response] of Object.entries({ "chatcmpl-1": completion("chatcmpl-1", "Rye."), g1: gemini })) {
    const report = await importText(place.sessions, JSON.stringify(response));
    assert.deepEqual([report.restored, report.reasons], [1, []]);
    assert.deepEqual(await messagesOf(place.sessions, id), [{ role: "assistant", content: "Rye." }]);
  }
  const [turn] = await Array.fromAsync((await place.sessions.get("chatcmpl-1")).turns());
  assert.deepEqual(
    [turn?.model, turn?.usage?.totalTokens, turn?.at.toISOString()],
    ["m", 7, "2025-01-02T03:04:01.000Z"],
  );
});

const batches: Readonly<Record<string, readonly [request: object, response: object]>> = {
  OpenAI: [
    { custom_id: "r1", method: "POST", url: "/v1/chat/completions", body: { model: "m", messages: [user("Rye?")] } },
    {
      id: "batch_req_1",
      custom_id: "r1",
      response: { status_code: 200, request_id: "q", body: completion("chatcmpl-1", "Yes.") },
      error: null,
    },
  ],
  Anthropic: [
    { custom_id: "r1", params: { model: "m", max_tokens: 9, messages: [user("Rye?")] } },
    {
      custom_id: "r1",
      result: {
        type: "succeeded",
        message: { id: "msg_1", type: "message", role: "assistant", model: "m", content: [text("Yes.")] },
      },
    },
  ],
  Gemini: [
    { key: "r1", request: { contents: [{ role: "user", parts: [{ text: "Rye?" }] }] } },
    {
      key: "r1",
      response: { modelVersion: "m", candidates: [{ content: { role: "model", parts: [{ text: "Yes." }] } }] },
    },
  ],
};

for (const [provider, [request, response]] of Object.entries(batches))
  test(`the requests of a batch of ${provider} are questions, and go on with their responses`, async () => {
    await using place = inMemory();
    const asked = await importText(place.sessions, lines(request));
    assert.deepEqual([asked.restored, asked.turns, asked.leftOut, asked.reasons], [1, 1, {}, []]);
    const answers = await importText(place.sessions, lines(response));
    assert.deepEqual([answers.restored, answers.reasons], [1, []]);
    await using other = inMemory();
    const both = await importText(other.sessions, lines(request, response));
    assert.deepEqual([both.restored, both.turns, both.leftOut, both.reasons], [1, 1, {}, []]);
    const [session] = (await other.sessions.list()).items;
    const [turn] = await Array.fromAsync((await other.sessions.get(session!.id)).turns());
    assert.deepEqual(
      [turn?.input[0]?.content, textOf(turn?.output[0]?.content), turn?.model, session!.metadata["custom_id"]],
      ["Rye?", "Yes.", "m", "r1"],
    );
  });

test("calls of a batch that ask the same are conversations of their own, and failed ones are counted", async () => {
  await using place = inMemory();
  const [request, response] = batches["OpenAI"]!;
  const failed = {
    id: "batch_req_3",
    custom_id: "r3",
    response: { status_code: 400, request_id: "q", body: { error: { message: "too long" } } },
    error: null,
  };
  const report = await importText(
    place.sessions,
    lines(request, { ...request, custom_id: "r2" }, { ...request, custom_id: "r3" }, response, failed),
  );
  assert.deepEqual([report.restored, report.turns, report.leftOut], [3, 3, { error: 1 }]);
  await using other = inMemory();
  const answers = await importText(other.sessions, lines(response, failed));
  assert.deepEqual([answers.restored, answers.leftOut], [1, { error: 1 }]);
  const none = await importText(other.sessions, lines(failed));
  assert.deepEqual([none.restored, none.reasons[0]?.message], [0, "f:1 has no messages"]);
});

test("a reference to an item of an earlier response is that item", async () => {
  await using place = inMemory();
  const answer = { id: "msg_1", type: "message", role: "assistant", content: [{ type: "output_text", text: "Yes." }] };
  const calls = [
    { request: { model: "m", input: [user("Rye?")] }, response: { id: "resp_1", output: [answer] } },
    {
      request: { model: "m", input: [user("Rye?"), { type: "item_reference", id: "msg_1" }, user("Sure?")] },
      response: { id: "resp_2", output: [{ ...answer, id: "msg_2" }] },
    },
  ];
  const report = await importText(place.sessions, lines(...calls));
  assert.deepEqual([report.restored, report.turns, report.leftOut], [1, 2, {}]);
  const words = (await messagesOf(place.sessions, "resp_1")).map(({ content }) => content);
  assert.deepEqual(words, ["Rye?", "Yes.", "Sure?", "Yes."]);
});
