/** Exports of Open WebUI: a chat is a tree of messages, or in older versions a list. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import { sameValue } from "../../../domain/values/same-value.ts";
import type { Conversation } from "../../../sessions/transfer/conversation.ts";
import { aboutConversation, factsOf, restOf, textOf, timeIn, usageOf } from "../../conversations/about.ts";
import { conversationsOfTree } from "../../conversations/branched.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";
import { listOf, textsOf } from "../../conversations/lists.ts";
import { partsOfFiles } from "./app-files.ts";
import { messagesOfApp, type AppMessage } from "./app-messages.ts";
import { partsOfDetails, partsOfOutput } from "./open-webui-content.ts";

export const openWebui: ConversationFormat = {
  name: "open-webui",
  title: "an export of Open WebUI",
  kindOf: (document) => (messagesIn(chatIn(document)) === undefined ? undefined : "conversation"),
  read: ([{ value, place }], options) => {
    const chat = chatIn(value);
    const { history } = chat;
    const list = messagesIn(chat)!;
    const messages = new Map(list.map(([id, message]) => [id, message]));
    const isTree = list.some(([, message]) => messages.has(parentOf(message) ?? ""));
    const nodes = list.map(([id, message], index) => ({
      id,
      // Without parents the messages are in their order.
      parent: isTree ? parentOf(message) : list[index - 1]?.[0],
      at: timeIn(message),
      children: textsOf(message["childrenIds"]),
    }));
    const current = isFields(history) ? textOf(history, ["currentId"]) : undefined;
    const read = (path: readonly string[]): Conversation =>
      conversationOf(
        { outer: value as Fields, chat, ids: messages },
        path.map((id) => messages.get(id)!),
        place,
      );
    return conversationsOfTree({ nodes, current, read }, options);
  },
};

/** The chat inside a row of the export, or the document itself. */
function chatIn(document: Value): Fields {
  if (!isFields(document)) return {};
  return isFields(document["chat"]) ? document["chat"] : document;
}

/** The messages of a chat by their ids; undefined for a document of another form. */
function messagesIn(chat: Fields): readonly (readonly [id: string, message: Fields])[] | undefined {
  const { history, messages: list, models } = chat;
  const tree = isFields(history) ? history["messages"] : undefined;
  if (isFields(tree))
    return Object.entries(tree).flatMap(([id, message]) => (isFields(message) ? [[id, message] as const] : []));
  // Older exports have the list alone, with the models that were asked.
  if (!Array.isArray(list) || !Array.isArray(models)) return undefined;
  return (list as readonly Value[])
    .filter(isFields)
    .map((message, index) => [textOf(message, ["id"]) ?? `${index}`, message] as const);
}

function parentOf(message: Fields): string | undefined {
  return textOf(message, ["parentId"]);
}

interface Around {
  readonly outer: Fields;
  readonly chat: Fields;
  /** All messages of the tree. */
  readonly ids: { readonly has: (id: string) => boolean };
}

/** The fields of a chat that have a place in a session, or repeat what has one. */
const chatNames = ["id", "title", "history", "messages", "timestamp", "files", "system", "params", "chat"];

/** @throws SessionError `message_invalid` for one without messages */
function conversationOf({ outer, chat, ids }: Around, list: readonly Fields[], place: string): Conversation {
  const params = isFields(chat["params"]) ? chat["params"] : {};
  const { system = params["system"] } = chat;
  const others = Object.entries(params).filter(([name, value]) => name !== "system" || value !== system);
  const own = Object.fromEntries(
    Object.entries(chat).filter(
      ([name, value]) => !chatNames.includes(name) || (name === "system" && typeof value !== "string"),
    ),
  );
  const { title, id, timestamp, history, messages } = chat;
  const around = isFields(history) ? restOf(history, ["messages", "currentId"]) : undefined;
  const inner: Fields = defined({ title, id, timestamp, ...own, params: Object.fromEntries(others), history: around });
  // A row of the export says more than the chat in it.
  const other = restOf(
    inner,
    Object.keys(inner).filter((name) => !Object.hasOwn(outer, name) || sameValue(outer[name], inner[name])),
  );
  const about = aboutConversation(outer === chat ? inner : defined({ ...inner, ...outer, chat: other }), [
    "messages",
    "files",
  ]);
  const leftOut = new LeftOutCounts();
  const tree = isFields(history) ? history["messages"] : undefined;
  leftOut.fieldsIn(isFields(tree) ? Object.values(tree) : [], "message");
  const loose = leftOut.fieldsIn(messages, "message").filter((message) => !ids.has(textOf(message, ["id"]) ?? ""));
  leftOut.add("message outside of the tree", isFields(history) ? loose.length : 0);
  // The documents of a chat, without those of its messages.
  const placed = new Set(list.flatMap(({ files }) => listOf(files).map(keyOf)));
  leftOut.add("chat document", listOf(chat["files"]).filter((file) => !placed.has(keyOf(file))).length);
  return {
    ...about,
    metadata: { ...about.metadata, source: "open-webui" },
    ...messagesOfApp(
      list.map((message) => appMessage(message, leftOut)),
      { format: "open-webui", place, instructions: typeof system === "string" ? system : "", leftOut },
    ),
  };
}

function keyOf(file: Value): string {
  return (isFields(file) ? textOf(file, ["id", "url", "name"]) : undefined) ?? "";
}

function appMessage(message: Fields, leftOut: LeftOutCounts): AppMessage {
  const { role, content, output, error, info } = message;
  const isAnswer = role === "assistant";
  const text = typeof content === "string" ? content : "";
  // What a user was shown in place of an answer is no answer.
  const isError = isAnswer && error === true;
  const used = usageOf(info);
  const own = Array.isArray(content) ? (content as readonly Value[]) : isAnswer ? partsOfDetails(text) : [text];
  const parts = isAnswer && Array.isArray(output) ? partsOfOutput(output as readonly Value[], own) : own;
  return {
    message: {
      role: isAnswer || role === "system" ? role : "user",
      content: isError ? [] : [...partsOfFiles(message["files"], leftOut), ...parts.filter((part) => part !== "")],
    },
    facts: defined({ usage: used, ...factsOf(message) }),
    sources: [message],
    // The parents say which the children are, and more of them come as the chat goes on.
    names: { placed: ["role", "childrenIds"], words: ["content", "output", "files"] },
    isNotice: isAnswer && (isError || isFields(error) || typeof error === "string"),
  };
}
