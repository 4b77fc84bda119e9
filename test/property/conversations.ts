/** Whole conversations, as programs have them: questions with answers, calls with their results, pictures, and what is said of them. */
import * as fc from "../support/fast-check.ts";
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

/** The texts that a call may have. */
interface CallTexts {
  readonly ids: fc.Arbitrary<string>;
  readonly names: fc.Arbitrary<string>;
  readonly inputs: fc.Arbitrary<string>;
}

/** Calls with their results. */
const step = ({ ids, names, inputs }: CallTexts): fc.Arbitrary<readonly Message[]> =>
  fc
    .tuple(
      fc.uniqueArray(ids, { minLength: 1, maxLength: 2 }),
      names,
      inputs,
      fc.option(words),
      fc.array(fc.tuple(words, fc.boolean()), { minLength: 2, maxLength: 2 }),
    )
    .map(([own, name, given, said, results]): readonly Message[] => {
      const calls = own.map((id): ToolCall => ({ id, type: "function", function: { name, arguments: given } }));
      return [
        { role: "assistant", content: said, tool_calls: calls },
        ...own.map((id, index): Message => {
          const [content, isFailure] = results[index]!;
          return { role: "tool", tool_call_id: id, content, ...(isFailure ? { is_error: true } : {}) };
        }),
      ];
    });

const turnOf = (steps: fc.Arbitrary<readonly Message[]>): fc.Arbitrary<readonly Message[]> =>
  fc
    .tuple(question, fc.array(steps, { maxLength: 2 }), words)
    .map(([asked, called, said]) => [asked, ...called.flat(), { role: "assistant", content: said }]);

const turn = turnOf(
  step({ ids: fc.constantFrom("call_1", "call_2", "call_3"), names: fc.constant("peek"), inputs: input }),
);

const longId = "x".repeat(60);
/** Turns with calls that some endpoints refuse, and with calls and results that stand alone. */
const oddTurn = turnOf(
  fc.oneof(
    {
      weight: 4,
      arbitrary: step({
        ids: fc.constantFrom("", "call_1", `${longId}1`, `${longId}2`, "functions.peek:0", "ü b"),
        names: fc.constantFrom("peek", "", "dalle.text2im", "y".repeat(70)),
        inputs: fc.oneof(input, fc.constantFrom("", "shelf 2", "[1]", "7")),
      }),
    },
    { weight: 1, arbitrary: fc.constant([{ role: "tool", tool_call_id: "lost", content: "7" }]) },
    {
      weight: 1,
      arbitrary: step({ ids: fc.constant("open"), names: fc.constant("peek"), inputs: input }).map((all) =>
        all.slice(0, 1),
      ),
    },
  ),
);

const conversationOf = (turns: fc.Arbitrary<readonly (readonly Message[])[]>): fc.Arbitrary<WrittenConversation> =>
  fc.record(
    {
      turns,
      agent: fc.constantFrom("ceo", "tutor"),
      title: fc.constantFrom("Rye", "An oven, <b>hot</b>", "😀"),
      user: fc.constantFrom("ada", "bob"),
      instructions: words,
      metadata: fc.dictionary(fc.constantFrom("source", "tags", "model"), words, {
        maxKeys: 2,
        noNullPrototype: true,
      }),
    },
    { requiredKeys: ["turns", "agent", "metadata"], noNullPrototype: true },
  );

/** A whole conversation. */
export const conversation: fc.Arbitrary<WrittenConversation> = conversationOf(
  fc.array(turn, { minLength: 1, maxLength: 4 }),
);

/** A conversation as a session may have it: with odd calls, or without turns. */
export const oddConversation: fc.Arbitrary<WrittenConversation> = conversationOf(fc.array(oddTurn, { maxLength: 3 }));
