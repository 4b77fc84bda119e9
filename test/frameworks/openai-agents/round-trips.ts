/** Items come back as they were, whatever is done to them: a session does what the Agents SDK's own session in memory does. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { MemorySession, protocol, type AgentInputItem } from "@openai/agents";
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../support/fast-check.ts";
import { openaiSession } from "../../../src/adapters/openai-agents.ts";
import { fromFormat, toFormat, type Value } from "../../../src/index.ts";
import { inMemory } from "../../support/in-memory.ts";
import { rounds } from "../../support/rounds.ts";

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: "grapheme" }),
  fc.constantFrom("__proto__", "🙂", " ", "", "\u0000", '{"a": 1}'),
);
const callId = fc.constantFrom("c1", "c2", "__proto__", "🙂", "x".repeat(300));
const name = fc.constantFrom("look", "pay", "transfer_to_b", "toString");
const data = fc.option(
  fc.dictionary(fc.constantFrom("a", "signature", "constructor"), fc.jsonValue({ maxDepth: 2 }), {
    noNullPrototype: true,
  }),
  { nil: undefined },
);
const present = (fields: object): object =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
const withData = (item: fc.Arbitrary<object>): fc.Arbitrary<AgentInputItem> =>
  fc
    .tuple(item, data, fc.option(fc.uuid(), { nil: undefined }))
    .map(([fields, providerData, id]) => present({ ...fields, providerData, id }) as AgentInputItem);

const inputContent = fc.oneof(
  text,
  fc.array(
    fc.oneof(
      text.map((value) => ({ type: "input_text", text: value })),
      fc.constantFrom(
        { type: "input_image", image: "https://example.test/a.png" },
        { type: "input_image", image: "data:image/png;base64,aGk=", detail: "low" },
        { type: "input_file", file: "data:application/pdf;base64,aGk=", filename: "a.pdf" },
        { type: "input_file", file: { id: "file-1" } },
        { type: "audio", audio: "aGk=", format: "mp3", transcript: null },
      ),
    ),
    { maxLength: 3 },
  ),
);
const answerContent = fc.array(
  fc.oneof(
    text.map((value) => ({ type: "output_text", text: value })),
    text.map((refusal) => ({ type: "refusal", refusal })),
    fc.constant({ type: "image", image: "https://example.test/b.png" }),
  ),
  { maxLength: 3 },
);
const output = fc.oneof(
  text,
  text.map((value) => ({ type: "text", text: value })),
  text.map((value) => [
    { type: "input_text", text: value },
    { type: "input_image", image: "data:image/png;base64,aGk=" },
  ]),
);
const caller = fc.option(fc.constant({ type: "direct" }), { nil: undefined });

const item = withData(
  fc.oneof(
    fc
      .record({ type: fc.constantFrom("message", undefined), role: fc.constant("user"), content: inputContent })
      .map(present),
    fc.record({ role: fc.constant("system"), content: text }),
    fc.record({
      type: fc.constant("message"),
      role: fc.constant("assistant"),
      status: fc.constantFrom("completed", "incomplete", "in_progress"),
      content: answerContent,
    }),
    fc
      .record({
        type: fc.constant("function_call"),
        callId,
        name,
        status: fc.constantFrom("completed", "in_progress"),
        arguments: fc.constantFrom("{}", '{ "a": 1 }', "no JSON", ""),
        caller,
      })
      .map(present),
    fc.record({ type: fc.constant("function_call_result"), callId, name, status: fc.constant("completed"), output }),
    fc.record({
      type: fc.constant("reasoning"),
      content: fc.array(
        text.map((value) => ({ type: "input_text", text: value })),
        { maxLength: 2 },
      ),
    }),
    fc.record({
      type: fc.constant("hosted_tool_call"),
      name: fc.constant("web_search_call"),
      status: fc.constant("completed"),
    }),
    fc.record({ type: fc.constant("compaction"), encrypted_content: text }),
    fc.record({ type: fc.constant("unknown") }),
    fc.record({
      type: fc.constant("tool_search_output"),
      callId: fc.constantFrom("c", null),
      tools: fc.constant([{ name: "x" }]),
    }),
    fc.record({ type: fc.constant("program"), callId, code: text, fingerprint: text }),
    fc.record({ type: fc.constant("program_output"), callId, output: text, status: fc.constant("completed") }),
    fc.constantFrom(
      { type: "computer_call", callId: "c", status: "completed", action: { type: "screenshot" } },
      { type: "computer_call_result", callId: "c", output: { type: "computer_screenshot", data: "aGk=" } },
      { type: "shell_call", callId: "c", action: { commands: ["ls"] } },
      {
        type: "shell_call_output",
        callId: "c",
        output: [{ stdout: "a", stderr: "", outcome: { type: "exit", exitCode: 0 } }],
      },
      { type: "apply_patch_call", callId: "c", status: "completed", operation: { type: "delete_file", path: "a" } },
      { type: "apply_patch_call_output", callId: "c", status: "completed" },
    ),
  ),
);

const items = fc.array(item, { maxLength: 5 });

/** A change of a session; `n` chooses among what is stored. */
const change = fc.oneof(
  items.map((added) => ({ type: "add" as const, added })),
  fc.constant({ type: "pop" as const }),
  fc.nat(8).map((limit) => ({ type: "read" as const, limit })),
  fc.constantFrom({ type: "clear" as const }),
  fc.record({
    type: fc.constant("transact" as const),
    id: fc.constantFrom("o1", "o2", "🙂"),
    n: fc.nat(4),
    added: items,
  }),
  fc.record({ type: fc.constant("mutate" as const), callId, arguments: text }),
);

test("any items come back deep-equal after any changes, in another process too, and every format reads them", async () => {
  await using place = inMemory();
  let session = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 12 }), callId, async (changes, id) => {
      const given = `${++session} ${id}`;
      const model = new MemorySession();
      const [one, two] = [
        await openaiSession<AgentInputItem>(place.sessions, given),
        await openaiSession<AgentInputItem>(place.another(), given),
      ];
      const outcome = async (call: () => Promise<unknown>): Promise<unknown> => {
        try {
          return (await call()) ?? "done";
        } catch {
          return "refused";
        }
      };
      for (const [index, made] of changes.entries()) {
        const own = index % 3 === 2 ? two : one;
        // What another process wrote meanwhile is seen.
        await own.getItems(1);
        const apply = async (target: typeof own | MemorySession): Promise<unknown> => {
          switch (made.type) {
            case "add":
              return await target.addItems(made.added);
            case "pop":
              return await target.popItem();
            case "read":
              return await target.getItems(made.limit);
            case "clear":
              return await target.clearSession();
            case "transact": {
              const expectedSuffix = (await model.getItems()).slice(-made.n);
              const replaced = made.n === 0 ? [] : expectedSuffix;
              return await outcome(() =>
                target.applyHistoryTransaction({
                  operationId: made.id,
                  transaction:
                    made.n === 4
                      ? { type: "append_items", items: made.added }
                      : { type: "replace_suffix", expectedSuffix: replaced, replacement: made.added },
                }),
              );
            }
            case "mutate": {
              const replacement = {
                type: "function_call",
                callId: "new",
                name: "look",
                status: "completed",
                arguments: made.arguments,
              } as const;
              return await target.applyHistoryMutations({
                mutations: [{ type: "replace_function_call", callId: made.callId, replacement }],
              });
            }
          }
        };
        const stored = await apply(own);
        assert.deepEqual(stored, await apply(model), made.type);
      }
      const expected = await model.getItems();
      const reader = await openaiSession<AgentInputItem>(place.another(), given);
      assert.deepEqual(await reader.getItems(), expected);
      for (let limit = 0; limit < 4; limit++)
        assert.deepEqual(await reader.getItems(limit), await model.getItems(limit));
      const turns = await Array.fromAsync(reader.session.turns());
      for (const format of ["anthropic", "openai-responses", "ai-sdk", "gemini"] as const)
        toFormat(
          turns.flatMap(({ input, output: answered }) => [...input, ...answered]),
          format,
        );
    }),
    { numRuns: rounds(500, 150) },
  );
});

test("every item that the Agents SDK knows is stored", () => {
  // Its canonical form says all of it, but for a call without a result.
  const call: AgentInputItem = {
    type: "function_call",
    callId: "c",
    name: "look",
    status: "completed",
    arguments: "{}",
  };
  fc.assert(
    fc.property(item, (made) => {
      fc.pre(protocol.ModelItem.safeParse(made).success);
      const back = toFormat(fromFormat([made], "openai-agents"), "openai-agents");
      assert.deepEqual(back, [made as unknown as Value]);
    }),
    { numRuns: rounds(3000, 300), examples: [[call]] },
  );
});
