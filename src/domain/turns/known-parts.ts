/**
 * The known parts of messages: the shapes in which OpenAI (chat completions and Responses), Anthropic, Gemini, the AI SDK,
 * LangChain and MCP write texts, media, tool calls and results. Imports and requests of models read every part by this
 * one table. Texts and media are read as parts of chat completions, calls and results as its messages have them.
 */
import { base64Of, type Value } from "../values/codec.ts";
import type { Message, ToolCall } from "./turn.ts";

export type Fields = Readonly<Record<string, Value>>;

/** A part of chat completions. */
export type Part = Fields & { readonly type: string };

/** The content of a part. */
export type KnownPart =
  /** A text, or a picture, recording or file. */
  | { readonly kind: "text" | "media"; readonly part: Part }
  /** A call of a tool. The AI SDK keeps its result in the same part. */
  | { readonly kind: "call"; readonly call: ToolCall; readonly result?: Message }
  | { readonly kind: "result"; readonly result: Message }
  /** The border of two steps of an answer. */
  | { readonly kind: "step" }
  /** A part that no model is shown. `isMedia` is true for media that chat completions do not take. */
  | { readonly kind: "other"; readonly isMedia?: true };

const other: KnownPart = { kind: "other" };

/** The reading of a part. A value that is no part is read as text. */
export function knownPart(value: Value): KnownPart {
  if (typeof value === "string") return textPart(value);
  if (!isFields(value)) return textPart(jsonOf(value));
  const { type } = value;
  if (typeof type !== "string") return geminiPart(value) ?? textPart(jsonOf(value));
  const read = Object.hasOwn(readers, type) ? readers[type]?.(value as Part) : undefined;
  return read ?? uiCall(value as Part) ?? other;
}

/** The kinds of parts by their type. A reader answers undefined for a part without the fields of its kind. */
const readers: Readonly<Record<string, (part: Part) => KnownPart | undefined>> = {
  // Data sets of Hugging Face have the text in `value`.
  text: (part) => (part["text"] === undefined ? textPart(part["value"]) : textPart(part["text"], part)),
  input_text: ({ text }) => textPart(text),
  output_text: ({ text }) => textPart(text),
  refusal: ({ refusal }) => textPart(refusal),
  image_url: (part) => {
    const { image_url: image } = part;
    if (typeof image === "string") return picture(image);
    return isFields(image) && isAddress(image["url"]) ? { kind: "media", part } : unreadable;
  },
  // The Agents SDK has the address in `image`.
  input_image: ({ image_url: url, image = url }) => (typeof image === "string" ? picture(image) : unreadable),
  image: pictureOf,
  "image-data": pictureOf,
  "image-url": pictureOf,
  input_audio: (part) => {
    const { input_audio: audio } = part;
    return isFields(audio) && typeof audio["data"] === "string" ? { kind: "media", part } : unreadable;
  },
  audio: recordingOf,
  file: fileOf,
  document: fileOf,
  input_file: fileOf,
  media: fileOf,
  "file-data": fileOf,
  "file-url": fileOf,
  video_url: () => unreadable,
  "step-start": () => ({ kind: "step" }),
  // Anthropic
  tool_use: ({ id, name, input }) => callOf({ id, name, input }),
  tool_result: ({ tool_use_id: id, content, is_error: isError }) => resultOf({ id, content, isError }),
  // OpenAI's Responses, and the same in the sessions of its Agents SDK
  function_call: ({ call_id: id, callId = id, name, arguments: input }) => callOf({ id: callId, name, input }),
  function_call_output: ({ call_id: id, output: content }) => resultOf({ id, content }),
  custom_tool_call: ({ call_id: id, callId = id, name, input }) => callOf({ id: callId, name, input }),
  custom_tool_call_output: ({ call_id: id, output: content }) => resultOf({ id, content }),
  local_shell_call: ({ call_id: id, action }) => callOf({ id, name: "local_shell", input: action }),
  local_shell_call_output: ({ call_id, id = call_id, output: content }) => resultOf({ id, content }),
  function_call_result: ({ callId: id, output }) =>
    resultOf({ id, content: isFields(output) && typeof output["type"] === "string" ? [output] : output }),
  // LangChain
  tool_call: ({ id, name, args }) => callOf({ id, name, input: args }),
  // Messages of the AI SDK for models
  "tool-call": ({ toolCallId: id, toolName: name, input, args }) => callOf({ id, name, input: input ?? args }),
  "tool-result": aiResult,
  // UIMessages of version 4
  "tool-invocation": ({ toolInvocation }) => {
    if (!isFields(toolInvocation)) return undefined;
    const { toolCallId: id, toolName: name, args, result } = toolInvocation;
    const call = callOf({ id, name, input: args });
    return call?.kind === "call" && result !== undefined
      ? { ...call, result: resultMessage({ id, content: contentOfData(result ?? "null") }) }
      : call;
  },
};

/** A call of a UIMessage, with its result: `tool-NAME` or `dynamic-tool`. */
function uiCall(part: Part): KnownPart | undefined {
  const { type, toolCallId: id, toolName, state } = part;
  const isCall = type === "dynamic-tool" || type.startsWith("tool-");
  const isUsed = ["input", "rawInput", "output", "errorText"].some((name) => part[name] !== undefined);
  // While its input streams, the model has not called the tool yet.
  if (!isCall || typeof id !== "string" || !isUsed || state === "input-streaming") return undefined;
  const name = type === "dynamic-tool" ? toolName : type.slice("tool-".length);
  const { input = part["rawInput"], output, errorText, approval } = part;
  const call = callOf({ id, name, input });
  if (call?.kind !== "call") return undefined;
  if (state === "output-denied") {
    const reason = isFields(approval) ? approval["reason"] : undefined;
    return { ...call, result: resultMessage({ id, content: denial(reason), isError: true }) };
  }
  // A tool that returned null has a result.
  if (output !== undefined) return { ...call, result: resultMessage({ id, content: contentOfData(output ?? "null") }) };
  if (errorText === undefined) return call;
  return { ...call, result: resultMessage({ id, content: textOrJson(errorText), isError: true }) };
}

/** Parts of Gemini have no type. Python writes their names with underscores. */
function geminiPart(fields: Fields): KnownPart | undefined {
  const inline = fields["inlineData"] ?? fields["inline_data"];
  if (isFields(inline)) {
    const { data, mimeType = inline["mime_type"], displayName } = inline;
    const named = typeof displayName === "string" ? { filename: displayName } : {};
    return fileOf({ type: "file", data: data ?? null, mediaType: mimeType ?? null, ...named });
  }
  const file = fields["fileData"] ?? fields["file_data"];
  // Only Gemini can open its addresses.
  if (isFields(file)) return unreadable;
  const called = fields["functionCall"] ?? fields["function_call"];
  if (isFields(called))
    return callOf({ id: called["id"] ?? called["name"], name: called["name"], input: called["args"] });
  const answered = fields["functionResponse"] ?? fields["function_response"];
  if (isFields(answered)) {
    const { id = answered["name"], parts } = answered;
    const { response, isError } = geminiResponse(answered["response"]);
    const media = (Array.isArray(parts) ? (parts as readonly Value[]) : []).map(knownPart).flatMap(mediaIn);
    const text = textOrJson(response);
    return {
      kind: "result",
      result: resultMessage({ id, content: media.length === 0 ? text : [{ type: "text", text }, ...media], isError }),
    };
  }
  if (
    ["executableCode", "executable_code", "codeExecutionResult", "code_execution_result"].some((name) => name in fields)
  )
    return other;
  const isText = Object.keys(fields).every((name) => geminiTextFields.has(name));
  if (!isText || typeof fields["text"] !== "string") return bedrockPart(fields);
  return fields["thought"] === true ? other : textPart(fields["text"]);
}

/** Blocks of Bedrock's Converse have no type: each has one field with its content. */
function bedrockPart(fields: Fields): KnownPart | undefined {
  const [name, ...others] = Object.keys(fields);
  const content = name === undefined || others.length > 0 ? undefined : fields[name];
  if (name === undefined || !isFields(content)) return undefined;
  const { source, format, name: title } = content;
  const { bytes: data = null, text } = isFields(source) ? source : {};
  switch (name) {
    case "toolUse":
      return callOf({ id: content["toolUseId"], name: content["name"], input: content["input"] });
    case "toolResult": {
      const blocks = Array.isArray(content["content"]) ? (content["content"] as readonly Value[]) : [];
      const parts = blocks.map((block): Value => (isFields(block) && "json" in block ? jsonOf(block["json"]) : block));
      return resultOf({ id: content["toolUseId"], content: parts, isError: content["status"] === "error" });
    }
    case "image":
      return pictureOf({ type: "image", data, mediaType: `image/${stringOf(format)}` });
    case "document":
      if (text !== undefined) return textPart(text);
      return fileOf({ type: "file", data, mediaType: `application/${stringOf(format)}`, filename: title ?? null });
    case "reasoningContent":
    case "cachePoint":
      return other;
    case "video":
    case "audio":
      return unreadable;
    default:
      return undefined;
  }
}

/** A response is an object: `output` alone has the output, `error` alone the reason of a failure. */
function geminiResponse(response: Value | undefined): {
  readonly response: Value | undefined;
  readonly isError: boolean;
} {
  const [name, ...others] = isFields(response) ? Object.keys(response) : [];
  const isNamed = others.length === 0 && (name === "output" || name === "error");
  return isNamed ? { response: (response as Fields)[name], isError: name === "error" } : { response, isError: false };
}

const geminiTextFields = new Set(["text", "thought", "thoughtSignature", "thought_signature"]);

interface CallFields {
  readonly id: Value | undefined;
  readonly name: Value | undefined;
  readonly input: Value | undefined;
}

function callOf({ id, name, input }: CallFields): KnownPart | undefined {
  if (typeof name !== "string" || name === "") return undefined;
  const text = typeof input === "string" ? input : jsonOf(input ?? {});
  return { kind: "call", call: { id: stringOf(id), type: "function", function: { name, arguments: text } } };
}

interface ResultFields {
  readonly id: Value | undefined;
  readonly content: Value | undefined;
  readonly isError?: Value | undefined;
}

function resultOf({ id, content, isError }: ResultFields): KnownPart {
  return { kind: "result", result: resultMessage({ id, content: resultContent(content), isError }) };
}

function resultMessage({ id, content = "", isError }: ResultFields): Message {
  return { role: "tool", tool_call_id: stringOf(id), content, ...(isError === true ? { is_error: true } : {}) };
}

/** A result in messages of the AI SDK: `output` says its kind since version 5, before that `result` is the value. */
function aiResult(part: Part): KnownPart | undefined {
  const { toolCallId: id, output, result, experimental_content: content, isError } = part;
  if (typeof id !== "string") return undefined;
  if (!isFields(output) || typeof output["type"] !== "string") {
    const given = Array.isArray(content) ? resultContent(content) : contentOfData(output ?? result);
    return { kind: "result", result: resultMessage({ id, content: given, isError }) };
  }
  const { type, value, reason } = output;
  if (type === "content") return resultOf({ id, content: value });
  if (type === "execution-denied")
    return { kind: "result", result: resultMessage({ id, content: denial(reason), isError: true }) };
  const isFailure = type === "error-text" || type === "error-json";
  return {
    kind: "result",
    result: resultMessage({
      id,
      content: type === "json" ? contentOfData(value ?? "null") : textOrJson(value),
      isError: isFailure,
    }),
  };
}

function denial(reason: Value | undefined): string {
  return typeof reason === "string" && reason !== "" ? `The call was denied: ${reason}` : "The call was denied.";
}

/**
 * The content of a result as the tool loop stores it: a text, or a list of parts where it has media. Parts of unknown
 * kinds stay in the list as they are. A value that is no list of parts is text or JSON.
 */
export function resultContent(content: Value | undefined): Value {
  if (!Array.isArray(content) || content.length === 0) return contentOfData(content);
  const items = content as readonly Value[];
  const read = items.map(knownPart);
  if (read.every(({ kind }) => kind === "text")) return textsIn(read).join("\n\n");
  const isOther = read.every(({ kind }) => kind === "other");
  const isKnown = items.every((item) => isFields(item) && typeof item["type"] === "string");
  if (isOther && !isKnown) return textOrJson(content);
  return read.map((known, index) => (known.kind === "text" || known.kind === "media" ? known.part : items[index]!));
}

/** The content of a result that is data: parts where all of a list, or of an MCP result's `content`, are known ones. */
function contentOfData(data: Value | undefined): Value {
  const list = isFields(data) ? data["content"] : data;
  if (!Array.isArray(list) || list.length === 0) return textOrJson(data);
  const items = list as readonly Value[];
  const isContent = items.every((item) => {
    const isPart = isFields(item) && typeof item["type"] === "string";
    return isPart && ["text", "media"].includes(knownPart(item).kind);
  });
  return isContent ? resultContent(items) : textOrJson(data);
}

function textsIn(known: readonly KnownPart[]): readonly string[] {
  return known.flatMap((one) => (one.kind === "text" ? [stringOf(one.part["text"])] : []));
}

function mediaIn(known: KnownPart): readonly Part[] {
  return known.kind === "media" ? [known.part] : [];
}

function textPart(text: Value | undefined, part?: Part): KnownPart {
  if (typeof text !== "string" || text.trim() === "") return other;
  return { kind: "text", part: part ?? { type: "text", text } };
}

const unreadable: KnownPart = { kind: "other", isMedia: true };

function picture(url: string): KnownPart {
  return isAddress(url) ? { kind: "media", part: { type: "image_url", image_url: { url } } } : unreadable;
}

/** True for a URL that an endpoint may open: no path of a page, and nothing within one browser or machine. */
function isAddress(url: Value | undefined): boolean {
  return typeof url === "string" && /^(?!blob:|file:)[a-z][a-z0-9+.-]*:/i.test(url);
}

/** The media type of a part: each program has a name of its own for it. */
function mediaTypeOf(part: Fields): string {
  return stringOf(part["mediaType"] ?? part["mimeType"] ?? part["mime_type"] ?? part["media_type"]);
}

/** A picture of Anthropic (`source`), the AI SDK (`image`), LangChain or MCP (`data`, `base64`, `url`). */
function pictureOf(part: Part): KnownPart {
  const { source } = part;
  const fields = isFields(source) ? source : part;
  const { image, data = image, base64 = data, url } = fields;
  if (typeof url === "string") return picture(url);
  if (typeof base64 === "string" && /^(?:https?|data):/i.test(base64)) return picture(base64);
  const address = dataUrl(base64, mediaTypeOf(fields) || "image/png");
  return address === undefined ? unreadable : picture(address);
}

/** A recording of LangChain or MCP, or of the Agents SDK (`audio`, `format`). */
function recordingOf(part: Part): KnownPart {
  const mediaType = typeof part["format"] === "string" ? `audio/${part["format"]}` : mediaTypeOf(part);
  const format = /^audio\/(?:x-)?(mp3|mpeg|wav|wave)\b/.exec(mediaType)?.[1];
  const data = part["data"] ?? part["base64"] ?? part["audio"];
  if (format === undefined || typeof data !== "string") return unreadable;
  return {
    kind: "media",
    part: { type: "input_audio", input_audio: { data, format: format.startsWith("mp") ? "mp3" : "wav" } },
  };
}

/**
 * A file of chat completions, the AI SDK, Anthropic (`document`), the Responses (`input_file`) or LangChain. Chat
 * completions take no file at an address, but for pictures.
 */
function fileOf(part: Part): KnownPart {
  const { file, metadata } = part;
  const filename = part["filename"] ?? part["title"] ?? (isFields(metadata) ? metadata["filename"] : undefined);
  if (isFields(file)) {
    const isSent = typeof file["file_id"] === "string" || /^(?!https?:)./i.test(stringOf(file["file_data"]));
    return part.type === "file" && isSent ? { kind: "media", part } : unreadable;
  }
  const source = isFields(part["source"]) ? part["source"] : {};
  if (source["type"] === "text") return textPart(source["data"]);
  // Documents of Anthropic may hold blocks of their own.
  if (source["type"] === "content") return blocksOf(source["content"]);
  const mediaType = mediaTypeOf(part) || mediaTypeOf(source);
  const { url } = part;
  // The Agents SDK has the content in `file`.
  const content = part["data"] ?? part["file_data"] ?? part["base64"] ?? source["data"] ?? file;
  if (mediaType.startsWith("image/")) {
    const isEmbedded = content !== undefined && content !== null;
    return isEmbedded ? pictureOf({ type: "image", data: content, mediaType }) : picture(stringOf(url));
  }
  const named = typeof filename === "string" ? { filename } : {};
  if (typeof part["file_id"] === "string")
    return { kind: "media", part: { type: "file", file: { ...named, file_id: part["file_id"] } } };
  const address = stringOf(url);
  const data = address.startsWith("data:") ? address : dataUrl(content, mediaType);
  return data === undefined
    ? unreadable
    : { kind: "media", part: { type: "file", file: { ...named, file_data: data } } };
}

function blocksOf(content: Value | undefined): KnownPart {
  const blocks = Array.isArray(content) ? (content as readonly Value[]) : [content ?? ""];
  return textPart(textsIn(blocks.map(knownPart)).join("\n\n"));
}

/** Bytes or base64 as a data URL; undefined for an address, and for no content. */
function dataUrl(content: Value | undefined, mediaType: string): string | undefined {
  const text = content instanceof Uint8Array ? base64Of(content) : stringOf(content);
  if (text.startsWith("data:") || text.startsWith("attachment+data:")) return text;
  // The marks of data whose bytes are lost are no addresses: a text says so to the model.
  return text === "" || mediaType === "" || /^(?!attachment\+base64:)[a-z][a-z0-9+.-]*:/i.test(text)
    ? undefined
    : `data:${mediaType};base64,${text}`;
}

function textOrJson(value: Value | undefined): string {
  return typeof value === "string" ? value : value === undefined || value === null ? "" : jsonOf(value);
}

/** A value as JSON that a model reads: bigints as digits, bytes as base64. */
export function jsonOf(value: unknown, indent?: number): string {
  const plain = (_name: string, item: unknown): unknown => {
    if (typeof item === "bigint") return item.toString();
    return item instanceof Uint8Array ? base64Of(item) : item;
  };
  return JSON.stringify(value, plain, indent);
}

/** True for an object that is no list, no date and no bytes. */
export function isFields(value: Value | undefined): value is Fields {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array) &&
    !(value instanceof Date)
  );
}

function stringOf(value: Value | undefined): string {
  return typeof value === "string" ? value : "";
}
