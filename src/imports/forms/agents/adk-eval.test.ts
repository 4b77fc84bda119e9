import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, messagesOf } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";

const content = (role: "user" | "model", text: string): object => ({ role, parts: [{ text }] });
const shown = [
  ["user", "Done?"],
  ["assistant", null],
  ["tool", '{"done":true}'],
  ["assistant", "Yes."],
];

const intermediate: Readonly<Record<string, object>> = {
  "lists of calls and results": {
    tool_uses: [{ id: "f", name: "peek", args: { shelf: 2 } }],
    tool_responses: [{ id: "f", name: "peek", response: { done: true }, will_continue: null }],
    intermediate_responses: [["helper", [{ text: "Hm." }]]],
  },
  "events, the answer among them": {
    invocation_events: [
      {
        author: "baker",
        content: { role: "model", parts: [{ function_call: { id: "f", name: "peek", args: { shelf: 2 } } }] },
      },
      {
        author: "baker",
        content: { role: "user", parts: [{ function_response: { id: "f", name: "peek", response: { done: true } } }] },
      },
      { author: "baker", content: content("model", "Yes."), model_version: "m" },
    ],
  },
};

for (const [name, data] of Object.entries(intermediate))
  test(`cases of an eval set are sessions, with ${name}`, async () => {
    await using place = inMemory();
    const invocation = {
      invocation_id: "i",
      user_content: content("user", "Done?"),
      final_response: content("model", "Yes."),
      intermediate_data: data,
      creation_timestamp: 1_735_787_041.5,
    };
    const session = { app_name: "bakery", user_id: "ada", state: { oven: 1 } };
    const scenario = { eval_id: "simulated", conversation_scenario: { starting_prompt: "Hi" } };
    const cases = [{ eval_id: "c", conversation: [invocation], session_input: session }, scenario];
    const set = { eval_set_id: "e", name: "Ovens", eval_cases: cases };
    const report = await importText(place.sessions, JSON.stringify(set));
    assert.deepEqual([report.restored, report.reasons], [1, []]);
    assert.deepEqual(
      (await messagesOf(place.sessions, "e-c")).map(({ role, content: said }) => [role, said]),
      shown,
    );
    const { info } = await place.sessions.get("e-c");
    assert.deepEqual([info.agent, info.user], ["bakery", "ada"]);
    assert.deepEqual(info.metadata, {
      state: { oven: 1 },
      evalSet: { eval_set_id: "e", name: "Ovens" },
      source: "adk-eval",
    });
    const [turn] = await Array.fromAsync((await place.sessions.get("e-c")).turns());
    assert.equal(turn?.at.toISOString(), "2025-01-02T03:04:01.500Z");
    const alone = await importText(place.sessions, JSON.stringify(cases[1]));
    assert.deepEqual([alone.restored, alone.empty], [0, 1]);
  });

test("older eval sets are sessions too: a list of cases, and the exchanges of one case", async () => {
  await using place = inMemory();
  const exchange = {
    query: "Done?",
    expected_tool_use: [{ tool_name: "peek", tool_input: { shelf: 2 } }],
    expected_intermediate_agent_responses: [],
    reference: "Yes.",
  };
  const session = { state: {}, app_name: "bakery", user_id: "ada" };
  const cases = [{ name: "ovens", data: [exchange, exchange], initial_session: session }];
  const report = await importText(place.sessions, JSON.stringify(cases));
  assert.deepEqual([report.restored, report.turns, report.reasons], [1, 2, []]);
  const [, answer, last] = await messagesOf(place.sessions, "ovens");
  assert.deepEqual(
    [answer?.tool_calls?.[0]?.function, last?.content],
    [{ name: "peek", arguments: '{"shelf":2}' }, "Yes."],
  );
  const alone = await importText(place.sessions, JSON.stringify([exchange, { ...exchange, query: "And now?" }]));
  assert.deepEqual([alone.restored, alone.turns], [1, 2]);
});

test("an eval set without cases, and one with a scenario alone, have no messages", async () => {
  await using place = inMemory();
  const report = await importText(place.sessions, JSON.stringify({ eval_set_id: "e", eval_cases: [] }));
  assert.deepEqual([report.restored, report.empty, report.reasons[0]?.message], [0, 1, "f:1 has no messages"]);
});
