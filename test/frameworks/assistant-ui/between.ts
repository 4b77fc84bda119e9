/** Threads of assistant-ui in the tests between frameworks. */
import { fromThreadMessageLike, type ThreadMessage } from "@assistant-ui/core";
import { randomUUID } from "node:crypto";
import { assistantHistory } from "../../../src/client/assistant-ui.ts";
import type { Sessions } from "../../../src/index.ts";
import { dataUrl, plain, sample, type Participant } from "../participant.ts";

type Content = Parameters<typeof fromThreadMessageLike>[0]["content"];
type Called = { readonly id: string; readonly tool: string; readonly input: object };

async function append(
  sessions: Sessions,
  id: string,
  contents: readonly (readonly ["user" | "assistant", unknown])[],
): Promise<void> {
  const history = assistantHistory(sessions, id);
  let parentId = (await history.load()).headId ?? null;
  for (const [role, content] of contents) {
    const like = { id: randomUUID(), role, content: content as Content };
    const message = fromThreadMessageLike(like, like.id, { type: "complete", reason: "stop" });
    await history.append({ parentId, message: message as never });
    parentId = message.id;
  }
}

const called = ({ id: toolCallId, tool: toolName, input: args }: Called, result: string, isError = false): object => ({
  type: "tool-call",
  toolCallId,
  toolName,
  args,
  argsText: JSON.stringify(args),
  result,
  isError,
});

/** A message of a thread in the form of the AI SDK. */
function canonical({ id, role, content }: ThreadMessage): object {
  return {
    id,
    role,
    parts: content.map((part) => {
      const { type, image, data, mimeType, filename, toolCallId, toolName, args, result, isError } =
        part as unknown as Record<string, unknown>;
      if (type === "image") return { type: "file", mediaType: "image/png", url: image };
      if (type === "file") return { type: "file", mediaType: mimeType, filename, url: data };
      if (type !== "tool-call") return part;
      const about = { type: `tool-${String(toolName)}`, toolCallId, input: args };
      return isError === true
        ? { ...about, state: "output-error", errorText: result }
        : { ...about, state: "output-available", output: result };
    }),
  };
}

export const participant: Participant = {
  name: "assistant-ui",
  page: "assistant-ui.md",
  format: "ai-sdk-ui",
  sessionOf: (id) => id,
  async begin(sessions, id) {
    const [found, failed] = sample.calls;
    const { mediaType: mimeType, name: filename } = sample.file;
    await append(sessions, id, [
      [
        "user",
        [
          { type: "text", text: sample.question },
          { type: "image", image: dataUrl(sample.picture) },
          { type: "file", mimeType, filename, data: dataUrl(sample.file) },
        ],
      ],
      [
        "assistant",
        [
          { type: "reasoning", text: sample.reasoning },
          called(found, found.result),
          called(failed, failed.failure, true),
          { type: "text", text: sample.answer },
        ],
      ],
      ["user", sample.thanks],
      ["assistant", sample.welcome],
    ]);
  },
  async read(sessions, id) {
    const { messages } = await assistantHistory(sessions, id).load();
    return plain(messages.map(({ message }) => canonical(message as unknown as ThreadMessage)));
  },
  async goOn(sessions, id, { question, call, result, answer }) {
    await append(sessions, id, [
      ["user", question],
      ["assistant", [called(call, result), { type: "text", text: answer }]],
    ]);
  },
};
