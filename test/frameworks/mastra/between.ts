/** Threads of Mastra in the tests between frameworks. */
import type { MastraDBMessage } from "@mastra/core/agent";
import { randomUUID } from "node:crypto";
import { perdureMemory } from "../../../src/adapters/mastra.ts";
import type { Sessions } from "../../../src/index.ts";
import { dataUrl, plain, sample, type Exchange, type Participant } from "../participant.ts";
import { messageOf, threadOf } from "./messages.ts";

type Said = readonly [role: "user" | "assistant", ...parts: readonly object[]];

const text = (said: string): object => ({ type: "text", text: said });

const called = (
  { id: toolCallId, tool: toolName, input: args }: Exchange["call"] | (typeof sample.calls)[number],
  result: string,
): object => ({
  type: "tool-invocation",
  toolInvocation: { state: "result", toolCallId, toolName, args, result },
});

async function append(sessions: Sessions, threadId: string, said: readonly Said[]): Promise<void> {
  const memory = await perdureMemory(sessions);
  if ((await memory.getThreadById({ threadId })) === null) await memory.saveThread({ thread: threadOf(threadId) });
  const { messages: stored } = await memory.listMessages({ threadId, perPage: false });
  const messages = said.map(([role, ...parts], index) => ({
    ...messageOf(randomUUID(), { threadId, at: stored.length + index }),
    role,
    content: { format: 2, parts },
  }));
  await memory.saveMessages({ messages: messages as unknown as MastraDBMessage[] });
}

export const participant: Participant = {
  name: "Mastra",
  page: "mastra.md",
  format: "ai-sdk-ui",
  sessionOf: (id) => `mastra/${id}`,
  async begin(sessions, id) {
    const [found, failed] = sample.calls;
    const { mediaType: mimeType } = sample.picture;
    await append(sessions, id, [
      ["user", text(sample.question), { type: "file", mimeType, data: dataUrl(sample.picture) }],
      [
        "assistant",
        { type: "reasoning", reasoning: sample.reasoning, details: [] },
        called(found, found.result),
        called(failed, failed.failure),
        text(sample.answer),
      ],
      ["user", text(sample.thanks)],
      ["assistant", text(sample.welcome)],
    ]);
  },
  async read(sessions, id) {
    const { messages } = await (await perdureMemory(sessions)).listMessages({ threadId: id, perPage: false });
    return plain(messages);
  },
  async goOn(sessions, id, { question, call, result, answer }) {
    await append(sessions, id, [
      ["user", text(question)],
      ["assistant", called(call, result), text(answer)],
    ]);
  },
};
