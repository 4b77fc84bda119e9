/** Contents of Gemini: https://ai.google.dev/api/caching#Content */
import { isFields, type Fields } from "../domain/turns/known-parts.ts";
import type { Message } from "../domain/turns/turn.ts";
import type { Value } from "../domain/values/codec.ts";
import { isListOf, type MessageFormat } from "./message-format.ts";
import { canonicalParts } from "./message-parts.ts";
import { dataOf, mediumOf, resultParts, resultText, shownParts, type ShownPart } from "./shown-parts.ts";

const roles = new Map<unknown, Message["role"]>([
  ["user", "user"],
  ["model", "assistant"],
  ["function", "tool"],
]);

export const gemini: MessageFormat = {
  name: "gemini",
  version: 1,
  list: "contents",
  instructions: (text) => ({ systemInstruction: { parts: [{ text }] } }),
  pairsCalls: true,
  // An answer that was stopped at once has no parts; a content of the user may have no role.
  fits: ({ role, parts, ...others }) =>
    role === undefined
      ? isListOf(parts, isOwnPart) && (parts as readonly Value[]).length > 0
      : (roles.has(role) && isListOf(parts, ({ type }) => type === undefined)) ||
        (role === "model" && parts === undefined && Object.keys(others).length === 0),
  toCanonical: ({ role = "user", parts = [] }) => {
    const content = parts as readonly Value[];
    if (role === "model" && content.length === 0) return { messages: [], aside: 0 };
    return canonicalParts({ role: roles.get(role)!, content });
  },
  fromCanonical: (messages, around) => {
    const written: { role: "user" | "model"; parts: Value[]; areResults: boolean }[] = [];
    for (const { role, parts } of shownParts(messages, around)) {
      const author = role === "assistant" ? "model" : "user";
      const last = written.at(-1);
      // The results of one answer are in one content.
      if (role === "tool" && last?.areResults === true) last.parts.push(...parts.map(partOf));
      else written.push({ role: author, parts: parts.map(partOf), areResults: role === "tool" });
    }
    return written.map(({ role, parts }) => ({ role, parts }));
  },
};

const ownNames = ["text", "inlineData", "inline_data", "fileData", "functionCall", "functionResponse"];

function isOwnPart(part: Fields): boolean {
  return part["type"] === undefined && ownNames.some((name) => part[name] !== undefined);
}

function partOf(shown: ShownPart): Value {
  switch (shown.kind) {
    case "text":
      return { text: shown.text };
    case "call":
      return { functionCall: { id: shown.call.id, name: shown.call.function.name, args: shown.input } };
    case "result": {
      const { id, name, isError } = shown.result;
      const text = resultText(shown.result);
      const data = dataOf(text);
      const response: Fields = isError ? { error: text } : isFields(data) ? data : { output: data };
      const media = resultParts(shown.result).filter(({ kind }) => kind === "media");
      const parts = media.length === 0 ? {} : { parts: media.map(partOf) };
      return { functionResponse: { id, name: name === "" ? id : name, response, ...parts } };
    }
    case "media": {
      const { mediaType, base64, url, fileId = url } = mediumOf(shown.part);
      return base64 === undefined
        ? { fileData: { mimeType: mediaType, fileUri: fileId } }
        : { inlineData: { mimeType: mediaType, data: base64 } };
    }
  }
}
