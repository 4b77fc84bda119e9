/** Whole conversations, as programs have them: questions with answers, calls with their results, pictures, and what is said of them. */
import * as fc from "fast-check";
import type { Message, ToolCall } from "../../src/index.ts";

/** A conversation by its turns: a question, and the messages of its answer. */
export interface WrittenConversation {
  readonly turns: readonly (readonly Message[])[];
  readonly agent: string;
  readonly title?: string;
  readonly user?: string;
  readonly instructions?: string;
  readonly metadata: { readonly [name: string]: string };
}

/** Words that no format takes for anything else: some look like JSON, some have more lines. */
export const words: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom("Is it done?", "Yes.", "Rye, not wheat", "two\nlines", '{"a": 1}', "[1]", "😀 ü", "<b>&amp;"),
  fc.string({ minLength: 1, maxLength: 20 }).filter((text) => text.trim() !== ""),
);

const picture = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };

const question: fc.Arbitrary<Message> = fc.oneof(
  { weight: 4, arbitrary: words.map((content): Message => ({ role: "user", content })) },
  {
    weight: 1,
    arbitrary: words.map((text): Message => ({ role: "user", content: [{ type: "text", text }, picture] })),
  },
  { weight: 1, arbitrary: words.map((content): Message => ({ role: "user", name: "ada", content })) },
);

const input = fc.constantFrom("{}", '{"shelf":2}', '{"a":[1,{"b":null}]}');

/** Calls with their results. */
const step: fc.Arbitrary<readonly Message[]> = fc
  .tuple(
    fc.uniqueArray(fc.constantFrom("call_1", "call_2", "call_3"), { minLength: 1, maxLength: 2 }),
    input,
    fc.option(words),
    fc.array(fc.tuple(words, fc.boolean()), { minLength: 2, maxLength: 2 }),
  )
  .map(([ids, given, said, results]): readonly Message[] => {
    const calls = ids.map((id): ToolCall => ({ id, type: "function", function: { name: "peek", arguments: given } }));
    return [
      { role: "assistant", content: said, tool_calls: calls },
      ...ids.map((id, index): Message => {
        const [content, isFailure] = results[index]!;
        return { role: "tool", tool_call_id: id, content, ...(isFailure ? { is_error: true } : {}) };
      }),
    ];
  });

const turn: fc.Arbitrary<readonly Message[]> = fc
  .tuple(question, fc.array(step, { maxLength: 2 }), words)
  .map(([asked, steps, said]) => [asked, ...steps.flat(), { role: "assistant", content: said }]);

/** A whole conversation. */
export const conversation: fc.Arbitrary<WrittenConversation> = fc.record(
  {
    turns: fc.array(turn, { minLength: 1, maxLength: 4 }),
    agent: fc.constantFrom("ceo", "tutor"),
    title: fc.constantFrom("Rye", "An oven, <b>hot</b>", "😀"),
    user: fc.constantFrom("ada", "bob"),
    instructions: words,
    metadata: fc.dictionary(fc.constantFrom("source", "tags", "model"), words, { maxKeys: 2, noNullPrototype: true }),
  },
  { requiredKeys: ["turns", "agent", "metadata"], noNullPrototype: true },
);
