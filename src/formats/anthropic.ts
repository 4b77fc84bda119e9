/** Messages of Anthropic: https://docs.anthropic.com/en/api/messages */
import { isFields, type Fields } from "../domain/turns/known-parts.ts";
import type { Message } from "../domain/turns/turn.ts";
import type { Value } from "../domain/values/codec.ts";
import { defined } from "../domain/values/defined.ts";
import { hasUiFields, isListOf, type MessageFormat } from "./message-format.ts";
import { canonicalMessage } from "./message-parts.ts";
import { mediumOf, resultParts, shownParts, textOrParts, type ShownPart } from "./shown-parts.ts";

const blocks = new Set<unknown>([
  "text",
  "thinking",
  "redacted_thinking",
  "tool_use",
  "tool_result",
  "server_tool_use",
  "mcp_tool_use",
  "search_result",
  "container_upload",
]);

export const anthropic: MessageFormat = {
  name: "anthropic",
  version: 1,
  list: "messages",
  instructions: (text) => ({ system: text }),
  pairsCalls: true,
  fits: (value) => {
    const { role, type = "message", content, parts } = value;
    const isMessage = (role === "user" || role === "assistant") && type === "message" && parts === undefined;
    return isMessage && !hasUiFields(value) && (typeof content === "string" || isListOf(content, isBlock));
  },
  toCanonical: (value) => canonicalMessage(value as unknown as Message),
  fromCanonical: (messages, around) => {
    const written: { role: "user" | "assistant"; content: Value[] }[] = [];
    for (const { role, parts } of shownParts(messages, around)) {
      const author = role === "assistant" ? role : "user";
      const last = written.at(-1);
      const content = parts.map(blockOf);
      // The results of one answer are in one message, and the user's next words after them.
      const isJoined = last?.role === "user" && author === "user" && last.content.every(isResult);
      if (isJoined) last.content.push(...content);
      else written.push({ role: author, content });
    }
    return written.map(({ role, content }) => ({ role, content: textOrParts(content) }));
  },
};

function isBlock({ type, source }: Fields): boolean {
  if (type === "image" || type === "document") return isFields(source);
  return blocks.has(type) || (typeof type === "string" && type.endsWith("_tool_result"));
}

function isResult(block: Value): boolean {
  return isFields(block) && block["type"] === "tool_result";
}

function blockOf(shown: ShownPart): Value {
  switch (shown.kind) {
    case "text":
      return { type: "text", text: shown.text };
    case "call":
      return { type: "tool_use", id: shown.call.id, name: shown.call.function.name, input: shown.input };
    case "result": {
      const { id, content, isError } = shown.result;
      return {
        type: "tool_result",
        tool_use_id: id,
        content: typeof content === "string" ? content : resultParts(shown.result).map(blockOf),
        ...(isError ? { is_error: true } : {}),
      };
    }
    case "media": {
      const { mediaType, base64, url, filename, fileId } = mediumOf(shown.part);
      const source: Value =
        fileId !== undefined
          ? { type: "file", file_id: fileId }
          : base64 === undefined
            ? { type: "url", url }
            : { type: "base64", media_type: mediaType, data: base64 };
      return mediaType.startsWith("image/")
        ? { type: "image", source }
        : { type: "document", source, ...defined({ title: filename }) };
    }
  }
}
