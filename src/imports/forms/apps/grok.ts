/** Data exports of Grok: each conversation of `conversations`, with its responses as a tree. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import type { Conversation } from "../../../sessions/transfer/conversation.ts";
import { aboutConversation, textOf, timeIn, withoutClash } from "../../conversations/about.ts";
import { conversationsOfTree } from "../../conversations/branched.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";
import { fieldsIn } from "../../conversations/lists.ts";
import { partsOfFiles } from "./app-files.ts";
import { messagesOfApp, type AppMessage } from "./app-messages.ts";

export const grok: ConversationFormat = {
  name: "grok",
  title: "an export of Grok",
  kindOf: (document) =>
    isFields(document) && isFields(document["conversation"]) && Array.isArray(document["responses"])
      ? "conversation"
      : undefined,
  read: ([{ value, place }], options) => {
    const { conversation, responses } = value as Fields;
    const list = fieldsIn(responses).flatMap(({ response, ...around }) =>
      isFields(response) ? [withoutClash(around, response)] : [],
    );
    const ids = list.map((response, index) => textOf(response, ["_id", "id", "responseId"]) ?? `${index}`);
    const messages = new Map(ids.map((id, index) => [id, list[index]!]));
    const parents = list.map((response) => textOf(response, ["parent_response_id", "parentResponseId"]));
    const isTree = parents.some((parent) => parent !== undefined && messages.has(parent));
    const nodes = list.map((response, index) => ({
      id: ids[index]!,
      // Without parents the responses are in their order.
      parent: isTree ? parents[index] : ids[index - 1],
      at: timeIn(response),
    }));
    const current = textOf(conversation as Fields, ["leaf_response_id"]);
    const { conversation: _, responses: all, ...around } = value as Fields;
    const unread = (all as readonly Value[]).length - list.length;
    const read = (path: readonly string[]): Conversation =>
      conversationOf(
        withoutClash(around, conversation as Fields),
        path.map((id) => messages.get(id)!),
        { place, unread },
      );
    return conversationsOfTree({ nodes, current, read }, options);
  },
};

/** @throws SessionError `message_invalid` for one without messages */
function conversationOf(
  conversation: Fields,
  list: readonly Fields[],
  { place, unread }: { readonly place: string; readonly unread: number },
): Conversation {
  const { modify_time: changed, ...fields } = conversation;
  const about = aboutConversation(defined({ ...fields, updated_at: changed }), ["leaf_response_id"]);
  const leftOut = new LeftOutCounts();
  leftOut.add("unreadable response", unread);
  return {
    ...about,
    metadata: defined({ ...about.metadata, source: "grok" }),
    ...messagesOfApp(
      list.map((response) => appMessage(response, leftOut)),
      { format: "grok", place, instructions: "", leftOut },
    ),
  };
}

function appMessage(response: Fields, leftOut: LeftOutCounts): AppMessage {
  const isAsked = textOf(response, ["sender"])?.toLowerCase() === "human";
  const text = textOf(response, ["message"]);
  return {
    message: {
      role: isAsked ? "user" : "assistant",
      content: [...partsOfFiles(response["file_attachments"], leftOut), ...(text === undefined ? [] : [text])],
    },
    facts: defined({ at: timeIn(response), model: isAsked ? undefined : textOf(response, ["model"]) }),
    sources: [response],
    names: { words: ["message"] },
  };
}
