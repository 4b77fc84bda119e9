/** Conversations as the applications ChatGPT and Claude export them. */
import { isFields, type Fields } from "../domain/turns/known-parts.ts";
import type { Message } from "../domain/turns/turn.ts";
import type { Value } from "../domain/values/codec.ts";
import type { MessageFormat } from "./message-format.ts";
import { canonicalParts } from "./message-parts.ts";
import { shownParts, textIn, type ShownMessage } from "./shown-parts.ts";

/** A message of ChatGPT. Its parts are texts, and pictures of which the file has the names only. */
export const chatgpt: MessageFormat = {
  name: "chatgpt",
  version: 1,
  list: "messages",
  pairsCalls: false,
  fits: ({ author, content }) => isFields(author) && isFields(content),
  toCanonical: ({ author, content, metadata }) => {
    const { role, name } = author as Fields;
    const { content_type: type, parts, text } = content as Fields;
    const isHidden = isFields(metadata) && metadata["is_visually_hidden_from_conversation"] === true;
    if (isHidden) return { messages: [], aside: 0 };
    const list: readonly Value[] = Array.isArray(parts)
      ? (parts as readonly Value[])
      : [typeof text === "string" ? text : content!];
    const typed = list
      .filter((part) => part !== "")
      .map((part) => (isFields(part) ? { type: part["content_type"] ?? type ?? "unknown", ...part } : part));
    if (typed.length === 0) return { messages: [], aside: 0 };
    const called = role === "tool" ? { tool_call_id: typeof name === "string" ? name : "tool" } : {};
    return canonicalParts({ role: role as Message["role"], ...called, content: typed });
  },
  fromCanonical: (messages, around) =>
    shownParts(messages, around).flatMap(({ role, parts }): readonly Value[] => {
      const text = textOf({ role, parts });
      return text === "" ? [] : [{ author: { role }, content: { content_type: "text", parts: [text] } }];
    }),
};

/** A message of Claude; the text of its attachments precedes its own. */
export const claude: MessageFormat = {
  name: "claude",
  version: 1,
  list: "chat_messages",
  // Claude has no messages of the system.
  instructions: (text) => ({ system_prompt: text }),
  pairsCalls: false,
  fits: ({ sender }) => typeof sender === "string",
  toCanonical: ({ sender, text, content, attachments }) => {
    const role = sender === "human" ? "user" : sender;
    const files = (Array.isArray(attachments) ? (attachments as readonly Value[]) : []).flatMap((file) => {
      const extracted = isFields(file) ? file["extracted_content"] : undefined;
      return typeof extracted === "string" && extracted !== "" ? [{ type: "text", text: `${extracted}\n\n` }] : [];
    });
    const isList = Array.isArray(content) && content.length > 0;
    const own: readonly Value[] = isList ? (content as readonly Value[]) : [text ?? ""];
    return canonicalParts({ role: role as Message["role"], content: [...files, ...own] });
  },
  fromCanonical: (messages, around) =>
    shownParts(messages, around).flatMap(({ role, parts }): readonly Value[] => {
      const text = textOf({ role, parts });
      const sender = role === "user" ? "human" : "assistant";
      // Claude has no messages of the system.
      return text === "" || role === "system" ? [] : [{ sender, text, content: [{ type: "text", text }] }];
    }),
};

/** The words of a message. The exports of these applications have no ids of calls: calls and results are left out. */
function textOf({ parts }: ShownMessage): string {
  return textIn(parts);
}
