/** Threads of CopilotKit in the tests between frameworks. */
import type { Message as AgUiMessage } from "@ag-ui/client";
import { randomUUID } from "node:crypto";
import type { Sessions } from "../../../src/index.ts";
import { plain, sample, type Participant } from "../participant.ts";
import { event, runtimeOf, says, ScriptedAgent, type Step } from "./agents.ts";

type Called = { readonly id: string; readonly tool: string; readonly input: object };

function calls(messageId: string, all: readonly Called[]): Step[] {
  return all.flatMap(({ id: toolCallId, tool: toolCallName, input }) => [
    event("TOOL_CALL_START", { toolCallId, toolCallName, parentMessageId: messageId }),
    event("TOOL_CALL_ARGS", { toolCallId, delta: JSON.stringify(input) }),
    event("TOOL_CALL_END", { toolCallId }),
  ]);
}

const result = ({ id: toolCallId }: Called, content: string): Step =>
  event("TOOL_CALL_RESULT", { messageId: randomUUID(), toolCallId, content, role: "tool" });

async function run(sessions: Sessions, id: string, content: unknown, steps: readonly Step[]): Promise<void> {
  const runtime = await runtimeOf(sessions, new ScriptedAgent(() => steps));
  const client = runtime.client(id);
  await client.follow();
  await client.ask(randomUUID(), content as string);
}

/** A message of AG-UI in the form of chat completions. */
function canonical(message: AgUiMessage): object {
  const { toolCalls, toolCallId, content = null, ...others } = message as unknown as Record<string, unknown>;
  return {
    ...others,
    content: Array.isArray(content) ? content.map(canonicalPart) : content,
    ...(toolCalls === undefined ? {} : { tool_calls: toolCalls }),
    ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId }),
  };
}

function canonicalPart(part: {
  readonly type: string;
  readonly source?: { readonly value: string; readonly mimeType: string };
}): object {
  if (part.type !== "image" || part.source === undefined) return part;
  return { type: "image_url", image_url: { url: `data:${part.source.mimeType};base64,${part.source.value}` } };
}

export const participant: Participant = {
  name: "CopilotKit",
  page: "copilotkit.md",
  format: "openai",
  sessionOf: (id) => id,
  async begin(sessions, id) {
    const [found, failed] = sample.calls;
    const { mediaType: mimeType, data: value } = sample.picture;
    const question = [
      { type: "text", text: sample.question },
      { type: "image", source: { type: "data", mimeType, value } },
    ];
    const [first, second] = [randomUUID(), randomUUID()];
    await run(sessions, id, question, [
      ...calls(first, [found, failed]),
      result(found, found.result),
      result(failed, failed.failure),
      ...says(second, sample.answer),
    ]);
    await run(sessions, id, sample.thanks, says(randomUUID(), sample.welcome));
  },
  async read(sessions, id) {
    const client = (await runtimeOf(sessions, new ScriptedAgent(() => []))).client(id);
    await client.follow();
    return plain(client.messages.map(canonical));
  },
  async goOn(sessions, id, { question, call, result: found, answer }) {
    await run(sessions, id, question, [
      ...calls(randomUUID(), [call]),
      result(call, found),
      ...says(randomUUID(), answer),
    ]);
  },
};
