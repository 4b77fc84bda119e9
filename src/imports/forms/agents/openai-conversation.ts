/** Items of OpenAI's Conversations: lists of the API, which begin with the newest, and conversations with their items. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { openaiResponses } from "../../../formats/openai-items.ts";
import { isMessageOf } from "../../../formats/registry.ts";
import { aboutConversation } from "../../conversations/about.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { pagesBehind } from "../../conversations/left-out.ts";
import { listedMessages } from "../../conversations/listed-messages.ts";
import { noMessages } from "../../conversations/refusals.ts";

export const openaiConversation: ConversationFormat = {
  name: "openai-conversation",
  title: "items of OpenAI's Conversations",
  kindOf: (document) => (isFields(document) && itemsIn(document) !== undefined ? "conversation" : undefined),
  read: ([{ value, place }]) => {
    const fields = value as Fields;
    const items = itemsIn(fields)!;
    if (items.length === 0) throw noMessages(place);
    const inOrder = isNewestFirst(items) ? items.toReversed() : items;
    const read = listedMessages(inOrder, place, { instructions: "", model: undefined, format: openaiResponses });
    return [
      {
        ...aboutConversation(fields, ["object", "data", "items", "first_id", "last_id", "has_more"]),
        ...read,
        leftOut: { ...read.leftOut, ...pagesBehind(fields, fields["items"]) },
      },
    ];
  },
};

/** The items of a document; undefined for another one. */
function itemsIn({ object, data, items }: Fields): readonly Fields[] | undefined {
  const inner = isFields(items) ? items["data"] : items;
  const list = object === "list" ? data : object === "conversation" ? inner : undefined;
  if (!Array.isArray(list)) return undefined;
  const found = (list as readonly Value[]).filter((item) => isMessageOf(openaiResponses, item));
  return found.length === list.length ? found : undefined;
}

/** Items have no times: a result before its call is turned round, and so is an answer before the first question. */
function isNewestFirst(items: readonly Fields[]): boolean {
  const called = new Set<Value | undefined>();
  for (const { type, call_id: id } of items) {
    if (typeof id !== "string") continue;
    if (typeof type === "string" && type.endsWith("_output")) return !called.has(id);
    called.add(id);
  }
  const said = items.flatMap(({ role }) => (typeof role === "string" ? [role] : []));
  return said[0] === "assistant" && said.at(-1) !== "assistant";
}
