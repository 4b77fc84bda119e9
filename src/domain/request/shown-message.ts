/**
 * One stored message in the form that every chat endpoint takes: known kinds of parts only, no empty content, texts for
 * the assistant, calls and results as chat completions have them, whatever shape they are stored in. A result of a tool
 * keeps its pictures and files, until result-media.ts moves them into a message of the user. The store keeps the original.
 */
import type { Value } from "../values/codec.ts";
import { defined } from "../values/defined.ts";
import { isFields, knownPart, resultContent, type Part } from "../turns/known-parts.ts";
import { contentParts, hasOwnParts, partsOf, stepsOf } from "../turns/message-steps.ts";
import { withoutForeignNative } from "./native-form.ts";
import type { Message, ToolCall } from "../turns/turn.ts";

/** Replaces a content of which a model can read nothing. */
const unreadable = "(content that a model cannot read)";
/** Replaces the result of a tool that returned nothing. */
const noOutput = "(no output)";

/** The messages that a model is shown in place of one; none where it says nothing. */
export function shownMessages(given: Message): readonly Message[] {
  const stored = withoutForeignNative(given);
  const { role } = stored;
  if (role === "assistant") return shownAnswer(stored);
  if (role === "tool") return shownResults(stored);
  if (role === "user") return shownQuestion(stored);
  const text = joined(readableOf(partsOf(stored)));
  if (text === "") return [];
  if (role === "function") return [resultAsUser({ name: stored.name ?? "a function", text })];
  const message = withoutOwnParts(stored);
  return [role === "system" ? withContent(message, text) : { ...message, role: "system", content: text }];
}

/** A result without its call, as reported speech: endpoints refuse a `tool` message that follows no call. */
export function resultAsUser(result: {
  readonly name: string;
  readonly text: string;
  /** Pictures, recordings and files of the result. @default none */
  readonly media?: readonly Part[];
}): Message {
  const { name, text, media = [] } = result;
  const asText = `[Result of the tool call ${name}] ${text}`.trimEnd();
  return {
    role: "user",
    content: media.length === 0 ? asText : [{ type: "text", text: asText }, ...media],
    synthetic: true,
  };
}

/** The pictures, recordings and files of a content. */
export function mediaOf(content: Value | undefined): readonly Part[] {
  return typeof content === "string" ? [] : readableOf(contentParts(content)).filter(({ type }) => type !== "text");
}

/** The texts and media of some parts. */
function readableOf(parts: readonly Value[]): readonly Part[] {
  return parts.flatMap((part) => {
    const known = knownPart(part);
    return known.kind === "text" || known.kind === "media" ? [known.part] : [];
  });
}

function joined(parts: readonly Part[]): string {
  return parts.flatMap(({ type, text }) => (type === "text" ? [text as string] : [])).join("\n\n");
}

function shownAnswer(stored: Message): readonly Message[] {
  const message = withoutOwnParts(stored);
  return stepsOf(stored).flatMap(({ content, calls, results }, index) => {
    const base: Message = index === 0 ? message : { role: "assistant" };
    return [
      ...answerMessage(base, { text: joined(readableOf(content)), calls: calls.map(shownCall) }),
      ...results.map(shownResult),
    ];
  });
}

function answerMessage(
  message: Message,
  { text, calls }: { readonly text: string; readonly calls: readonly ToolCall[] },
): readonly Message[] {
  const { tool_calls: listed, ...rest } = message;
  if (calls.length === 0) {
    if (text === "") return [];
    return [withContent(listed === undefined ? message : rest, text)];
  }
  const isSame = calls.length === listed?.length && calls.every((call, index) => call === listed[index]);
  return [withContent(isSame ? message : { ...message, tool_calls: calls }, text === "" ? null : text)];
}

/** A message of results: its own, or those that its parts are. */
function shownResults(message: Message): readonly Message[] {
  const results = resultsIn(message);
  if (results.length > 0) return results.map(shownResult);
  const { tool_call_id: id, content } = message;
  // Approvals of the AI SDK answer no call.
  const isNoResult = id === undefined && Array.isArray(content) && readableOf(partsOf(message)).length === 0;
  return isNoResult ? [] : [shownResult(message)];
}

function resultsIn(message: Message): readonly Message[] {
  return stepsOf(message).flatMap(({ results }) => results);
}

/** A text, or the parts of a result with pictures, recordings or files. */
function shownResult(message: Message): Message {
  const content = resultContent(message.content);
  if (typeof content === "string") return withContent(message, content.trim() === "" ? noOutput : content);
  const readable = readableOf(contentParts(content));
  if (readable.every(({ type }) => type === "text")) return withContent(message, joined(readable) || unreadable);
  return withContent(message, isSameList(readable, message.content) ? message.content! : readable);
}

function shownQuestion(stored: Message): readonly Message[] {
  const message = withoutOwnParts(stored);
  const results = resultsIn(stored).map(shownResult);
  const readable = readableOf(partsOf(stored));
  const isLost = readable.length === 0 && results.length === 0 && partsOf(stored).length > 0;
  if (isLost) return [withContent(message, unreadable)];
  if (readable.length === 0) return results;
  const isText = readable.every(({ type }) => type === "text");
  const isSame = isSameList(readable, message.content);
  return [...results, withContent(message, isText ? joined(readable) : isSame ? message.content! : readable)];
}

function isSameList(parts: readonly Part[], content: Value | undefined): boolean {
  if (!Array.isArray(content) || content.length !== parts.length) return false;
  return parts.every((part, index) => part === content[index]);
}

/** A UIMessage has fields of its own (`id`, `metadata`) that endpoints refuse. */
function withoutOwnParts(message: Message): Message {
  if (!hasOwnParts(message)) return message;
  const { role, name, tool_calls: calls } = message;
  return { role, ...defined({ name, tool_calls: calls }) };
}

function withContent(message: Message, content: Value): Message {
  return message.content === content ? message : { ...message, content };
}

/** The most characters of the name of a tool. */
const toolNameLengthMax = 64;

/**
 * Endpoints parse the arguments; a text that is no JSON object is shown as a field of one. They refuse names of tools with other
 * characters than those of `[a-zA-Z0-9_-]`, which imported calls have, such as `dalle.text2im`.
 */
function shownCall(call: ToolCall): ToolCall {
  const { arguments: text, name: given } = call.function;
  const name = given.replaceAll(/[^\w-]/g, "_").slice(0, toolNameLengthMax) || "unknown";
  let args = text;
  if (text.trim() === "") args = "{}";
  else if (!isJsonObject(text)) args = JSON.stringify({ arguments: text });
  return args === text && name === given ? call : { ...call, function: { name, arguments: args } };
}

function isJsonObject(text: string): boolean {
  try {
    return isFields(JSON.parse(text) as Value);
  } catch {
    return false;
  }
}
