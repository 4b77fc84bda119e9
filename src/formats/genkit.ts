/** Messages of Genkit: https://js.api.genkit.dev/interfaces/genkit._.MessageData.html */
import { isFields, jsonOf, type Fields } from "../domain/turns/known-parts.ts";
import type { Message } from "../domain/turns/turn.ts";
import type { Value } from "../domain/values/codec.ts";
import { defined } from "../domain/values/defined.ts";
import { isListOf, type MessageFormat } from "./message-format.ts";
import { canonicalParts } from "./message-parts.ts";
import {
  dataOf,
  mediumOf,
  resultParts,
  resultText,
  shownParts,
  type ShownMessage,
  type ShownPart,
} from "./shown-parts.ts";

const roles: ReadonlyMap<unknown, Message["role"]> = new Map([
  ["system", "system"] as const,
  ["user", "user"] as const,
  ["model", "assistant"] as const,
  ["tool", "tool"] as const,
]);

const authors: Readonly<Record<ShownMessage["role"], string>> = {
  system: "system",
  user: "user",
  assistant: "model",
  tool: "tool",
};

const partNames = ["text", "media", "toolRequest", "toolResponse", "data", "custom", "reasoning", "resource"];

export const genkit: MessageFormat = {
  name: "genkit",
  version: 1,
  list: "messages",
  pairsCalls: true,
  // An answer that was stopped at once has no parts.
  fits: ({ role, content }) =>
    roles.has(role) && isListOf(content, isOwnPart) && (role === "model" || (content as readonly Value[]).length > 0),
  toCanonical: ({ role, content }) => {
    const parts = content as readonly Fields[];
    if (parts.length === 0) return { messages: [], aside: 0 };
    return canonicalParts({ role: roles.get(role)!, content: parts.map(readPart) });
  },
  fromCanonical: (messages, around) => {
    const written: { readonly role: string; readonly content: Value[] }[] = [];
    for (const { role, parts } of shownParts(messages, around)) {
      const last = written.at(-1);
      const content = parts.map(partOf);
      // The results of one answer are in one message.
      if (role === "tool" && last?.role === "tool") last.content.push(...content);
      else written.push({ role: authors[role], content });
    }
    return written.map(({ role, content }) => ({ role, content }));
  },
};

function isOwnPart(part: Fields): boolean {
  return part["type"] === undefined && partNames.some((name) => part[name] !== undefined);
}

/** A part of Genkit as a part with a type; reasoning, custom parts and resources are no parts that a model is shown. */
function readPart(part: Fields): Value {
  const { text, media, toolRequest: request, toolResponse: response, data } = part;
  if (typeof text === "string") return { type: "text", text };
  if (isFields(media)) return { type: "file", ...defined({ url: media["url"], mediaType: mediaTypeOf(media) }) };
  if (isFields(request)) {
    const { ref, name, input } = request;
    return { type: "tool_call", ...defined({ id: ref, name, args: input }) };
  }
  if (isFields(response)) {
    const { ref = "", output, content } = response;
    const result: Fields = Array.isArray(content)
      ? { type: "content", value: contentOf(output, content as readonly Value[]) }
      : { type: "json", value: output ?? null };
    return { type: "tool-result", toolCallId: ref, output: result };
  }
  return data === undefined ? { type: "reasoning" } : { type: "text", text: jsonOf(data) };
}

/** The content of a result that has parts beside its output. */
function contentOf(output: Value | undefined, parts: readonly Value[]): Value {
  const shown = parts.map((part) => (isFields(part) ? readPart(part) : part));
  if (output === undefined || output === null) return shown;
  return [{ type: "text", text: typeof output === "string" ? output : jsonOf(output) }, ...shown];
}

function mediaTypeOf({ contentType, url }: Fields): string | undefined {
  if (typeof contentType === "string") return contentType;
  const [, inUrl] = typeof url === "string" ? (/^data:([^;,]+)/.exec(url) ?? []) : [];
  // A file at an address without a type: only pictures are sent by their address.
  return inUrl ?? "image/*";
}

function partOf(shown: ShownPart): Value {
  switch (shown.kind) {
    case "text":
      return { text: shown.text };
    case "call":
      return { toolRequest: { ref: shown.call.id, name: shown.call.function.name, input: shown.input } };
    case "result": {
      const { id, name } = shown.result;
      const media = resultParts(shown.result).filter(({ kind }) => kind === "media");
      const output = dataOf(resultText(shown.result));
      const content = media.length === 0 ? {} : { content: media.map(partOf) };
      return { toolResponse: { ref: id, name: name === "" ? id : name, output, ...content } };
    }
    case "media": {
      const { mediaType, base64, url, fileId = url } = mediumOf(shown.part);
      if (base64 === undefined) return { media: { url: fileId } };
      return { media: { url: `data:${mediaType};base64,${base64}`, contentType: mediaType } };
    }
  }
}
