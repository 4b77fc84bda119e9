/** Conversations as the applications ChatGPT and Claude export them. */
import type { Value } from "../domain/values/codec.ts";
import type { Message } from "../domain/turns/turn.ts";
import { messagesOfParts } from "./message-parts.ts";

type Fields = Readonly<Record<string, unknown>>;

/** The messages of an export: Claude's list, or the branch of ChatGPT's tree that was shown last; undefined for others. */
export function exportedMessages(conversation: Fields): readonly unknown[] | undefined {
  const { chat_messages: list, mapping } = conversation;
  if (Array.isArray(list)) return list;
  return isFields(mapping) ? shownBranch(mapping, conversation["current_node"]) : undefined;
}

function shownBranch(mapping: Fields, current: unknown): readonly unknown[] {
  const branch: unknown[] = [];
  const passed = new Set<unknown>();
  let id = typeof current === "string" ? current : Object.keys(mapping).at(-1);
  // A damaged file may hold a circle.
  while (typeof id === "string" && Object.hasOwn(mapping, id) && !passed.has(id)) {
    passed.add(id);
    const node = mapping[id];
    if (!isFields(node)) break;
    if (isFields(node["message"])) branch.push(node["message"]);
    id = node["parent"] as string | undefined;
  }
  return branch.toReversed();
}

/** A message of ChatGPT. Its parts are texts, and pictures of which the file holds the names only. */
export function fromChatGpt({ author, content, metadata }: Fields): readonly Message[] {
  const { role, name } = author as Fields;
  const { content_type: type, parts, text } = content as Fields;
  const isHidden = isFields(metadata) && metadata["is_visually_hidden_from_conversation"] === true;
  if (isHidden) return [];
  const list: readonly unknown[] = Array.isArray(parts) ? parts : typeof text === "string" ? [text] : [content];
  const typed = list
    .filter((part) => part !== "")
    .map((part) => (isFields(part) ? { type: part["content_type"] ?? type ?? "unknown", ...part } : part));
  if (typed.length === 0) return [];
  const called = role === "tool" ? { tool_call_id: typeof name === "string" ? name : "tool" } : {};
  return messagesOfParts({ role: role as Message["role"], ...called, content: typed as readonly Value[] });
}

/** A message of Claude; the text of its attachments stands before its own. */
export function fromClaude({ sender, text, content, attachments }: Fields): readonly Message[] {
  const role = sender === "human" ? "user" : sender;
  const files = (Array.isArray(attachments) ? attachments : []).flatMap((file: unknown) => {
    const extracted = isFields(file) ? file["extracted_content"] : undefined;
    return typeof extracted === "string" && extracted !== "" ? [{ type: "text", text: `${extracted}\n\n` }] : [];
  });
  const own: readonly unknown[] = Array.isArray(content) && content.length > 0 ? content : [text ?? ""];
  return messagesOfParts({ role: role as Message["role"], content: [...files, ...own] as readonly Value[] });
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
