/** Converts messages of other programs. Their data is only read; no code of theirs runs and no object is deserialised. */
import { formatValue } from "../domain/values/format-value.ts";
import type { Message, ToolCall } from "../domain/turns/turn.ts";
import { defined } from "../domain/values/defined.ts";
import { fromChatGpt, fromClaude } from "./app-exports.ts";
import { messagesOfParts } from "./message-parts.ts";
import type { Value } from "../domain/values/codec.ts";
import { SessionError } from "../errors.ts";
import type { Expectation } from "../errors/expectations.ts";

type Fields = Readonly<Record<string, unknown>>;

/** The message format of a program. */
export interface MessageForm {
  readonly name: "parts" | "openai" | "responses" | "chatgpt" | "claude" | "sharegpt" | "langchain";
  /** Whether a value is a message of this format. */
  readonly fits: (value: Fields) => boolean;
  /** Converts a message; it may become several. */
  readonly messages: (value: Fields, place: string) => readonly Message[];
}

/** In the order in which they are tried: most specific first. */
export const messageForms: readonly MessageForm[] = [
  {
    name: "parts",
    fits: ({ role, parts, toolInvocations }) =>
      typeof role === "string" && (Array.isArray(parts) || Array.isArray(toolInvocations)),
    messages: fromParts,
  },
  { name: "openai", fits: ({ role }) => typeof role === "string", messages: fromOpenai },
  {
    name: "responses",
    fits: ({ type, call_id: id, callId = id, summary }) =>
      typeof callId === "string" ||
      (type === "reasoning" && summary !== undefined) ||
      (typeof type === "string" && /^[a-z_]+_call$/.test(type)),
    messages: fromResponses,
  },
  { name: "chatgpt", fits: ({ author, content }) => isFields(author) && isFields(content), messages: fromChatGpt },
  { name: "claude", fits: ({ sender }) => typeof sender === "string", messages: fromClaude },
  {
    name: "sharegpt",
    fits: ({ from, value }) => typeof from === "string" && value !== undefined,
    messages: fromShareGpt,
  },
  {
    name: "langchain",
    fits: ({ type, data, kwargs, content }) =>
      typeof type === "string" && (isFields(data) || isFields(kwargs) || content !== undefined),
    messages: fromLangChain,
  },
];

/** True for an object that is not an array. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(path: string, value: unknown, expectation: Expectation): SessionError {
  return new SessionError("message_invalid", { path, value: formatValue(value), ...expectation });
}

/** OpenAI's own form; some programs write the arguments of a call as an object. */
function fromOpenai(value: Fields): readonly Message[] {
  const { tool_calls: calls } = value;
  if (value["type"] === "message") return [responsesMessage(value)];
  if (!Array.isArray(calls)) return [value as unknown as Message];
  const whole = calls.map((call: unknown): unknown => {
    if (!isFields(call) || !isFields(call["function"])) return call;
    const { arguments: given } = call["function"];
    return isFields(given) ? { ...call, function: { ...call["function"], arguments: JSON.stringify(given) } } : call;
  });
  return [{ ...value, tool_calls: whole } as unknown as Message];
}

/** A message of OpenAI's Responses without the fields that chat completions refuse. */
function responsesMessage({ type: _, id: _id, status: _status, ...message }: Fields): Message {
  return message as unknown as Message;
}

/** Items of OpenAI's Responses beside its messages: calls, their results and reasoning. */
function fromResponses(value: Fields): readonly Message[] {
  const isResult = ["function_call_output", "function_call_result"].includes(String(value["type"]));
  const role = isResult ? "tool" : "assistant";
  return messagesOfParts({ role, content: [value as unknown as Value] });
}

const shareGptRoles: Readonly<Record<string, Message["role"]>> = {
  system: "system",
  human: "user",
  user: "user",
  gpt: "assistant",
  chatgpt: "assistant",
  assistant: "assistant",
  bing: "assistant",
  bard: "assistant",
  function_call: "assistant",
  observation: "tool",
  tool: "tool",
};

function fromShareGpt({ from, value }: Fields, place: string): readonly Message[] {
  const role = Object.hasOwn(shareGptRoles, String(from)) ? shareGptRoles[String(from)] : undefined;
  if (role === undefined)
    throw invalid(`${place}.from`, from, { expected: "one_of", known: Object.keys(shareGptRoles) });
  if (typeof value !== "string") throw invalid(`${place}.value`, value, { expected: "text" });
  return [{ role, content: value }];
}

const langChainRoles: Readonly<Record<string, Message["role"]>> = {
  human: "user",
  HumanMessage: "user",
  ai: "assistant",
  AIMessage: "assistant",
  AIMessageChunk: "assistant",
  system: "system",
  SystemMessage: "system",
  tool: "tool",
  ToolMessage: "tool",
  function: "function",
  FunctionMessage: "function",
  developer: "developer",
};

/** `{type, data}` of messages_to_dict, `{lc, type: "constructor", id: […], kwargs}` of dumps, `{type, content}` of model_dump. */
function fromLangChain(value: Fields, place: string): readonly Message[] {
  const { type, id, data, kwargs } = value;
  const isDump = type === "constructor" && isFields(kwargs);
  const content = isDump ? kwargs : isFields(data) ? data : value;
  const named = isDump && Array.isArray(id) ? String(id.at(-1)) : String(type);
  const kind = named === "chat" || named === "ChatMessage" ? String(content["role"]) : named;
  const role = Object.hasOwn(langChainRoles, kind) ? langChainRoles[kind] : undefined;
  if (role === undefined)
    throw invalid(`${place}.type`, kind, { expected: "one_of", known: Object.keys(langChainRoles) });
  const { name, tool_call_id: callId, additional_kwargs: more, status } = content;
  // Older versions keep the calls in OpenAI's format.
  const calls = [content["tool_calls"], isFields(more) ? more["tool_calls"] : undefined].find(
    (all) => Array.isArray(all) && all.length > 0,
  ) as readonly unknown[] | undefined;
  return [
    {
      role,
      content: (content["content"] ?? null) as string,
      ...(typeof name === "string" ? { name } : {}),
      ...(typeof callId === "string" ? { tool_call_id: callId } : {}),
      ...(status === "error" ? { is_error: true } : {}),
      ...defined({ tool_calls: calls?.map((call) => langChainCall(call, place)) }),
    },
  ];
}

function langChainCall(call: unknown, place: string): ToolCall {
  if (!isFields(call)) throw invalid(`${place}.tool_calls`, call, { expected: "object" });
  if (isFields(call["function"])) return call as unknown as ToolCall;
  return toolCall({ id: call["id"], name: call["name"], input: call["args"] }, place);
}

function toolCall({ id, name, input }: { id: unknown; name: unknown; input: unknown }, place: string): ToolCall {
  if (typeof id !== "string") throw invalid(`${place}.tool_calls.id`, id, { expected: "text" });
  if (typeof name !== "string") throw invalid(`${place}.tool_calls.name`, name, { expected: "text" });
  const text = typeof input === "string" ? input : JSON.stringify(input ?? {});
  return { id, type: "function", function: { name, arguments: text } };
}

/** UIMessages of the AI SDK and Gemini's contents: each step of the assistant becomes a message, and its results follow. */
function fromParts(value: Fields): readonly Message[] {
  const { role: given, content, parts, toolInvocations } = value;
  const role = given === "model" ? "assistant" : given === "function" ? "tool" : given;
  const all: readonly unknown[] = Array.isArray(parts)
    ? parts
    : [content ?? "", ...(toolInvocations as readonly unknown[]).map((invoked) => invocationPart(invoked))];
  if (role === "assistant" && all.length === 0) return [];
  return messagesOfParts({ role: role as Message["role"], content: all as readonly Value[] });
}

function invocationPart(toolInvocation: unknown): Fields {
  return { type: "tool-invocation", toolInvocation };
}
