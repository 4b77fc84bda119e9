/** Messages of Mastra as messages of turns, and those of turns that others have written as messages of Mastra. */
import { defined } from "../../domain/values/defined.ts";
import { idFor, toFormat, type Message } from "../../index.ts";
import { places, type ForeignMessages } from "../projection/projected-turns.ts";
import { shownMessages } from "../projection/shown-messages.ts";
import type { MastraMessage } from "./package-mastra.ts";
import { timeKey } from "./stored-message.ts";

type Fields = Readonly<Record<string, unknown>>;

/** The format of the AI SDK, whose messages are near to those of Mastra. */
const format = "ai-sdk-ui";

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

/**
 * The messages of Mastra in the place of messages that others have written. Their ids are always the same: an id says which of the equal
 * messages of the turn it is.
 */
export function mastraMessagesOf(
  { turn, before, messages }: ForeignMessages,
  {
    sessionId,
    threadId,
    resourceId,
  }: {
    readonly sessionId: string;
    readonly threadId: string;
    readonly resourceId: string;
  },
): readonly (MastraMessage & { readonly createdAt: Date })[] {
  const began = turn.at.getTime();
  const placeOf = places(before);
  return toFormat(messages, format).map((value) => {
    const { role, parts } = value as unknown as { readonly role: string; readonly parts: readonly Fields[] };
    const id = idFor(`${sessionId}/turn-${turn.seq}-${placeOf(value)}-${timeKey(began)}`);
    const content = { format: 2, parts: parts.flatMap(mastraPart) };
    return { id, role, type: "text", threadId, resourceId, createdAt: turn.at, content };
  });
}

/** A part of the AI SDK as one of Mastra. */
function mastraPart(part: Fields): readonly object[] {
  const { type, toolCallId, input, output, errorText, state, mediaType, url, filename, text } = part;
  if (type === "file") return [defined({ type, mimeType: mediaType, data: url, filename })];
  if (type === "reasoning") return [{ type, reasoning: text, details: [{ type: "text", text }] }];
  if (typeof type !== "string") return [];
  const isCall = type === "dynamic-tool" || type.startsWith("tool-");
  if (!isCall) return [part];
  const toolName = type === "dynamic-tool" ? part["toolName"] : type.slice("tool-".length);
  const call = { toolCallId, toolName, args: input };
  const outcomes: Readonly<Record<string, object>> = {
    "output-available": { state: "result", result: output },
    "output-error": { state: "output-error", errorText },
  };
  const outcome = outcomes[String(state)] ?? { state: "call" };
  return [{ type: "tool-invocation", toolInvocation: { ...call, ...outcome } }];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? null);
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}
