/** Turns in the place of the branch that is shown, and messages in the place of turns that another framework wrote. */
import { defined } from "../../domain/values/defined.ts";
import type { Message, ToolCall, Turn } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";
import { ownFormat, type StoredMessage } from "./formats.ts";

type Fields = Readonly<Record<string, Value | undefined>>;

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function textOf(value: Value | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** True for a format whose messages become turns. */
export function isReadable(format: string): boolean {
  return format === ownFormat || format.startsWith("ai-sdk/");
}

/** The role of a message; undefined where it has none. */
export function roleOf({ content }: StoredMessage): string | undefined {
  return textOf(fieldsOf(content)["role"]);
}

/** A turn of a branch; its key is that of its first message. */
export interface BranchTurn {
  readonly key: string;
  readonly input: readonly Message[];
  readonly output: readonly Message[];
  readonly status: "done" | "failed" | "interrupted";
}

/** The turns for the messages of a branch: each message of the user begins one, with its id as key. */
export function turnsOf(
  branch: readonly { readonly key: string; readonly stored: StoredMessage }[],
): readonly BranchTurn[] {
  const turns: { key: string; input: Message[]; output: Message[]; status: "done" | "failed" | "interrupted" }[] = [];
  for (const { key, stored } of branch) {
    const messages = messagesOf(stored);
    const role = roleOf(stored);
    const last = turns.at(-1);
    if (role !== "assistant" || last === undefined) {
      const isOpen =
        last !== undefined &&
        last.output.length === 0 &&
        roleOf(stored) === "user" &&
        last.input.every(({ role: one }) => one === "system");
      if (isOpen) last.input.push(...messages);
      else
        turns.push({
          key,
          input: role === "assistant" ? [] : [...messages],
          output: role === "assistant" ? [...messages] : [],
          status: "interrupted",
        });
      if (role === "assistant") turns.at(-1)!.status = statusOf(stored);
      continue;
    }
    last.output.push(...messages);
    last.status = statusOf(stored);
  }
  return turns;
}

/** A message without a status, such as those of the AI SDK, is stored once it has ended. */
function statusOf({ content }: StoredMessage): "done" | "failed" | "interrupted" {
  const { type, reason } = fieldsOf(fieldsOf(content)["status"]);
  if (type === undefined || type === "complete") return "done";
  return type === "incomplete" && reason === "error" ? "failed" : "interrupted";
}

/** Texts, pictures, calls and results of a message; its other parts are in the history alone. */
function messagesOf({ content, format }: StoredMessage): readonly Message[] {
  const { role, parts, content: own } = fieldsOf(content);
  const list = format === ownFormat ? own : parts;
  const all = Array.isArray(list) ? (list as readonly Value[]).map(fieldsOf) : [];
  if (role === "user" || role === "system") return inputMessages(role, all);
  const messages: Message[] = [];
  let text = "";
  let calls: ToolCall[] = [];
  let results: Message[] = [];
  const close = (): void => {
    if (calls.length > 0) messages.push({ role: "assistant", content: text === "" ? null : text, tool_calls: calls });
    else if (text !== "") messages.push({ role: "assistant", content: text });
    messages.push(...results);
    [text, calls, results] = ["", [], []];
  };
  for (const part of all) {
    if (part["type"] === "text") {
      if (calls.length > 0) close();
      text += textOf(part["text"]) ?? "";
    }
    const called = callOf(part);
    if (called === undefined) continue;
    calls.push(called.call);
    if (called.result !== undefined)
      results.push({ role: "tool", tool_call_id: called.call.id, content: called.result });
  }
  close();
  return messages;
}

/** The input of a turn for a message of assistant-ui's own form. The contents of its attachments follow its own. */
export function inputOf(message: unknown): readonly Message[] {
  const { role, content, attachments } = fieldsOf(message);
  const attached = Array.isArray(attachments) ? (attachments as readonly Value[]).map(fieldsOf) : [];
  const parts = [content, ...attached.map((one) => one["content"])].flatMap((list) =>
    Array.isArray(list) ? (list as readonly Value[]).map(fieldsOf) : [],
  );
  return role === "user" || role === "system" ? inputMessages(role, parts) : [];
}

function inputMessages(role: "user" | "system", parts: readonly Fields[]): readonly Message[] {
  const content = parts.flatMap((part): readonly Value[] => {
    const { type, text, image, mediaType, url } = part;
    if (type === "text") return [{ type, text: textOf(text) ?? "" }];
    const picture =
      type === "image"
        ? textOf(image)
        : type === "file" && textOf(mediaType)?.startsWith("image/") === true
          ? textOf(url)
          : undefined;
    return picture === undefined ? [] : [{ type: "image_url", image_url: { url: picture } }];
  });
  if (content.length === 0) return [];
  const texts = content.map((part) => textOf(fieldsOf(part)["text"]));
  if (texts.every((text) => text !== undefined)) return [{ role, content: texts.join("\n") }];
  return [{ role, content }];
}

/** The call of a part, and its result as a text; of assistant-ui's own form, or of the AI SDK's. */
function callOf(part: Fields): { readonly call: ToolCall; readonly result?: string } | undefined {
  const { type, toolCallId, toolName, args, argsText, result, input, output, state, errorText } = part;
  const id = textOf(toolCallId);
  if (id === undefined) return undefined;
  if (type === "tool-call") {
    const given = textOf(argsText) ?? JSON.stringify(args ?? {});
    const call: ToolCall = { id, type: "function", function: { name: textOf(toolName) ?? "", arguments: given } };
    return result === undefined ? { call } : { call, result: asText(result) };
  }
  const name = type === "dynamic-tool" ? textOf(toolName) : textOf(type)?.slice("tool-".length);
  const call: ToolCall = {
    id,
    type: "function",
    function: { name: name ?? "", arguments: JSON.stringify(input ?? {}) },
  };
  if (state === "output-available") return { call, result: asText(output ?? null) };
  return state === "output-error" ? { call, result: textOf(errorText) ?? "" } : { call };
}

function asText(value: Value): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The messages of a turn that another framework wrote, with ids by their place. */
export function foreignMessages(turn: Turn, format: string): readonly Omit<StoredMessage, "parent">[] {
  const shown: { role: "user" | "assistant" | "system"; parts: Fields[] }[] = [];
  const add = (role: "user" | "assistant" | "system", parts: readonly Fields[]): void => {
    const last = shown.at(-1);
    if (parts.length === 0) return;
    if (role === "assistant" && last?.role === role) last.parts.push(...parts);
    else shown.push({ role, parts: [...parts] });
  };
  const all = [...turn.input, ...turn.output];
  const results = new Map(
    all.flatMap((message) => (message.role === "tool" ? [[message.tool_call_id, message] as const] : [])),
  );
  for (const { role, content, tool_calls: calls = [] } of all) {
    const parts = shownParts(content, format);
    if (role === "user") add("user", parts);
    else if (role === "system" || role === "developer") add("system", parts);
    else if (role === "assistant")
      add("assistant", [...parts, ...calls.map((call) => callPart(call, results.get(call.id), format))]);
  }
  return shown.map(({ role, parts }, index) => {
    const id = `turn-${turn.seq}-${index + 1}`;
    const content = format === ownFormat ? ownMessage({ id, role, parts }, turn) : { role, parts };
    return { id, format, content: content as unknown as Value };
  });
}

/** The texts, pictures and files of a message. */
function shownParts(content: Value | undefined, format: string): readonly Fields[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
  if (!Array.isArray(content)) return [];
  return (content as readonly Value[]).flatMap((part): readonly Fields[] => {
    const { text, image_url: picture, file } = fieldsOf(part);
    const said = textOf(text);
    if (said !== undefined) return [{ type: "text", text: said }];
    const image = textOf(fieldsOf(picture)["url"]);
    const { file_data: data, filename } = fieldsOf(file);
    const url = image ?? textOf(data);
    if (url === undefined) return [];
    const mediaType = /^data:([^;,]+)/.exec(url)?.[1] ?? (image === undefined ? "application/octet-stream" : "image/*");
    const named = defined({ filename: textOf(filename) });
    if (format !== ownFormat) return [{ type: "file", mediaType, url, ...named }];
    return [
      image === undefined ? { type: "file", mimeType: mediaType, data: url, ...named } : { type: "image", image },
    ];
  });
}

function callPart({ id, function: called }: ToolCall, answer: Message | undefined, format: string): Fields {
  const { name, arguments: argsText } = called;
  const args = parsedOf(argsText);
  const result = answer?.content;
  const isError = answer?.["is_error"] === true;
  if (format === ownFormat)
    return {
      type: "tool-call",
      toolCallId: id,
      toolName: name,
      args,
      argsText,
      ...defined({ result, isError: isError ? true : undefined }),
    };
  const about = { type: "dynamic-tool", toolName: name, toolCallId: id, input: args };
  if (result === undefined) return { ...about, state: "input-available" };
  return isError
    ? { ...about, state: "output-error", errorText: asText(result) }
    : { ...about, state: "output-available", output: result };
}

export function parsedOf(text: string): Value {
  try {
    return JSON.parse(text) as Value;
  } catch {
    return {};
  }
}

function ownMessage(
  { id, role, parts }: { readonly id: string; readonly role: string; readonly parts: readonly Fields[] },
  { at, status }: Turn,
): object {
  const common = { id, role, createdAt: at, content: parts };
  if (role !== "assistant")
    return { ...common, ...(role === "user" ? { attachments: [] } : {}), metadata: { custom: {} } };
  const ended = status === "done" ? { type: "complete", reason: "unknown" } : { type: "incomplete", reason: "other" };
  const metadata = { unstable_state: null, unstable_annotations: [], unstable_data: [], steps: [], custom: {} };
  return { ...common, status: ended, metadata };
}
