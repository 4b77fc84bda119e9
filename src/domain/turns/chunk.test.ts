import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../../test/support/fast-check.ts";
import { message } from "../../../test/property/arbitraries.ts";
import { assemble, encodeChunk, mergeTexts, readChunk, type Chunk } from "./chunk.ts";
import type { Value } from "../values/codec.ts";
import type { Message } from "./turn.ts";

const text = fc.string({ unit: "binary", minLength: 1, maxLength: 10 });
const part: fc.Arbitrary<Value> = fc.oneof(
  text,
  fc.integer(),
  fc.constantFrom(true, null),
  fc.array(text, { maxLength: 3 }),
  text.map((delta) => ({ type: "text-delta", delta })),
);
const chunk: fc.Arbitrary<Chunk> = fc.oneof(
  text.map((text) => ({ text })),
  text.map((reasoning) => ({ reasoning })),
  message.map((message) => ({ message })),
  part.map((part) => ({ part })),
  fc.tuple(part, text).map(([part, said]) => ({ part, said })),
);
const chunks = fc.array(chunk);

const spokenBy = (messages: readonly Message[]): string =>
  messages.map(({ content }) => (typeof content === "string" ? content : "")).join("|");

test("no text and no message is lost, doubled or moved", () => {
  fc.assert(
    fc.property(chunks, (chunks) => {
      const assembled = assemble(chunks);
      const textOf = (pieces: readonly string[]): string => pieces.join("").replaceAll("|", "");
      const given = chunks.map((one) => {
        if ("text" in one) return one.text;
        if ("part" in one) return one.said ?? "";
        return "message" in one ? spokenBy([one.message]) : "";
      });
      assert.equal(textOf([spokenBy(assembled)]), textOf(given));
      const calls = (messages: readonly Message[]): unknown[] => messages.flatMap((one) => one.tool_calls ?? []);
      assert.deepEqual(calls(assembled), calls(chunks.flatMap((one) => ("message" in one ? [one.message] : []))));
    }),
  );
});

test("how a text was cut into pieces does not matter", () => {
  const pieces = fc.array(fc.tuple(chunk, fc.nat(10)));
  fc.assert(
    fc.property(pieces, (pieces) => {
      const cut = pieces.flatMap(([one, place]): Chunk[] =>
        "text" in one ? [{ text: one.text.slice(0, place) }, { text: one.text.slice(place) }] : [one],
      );
      assert.deepEqual(assemble(cut), assemble(pieces.map(([one]) => one)));
    }),
  );
});

test("texts in a row are one message, and tool calls that follow a text belong to it", () => {
  const calls = [{ id: "a", function: { name: "f", arguments: "{}" } }];
  const chunks: Chunk[] = [
    { text: "Let me " },
    { text: "look." },
    { message: { role: "assistant", content: null, tool_calls: calls } },
    { message: { role: "tool", tool_call_id: "a", content: "42" } },
    { text: "It is 42." },
  ];
  assert.deepEqual(assemble(chunks), [
    { role: "assistant", content: "Let me look.", tool_calls: calls },
    { role: "tool", tool_call_id: "a", content: "42" },
    { role: "assistant", content: "It is 42." },
  ]);
  assert.deepEqual(assemble([]), []);
});

test("pieces of reasoning in a row are one chunk, and no part of the messages", () => {
  const pieces: Chunk[] = [
    { reasoning: "Let " },
    { reasoning: "me see" },
    { text: "Yes" },
    { reasoning: "" },
    { text: "." },
  ];
  assert.deepEqual(mergeTexts(pieces), [{ reasoning: "Let me see" }, { text: "Yes." }]);
  assert.deepEqual(assemble(pieces), [{ role: "assistant", content: "Yes." }]);
});

test("a part adds what it says to the text around it, and is no part of the messages", () => {
  const pieces: Chunk[] = [
    { part: { type: "start" } },
    { part: { type: "text-delta", delta: "It " }, said: "It " },
    { text: "is" },
    { part: { type: "data-weather", data: { sun: true } } },
    { part: { type: "text-delta", delta: " 42." }, said: " 42." },
  ];
  assert.deepEqual(assemble(pieces), [{ role: "assistant", content: "It is 42." }]);
  assert.deepEqual(mergeTexts(pieces), pieces, "every part stays one chunk");
});

test("assembling changes no chunk", () => {
  fc.assert(
    fc.property(chunks, (chunks) => {
      const copy = structuredClone(chunks);
      assemble(chunks);
      assert.deepEqual(chunks, copy);
    }),
  );
});

test("a chunk comes back from its entry as it was", () => {
  fc.assert(
    fc.property(chunk, (original) => {
      assert.deepStrictEqual(readChunk({ seq: 1, key: null, at: 0, data: encodeChunk(original) }), original);
    }),
  );
});
