/** Messages of the AI SDK come back as they were, whatever their parts, ids and metadata; and chunks make up the same message. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { readUIMessageStream, safeValidateUIMessages, type UIMessage, type UIMessageChunk } from "ai";
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../support/fast-check.ts";
import { chats } from "../../../src/adapters/ai.ts";
import { chunksOfMessage, ReceivedChunks } from "../../../src/adapters/chats/chunks.ts";
import { assembled } from "../../../src/adapters/chats/package-ai.ts";
import { fromFormat, toFormat, type Message } from "../../../src/index.ts";
import { inMemory } from "../../support/in-memory.ts";

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

const text = fc.oneof(fc.string(), fc.string({ unit: "grapheme" }), fc.constant("🙂"[0]!), fc.constant("__proto__"));
const id = fc.oneof(
  fc.string({ minLength: 1 }),
  fc.constantFrom("__proto__", "constructor", "🙂-id", "x".repeat(300), "\u0000\n", "turn-1-1", "message-1"),
);
const json = fc.jsonValue({ maxDepth: 3 });
const metadataOfProvider = fc.option(fc.constant({ acme: { signature: "s", ["__proto__x"]: [1] } }), {
  nil: undefined,
});
const name = fc.constantFrom("weather", "run", "toString");

/** The fields that have a value. */
const present = (fields: object): object =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

const textPart = (type: "text" | "reasoning"): fc.Arbitrary<object> =>
  fc
    .record({ text, state: fc.constantFrom("done", "streaming", undefined), providerMetadata: metadataOfProvider })
    .map((fields) => present({ type, ...fields }));

const filePart = fc.record({
  type: fc.constant("file"),
  mediaType: fc.constantFrom("image/png", "application/pdf", "text/plain"),
  url: fc.constantFrom("https://example.test/a.png", "data:image/png;base64,aGk=", "data:text/plain,hi"),
  filename: fc.constantFrom("a 🙂.png", "b"),
});

const dataPart = fc.record({ type: fc.constantFrom("data-x", "data-__proto__"), id, data: json });

const callPart = fc
  .record({
    tool: name,
    isDynamic: fc.boolean(),
    toolCallId: fc.uuid(),
    input: fc.oneof(fc.dictionary(fc.string(), json, { noNullPrototype: true }), json),
    output: json,
    reason: fc.option(text, { nil: undefined }),
    callProviderMetadata: metadataOfProvider,
    state: fc.constantFrom(
      "input-streaming",
      "input-available",
      "approval-requested",
      "approval-responded",
      "output-available",
      "output-error",
      "output-denied",
    ),
  })
  .map(({ tool, isDynamic, toolCallId, input, output, reason, callProviderMetadata, state }) => {
    const about = isDynamic ? { type: "dynamic-tool", toolName: tool } : { type: `tool-${tool}` };
    const base = present({ ...about, toolCallId, state, input, callProviderMetadata });
    const approval = { id: `approve ${toolCallId}` };
    switch (state) {
      case "approval-requested":
        return { ...base, approval };
      case "approval-responded":
        return { ...base, approval: present({ ...approval, approved: true, reason }) };
      case "output-available":
        return { ...base, output };
      case "output-error":
        return { ...base, errorText: "it failed" };
      case "output-denied":
        return { ...base, approval: present({ ...approval, approved: false, reason }) };
      default:
        return base;
    }
  });

const otherPart = fc.constantFrom(
  { type: "step-start" },
  { type: "source-url", sourceId: "s", url: "https://example.test", title: "T" },
  { type: "source-document", sourceId: "d", mediaType: "text/plain", title: "D", filename: "d.txt" },
  { type: "reasoning-file", mediaType: "image/png", url: "data:image/png;base64,aGk=" },
  { type: "custom", kind: "acme.thing" },
);

const userMessage = fc
  .record({
    id,
    metadata: fc.option(json, { nil: undefined }),
    parts: fc.array(fc.oneof(textPart("text"), filePart, dataPart), { minLength: 1, maxLength: 4 }),
  })
  .map((fields) => present({ ...fields, role: "user" }) as unknown as UIMessage);

const answerMessage = fc
  .record({
    id,
    metadata: fc.option(json, { nil: undefined }),
    parts: fc.array(
      fc.oneof(textPart("text"), textPart("reasoning"), filePart, dataPart, callPart, callPart, otherPart),
      { minLength: 1, maxLength: 6 },
    ),
  })
  .map((fields) => present({ ...fields, role: "assistant" }) as unknown as UIMessage);

const isValid = async (message: UIMessage): Promise<boolean> =>
  (await safeValidateUIMessages({ messages: [plain(message)] })).success;

test("any message comes back in another process as it was, under any id, and other formats read it with paired calls", async () => {
  await using place = inMemory();
  let chat = 0;
  await fc.assert(
    fc.asyncProperty(userMessage, answerMessage, id, async (asked, answered, chatId) => {
      const [question, answer] = [plain(asked), plain(answered)] as [UIMessage, UIMessage];
      fc.pre(question.id !== answer.id && (await isValid(question)) && (await isValid(answer)));
      const name = `${++chat}${chatId}`;
      const opened = await chats<UIMessage>(place.sessions).open(name);
      assert.deepEqual(plain(await opened.add(question)), [question]);
      // Adding it once more changes nothing.
      assert.deepEqual(plain(await opened.add(question)), [question]);
      const { session } = opened;
      await session.refresh();
      await session.write({
        turns: {
          from: 1,
          amends: true,
          turns: [{ input: fromFormat([question], "ai-sdk-ui"), output: fromFormat([answer], "ai-sdk-ui") }],
        },
      });
      const again = await chats<UIMessage>(place.another()).open(name);
      assert.deepEqual(plain(again.messages), [question, answer]);
      const turns = await Array.fromAsync(again.session.turns());
      const messages = turns.flatMap(({ input, output }) => [...input, ...output]);
      for (const format of ["anthropic", "openai-responses", "ai-sdk", "langchain"] as const)
        toFormat(messages, format);
      let shown: readonly Message[] = [];
      await (
        await again.session.consult("And now?", {
          model: async function* (request) {
            shown = request.messages;
            yield { type: "text", text: "Well." };
          },
        })
      ).done;
      const calls = shown.flatMap(({ tool_calls: list }) => (list ?? []).map((call) => call.id));
      const results = shown.flatMap(({ tool_call_id: result }) => result ?? []);
      assert.deepEqual(calls.toSorted(), results.toSorted());
    }),
    { numRuns: 300 },
  );
});

/** A part as the AI SDK makes it of chunks: texts have a state, and inputs are objects. */
const asMade = fc.oneof(
  fc
    .record({
      type: fc.constantFrom("text", "reasoning"),
      text,
      state: fc.constantFrom("done", "streaming"),
      id: fc.uuid(),
    })
    .map(({ id: own, ...fields }) => (fields.type === "reasoning" ? { ...fields, id: own } : { ...fields })),
  callPart.filter((part) => "input" in part && part.input !== null),
  dataPart,
  fc.constantFrom(
    { type: "step-start" },
    { type: "source-url", sourceId: "s", url: "https://example.test", title: "T" },
    { type: "file", mediaType: "image/png", url: "data:image/png;base64,aGk=" },
    { type: "reasoning-file", mediaType: "image/png", url: "data:image/png;base64,aGk=" },
    { type: "custom", kind: "acme.thing" },
  ),
);

test("a reader that begins anew gets chunks that make up the message that stands", async () => {
  const messages = fc.record({ id, parts: fc.array(asMade, { maxLength: 6 }) });
  await fc.assert(
    fc.asyncProperty(messages, fc.option(fc.constant({ a: 1 }), { nil: undefined }), async (made, metadata) => {
      const message = plain({ role: "assistant", ...made, metadata }) as UIMessage;
      // Data parts with one id are one part, and the last one counts.
      const keys = message.parts.flatMap((part) => ("id" in part ? [`${part.type} ${part.id}`] : []));
      fc.pre(new Set(keys).size === keys.length && (await isValid(message)));
      const chunks = [{ type: "start", messageId: message.id }, ...chunksOfMessage(message)];
      const back = await assembled(chunks, { id: message.id, base: undefined });
      const comparable = (part: object): object => {
        const { input, state, rawInput: _, ...others } = part as Record<string, unknown>;
        // While an input streams, it is what its text says so far.
        return state === "input-streaming" ? { ...others, state } : present({ ...others, state, input });
      };
      assert.deepEqual((plain(back) as UIMessage).parts.map(comparable), message.parts.map(comparable));
      assert.deepEqual([back.id, back.metadata], [message.id, message.metadata]);
    }),
    { numRuns: 500 },
  );
});

test("chunks that are joined make up the message that a client makes of each of them", async () => {
  const chunk = fc.oneof(
    fc.record({ type: fc.constant("text-delta"), id: fc.constantFrom("a", "b"), delta: text }),
    fc.record({ type: fc.constant("reasoning-delta"), id: fc.constantFrom("r"), delta: text }),
    fc.constant({ type: "text-delta", id: "a", delta: "x", providerMetadata: { acme: { n: 1 } } }),
    dataPart,
    fc.constantFrom({ type: "start-step" }, { type: "source-url", sourceId: "s", url: "https://example.test" }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(chunk, { maxLength: 30 }), async (given) => {
      const chunks = [
        { type: "start", messageId: "m" },
        ...["a", "b"].map((part) => ({ type: "text-start", id: part })),
        { type: "reasoning-start", id: "r" },
        ...given,
        { type: "source-url", sourceId: "last", url: "https://example.test" },
      ] as UIMessageChunk[];
      const joined = new ReceivedChunks();
      for (const one of chunks) joined.add(one);
      const own = await assembled(joined, { id: "m", base: undefined });
      let theirs: UIMessage | undefined;
      for await (const message of readUIMessageStream({ stream: ReadableStream.from(chunks) })) theirs = message;
      assert.deepEqual(plain(own.parts), plain(theirs?.parts));
      assert([...joined].length <= chunks.length);
    }),
    { numRuns: 200 },
  );
});
