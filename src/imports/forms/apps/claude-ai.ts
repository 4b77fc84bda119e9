/** Data exports of Claude: `conversations.json`, whose conversations are lists of messages that name their parents. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import type { Conversation } from "../../../sessions/transfer/conversation.ts";
import { textOf, timeIn } from "../../conversations/about.ts";
import { conversationsOfTree } from "../../conversations/branched.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { isExported } from "../../conversations/exported-session.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";
import { aboutInstructed, instructionsIn } from "../../conversations/listed-messages.ts";
import { fieldsIn } from "../../conversations/lists.ts";
import { messagesOfApp, type AppMessage } from "./app-messages.ts";

export const claudeAi: ConversationFormat = {
  name: "claude",
  title: "an export of Claude",
  kindOf: (document) => (isFields(document) && Array.isArray(document["chat_messages"]) ? "conversation" : undefined),
  read: ([{ value, place }], options) => {
    const fields = value as Fields;
    const list = (fields["chat_messages"] as readonly Value[]).filter(isFields);
    const ids = list.map((message, index) => textOf(message, ["uuid"]) ?? `${index}`);
    const messages = new Map(ids.map((id, index) => [id, list[index]!]));
    const isTree = list.some((message) => typeof message["parent_message_uuid"] === "string");
    const nodes = list.map((message, index) => ({
      id: ids[index]!,
      // Older exports name no parents: their lists are in order.
      parent: isTree ? textOf(message, ["parent_message_uuid"]) : ids[index - 1],
      at: timeIn(message),
    }));
    const current = textOf(fields, ["current_leaf_message_uuid"]);
    const read = (path: readonly string[]): Conversation =>
      conversationOf(
        fields,
        path.map((id) => messages.get(id)!),
        place,
      );
    return conversationsOfTree({ nodes, current, read }, options);
  },
};

/** @throws SessionError `message_invalid` for one without messages */
function conversationOf(fields: Fields, list: readonly Fields[], place: string): Conversation {
  const about = aboutInstructed(fields, ["chat_messages", "current_leaf_message_uuid"]);
  // An export in this format has them beside the messages.
  const instructions = instructionsIn(fields);
  if (list.length === 0 && isExported(fields))
    return { ...about, messages: instructions === "" ? [] : [{ role: "system", content: instructions }] };
  const leftOut = new LeftOutCounts();
  leftOut.fieldsIn(fields["chat_messages"], "message");
  return {
    ...about,
    ...messagesOfApp(
      list.map((value) => appMessage(value, leftOut)),
      { format: "claude", place, instructions, leftOut },
    ),
  };
}

function appMessage(value: Fields, leftOut: LeftOutCounts): AppMessage {
  const files = [...fieldsIn(value["files"]), ...fieldsIn(value["attachments"]).filter((one) => !hasText(one))];
  leftOut.add("attachment", files.length);
  return {
    message: { role: roleOf(value["sender"]), content: contentOf(value) },
    facts: defined({ at: timeIn(value) }),
    sources: [value],
    names: { placed: ["sender"], words: ["text", "content", "attachments"] },
  };
}

function roleOf(sender: Value | undefined): "user" | "assistant" {
  return sender === "assistant" ? "assistant" : "user";
}

/** The words of a message, after the texts of its attachments. */
function contentOf({ text = "", content, attachments }: Fields): readonly Value[] {
  const attached = fieldsIn(attachments)
    .filter(hasText)
    .map((file): Value => {
      const name = textOf(file, ["file_name"]);
      return {
        type: "text",
        text: `${name === undefined ? "" : `${name}:\n`}${file["extracted_content"] as string}\n\n`,
      };
    });
  const isList = Array.isArray(content) && content.length > 0;
  return [...attached, ...(isList ? (content as readonly Value[]) : [text])];
}

function hasText({ extracted_content: text }: Fields): boolean {
  return typeof text === "string" && text !== "";
}
