/**
 * Parts of imported messages. Text, pictures and files stay in the content, in the form of OpenAI's chat completions;
 * Anthropic's `tool_use` and `tool_result` become calls and their results; parts of all other kinds (sources, data,
 * reasoning) are kept in the field `native` of the message, which no model is sent.
 */
import type { Value } from "../domain/values/codec.ts";
import { readablePart, type Part } from "../domain/request/shown-message.ts";
import type { Message, ToolCall } from "../domain/turns/turn.ts";

/** The messages in place of one whose content may be a list of parts. */
export function withKnownParts(message: Message): readonly Message[] {
  const { content } = message;
  if (!Array.isArray(content) || message.role === "tool") return [message];
  const parts = (content as readonly Value[]).map(partOf);
  if (parts.every(isOfChatCompletions)) return [message];
  const results = parts.filter(({ type }) => type === "tool_result").map(resultOf);
  const calls = callsOf(message, parts);
  const aside = parts.filter((part) => shownOf(part).length === 0 && !isExchange(part));
  const shown = parts.flatMap(shownOf);
  const isOnlyResults = results.length === parts.length;
  if (isOnlyResults) return results;
  const whole: Message = {
    ...message,
    content: shown.length === 0 && calls.length > 0 ? null : contentOf(shown),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(aside.length === 0 ? {} : { native: { parts: aside } }),
  };
  return [...results, whole];
}

/** How many parts of a message are kept beside its content. */
export function countAside({ native }: Message): number {
  const parts = (native as { readonly parts?: unknown } | undefined)?.parts;
  return Array.isArray(parts) ? parts.length : 0;
}

/** One text where all parts are text, else the parts. */
export function contentOf(parts: readonly { readonly type?: unknown; readonly text?: unknown }[]): Value {
  const isText = parts.every(({ type }) => type === "text");
  return isText ? parts.map(({ text }) => textOf(text)).join("") : (parts as readonly Part[]);
}

function partOf(value: Value): Part {
  if (typeof value === "string") return { type: "text", text: value };
  const isPart = typeof value === "object" && value !== null && typeof (value as Part).type === "string";
  return isPart ? (value as Part) : { type: "unknown", value };
}

/** https://platform.openai.com/docs/api-reference/chat/create */
function isOfChatCompletions(part: Part): boolean {
  switch (part.type) {
    case "text":
      return typeof part["text"] === "string";
    case "refusal":
      return typeof part["refusal"] === "string";
    case "image_url":
    case "input_audio":
      return isFields(part[part.type]);
    case "file":
      return isFields(part["file"]);
    default:
      return false;
  }
}

/** The part as chat completions know it; none for other kinds. */
function shownOf(part: Part): readonly Part[] {
  if (isOfChatCompletions(part)) return [part];
  const readable = readablePart(part);
  if (readable.length > 0) return readable;
  // A model is shown no file at an address, but the message keeps it as a file.
  const { type, url, filename } = part;
  return type === "file" && typeof url === "string"
    ? [{ type: "file", file: { filename: filename ?? null, file_data: url } }]
    : [];
}

function isExchange({ type }: Part): boolean {
  return type === "tool_use" || type === "tool_result";
}

/** Calls of the message, and of Anthropic's parts where the message has no others. */
function callsOf(message: Message, parts: readonly Part[]): readonly ToolCall[] {
  if (message.tool_calls != null && message.tool_calls.length > 0) return message.tool_calls;
  return parts
    .filter(({ type }) => type === "tool_use")
    .map(({ id, name, input }) => ({
      id: textOf(id),
      type: "function",
      function: { name: textOf(name), arguments: JSON.stringify(input ?? {}) },
    }));
}

function resultOf({ tool_use_id: id, content }: Part): Message {
  const parts = Array.isArray(content) ? (content as readonly Value[]).map(partOf).flatMap(shownOf) : undefined;
  const text = parts === undefined ? content : contentOf(parts);
  return {
    role: "tool",
    tool_call_id: textOf(id),
    content: textOf(text),
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? "");
}

function isFields(value: Value | undefined): value is Readonly<Record<string, Value>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
