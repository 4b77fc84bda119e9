import assert from "node:assert/strict";
import { test } from "node:test";
import { importText, storedMessages } from "../../../../test/support/import-text.ts";
import { inMemory } from "../../../../test/support/in-memory.ts";
import { nativeOf } from "../../../domain/request/native-form.ts";

test("a prompt of AI Studio has its model, tokens and instructions; chunks of one author are one message", async () => {
  await using place = inMemory();
  const prompt = {
    runSettings: { model: "models/m2", temperature: 1 },
    systemInstruction: { parts: [{ text: "Be brief." }] },
    chunkedPrompt: {
      chunks: [
        { driveImage: { id: "d1" }, role: "user", tokenCount: 258 },
        { inlineImage: { mimeType: "image/png", data: "AA==" }, role: "user" },
        { text: "Is it done?", role: "user", tokenCount: 4 },
        { text: "Look first.", role: "model", isThought: true, tokenCount: 10 },
        { text: "Yes.", role: "model", tokenCount: 2, finishReason: "STOP" },
      ],
      pendingInputs: [{ text: "And now", role: "user" }],
    },
  };
  const report = await importText(place.sessions, JSON.stringify(prompt));
  assert.deepEqual([report.restored, report.leftOut, report.aside], [1, { draft: 1, picture: 1 }, 6]);
  const [{ id } = { id: "" }] = (await place.sessions.list()).items;
  const [question, answer] = await storedMessages(place.sessions, id);
  assert.deepEqual(question?.content, [
    { type: "text", text: "[image d1]\n\n" },
    { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
    { type: "text", text: "Is it done?" },
  ]);
  assert.deepEqual(
    [answer?.content, nativeOf(answer!)?.value],
    [
      "Yes.",
      [
        { type: "reasoning", text: "Look first." },
        { isThought: true, tokenCount: 10 },
        { tokenCount: 2, finishReason: "STOP" },
      ],
    ],
  );
  const session = await place.sessions.get(id);
  assert.deepEqual(
    [session.info.metadata, await session.instructions()],
    [{ runSettings: { model: "models/m2", temperature: 1 }, source: "ai-studio" }, "Be brief."],
  );
  const [turn] = await Array.fromAsync(session.turns());
  assert.deepEqual(
    [turn?.model, turn?.usage],
    ["models/m2", { inputTokens: 0, outputTokens: 12, totalTokens: 12, reasoningTokens: 10 }],
  );
});
