/** Messages and turns as they come in life and worse, for property tests. */
import * as fc from "../support/fast-check.ts";
import type { Value } from "../../src/domain/values/codec.ts";
import type { Message, ToolCall, Turn } from "../../src/domain/turns/turn.ts";

/** So few that ids come back, within a turn and across turns, as they do in real conversations. */
const callId = fc.constantFrom("call_1", "call_2", "call_3");
const text = fc.string({ unit: "binary", maxLength: 20 });

const toolCall: fc.Arbitrary<ToolCall> = callId.map((id) => ({
  id,
  type: "function",
  function: { name: "look", arguments: '{"at":1}' },
}));

const spoken: fc.Arbitrary<Message> = fc.record(
  { role: fc.constantFrom("system", "user", "assistant", "developer"), content: text },
  { noNullPrototype: true },
);
const asking: fc.Arbitrary<Message> = fc.record(
  {
    role: fc.constant("assistant" as const),
    content: fc.option<Value>(text),
    tool_calls: fc.array(toolCall, { minLength: 1, maxLength: 3 }),
  },
  { noNullPrototype: true },
);
const answering: fc.Arbitrary<Message> = fc.record(
  { role: fc.constant("tool" as const), tool_call_id: callId, content: text },
  { noNullPrototype: true },
);

/** One message of any kind. */
export const message: fc.Arbitrary<Message> = fc.oneof(spoken, asking, answering);

/** Messages in any order: results without calls, calls without results, results far from their calls. */
export const messages: fc.Arbitrary<Message[]> = fc.array(message, { maxLength: 8 });

/** Messages as a crash leaves them: results stand where they belong, in some order, but not all of them are there. */
export const ragged: fc.Arbitrary<Message[]> = fc
  .array(
    fc.oneof(
      spoken.map((one) => [one]),
      asking.chain((asked) =>
        fc
          .shuffledSubarray([...(asked.tool_calls ?? [])])
          .map((answered) => [
            asked,
            ...answered.map(({ id }): Message => ({ role: "tool", tool_call_id: id, content: "done" })),
          ]),
      ),
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.flat());

const usage = fc
  .nat(1000)
  .chain((inputTokens) =>
    fc.nat(1000).map((outputTokens) => ({ inputTokens, outputTokens, totalTokens: inputTokens + outputTokens })),
  );

/** A finished turn. */
export const turn: fc.Arbitrary<Turn> = fc.record(
  {
    seq: fc.integer({ min: 1, max: 1000 }),
    key: fc.option(fc.constantFrom("a", "b", "😀")),
    at: fc.nat().map((ms) => new Date(ms)),
    status: fc.constantFrom("done", "failed", "interrupted"),
    agent: fc.constantFrom("ceo", "cfo"),
    model: fc.constantFrom("a", "b"),
    input: messages,
    output: fc.oneof(messages, ragged),
    usage,
    requests: fc.nat(5),
    durationMs: fc.nat(100_000),
  },
  {
    requiredKeys: ["seq", "key", "at", "status", "agent", "input", "output", "requests"],
    noNullPrototype: true,
  },
);
