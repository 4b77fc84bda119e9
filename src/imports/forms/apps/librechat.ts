/** Conversations of LibreChat: lists and trees of messages, and the messages of its database. */
import { isFields, jsonOf, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import { sameValue } from "../../../domain/values/same-value.ts";
import type { Conversation } from "../../../sessions/transfer/conversation.ts";
import { aboutConversation, onlyUser, restOf, says, textOf, timeIn, userOf } from "../../conversations/about.ts";
import { conversationsOfTree } from "../../conversations/branched.ts";
import type { ConversationFormat, DocumentKind } from "../../conversations/conversation-format.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";
import { fieldsIn, listOf } from "../../conversations/lists.ts";
import { partsOfFiles } from "./app-files.ts";
import { messagesOfApp, type AppMessage } from "./app-messages.ts";

export const librechat: ConversationFormat = {
  name: "librechat",
  title: "an export of LibreChat",
  kindOf: (document): DocumentKind | undefined => {
    if (isMessage(document)) return "entry";
    const list = isFields(document) ? listIn(document) : undefined;
    return list !== undefined && list.length > 0 && list.every(isMessage) ? "conversation" : undefined;
  },
  groupOf: (entry) => textOf(entry as Fields, ["conversationId"]),
  read: (documents, options) => {
    const [{ value, place }] = documents;
    const isEntry = isMessage(value);
    const fields = isEntry ? defined({ conversationId: (value as Fields)["conversationId"] }) : (value as Fields);
    const { found: written, unread } = flat(isEntry ? documents.map((document) => document.value) : listIn(fields)!);
    const messages = new Map(written.map(({ id, message }) => [id, message]));
    // Without parents the list is in its order.
    const isTree = written.some(({ parent }) => parent !== undefined && messages.has(parent));
    const nodes = written.map(({ id, parent, message }, index) => ({
      id,
      parent: isTree ? parent : written[index - 1]?.id,
      at: timeIn(message),
    }));
    const read = (path: readonly string[]): Conversation =>
      conversationOf(
        fields,
        path.map((id) => messages.get(id)!),
        { place, unread },
      );
    return conversationsOfTree({ nodes, current: undefined, read }, options);
  },
};

function listIn(document: Fields): readonly Value[] | undefined {
  const list = document["messagesTree"] ?? document["messages"];
  return Array.isArray(list) ? (list as readonly Value[]) : undefined;
}

function isMessage(value: Value): boolean {
  if (!isFields(value) || typeof value["isCreatedByUser"] !== "boolean") return false;
  return typeof value["text"] === "string" || hasContent(value);
}

function hasContent({ content }: Fields): boolean {
  return Array.isArray(content) && content.length > 0;
}

interface Placed {
  readonly id: string;
  /** The id of the message before it. */
  readonly parent: string | undefined;
  readonly message: Fields;
}

/** The messages of a tree, each before its children, and how many are none. A tree may be deeper than the stack. */
function flat(list: readonly Value[]): { readonly found: readonly Placed[]; readonly unread: number } {
  const found: Placed[] = [];
  let unread = 0;
  const placed = (values: Value | undefined, parent?: string): readonly Omit<Placed, "id">[] => {
    const messages = fieldsIn(values).filter(isMessage);
    unread += listOf(values).length - messages.length;
    return messages
      .map((message) => ({ parent: parent ?? textOf(message, ["parentMessageId"]), message }))
      .toReversed();
  };
  const waiting = [...placed(list)];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { message, parent } = next;
    const id = textOf(message, ["messageId", "_id"]) ?? `${found.length}`;
    found.push({ id, parent, message });
    waiting.push(...placed(message["children"], id));
  }
  return { found, unread };
}

/** The fields of an export that say how it was made: another export has others. */
const exportNames = ["exportAt", "branches", "recursive"];

/** @throws SessionError `message_invalid` for one without messages */
function conversationOf(
  fields: Fields,
  list: readonly Fields[],
  { place, unread }: { readonly place: string; readonly unread: number },
): Conversation {
  const options = isFields(fields["options"]) ? fields["options"] : {};
  const { promptPrefix = options["promptPrefix"], ...named } = fields;
  const others = restOf(
    options,
    ["promptPrefix", "title"].filter((name) => sameValue(options[name], { ...named, promptPrefix }[name])),
  );
  const lists = ["messages", "messagesTree"].filter((name) => fields[name] === listIn(fields));
  const about = aboutConversation(named, [
    ...exportNames,
    ...lists,
    ...(isFields(fields["options"]) ? ["options"] : []),
  ]);
  const leftOut = new LeftOutCounts();
  leftOut.add("unreadable message", unread);
  leftOut.add("field of the file", exportNames.filter((name) => says(fields[name] ?? null)).length);
  const read = messagesOfApp(
    list.map((message) => appMessage(message, textOf(options, ["model"]), leftOut)),
    { format: "librechat", place, instructions: typeof promptPrefix === "string" ? promptPrefix : "", leftOut },
  );
  const user = onlyUser(list.map((message) => ({ user: userOf(message), place })));
  return {
    ...defined({ user }),
    ...about,
    metadata: defined({ ...about.metadata, options: others ?? about.metadata?.["options"], source: "librechat" }),
    ...read,
  };
}

function appMessage(message: Fields, model: string | undefined, leftOut: LeftOutCounts): AppMessage {
  const isAsked = message["isCreatedByUser"] === true;
  // What a user was shown in place of an answer is no answer.
  const isError = message["error"] === true;
  const text = textOf(message, ["text"]);
  const own: readonly Value[] = hasContent(message)
    ? (message["content"] as readonly Value[]).flatMap((part) => knownParts(part, leftOut))
    : text === undefined
      ? []
      : [{ type: "text", text }];
  const named = textOf(message, ["model"]) ?? model;
  const sender = textOf(message, ["sender"]);
  const { promptTokens, tokenCount } = message;
  const outputTokens = typeof tokenCount === "number" ? tokenCount : undefined;
  const inputTokens = typeof promptTokens === "number" ? promptTokens : undefined;
  const isCounted = !isAsked && (inputTokens ?? outputTokens) !== undefined;
  return {
    message: {
      role: isAsked ? "user" : "assistant",
      content: isError ? [] : [...partsOfFiles(message["files"], leftOut), ...own],
    },
    facts: defined({
      at: timeIn(message),
      model: isAsked ? undefined : (named ?? sender),
      usage: isCounted ? { inputTokens: inputTokens ?? 0, outputTokens: outputTokens ?? 0 } : undefined,
    }),
    sources: [message],
    names: { placed: ["isCreatedByUser", "children"], words: ["text", "content", "files"] },
    isNotice: isError,
  };
}

/** A part of an answer in known shapes: a call with its result, a text that may have annotations, a picture by name. */
function knownParts(part: Value, leftOut: LeftOutCounts): readonly Value[] {
  if (!isFields(part)) return part === null ? [] : [part];
  const { type, text, tool_call: call, image_file: picture } = part;
  if (type === "text") return [{ type, text: isFields(text) ? (text["value"] ?? "") : (text ?? "") }];
  if (type === "image_file" && isFields(picture)) return partsOfFiles([{ ...picture, type: "image" }], leftOut);
  return type === "tool_call" && isFields(call) ? callAndResult(call) : [part];
}

/** A call of an agent, or of an assistant of OpenAI with a field named like its type. */
function callAndResult(call: Fields): readonly Value[] {
  const { type } = call;
  const inner = typeof type === "string" && isFields(call[type]) ? call[type] : call;
  const { name = type ?? "tool", args = inner["arguments"] ?? inner["input"] ?? {}, output = inner["outputs"] } = inner;
  const id = textOf(call, ["id"]) ?? "";
  const used = { type: "tool_use", id, name, input: args };
  const isDone = output !== undefined && output !== null && (output !== "" || call["progress"] === 1);
  if (!isDone) return [used];
  const content = typeof output === "string" ? output : jsonOf(output);
  return [used, { type: "tool_result", tool_use_id: id, content }];
}
