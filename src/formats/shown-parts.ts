/** The source of the converters: messages as every chat endpoint takes them, and the parts of their contents. */
import type { Value } from "../domain/values/codec.ts";
import { shownMessages } from "../domain/request/shown-message.ts";
import { isFields, type Part } from "../domain/turns/known-parts.ts";
import { contentParts } from "../domain/turns/message-steps.ts";
import { withoutNative } from "../domain/request/native-form.ts";
import type { Message, ToolCall } from "../domain/turns/turn.ts";
import type { Surroundings } from "./message-format.ts";

/** A part of a message: a text, a medium, a call, or the result of one. */
export type ShownPart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "media"; readonly part: Part }
  | { readonly kind: "call"; readonly call: ToolCall; readonly input: Value }
  | { readonly kind: "result"; readonly result: ShownResult };

/** The result of a call. */
export interface ShownResult {
  readonly id: string;
  /** The name of the tool; "" where its call is not among the messages. */
  readonly name: string;
  readonly content: string | readonly Part[];
  readonly isError: boolean;
}

/** Parts that one message says. */
export interface ShownMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  /** The name of its author, where the message has one. */
  readonly name?: string;
  readonly parts: readonly ShownPart[];
}

/** The messages as endpoints take them, each as its parts. */
export function shownParts(messages: readonly Message[], { toolNames }: Surroundings): readonly ShownMessage[] {
  const names = new Map<string, string>();
  return messages
    .map(withoutNative)
    .flatMap(shownMessages)
    .map((message): ShownMessage => {
      const { content, tool_calls: calls, tool_call_id: id = "", name } = message;
      const role = message.role as ShownMessage["role"];
      if (role === "tool") {
        const given = typeof content === "string" ? content : (contentParts(content) as readonly Part[]);
        const isError = message["is_error"] === true;
        return {
          role,
          parts: [
            { kind: "result", result: { id, name: names.get(id) ?? toolNames.get(id) ?? "", content: given, isError } },
          ],
        };
      }
      for (const call of calls ?? []) names.set(call.id, call.function.name);
      return {
        role,
        ...(typeof name === "string" ? { name } : {}),
        parts: [...(contentParts(content) as readonly (string | Part)[]).map(asShown), ...(calls ?? []).map(asCall)],
      };
    });
}

/** The parts of a result, each text as one of them. */
export function resultParts({ content }: ShownResult): readonly ShownPart[] {
  return (typeof content === "string" ? [content] : content).map(asShown);
}

function asShown(part: string | Part): ShownPart {
  if (typeof part === "string") return { kind: "text", text: part };
  return part.type === "text" ? { kind: "text", text: part["text"] as string } : { kind: "media", part };
}

function asCall(call: ToolCall): ShownPart {
  return { kind: "call", call, input: JSON.parse(call.function.arguments) as Value };
}

/** All texts as one. */
export function textIn(parts: readonly ShownPart[]): string {
  return parts.flatMap((part) => (part.kind === "text" ? [part.text] : [])).join("\n\n");
}

/** The parts of a content; a single text is one part. */
export function textOrParts(parts: readonly Value[]): Value {
  const [first] = parts;
  return parts.length === 1 && isFields(first) && first["type"] === "text" ? first["text"]! : parts;
}

/** The content of a result as one text; media are left out. */
export function resultText(result: ShownResult): string {
  return textIn(resultParts(result));
}

/** The text of a result as the JSON object or list that it is, else the text. */
export function dataOf(text: string): Value {
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.parse(text) as Value;
  } catch {
    return text;
  }
}

/** A picture, a recording or a file by its address, or by its content in base64. */
export interface Medium {
  /** "" where only the provider knows it. */
  readonly mediaType: string;
  readonly url: string;
  /** The content of a data URL. */
  readonly base64?: string;
  readonly filename?: string;
  /** The provider's id of a file. */
  readonly fileId?: string;
}

/** The medium of a part of chat completions. */
export function mediumOf(part: Part): Medium {
  const { image_url: image, input_audio: audio, file } = part;
  if (isFields(image)) {
    const medium = ofUrl(image["url"] as string);
    return medium.base64 === undefined ? { ...medium, mediaType: "image/*" } : medium;
  }
  if (isFields(audio)) {
    const mediaType = audio["format"] === "mp3" ? "audio/mpeg" : "audio/wav";
    const base64 = audio["data"] as string;
    return { mediaType, base64, url: `data:${mediaType};base64,${base64}` };
  }
  const { filename, file_data: data, file_id: id } = isFields(file) ? file : {};
  return {
    ...ofUrl(typeof data === "string" ? data : ""),
    ...(typeof filename === "string" ? { filename } : {}),
    ...(typeof id === "string" ? { fileId: id } : {}),
  };
}

function ofUrl(url: string): Medium {
  const [, mediaType = "", base64] = /^data:([^;,]*)(?:;[^,]*)?;base64,(.*)$/s.exec(url) ?? [];
  return base64 === undefined ? { mediaType, url } : { mediaType, url, base64 };
}
