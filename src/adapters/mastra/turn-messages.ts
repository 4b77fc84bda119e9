/** Messages of Mastra as messages of turns. */
import { defined } from "../../domain/values/defined.ts";
import type { Message } from "../../index.ts";
import { shownMessages } from "../projection/shown-messages.ts";
import type { MastraMessage } from "./package-mastra.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** The format of the AI SDK, whose messages are near to those of Mastra. */
export const format = "ai-sdk-ui";

/** The messages of a turn that other frameworks read in the place of a message of Mastra. Signals have none. */
export function shownMessagesOf({ id, role, content }: MastraMessage): readonly Message[] {
  if (role !== "user" && role !== "assistant" && role !== "system") return [];
  if (typeof content === "string") return shownMessages({ id, role, parts: [{ type: "text", text: content }] }, format);
  const fields = fieldsOf(content);
  const { parts: given, content: text, experimental_attachments: attachments } = fields;
  const parts = Array.isArray(given) && given.length > 0 ? (given as readonly unknown[]) : undefined;
  const calls = Array.isArray(fields["toolInvocations"]) ? (fields["toolInvocations"] as readonly unknown[]) : [];
  const earlier = [
    ...calls.map((toolInvocation) => ({ type: "tool-invocation", toolInvocation })),
    ...(typeof text === "string" && text !== "" ? [{ type: "text", text }] : []),
  ];
  return shownMessages(
    defined({ id, role, parts: (parts ?? earlier).map(uiPart), experimental_attachments: attachments }),
    format,
  );
}

/** A part of Mastra as one of version 5 of the AI SDK: Mastra has calls in the form of version 4, with states of its own. */
function uiPart(part: unknown): unknown {
  const { type, toolInvocation } = fieldsOf(part);
  if (type !== "tool-invocation") return part;
  const {
    toolCallId,
    toolName,
    args: input,
    state,
    result: output,
    isError,
    errorText,
    approval,
  } = fieldsOf(toolInvocation);
  const call = { type: "dynamic-tool", toolCallId, toolName, input };
  if (state === "output-error" || isError === true)
    return { ...call, state: "output-error", errorText: errorText ?? textOf(output) };
  if (state === "output-denied") return { ...call, state, approval };
  return state === "result" ? { ...call, state: "output-available", output } : { ...call, state: "input-available" };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? null);
}

export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}
