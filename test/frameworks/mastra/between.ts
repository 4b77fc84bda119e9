/** Threads of Mastra in the tests between frameworks. */
import { MessageList, type MastraDBMessage } from "@mastra/core/agent";
import { randomUUID } from "node:crypto";
import { perdureMemory } from "../../../src/adapters/mastra.ts";
import type { Sessions } from "../../../src/index.ts";
import { dataUrl, plain, sample, type Exchange, type Participant } from "../participant.ts";
import { messageOf, threadOf } from "./messages.ts";

type Said = readonly [role: "user" | "assistant", ...parts: readonly object[]];

const text = (said: string): object => ({ type: "text", text: said });

const called = (
  { id: toolCallId, tool: toolName, input: args }: Exchange["call"] | (typeof sample.calls)[number],
  outcome: { readonly result: string } | { readonly errorText: string },
): object => ({
  type: "tool-invocation",
  toolInvocation: { state: "result" in outcome ? "result" : "output-error", toolCallId, toolName, args, ...outcome },
});

async function append(sessions: Sessions, threadId: string, said: readonly Said[]): Promise<void> {
  const memory = await perdureMemory(sessions);
  if ((await memory.getThreadById({ threadId })) === null) await memory.saveThread({ thread: threadOf(threadId) });
  const messages = said.map(([role, ...parts]) => ({
    ...messageOf(randomUUID(), { threadId }),
    createdAt: new Date(),
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
  nameOf: (id) => (id.startsWith("mastra/") ? id.slice("mastra/".length) : id),
  async begin(sessions, id) {
    const [found, failed] = sample.calls;
    await append(sessions, id, [
      [
        "user",
        text(sample.question),
        { type: "file", mimeType: sample.picture.mediaType, data: dataUrl(sample.picture) },
        { type: "file", mimeType: sample.file.mediaType, data: dataUrl(sample.file), filename: sample.file.name },
      ],
      [
        "assistant",
        { type: "reasoning", reasoning: sample.reasoning, details: [] },
        called(found, { result: found.result }),
        called(failed, { errorText: failed.failure }),
        text(sample.answer),
      ],
      ["user", text(sample.thanks)],
      ["assistant", text(sample.welcome)],
    ]);
  },
  async read(sessions, id) {
    const { messages } = await (await perdureMemory(sessions)).listMessages({ threadId: id, perPage: false });
    return plain(new MessageList().add(messages, "memory").get.all.aiV5.ui());
  },
  async goOn(sessions, id, { question, call, result, answer }) {
    await append(sessions, id, [
      ["user", text(question)],
      ["assistant", called(call, { result }), text(answer)],
    ]);
  },
};
