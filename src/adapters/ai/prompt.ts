import type { Message, ToolCall, Value } from "../../index.ts";
import { questionParts, type Target } from "./question.ts";
import { isOwnCall, keptParts, type KeptPart } from "./kept-parts.ts";
import type { FileData, Json, PromptMessage, ProviderFields, ToolCallPart, ToolResultPart } from "./language-model.ts";
import { defined } from "../../domain/values/defined.ts";
import { acceptedCallId } from "../../domain/values/ids.ts";

type AnswerPart = Extract<PromptMessage, { role: "assistant" }>["content"][number];

/** The messages of a request as a prompt of v4. */
export function promptOf(messages: readonly Message[], target: Target): PromptMessage[] {
  const prompt: PromptMessage[] = [];
  /** The calls so far, by the ids that the messages have. */
  const calls = new Map<string, ToolCallPart>();
  for (const message of messages) {
    const { role, content } = message;
    if (role === "system" || role === "developer") prompt.push({ role: "system", content: textOf(content) });
    else if (role === "assistant") prompt.push({ role, content: answerParts(message, target, calls) });
    else if (role === "tool") {
      const last = prompt.at(-1);
      const result = resultPart(message, calls);
      if (last?.role === "tool") last.content.push(result);
      else prompt.push({ role, content: [result] });
    } else prompt.push({ role: "user", content: questionParts(message, target) });
  }
  return prompt;
}

function answerParts(message: Message, { provider }: Target, calls: Map<string, ToolCallPart>): AnswerPart[] {
  const text = textOf(message.content);
  const called = message.tool_calls ?? [];
  const kept = keptParts(message, provider);
  if (kept === undefined) {
    const parts = called.map((call) => callPart(call, acceptedCallId(call.id)));
    for (const [index, part] of parts.entries()) calls.set(called[index]!.id, part);
    return text === "" ? parts : [{ type: "text", text }, ...parts];
  }
  let [start, at] = [0, 0];
  return kept.flatMap((part): readonly AnswerPart[] => {
    const options = optionsOf(part);
    if (part.type === "text") {
      const piece = text.slice(start, (start += part.length));
      return piece === "" && part.providerMetadata === undefined ? [] : [{ type: "text", text: piece, ...options }];
    }
    if (!isOwnCall(part)) return ofProvider(part, options);
    const call = called[at++]!;
    const own = { ...callPart(call, call.id), ...options };
    calls.set(call.id, own);
    return [own];
  });
}

function optionsOf({ providerMetadata }: KeptPart): { readonly providerOptions?: ProviderFields } {
  return defined({ providerOptions: providerMetadata });
}

/** A part that only its provider knows. Sources are for display, and no part of a prompt. */
function ofProvider(part: KeptPart, options: { readonly providerOptions?: ProviderFields }): readonly AnswerPart[] {
  switch (part.type) {
    case "reasoning":
      return [{ type: "reasoning", text: part.text, ...options }];
    case "tool-call": {
      const { toolCallId, toolName, input } = part as Extract<KeptPart, { providerExecuted: true }>;
      return [{ type: "tool-call", toolCallId, toolName, input: inputOf(input), providerExecuted: true, ...options }];
    }
    case "tool-result": {
      const { toolCallId, toolName, result, isError } = part;
      const output = resultOf(result, isError === true);
      return [{ type: "tool-result", toolCallId, toolName, output, ...options }];
    }
    case "file":
    case "reasoning-file": {
      const { type, mediaType, data } = part;
      return [{ type, mediaType, data: fileData(data), ...options }];
    }
    case "custom":
      return [{ type: "custom", kind: part.kind as `${string}.${string}`, ...options }];
    default:
      return [];
  }
}

function fileData({
  type,
  value,
}: {
  readonly type: "data" | "url";
  readonly value: string;
}): Exclude<FileData, { type: "reference" }> {
  return type === "url" ? { type, url: new URL(value) } : { type, data: value };
}

function callPart({ function: { name, arguments: text } }: ToolCall, toolCallId: string): ToolCallPart {
  return { type: "tool-call", toolCallId, toolName: name, input: inputOf(text) };
}

/** The arguments of a call. A request holds JSON objects only; a text that is no JSON stays one. */
function inputOf(text: string): unknown {
  try {
    return text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    return text;
  }
}

/** The AI SDK wants the name of the tool and the provider's metadata of the call with the result. */
function resultPart({ tool_call_id: id = "", content, is_error: isError }: Message, calls: Map<string, ToolCallPart>) {
  const { toolCallId = acceptedCallId(id), toolName = "unknown", providerOptions } = calls.get(id) ?? {};
  const part: ToolResultPart = {
    type: "tool-result",
    toolCallId,
    toolName,
    output: resultOf(textOf(content), isError === true),
    ...defined({ providerOptions }),
  };
  return part;
}

function resultOf(value: Value, isError: boolean): ToolResultPart["output"] {
  if (typeof value === "string") return { type: isError ? "error-text" : "text", value };
  return { type: isError ? "error-json" : "json", value: value as Json };
}

/** The text of a message. A request has texts only for all roles but the user's; parts are read for other callers. */
function textOf(content: Value | undefined): string {
  if (typeof content === "string") return content;
  const parts = Array.isArray(content) ? (content as readonly { readonly text?: unknown }[]) : [];
  return parts.flatMap((part) => (typeof part?.text === "string" ? [part.text] : [])).join("\n\n");
}
