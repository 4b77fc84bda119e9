import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { fromFormat } from "../../formats/conversion.ts";
import type { Value } from "../../domain/values/codec.ts";

const thinking = { type: "thinking", thinking: "A greeting.", signature: "EqQB" };
const native: Value = { role: "assistant", content: [thinking, { type: "text", text: "Hello." }] };

test("messages are read in a format: what the format wrote comes back as it was, until it changes", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const output = fromFormat([native], "anthropic");
  await session.append({ input: "Hi", output });
  await session.append({ input: "And?", output: "Well." });
  const asked = { role: "user", content: "Hi" };
  assert.deepEqual(await session.messages({ as: "anthropic", last: 2 }), [
    asked,
    native,
    { role: "user", content: "And?" },
    { role: "assistant", content: "Well." },
  ]);
  assert.deepEqual(await session.messages({ as: "anthropic", to: 1 }), [asked, native]);
  assert.deepEqual(await session.messages({ to: 1 }), [asked, { role: "assistant", content: "Hello." }]);
  assert.deepEqual(await session.messages({ as: "sharegpt", from: 2 }), [
    { from: "human", value: "And?" },
    { from: "gpt", value: "Well." },
  ]);
  assert.deepEqual(await session.messages({ last: 0 }), []);
  const look = await session.look([{ log: "turns", last: 1 }]);
  const changed = output.map((message) => ({ ...message, content: "Good day." }));
  await session.write({ turns: { from: 1, turns: [{ input: "Hi", output: changed }] }, onto: look });
  assert.deepEqual(await session.messages({ as: "anthropic" }), [asked, { role: "assistant", content: "Good day." }]);
});

test("an unknown format, range or field is refused", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (const query of [{ as: "yaml" }, { as: null }, { last: -1 }, { format: "openai" }, null, { as: "__proto__" }])
    await assert.rejects(session.messages(query as never), { code: "argument_invalid" });
  await assert.rejects(session.messages({ from: 3, to: 2 }), { code: "range_invalid" });
});
