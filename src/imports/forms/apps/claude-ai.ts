/** Data exports of Claude: `conversations.json`, whose conversations are lists of messages that name their parents. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Message } from "../../../domain/turns/turn.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import { withCallIds } from "../../../formats/calls/call-ids.ts";
import { canonicalParts } from "../../../formats/message-parts.ts";
import type { Conversation, MessageFacts } from "../../../sessions/transfer/conversation.ts";
import { aboutConversation, textOf, timeIn } from "../../conversations/about.ts";
import { conversationsOfTree } from "../../conversations/branched.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { isExported } from "../../conversations/exported-session.ts";
import { withBeside } from "../../conversations/kept-beside.ts";
import { instructionNames, instructionsIn } from "../../conversations/listed-messages.ts";
import { fieldsIn } from "../../conversations/lists.ts";
import { noMessages } from "../../conversations/refusals.ts";

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
  const about = aboutConversation(fields, ["chat_messages", "current_leaf_message_uuid", ...instructionNames]);
  // An export in this format has them beside the messages.
  const instructions = instructionsIn(fields);
  const messages: Message[] = instructions === "" ? [] : [{ role: "system", content: instructions }];
  const facts = new Map<Message, MessageFacts>();
  let aside = 0;
  let files = 0;
  const read = list.map((value) => canonicalParts({ role: roleOf(value["sender"]), content: contentOf(value) }));
  // Calls and results of some exports have no ids.
  const identified = withCallIds(read.map((one) => one.messages));
  for (const [index, value] of list.entries()) {
    const [first, ...others] = identified[index]!;
    const besides = read[index]!.aside;
    files += fieldsIn(value["files"]).length + fieldsIn(value["attachments"]).filter((one) => !hasText(one)).length;
    aside += besides;
    const isEmpty = first?.role !== "assistant" && others.length === 0 && first?.content === "";
    if (first === undefined || isEmpty) continue;
    const whole = besides === 0 ? first : withBeside(first, "claude", [value]);
    facts.set(whole, defined({ at: timeIn(value) }));
    messages.push(whole, ...others);
  }
  if (messages.length === 0 && !isExported(fields)) throw noMessages(place);
  return { ...about, messages, facts, aside, leftOut: { attachment: files } };
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
