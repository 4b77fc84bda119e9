/** The two forms of the AI SDK: messages of its user interface, and messages for models. */
import { isFields, type Fields, type Part } from "../domain/turns/known-parts.ts";
import type { Message } from "../domain/turns/turn.ts";
import { defined } from "../domain/values/defined.ts";
import type { Value } from "../domain/values/codec.ts";
import {
  countOf,
  hasUiFields,
  isListOf,
  noMessage,
  type Canonical,
  type MessageFormat,
  type Surroundings,
} from "./message-format.ts";
import { canonicalMessage, canonicalParts } from "./message-parts.ts";
import {
  dataOf,
  mediumOf,
  resultParts,
  resultText,
  shownParts,
  textIn,
  textOrParts,
  type ShownPart,
  type ShownResult,
} from "./shown-parts.ts";

/** UIMessages, also those of version 4 with `toolInvocations`: https://ai-sdk.dev/docs/reference/ai-sdk-core/ui-message */
export const aiSdkUi: MessageFormat = {
  name: "ai-sdk-ui",
  version: 1,
  list: "messages",
  pairsCalls: false,
  fits: (value) => {
    const { role, parts, toolInvocations = [], experimental_attachments: attachments = [] } = value;
    if (isData(value)) return true;
    if (role !== "system" && role !== "user" && role !== "assistant") return false;
    if (parts !== undefined) return isListOf(parts, ({ type }) => typeof type === "string");
    return hasUiFields(value) && [toolInvocations, attachments].every((list) => isListOf(list, () => true));
  },
  toCanonical: uiToCanonical,
  fromCanonical: uiMessages,
};

/**
 * Any message with parts or `toolInvocations` beside its content. Words that the user wrote while the answer was in progress
 * stand among its parts: they are a message of the user.
 */
function uiToCanonical(value: Fields): Canonical {
  if (isData(value)) return noMessage("data message");
  const { role, content, parts, toolInvocations } = value;
  const all: readonly Value[] = Array.isArray(parts)
    ? (parts as readonly Value[])
    : [
        ...(typeof content === "string" && content === "" ? [] : [content ?? ""]),
        ...(Array.isArray(toolInvocations) ? (toolInvocations as readonly Value[]) : []).map((invoked): Value => ({
          type: "tool-invocation",
          toolInvocation: invoked,
        })),
      ];
  if (role !== "assistant") {
    const attached = [value["experimental_attachments"], value["attachments"]].flatMap(attachedFiles);
    return canonicalParts({ role: role as Message["role"], content: [...all, ...attached] });
  }
  const said: { role: "assistant" | "user"; content: Value[] }[] = [];
  for (const part of all) {
    const steering = isFields(part) && part["type"] === "steering-message" ? part["parts"] : undefined;
    if (Array.isArray(steering)) said.push({ role: "user", content: steering as Value[] });
    else if (said.at(-1)?.role === role) said.at(-1)!.content.push(part);
    else said.push({ role, content: [part] });
  }
  const read = said.map(canonicalParts);
  return {
    messages: read.flatMap(({ messages }) => messages),
    // Version 4 has reasoning beside the content, and among the parts too where a message has parts.
    aside: read.reduce(
      (sum, { aside }) => sum + aside,
      countOf(value, Array.isArray(parts) ? ["annotations"] : ["reasoning", "annotations"]),
    ),
  };
}

/** True for what a program of version 4 sends to its page. */
function isData({ role, content, data }: Fields): boolean {
  return role === "data" && (typeof content === "string" || data !== undefined);
}

/** The files of a message of version 4, and of messages in tables of applications. */
function attachedFiles(attachments: Value | undefined): readonly Value[] {
  if (!Array.isArray(attachments)) return [];
  return (attachments as readonly Value[]).filter(isFields).map((file): Value => {
    const { name, filename = name, contentType, mediaType = contentType, url } = file;
    return defined({ type: "file", filename, mediaType, url });
  });
}

interface UiMessage {
  readonly id: string;
  readonly role: "system" | "user" | "assistant";
  readonly parts: Value[];
}

/** The messages of one answer are one UIMessage, and a result is in the part of its call. */
function uiMessages(messages: readonly Message[], around: Surroundings): readonly Value[] {
  const written: UiMessage[] = [];
  const messageOf = (role: UiMessage["role"]): UiMessage => {
    const last = written.at(-1);
    if (role === "assistant" && last?.role === role) return last;
    const message: UiMessage = { id: `message-${around.before + written.length + 1}`, role, parts: [] };
    written.push(message);
    return message;
  };
  /** The parts of calls without a result, by the ids of the calls. */
  const open = new Map<string, { [field: string]: Value }>();
  for (const { role, parts } of shownParts(messages, around)) {
    if (role === "tool") {
      for (const part of parts) {
        if (part.kind !== "result") continue;
        const { id, name } = part.result;
        const called = open.get(id) ?? uiCall(id, name === "" ? "unknown" : name, {});
        if (!open.delete(id)) messageOf("assistant").parts.push(called);
        Object.assign(called, uiOutput(part.result));
      }
      continue;
    }
    const message = messageOf(role);
    if (role === "assistant") message.parts.push({ type: "step-start" });
    for (const part of parts) {
      if (part.kind === "call") {
        const { id, function: called } = part.call;
        const uiPart = uiCall(id, called.name, part.input);
        open.set(id, uiPart);
        message.parts.push(uiPart);
      } else if (part.kind === "text") message.parts.push({ type: "text", text: part.text });
      else if (part.kind === "media") message.parts.push(uiFile(part.part));
    }
  }
  return written as unknown as readonly Value[];
}

function uiCall(toolCallId: string, name: string, input: Value): { [field: string]: Value } {
  return { type: `tool-${name}`, toolCallId, state: "input-available", input };
}

function uiOutput(result: ShownResult): { readonly [field: string]: Value } {
  const text = resultText(result);
  if (result.isError) return { state: "output-error", errorText: text };
  return { state: "output-available", output: typeof result.content === "string" ? dataOf(text) : result.content };
}

function uiFile(part: Part): Value {
  const { mediaType, url, filename } = mediumOf(part);
  return { type: "file", mediaType, url, ...defined({ filename }) };
}

const modelParts: Readonly<Record<string, readonly string[]>> = {
  system: [],
  user: ["text", "image", "file"],
  assistant: [
    "text",
    "file",
    "reasoning",
    "reasoning-file",
    "tool-call",
    "tool-result",
    "tool-approval-request",
    "custom",
  ],
  tool: ["tool-result", "tool-approval-response"],
};

/** Messages for models: https://ai-sdk.dev/docs/reference/ai-sdk-core/model-message */
export const aiSdk: MessageFormat = {
  name: "ai-sdk",
  version: 1,
  list: "messages",
  pairsCalls: true,
  fits: (value) => {
    const { role, type: kind, content, parts } = value;
    const known = typeof role === "string" && Object.hasOwn(modelParts, role) ? modelParts[role] : undefined;
    if (known === undefined || kind !== undefined || parts !== undefined || hasUiFields(value)) return false;
    if (typeof content === "string") return role !== "tool";
    return isListOf(
      content,
      ({ type, source, file }) => known.includes(type as string) && source === undefined && !isFields(file),
    );
  },
  toCanonical: (value) => canonicalMessage(value as unknown as Message),
  fromCanonical: (messages, around) => {
    const written: { role: "system" | "user" | "assistant" | "tool"; content: Value[] }[] = [];
    for (const { role, parts } of shownParts(messages, around)) {
      const last = written.at(-1);
      // The results of one answer are in one message.
      if (role === "tool" && last?.role === "tool") last.content.push(...parts.map(modelPart));
      else written.push({ role, content: parts.map(modelPart) });
    }
    return written.map(({ role, content }) => ({ role, content: textOrParts(content) }));
  },
};

function modelPart(shown: ShownPart): Value {
  switch (shown.kind) {
    case "text":
      return { type: "text", text: shown.text };
    case "call":
      return {
        type: "tool-call",
        toolCallId: shown.call.id,
        toolName: shown.call.function.name,
        input: shown.input,
      };
    case "result": {
      const { id, name, content, isError } = shown.result;
      const text = textIn(resultParts(shown.result));
      const output: Value = isError
        ? { type: "error-text", value: text }
        : typeof content === "string"
          ? { type: "text", value: content }
          : { type: "content", value: resultParts(shown.result).map(outputPart) };
      return { type: "tool-result", toolCallId: id, toolName: name === "" ? "unknown" : name, output };
    }
    case "media": {
      const { mediaType, url, base64, filename, fileId } = mediumOf(shown.part);
      return { type: "file", mediaType, data: fileId ?? base64 ?? url, ...defined({ filename }) };
    }
  }
}

function outputPart(shown: ShownPart): Value {
  if (shown.kind !== "media") return modelPart(shown);
  const { mediaType, url, base64, filename } = mediumOf(shown.part);
  return base64 === undefined
    ? { type: mediaType.startsWith("image/") ? "image-url" : "file-url", url }
    : { type: "file-data", mediaType, data: base64, ...defined({ filename }) };
}
