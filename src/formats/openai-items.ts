/** Items of OpenAI's Responses, and those of sessions of its Agents SDK: messages, calls, results and reasoning. */
import type { Fields } from "../domain/turns/known-parts.ts";
import type { Message } from "../domain/turns/turn.ts";
import type { Value } from "../domain/values/codec.ts";
import { defined } from "../domain/values/defined.ts";
import {
  hasUiFields,
  isListOf,
  noMessage,
  type Canonical,
  type MessageFormat,
  type Surroundings,
} from "./message-format.ts";
import { canonicalMessage, canonicalParts } from "./message-parts.ts";
import {
  mediumOf,
  resultParts,
  resultText,
  shownParts,
  textIn,
  type ShownMessage,
  type ShownPart,
} from "./shown-parts.ts";

/** https://platform.openai.com/docs/api-reference/responses/create */
export const openaiResponses: MessageFormat = {
  name: "openai-responses",
  version: 1,
  list: "messages",
  pairsCalls: true,
  fits: (value) => {
    const { type, call_id: id, callId, summary } = value;
    if (callId !== undefined) return false;
    return (
      isItemMessage(value) ||
      typeof id === "string" ||
      (type === "reasoning" && summary !== undefined) ||
      type === reference ||
      isCall(type)
    );
  },
  toCanonical: itemToCanonical,
  fromCanonical: (messages, around) => itemsOf(messages, around, { callOf, resultOf, messageOf }),
};

/** https://openai.github.io/openai-agents-js/guides/sessions */
export const openaiAgents: MessageFormat = {
  name: "openai-agents",
  version: 1,
  list: "messages",
  pairsCalls: true,
  fits: (value) => {
    const { type, call_id: id, callId, content, summary } = value;
    if (agentsItems.has(type)) return true;
    if (id !== undefined || summary !== undefined) return false;
    return (
      isItemMessage(value) ||
      typeof callId === "string" ||
      (type === "reasoning" && isListOf(content, () => true)) ||
      isCall(type)
    );
  },
  toCanonical: itemToCanonical,
  fromCanonical: (messages, around) =>
    itemsOf(messages, around, { callOf: agentsCallOf, resultOf: agentsResultOf, messageOf: agentsMessageOf }),
};

/** Items of the Agents SDK that are no message, and that may have no `callId`. */
const agentsItems = new Set<unknown>(["compaction", "tool_search_call", "tool_search_output", "unknown"]);

const itemParts = new Set<unknown>([
  "input_text",
  "output_text",
  "refusal",
  "input_image",
  "input_file",
  "input_audio",
  "audio",
  "image",
]);

const roles = new Set<unknown>(["system", "developer", "user", "assistant"]);
const results = new Set<unknown>([
  "function_call_output",
  "function_call_result",
  "custom_tool_call_output",
  "local_shell_call_output",
]);

/** True for a message, with or without its type. */
function isItemMessage(value: Fields): boolean {
  const { role, type = "message", content, parts } = value;
  const isContent = typeof content === "string" || isListOf(content, (part) => itemParts.has(part["type"]));
  return roles.has(role) && type === "message" && parts === undefined && isContent && !hasUiFields(value);
}

function isCall(type: Value | undefined): boolean {
  return typeof type === "string" && /^[a-z_]+_call$/.test(type);
}

/** The types of items that have no role. */
const itemTypes = new Set<unknown>([
  "function_call",
  "function_call_output",
  "function_call_result",
  "custom_tool_call",
  "custom_tool_call_output",
  "hosted_tool_call",
  "tool_search_call",
  "tool_search_output",
  "web_search_call",
  "file_search_call",
  "code_interpreter_call",
  "image_generation_call",
  "computer_call",
  "computer_call_output",
  "computer_call_result",
  "local_shell_call",
  "local_shell_call_output",
  "shell_call",
  "shell_call_output",
  "apply_patch_call",
  "apply_patch_call_output",
  "mcp_call",
  "mcp_list_tools",
  "mcp_approval_request",
  "mcp_approval_response",
  "reasoning",
  "compaction",
  "item_reference",
  "unknown",
]);

/**
 * True for an item of a type that OpenAI has not documented. The memory of an agent keeps such items, because new tools have
 * new types; an import refuses them, because nothing of them would be read.
 */
export function isUnknownItem({ format, value }: { readonly format: MessageFormat; readonly value: Fields }): boolean {
  const { role, type } = value;
  const isItem = format === openaiResponses || format === openaiAgents;
  return isItem && role === undefined && typeof type === "string" && !itemTypes.has(type);
}

/** The type of an item that names another one, which the provider has stored. */
const reference = "item_reference";

/** Any item: a message, a call, a result, reasoning or a reference. */
function itemToCanonical(value: Fields): Canonical {
  if (value["type"] === reference) return noMessage("item reference");
  if (value["role"] !== undefined) {
    const { type: _, id: _id, status: _status, providerData: _data, ...message } = value;
    return canonicalMessage(message as unknown as Message);
  }
  return canonicalParts({ role: results.has(value["type"]) ? "tool" : "assistant", content: [value] });
}

interface ItemWriter {
  readonly callOf: (part: Extract<ShownPart, { kind: "call" }>, around: Surroundings) => Value;
  readonly resultOf: (part: Extract<ShownPart, { kind: "result" }>, around: Surroundings) => Value;
  readonly messageOf: (message: ShownMessage) => Value;
}

function itemsOf(
  messages: readonly Message[],
  around: Surroundings,
  { callOf, resultOf, messageOf }: ItemWriter,
): readonly Value[] {
  return shownParts(messages, around).flatMap(({ role, parts }): readonly Value[] => {
    const content = parts.filter(({ kind }) => kind === "text" || kind === "media");
    return [
      ...(content.length === 0 ? [] : [messageOf({ role, parts: content })]),
      ...parts.flatMap((part) =>
        part.kind === "call" ? [callOf(part, around)] : part.kind === "result" ? [resultOf(part, around)] : [],
      ),
    ];
  });
}

function messageOf({ role, parts }: ShownMessage): Value {
  const isText = parts.every(({ kind }) => kind === "text");
  return { type: "message", role, content: isText ? textIn(parts) : parts.map(inputOf) };
}

function callOf({ call }: Extract<ShownPart, { kind: "call" }>, { customInputs }: Surroundings): Value {
  const input = customInputs?.get(call.id);
  if (input !== undefined) return { type: "custom_tool_call", call_id: call.id, name: call.function.name, input };
  return { type: "function_call", call_id: call.id, name: call.function.name, arguments: call.function.arguments };
}

function resultOf({ result }: Extract<ShownPart, { kind: "result" }>, { customInputs }: Surroundings): Value {
  const { id, content } = result;
  const output = typeof content === "string" ? content : resultParts(result).map(inputOf);
  const type = customInputs?.has(id) === true ? "custom_tool_call_output" : "function_call_output";
  return { type, call_id: id, output };
}

function inputOf(shown: ShownPart): Value {
  if (shown.kind !== "media") return { type: "input_text", text: textIn([shown]) };
  const { part } = shown;
  if (part.type === "input_audio") return part;
  const { url, filename, fileId } = mediumOf(part);
  if (part.type === "image_url") return { type: "input_image", image_url: url };
  return {
    type: "input_file",
    ...defined({ filename, ...(fileId === undefined ? { file_data: url } : { file_id: fileId }) }),
  };
}

function agentsMessageOf({ role, parts }: ShownMessage): Value {
  if (role === "assistant")
    return { type: "message", role, status: "completed", content: [{ type: "output_text", text: textIn(parts) }] };
  const isText = parts.every(({ kind }) => kind === "text");
  return { type: "message", role, content: isText ? textIn(parts) : parts.map(agentsInputOf) };
}

function agentsCallOf({ call }: Extract<ShownPart, { kind: "call" }>): Value {
  const { name, arguments: text } = call.function;
  return { type: "function_call", callId: call.id, name, status: "completed", arguments: text };
}

function agentsResultOf({ result }: Extract<ShownPart, { kind: "result" }>): Value {
  const { id, name, content } = result;
  const output: Value =
    typeof content === "string" ? { type: "text", text: resultText(result) } : resultParts(result).map(agentsInputOf);
  const named = name === "" ? "unknown" : name;
  return { type: "function_call_result", callId: id, name: named, status: "completed", output };
}

function agentsInputOf(shown: ShownPart): Value {
  if (shown.kind !== "media") return { type: "input_text", text: textIn([shown]) };
  const { part } = shown;
  const { url, mediaType, base64, filename, fileId } = mediumOf(part);
  if (part.type === "input_audio")
    return { type: "audio", audio: base64 ?? "", format: mediaType.slice("audio/".length) };
  if (part.type === "image_url") return { type: "input_image", image: url };
  return { type: "input_file", file: fileId === undefined ? url : { id: fileId }, ...defined({ filename }) };
}
