/**
 * One stored message in the form that every chat endpoint takes: known kinds of parts only, no empty content, texts for
 * the assistant. A result of a tool keeps its pictures and files, until result-media.ts moves them into a message of the
 * user. The store keeps the original.
 */
import { base64Of, type Value } from "../values/codec.ts";
import type { Message, ToolCall } from "../turns/turn.ts";

type Fields = Readonly<Record<string, Value>>;

/** A part of a user's message. */
export type Part = Fields & { readonly type: string };

/** Stands for a message of which a model can read nothing. */
const unreadable = "(content that a model cannot read)";
/** Stands for the result of a tool that returned nothing. */
const noOutput = "(no output)";

/** The messages that a model is shown in place of one; none where it says nothing. */
export function shownMessages(message: Message): readonly Message[] {
  const { role } = message;
  if (role === "assistant") return shownAnswer(message);
  if (role === "tool") return [withContent(message, shownResult(message.content))];
  if (role === "user") return shownQuestion(message);
  const text = textOf(message.content);
  if (text === "") return [];
  if (role === "function") return [resultAsUser({ name: message.name ?? "a function", text })];
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

/** A text, or the parts of a result with pictures, recordings or files. */
function shownResult(content: Value | undefined): Value {
  const parts = partsOf(content);
  const readable = parts.flatMap(readablePart);
  if (readable.every(({ type }) => type === "text")) return textOf(content) || noOutput;
  const isSame = readable.length === parts.length && readable.every((part, index) => part === parts[index]);
  return isSame && Array.isArray(content) ? content : readable;
}

/** The pictures, recordings and files of a content. */
export function mediaOf(content: Value | undefined): readonly Part[] {
  return typeof content === "string"
    ? []
    : partsOf(content)
        .flatMap(readablePart)
        .filter(({ type }) => type !== "text");
}

function shownAnswer(message: Message): readonly Message[] {
  const parts = partsOf(message.content);
  const uses = parts.flatMap((part) => (part.type === "tool_use" ? [callOfUse(part)] : []));
  const calls = [...(message.tool_calls ?? []), ...uses].map(shownCall);
  const text = textOf(message.content);
  if (calls.length === 0) {
    if (text === "") return [];
    const { tool_calls: none, ...rest } = message;
    return [withContent(none === undefined ? message : rest, text)];
  }
  const isSame = uses.length === 0 && calls.every((call, index) => call === message.tool_calls?.[index]);
  const called = isSame ? message : { ...message, tool_calls: calls };
  return [withContent(called, text === "" ? null : text)];
}

function shownQuestion(message: Message): readonly Message[] {
  const parts = partsOf(message.content);
  const results = parts.flatMap((part) => (part.type === "tool_result" ? [resultOf(part)] : []));
  const readable = parts.flatMap(readablePart);
  const isLost = readable.length === 0 && results.length === 0 && parts.length > 0 && !isBlank(message.content);
  if (isLost) return [withContent(message, unreadable)];
  if (readable.length === 0) return results;
  const isText = readable.every(({ type }) => type === "text");
  const isSame = readable.length === parts.length && readable.every((part, index) => part === parts[index]);
  const content = isText ? textOf(message.content) : isSame ? message.content! : readable;
  return [...results, withContent(message, content)];
}

function withContent(message: Message, content: Value): Message {
  return message.content === content ? message : { ...message, content };
}

function isBlank(content: Value | undefined): boolean {
  return content === undefined || content === null || (typeof content === "string" && content.trim() === "");
}

/** All text of a content; "" where it is blank. An object that is no part is shown as JSON. */
export function textOf(content: Value | undefined): string {
  if (typeof content === "string") return content.trim() === "" ? "" : content;
  const texts = partsOf(content).flatMap((part) => {
    const [readable] = readablePart(part);
    return readable?.type === "text" ? [readable["text"] as string] : [];
  });
  return texts.join("\n\n");
}

function partsOf(content: Value | undefined): readonly Part[] {
  if (isBlank(content)) return [];
  const items: readonly Value[] = Array.isArray(content) ? content : [content as Value];
  return items.map((item) => {
    if (typeof item === "string") return { type: "text", text: item };
    return isPart(item) ? item : { type: "text", text: JSON.stringify(item) };
  });
}

function isPart(value: Value): value is Part {
  return typeof value === "object" && value !== null && typeof (value as Fields)["type"] === "string";
}

/**
 * The part as chat completions know it; nothing for an unknown kind, and for a blank text. The kinds are those of
 * OpenAI's chat completions and Responses, Anthropic's messages and the AI SDK's messages.
 */
export function readablePart(part: Part): readonly Part[] {
  const { type } = part;
  if (type === "text" || type === "input_text" || type === "output_text") {
    const { text } = part;
    if (typeof text !== "string" || text.trim() === "") return [];
    return [type === "text" ? part : { type: "text", text }];
  }
  if (type === "refusal")
    return typeof part["refusal"] === "string" ? readablePart({ type: "text", text: part["refusal"] }) : [];
  if (type === "image_url") {
    const { image_url: image } = part;
    if (typeof image === "string") return [picture(image)];
    return isFields(image) && typeof image["url"] === "string" ? [part] : [];
  }
  if (type === "input_image") return typeof part["image_url"] === "string" ? [picture(part["image_url"])] : [];
  if (type === "image") return pictureOf(part);
  if (type === "input_audio") return isFields(part["input_audio"]) ? [part] : [];
  if (type === "file" && isFields(part["file"])) return [part];
  return type === "file" || type === "document" || type === "input_file" ? fileOf(part) : [];
}

/**
 * A file of the AI SDK, of Anthropic (`document`) or of the Responses (`input_file`). Chat completions take no file at an
 * address, but for pictures.
 */
function fileOf(part: Part): readonly Part[] {
  const { url, mediaType: type, filename = part["title"] } = part;
  const source = isFields(part["source"]) ? part["source"] : {};
  if (source["type"] === "text") return readablePart({ type: "text", text: source["data"] ?? "" });
  const mediaType = stringOf(type ?? source["media_type"]);
  const content = part["data"] ?? part["file_data"] ?? source["data"];
  if (mediaType.startsWith("image/"))
    return typeof url === "string" ? [picture(url)] : pictureOf({ type: "image", image: content ?? null, mediaType });
  const named = typeof filename === "string" ? { filename } : {};
  if (typeof part["file_id"] === "string") return [{ type: "file", file: { ...named, file_id: part["file_id"] } }];
  const address = stringOf(url);
  const data = address.startsWith("data:") ? address : dataUrl(content, mediaType);
  return data === undefined ? [] : [{ type: "file", file: { ...named, file_data: data } }];
}

/** Bytes or base64 as a data URL; undefined for an address, and for no content. */
function dataUrl(content: Value | undefined, mediaType: string): string | undefined {
  const text = content instanceof Uint8Array ? base64Of(content) : stringOf(content);
  if (text.startsWith("data:")) return text;
  return text === "" || mediaType === "" || /^[a-z][a-z0-9+.-]*:/i.test(text)
    ? undefined
    : `data:${mediaType};base64,${text}`;
}

function picture(url: string): Part {
  return { type: "image_url", image_url: { url } };
}

/** A picture of Anthropic (`source`) or of the AI SDK (`image`). */
function pictureOf({ source, image, mediaType }: Part): readonly Part[] {
  if (isFields(source)) {
    const { type, url, data, media_type: media } = source;
    if (type === "url" && typeof url === "string") return [picture(url)];
    return typeof data === "string" && typeof media === "string" ? [picture(`data:${media};base64,${data}`)] : [];
  }
  if (typeof image === "string" && /^(?:https?|data):/.test(image)) return [picture(image)];
  const data = dataUrl(image, stringOf(mediaType) || "image/png");
  return data === undefined ? [] : [picture(data)];
}

function isFields(value: Value | undefined): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Endpoints parse the arguments; a text that is no JSON object is shown as a field of one. */
function shownCall(call: ToolCall): ToolCall {
  const { arguments: text, name } = call.function;
  let args = text;
  if (text.trim() === "") args = "{}";
  else if (!isJsonObject(text)) args = JSON.stringify({ arguments: text });
  return args === text ? call : { ...call, function: { name, arguments: args } };
}

function isJsonObject(text: string): boolean {
  try {
    return isFields(JSON.parse(text) as Value);
  } catch {
    return false;
  }
}

/** Anthropic's form of a call. */
function callOfUse({ id, name, input }: Part): ToolCall {
  const called = { name: stringOf(name), arguments: JSON.stringify(input ?? {}) };
  return { id: stringOf(id), type: "function", function: called };
}

/** Anthropic's form of a result. */
function resultOf({ tool_use_id: id, content }: Part): Message {
  return { role: "tool", tool_call_id: stringOf(id), content: shownResult(content) };
}

function stringOf(value: Value | undefined): string {
  return typeof value === "string" ? value : "";
}
