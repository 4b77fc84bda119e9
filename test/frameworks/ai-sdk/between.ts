/** Chats of the AI SDK in the tests between frameworks. */
import { streamText, tool, type ToolSet, type UIMessage } from "ai";
import { stepCountIs } from "ai";
import { z } from "zod";
import { chats } from "../../../src/adapters/ai.ts";
import type { Sessions } from "../../../src/index.ts";
import { dataUrl, plain, sample, type Exchange, type Participant } from "../participant.ts";
import { scripted, usage, words } from "./chat-client.ts";

const finish = { type: "finish", usage, finishReason: { unified: "tool-calls", raw: "tool-calls" } };

async function exchanged(
  sessions: Sessions,
  id: string,
  {
    parts,
    answers,
    tools = {},
  }: {
    readonly parts: readonly object[];
    readonly answers: readonly (readonly object[])[];
    readonly tools?: ToolSet;
  },
): Promise<void> {
  const chat = await chats<UIMessage>(sessions).open(id);
  const { messages } = chat;
  const lastSeen = messages.at(-1)?.id;
  const message = { id: `question-${messages.length}`, role: "user", parts };
  await chat.add(message, lastSeen === undefined ? {} : { lastSeen });
  const model = scripted(answers);
  const response = await chat.respond(() =>
    streamText({ model, tools, prompt: "…", stopWhen: stepCountIs(5), onError: () => undefined }),
  );
  await response.text();
}

export const participant: Participant = {
  name: "AI SDK",
  page: "ai-sdk.md",
  format: "ai-sdk-ui",
  sessionOf: (id) => id,
  async begin(sessions, id) {
    const look = tool({
      inputSchema: z.object({ city: z.string() }),
      execute: ({ city }) => {
        if (city === sample.calls[1].input.city) throw new Error(sample.calls[1].failure);
        return sample.calls[0].result;
      },
    });
    const picture = { type: "file", mediaType: sample.picture.mediaType, url: dataUrl(sample.picture) };
    const { mediaType, name: filename } = sample.file;
    const file = { type: "file", mediaType, filename, url: dataUrl(sample.file) };
    const reasoning = [
      { type: "reasoning-start", id: "r" },
      { type: "reasoning-delta", id: "r", delta: sample.reasoning },
      { type: "reasoning-end", id: "r" },
    ];
    const calls = sample.calls.map(({ id: toolCallId, tool: toolName, input }) => ({
      type: "tool-call",
      toolCallId,
      toolName,
      input: JSON.stringify(input),
    }));
    await exchanged(sessions, id, {
      parts: [{ type: "text", text: sample.question }, picture, file],
      answers: [[{ type: "stream-start", warnings: [] }, ...reasoning, ...calls, finish], words(sample.answer)],
      tools: { look },
    });
    await exchanged(sessions, id, {
      parts: [{ type: "text", text: sample.thanks }],
      answers: [words(sample.welcome)],
    });
  },
  async read(sessions, id) {
    return plain((await chats<UIMessage>(sessions).open(id)).messages);
  },
  async goOn(sessions, id, { question, call, result, answer }: Exchange) {
    const count = tool({ inputSchema: z.object({ n: z.number() }), execute: () => result });
    const { id: toolCallId, tool: toolName, input } = call;
    const asked = { type: "tool-call", toolCallId, toolName, input: JSON.stringify(input) };
    await exchanged(sessions, id, {
      parts: [{ type: "text", text: question }],
      answers: [[{ type: "stream-start", warnings: [] }, asked, finish], words(answer)],
      tools: { count },
    });
  },
};
