import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../../test/support/fast-check.ts";
import { messages, ragged, turn } from "../../../test/property/arbitraries.ts";
import {
  closeToolCalls,
  danglingToolCalls,
  entryOfTurn,
  parseMessages,
  turnOf,
  type Message,
  type ToolCall,
} from "./turn.ts";

const isSynthetic = (message: Message): boolean => message["synthetic"] === true;

test("closing leaves no tool call dangling and removes no message", () => {
  fc.assert(
    fc.property(messages, (original) => {
      const closed = closeToolCalls(original);
      assert.deepEqual(danglingToolCalls(closed), []);
      assert.deepEqual(
        closed.filter((message) => !isSynthetic(message)),
        original,
      );
      assert.equal(closed.length - original.length, danglingToolCalls(original).length);
      assert.equal(closeToolCalls(closed), closed, "what is closed stays as it is");
    }),
  );
});

test("every tool call is answered directly after its message, also where ids come back", () => {
  fc.assert(
    fc.property(ragged, (original) => {
      const closed = closeToolCalls(original);
      for (const [at, message] of closed.entries()) {
        const calls = (message.tool_calls ?? []).map(({ id }) => id);
        const rest = closed.slice(at + 1);
        const end = rest.findIndex(({ role }) => role !== "tool");
        const answers = (end < 0 ? rest : rest.slice(0, end)).map((answer) => answer.tool_call_id ?? "");
        if (calls.length > 0) assert.deepEqual(answers.toSorted(), calls.toSorted(), `after message ${at}`);
      }
    }),
  );
});

test("the results of a message's calls may come in any order and are not touched", () => {
  const whole: Message[] = [
    { role: "assistant", tool_calls: [call("a"), call("b"), call("c")] },
    { role: "tool", tool_call_id: "c", content: "3" },
    { role: "tool", tool_call_id: "a", content: "1" },
    { role: "tool", tool_call_id: "b", content: "2" },
  ];
  assert.equal(closeToolCalls(whole), whole);
});

test("an id that comes back within a turn is another call", () => {
  const [first, second] = [call("a"), call("a")];
  const twice: Message[] = [
    { role: "assistant", tool_calls: [first] },
    { role: "assistant", tool_calls: [second] },
    { role: "tool", tool_call_id: "a", content: "of the second" },
  ];
  const dangling = danglingToolCalls(twice);
  assert.equal(dangling.length, 1);
  assert.equal(dangling[0], first);
  assert.deepEqual(closeToolCalls(twice).map(isSynthetic), [false, true, false, false]);
});

test("calls are paired in one pass as they were by a search through all open calls", () => {
  fc.assert(
    fc.property(messages, (some) => {
      assert.deepEqual(danglingToolCalls(some), danglingBySearch(some));
    }),
  );
});

/** So many calls and results that a search for each would read a million ids. */
const manyCalls = 1000;

for (const [what, idOf, resultId] of [
  ["results that answer nothing", () => "a", () => "x"],
  ["results of calls that share an id", () => "a", () => "a"],
  ["results in the order of their calls", (index: number) => `c${index}`, (index: number) => `c${index}`],
] as const) {
  test(`pairing calls and results takes one pass: ${what}`, () => {
    let reads = 0;
    const counted = <T extends object>(of: T, name: string, value: string): T =>
      Object.defineProperty(of, name, { enumerable: true, get: () => (reads++, value) });
    const asked: Message = {
      role: "assistant",
      content: null,
      tool_calls: Array.from({ length: manyCalls }, (_, index) => counted(call("a"), "id", idOf(index))),
    };
    const results = Array.from({ length: manyCalls }, (_, index) =>
      counted<Message>({ role: "tool", content: "" }, "tool_call_id", resultId(index)),
    );
    const dangling = resultId(0) === "x" ? manyCalls : 0;
    assert.equal(danglingToolCalls([asked, ...results]).length, dangling);
    assert.equal(closeToolCalls([asked, ...results]).length, 1 + manyCalls + dangling);
    assert(reads <= 20 * manyCalls, `${reads} reads of ids`);
  });
}

// A search through all messages for each of them would not end.
test("closing half a million messages with a dangling call each takes one pass", () => {
  const asked = Array.from({ length: 500_000 }, (): Message => ({ role: "assistant", tool_calls: [call("a")] }));
  assert.equal(closeToolCalls(asked).length, 1_000_000);
});

test("one object used for two calls is still two calls", () => {
  const shared = call("a");
  const asked: Message = { role: "assistant", tool_calls: [shared] };
  assert.deepEqual(closeToolCalls([asked, asked]).map(isSynthetic), [false, true, false, true]);
});

test("null in the place of tool calls is none", () => {
  const answer = { role: "assistant", content: "hi", tool_calls: null } as unknown as Message;
  assert.deepEqual(danglingToolCalls([answer]), []);
  assert.deepEqual(parseMessages(answer, "user", "input"), [answer]);
});

test("a turn comes back from its entry as it was", () => {
  fc.assert(
    fc.property(turn, (original) => {
      assert.deepStrictEqual(turnOf(entryOfTurn(original)), original);
    }),
  );
});

test("a text is one message of the obvious role", () => {
  assert.deepEqual(parseMessages("hello", "user", "input"), [{ role: "user", content: "hello" }]);
  assert.deepEqual(parseMessages([], "user", "input"), []);
});

const refused: readonly [input: unknown, path: string][] = [
  ["", "input"],
  [" \n", "input"],
  [null, "input"],
  [5, "input"],
  [{}, "input.role"],
  [{ role: "robot", content: "hi" }, "input.role"],
  [["hi"], "input[0]"],
  [[{ role: "user", content: "hi" }, null], "input[1]"],
  [[{ role: "__proto__" }], "input[0].role"],
  [{ role: "assistant", tool_calls: {} }, "input.tool_calls"],
  [{ role: "assistant", tool_calls: [{ id: "a" }] }, "input.tool_calls"],
  [{ role: "assistant", tool_calls: [{ id: 5, function: { name: "f", arguments: "{}" } }] }, "input.tool_calls"],
  [{ role: "assistant", tool_calls: [{ id: "a", function: { name: "f", arguments: {} } }] }, "input.tool_calls"],
  [{ role: "assistant", tool_calls: [null] }, "input.tool_calls"],
];
for (const [input, path] of refused) {
  test(`${JSON.stringify(input)} is no message, and the error has the path`, () => {
    assert.throws(
      () => parseMessages(input, "user", "input"),
      (error: Error & { code?: string; details?: { path?: string } }) =>
        error.code === "message_invalid" && error.details?.path === path,
    );
  });
}

/** The plain statement of the rule: a result answers the first open call of its id in the latest message with one. */
function danglingBySearch(some: readonly Message[]): readonly ToolCall[] {
  const open: { readonly call: ToolCall; readonly madeAt: number }[] = [];
  for (const [madeAt, { role, tool_calls: calls, tool_call_id: answered }] of some.entries()) {
    open.push(...(calls ?? []).map((one) => ({ call: one, madeAt })));
    if (role !== "tool") continue;
    const latest = open.findLast((one) => one.call.id === answered);
    const at = open.findIndex((one) => one.call.id === answered && one.madeAt === latest?.madeAt);
    if (at >= 0) open.splice(at, 1);
  }
  return open.map((one) => one.call);
}

function call(id: string): ToolCall {
  return { id, type: "function", function: { name: "look", arguments: "{}" } };
}
