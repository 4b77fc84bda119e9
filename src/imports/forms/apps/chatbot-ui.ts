/** Exports of Chatbot UI: each conversation of `history`. One of folders and prompts alone has no conversation. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import { aboutConversation, restOf, textOf } from "../../conversations/about.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { listedMessages } from "../../conversations/listed-messages.ts";
import { noMessages } from "../../conversations/refusals.ts";

export const chatbotUi: ConversationFormat = {
  name: "chatbot-ui",
  title: "an export of Chatbot UI",
  kindOf: (document) =>
    isFields(document) && (isConversation(document) || isLibrary(document)) ? "conversation" : undefined,
  read: ([{ value, place }]) => {
    const { messages = [], prompt, model, ...fields } = value as Fields;
    const list = messages as readonly Value[];
    if (list.length === 0) throw noMessages(place);
    const modelId = textOf(model as Fields, ["id"]);
    const instructions = typeof prompt === "string" ? prompt : "";
    const about = aboutConversation(fields, []);
    const modelSettings = restOf(model as Fields, ["id"]);
    return [
      {
        ...about,
        metadata: defined({ ...about.metadata, model: modelId, modelSettings, source: "chatbot-ui" }),
        ...listedMessages(list.map(withoutType), place, { instructions, model: modelId, format: undefined }),
      },
    ];
  },
};

function isConversation({ messages, model, prompt, folderId }: Fields): boolean {
  const hasModel = isFields(model) && typeof model["id"] === "string";
  return Array.isArray(messages) && hasModel && (typeof prompt === "string" || folderId !== undefined);
}

/** Folders and prompts without a conversation. */
function isLibrary({ version, history, folders, prompts, ...others }: Fields): boolean {
  const lists = [folders, prompts].filter((list) => list !== undefined && list !== null);
  const isEmpty = (history ?? null) === null || (Array.isArray(history) && history.length === 0);
  const isNamed = (one: Value): boolean => isFields(one) && typeof one["name"] === "string" && one["id"] !== undefined;
  const areNamed = lists.every((list) => Array.isArray(list) && (list as readonly Value[]).every(isNamed));
  return lists.length > 0 && isEmpty && areNamed && (version !== undefined || Object.keys(others).length === 0);
}

/** Later versions write the type of a content beside it. */
function withoutType(message: Value): Value {
  if (!isFields(message) || message["type"] !== "text") return message;
  const { type: _, ...others } = message;
  return others;
}
