import type { Message, ModelFailure, ModelRequest, ModelSettings, SessionError } from "../../index.ts";
import { wellFormed } from "../model/well-formed.ts";
import { defined } from "../../domain/values/defined.ts";
import { acceptedCallId } from "../../domain/values/ids.ts";

/** How an endpoint departs from OpenAI's own. Each one is learned from its first refusal, and kept for later requests. */
export interface EndpointLimits {
  /** False for an endpoint that refuses `stream_options`; it then reports no usage. */
  streamOptions: boolean;
  /** False for an endpoint that refuses fields of assistant messages that another provider made. */
  providerFields: boolean;
  /** False for an endpoint that refuses long ids of calls, or ids with other characters than letters, digits, `_` and `-`. */
  anyCallId: boolean;
  /** The name under which the endpoint takes the maximum number of output tokens. */
  maxTokensField: "max_completion_tokens" | "max_tokens";
}

/** The JSON body of a request for a streamed chat completion. */
export function requestBody(
  request: ModelRequest,
  { model, settings, limits }: { model: string; settings: ModelSettings; limits: EndpointLimits },
): Record<string, unknown> {
  const { temperature, maxTokens, effort, body } = settings;
  const { messages, tools } = request;
  return {
    model,
    messages: messages.map((message) => toWire(message, limits)),
    // Some endpoints refuse an empty list.
    ...(tools === undefined || tools.length === 0
      ? {}
      : { tools: tools.map((tool) => ({ type: "function", function: tool })) }),
    ...defined({ temperature, [limits.maxTokensField]: maxTokens, reasoning_effort: effort }),
    ...(limits.streamOptions ? { stream_options: { include_usage: true } } : {}),
    ...body,
    // The answer is read as a stream, whatever `body` says.
    stream: true,
  };
}

/**
 * Fields of an assistant message that are not sent. `refusal` is text in `content` already; `annotations` and `audio` are
 * parts of answers only; `providerOptions` is a field of the AI SDK; the others are marks of Perdure.
 */
const keptFields = new Set([
  "role",
  "content",
  "name",
  "tool_calls",
  "refusal",
  "annotations",
  "audio",
  "synthetic",
  "is_error",
  "native",
  "providerOptions",
]);

/**
 * A message as chat completions take it. An assistant message keeps the fields that its provider made (signatures,
 * `reasoning_content`, `reasoning_details`), because thinking models refuse a tool result without them; the fields that
 * an application added to other messages are not sent.
 */
function toWire(message: Message, { providerFields, anyCallId }: EndpointLimits): Record<string, unknown> {
  const { role, content, name, tool_calls: toolCalls, tool_call_id: toolCallId, ...rest } = message;
  const isAnswer = role === "assistant" && providerFields;
  const idOf = anyCallId ? (id: string) => id : acceptedCallId;
  const extra = isAnswer ? Object.entries(rest).filter(([key, value]) => !keptFields.has(key) && value != null) : [];
  const wire = {
    role,
    content: content ?? null,
    ...(name == null || name === "" ? {} : { name: wireName(name) }),
    ...(toolCalls === undefined || toolCalls === null || toolCalls.length === 0
      ? {}
      : { tool_calls: toolCalls.map((call) => ({ ...callToWire(call, providerFields), id: idOf(call.id) })) }),
    ...(toolCallId == null ? {} : { tool_call_id: idOf(toolCallId) }),
    ...Object.fromEntries(extra),
  };
  return wellFormed(wire) as Record<string, unknown>;
}

/** The API refuses names of authors with spaces and some other characters, and longer ones. */
function wireName(name: string): string {
  return name.replaceAll(/[\s<|\\/>]+/g, "_").slice(0, 64);
}

function callToWire(
  { id, type: _, function: called, ...rest }: NonNullable<Message["tool_calls"]>[number],
  providerFields: boolean,
): Record<string, unknown> {
  const { name, arguments: text } = called;
  // Endpoints that parse the arguments refuse an empty text.
  const wire = { id, type: "function", function: { name, arguments: text.trim() === "" ? "{}" : text } };
  return providerFields ? { ...rest, ...wire } : wire;
}

/**
 * Learns from a refusal which field the endpoint does not accept. False where the refusal names no such field, or the
 * request did not have it.
 */
export function learnLimit(error: SessionError, body: Record<string, unknown>, limits: EndpointLimits): boolean {
  if (error.code !== "model_refused") return false;
  const { reported = "", httpStatus } = error.details as ModelFailure;
  if (httpStatus !== undefined && ![400, 404, 422].includes(httpStatus)) return false;
  if ("stream_options" in body && /stream_options|include_usage/i.test(reported)) {
    limits.streamOptions = false;
    return true;
  }
  if (limits.maxTokensField in body && new RegExp(`\\b${limits.maxTokensField}\\b`).test(reported)) {
    const isRefused = /unsupported|unknown|unrecognized|not (?:supported|permitted|allowed)|use '/i.test(reported);
    if (!isRefused) return false;
    limits.maxTokensField = limits.maxTokensField === "max_tokens" ? "max_completion_tokens" : "max_tokens";
    return true;
  }
  // An endpoint may have made such ids itself, so they are kept until it refuses them.
  if (limits.anyCallId && hasOtherCallIds(body) && /tool_call(?:s|_id)|tool_use/.test(reported)) {
    limits.anyCallId = false;
    return true;
  }
  if (limits.providerFields && providerFieldsIn(body).some((field) => reported.includes(field))) {
    limits.providerFields = false;
    return true;
  }
  return false;
}

/** True for a body with an id of a call that some endpoint refuses. */
function hasOtherCallIds({ messages }: Record<string, unknown>): boolean {
  const ids = (messages as readonly Message[]).flatMap(({ tool_calls: calls = [] }) => calls.map(({ id }) => id));
  return ids.some((id) => acceptedCallId(id) !== id);
}

/** The names of the provider's own fields in the assistant messages of a body. */
function providerFieldsIn({ messages }: Record<string, unknown>): readonly string[] {
  const known = new Set(["role", "content", "name", "tool_calls", "id", "type", "function"]);
  const fields = new Set<string>();
  for (const message of messages as readonly Record<string, unknown>[]) {
    if (message["role"] !== "assistant") continue;
    for (const one of [message, ...((message["tool_calls"] as Record<string, unknown>[] | undefined) ?? [])])
      for (const key of Object.keys(one)) if (!known.has(key)) fields.add(key);
  }
  return [...fields];
}
