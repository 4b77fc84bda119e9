/** Conversations as lists of messages, in each of the formats that providers and frameworks write messages in. */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import type { Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import type { MessageFormat } from "../../formats/message-format.ts";
import { fitsFormat, formatOf, messageFormats } from "../../formats/registry.ts";
import type { Conversation } from "../../sessions/transfer/conversation.ts";
import { factsOf, groupOf, hasOwnId, isOfUser, onlyUser, restOf, userOf } from "../conversations/about.ts";
import type { ConversationFormat, DocumentKind, FoundDocument } from "../conversations/conversation-format.ts";
import { isExported } from "../conversations/exported-session.ts";
import { pagesBehind } from "../conversations/left-out.ts";
import { aboutInstructed, instructionsIn, listedMessages } from "../conversations/listed-messages.ts";
import { guardOneSession, severalConversations, type LooseMessage } from "../conversations/one-session.ts";
import { noConversationName, noMessages } from "../conversations/refusals.ts";
import { inTimeOrder } from "../conversations/time-order.ts";
import { messagesOfWritten, type WrittenMessage } from "../conversations/written-messages.ts";

/** The fields in which programs keep the messages of a conversation. */
const listNames = [
  ...new Set(messageFormats.map(({ list }) => list)),
  "conversation",
  "conversation_history",
  "history",
  "items",
  "data",
  "output",
] as const;

/** The list of messages in a conversation, with the name of its field; undefined where there is none. */
function listIn(document: Value): { readonly name: string; readonly list: readonly Value[] } | undefined {
  if (Array.isArray(document)) return { name: "", list: document as readonly Value[] };
  if (!isFields(document)) return undefined;
  const name = listNames.find((one) => Array.isArray(document[one]));
  return name === undefined ? undefined : { name, list: document[name] as readonly Value[] };
}

/** The first message of a list that is in no known format, where others of the list are. */
export function unknownMessageIn(document: Value): { readonly path: string; readonly value: Value } | undefined {
  const { name, list } = listIn(document) ?? { name: "", list: [] };
  const index = list.findIndex((item) => formatOf(item) === undefined);
  if (index < 0 || !list.some((item) => formatOf(item) !== undefined)) return undefined;
  return { path: `${name}[${index}]`, value: list[index]! };
}

/** The form of lists whose items all pass the check. */
function chatForm(
  name: string,
  title: string,
  { isMessage, format }: { readonly isMessage: (item: Value) => boolean; readonly format?: MessageFormat },
): ConversationFormat {
  return {
    name,
    title,
    kindOf: (document): DocumentKind | undefined => {
      if (isMessage(document)) return "entry";
      return listIn(document)?.list.every(isMessage) === true ? "conversation" : undefined;
    },
    groupOf,
    read: (documents) => {
      const [first] = documents;
      if (!isMessage(first.value)) return conversationsIn(first, format);
      return [conversationOfEntries(documents, format)];
    },
  };
}

/**
 * The conversations in one document: those that its messages name, where it has no id and they name several, as rows of a table
 * in one object.
 * @throws SessionError `message_invalid` for one without messages, and for a message that names none where others do
 */
function conversationsIn(document: FoundDocument, format: MessageFormat | undefined): readonly Conversation[] {
  const { value, place } = document;
  const list = listIn(value)?.list ?? [];
  const groups = Map.groupBy(list.entries(), ([, message]) => groupOf(message));
  const names = [...groups.keys()].filter((one) => one !== undefined);
  const isOne = hasOwnId(value) || names.length < 2;
  const listed = (): readonly LooseMessage[] =>
    list.map((one, index) => ({ value: one, place: `${place} messages[${index}]`, isAsked: isOfUser(one) }));
  if (!hasOwnId(value)) {
    if (isOne) guardOneSession(listed(), { isNamed: names.length > 0 });
  } else if (names.length > 1) throw severalConversations(listed());
  const [[name] = []] = groups;
  if (isOne && name !== undefined && groups.size === 1 && !hasOwnId(value))
    return [{ ...conversationIn(document, format), id: name }];
  if (isOne) return [conversationIn(document, format)];
  const [loose] = groups.get(undefined) ?? [];
  if (loose !== undefined) throw noConversationName(`${place} messages[${loose[0]}]`);
  const metadata = isFields(value) ? restOf(value, [listIn(value)!.name]) : undefined;
  return [...groups.values()].map((messages) => {
    const [first, ...others] = messages.map(([index, message]) => ({
      value: message,
      place: `${place} messages[${index}]`,
    }));
    return { ...conversationOfEntries([first!, ...others], format), ...defined({ metadata }) };
  });
}

/** A conversation in one document. @throws SessionError `message_invalid` for one without messages */
function conversationIn({ value, place }: FoundDocument, format: MessageFormat | undefined): Conversation {
  const found = listIn(value);
  const fields = isFields(value) ? value : {};
  const instructions = instructionsIn(fields);
  const isEmpty = found?.list.length === 0 && instructions === "" && !isExported(fields);
  if (found === undefined || isEmpty) throw noMessages(place);
  const { model } = fields;
  const rest = aboutInstructed(fields, [found.name]);
  const read = listedMessages(found.list, place, {
    instructions,
    model: typeof model === "string" ? model : undefined,
    format,
  });
  return { ...rest, ...read, leftOut: { ...read.leftOut, ...pagesBehind(fields) } };
}

/** The messages of one conversation, which stand by themselves in a file: each is a document, or in a field of one. */
export function conversationOfEntries(
  documents: readonly [FoundDocument, ...FoundDocument[]],
  format: MessageFormat | undefined,
  messageIn: (document: Value) => { readonly value: Value; readonly beside?: Fields | undefined } = (value) => ({
    value,
  }),
): Conversation {
  const ordered = inTimeOrder(documents, ({ value }) => factsOf(value as Fields).at);
  const id = groupOf(documents[0].value);
  const written = ordered.map(({ value }): WrittenMessage => {
    const message = messageIn(value);
    return { ...message, facts: { ...factsOf(message.value as Fields), ...factsOf(value as Fields) } };
  });
  const named = documents.map(({ value, place }) => ({ user: userOf(value), place }));
  // Answers may name the author as their user.
  const asked = named.filter(
    (one, index) => one.user !== undefined && isOfUser(messageIn(documents[index]!.value).value),
  );
  const user = onlyUser(asked.length > 0 ? asked : named);
  const loose = documents.map(({ value, place }) => ({ value, place, isAsked: isOfUser(messageIn(value).value) }));
  guardOneSession(loose, { isNamed: id !== undefined });
  return {
    ...defined({ id, user }),
    ...messagesOfWritten(written, { place: documents[0].place, format, form: "message-rows" }),
  };
}

const titles: Readonly<Record<string, string>> = {
  openai: "chats of OpenAI's format",
  gemini: "contents of Gemini",
  "ai-sdk-ui": "UIMessages of the AI SDK",
  "openai-responses": "items of OpenAI's Responses",
  "openai-agents": "items of OpenAI's Agents SDK",
  anthropic: "messages of Anthropic's format",
  "ai-sdk": "messages of the AI SDK for models",
  langchain: "messages of LangChain",
  sharegpt: "conversations of ShareGPT",
  chatgpt: "messages of ChatGPT's format",
  genkit: "messages of Genkit",
};

/** One form for each format of messages that conversations are kept in. */
export const chatForms: readonly ConversationFormat[] = messageFormats
  .filter(({ name }) => Object.hasOwn(titles, name))
  .map((format) =>
    chatForm(format.name, titles[format.name]!, { isMessage: (item) => fitsFormat(format, item), format }),
  );

/** Lists whose messages are of several formats. */
export const mixedChats: ConversationFormat = chatForm("messages", "messages of several formats", {
  isMessage: (item) => formatOf(item) !== undefined,
});
