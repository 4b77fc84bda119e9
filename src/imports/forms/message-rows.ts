/**
 * Rows of a table with a whole message in one column, `{id, session_id, message}`: the chat memory of LangChain and of n8n. The
 * message is an object, or its JSON: https://github.com/langchain-ai/langchain-postgres
 */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import type { Value } from "../../domain/values/codec.ts";
import { formatOf } from "../../formats/registry.ts";
import { dataOf } from "../../formats/shown-parts.ts";
import { groupOf, isGroupName, restOf, textOf } from "../conversations/about.ts";
import type { ConversationFormat, FoundDocument } from "../conversations/conversation-format.ts";
import { conversationOfEntries } from "./chat.ts";

export const messageRows: ConversationFormat = {
  name: "message-rows",
  title: "rows of messages, as the chat memory of LangChain and n8n has them",
  kindOf: (document) => (isFields(document) && isRow(document) ? "entry" : undefined),
  groupOf,
  read: (documents) => [conversationOfEntries(inOrder(documents), undefined, messageOfRow)],
};

/** A line of the log of an agent has a type beside its message. */
function isRow(row: Fields): boolean {
  const { type, role } = row;
  return type === undefined && role === undefined && groupOf(row) !== undefined && messageIn(row) !== undefined;
}

/** The names of the column, the usual one first. */
const messageNames = ["message", "History"] as const;

/** The message of a row; undefined where it has none in a known format. */
function messageIn(row: Fields): Value | undefined {
  const [given] = messageNames.flatMap((name) => row[name] ?? []);
  const message = typeof given === "string" ? dataOf(given) : given;
  return formatOf(message) === undefined ? undefined : message;
}

/** The message of a row, and the other columns. The id of the conversation is that of the session. */
function messageOfRow(row: Value): { readonly value: Value; readonly beside: Fields | undefined } {
  const fields = row as Fields;
  const message = messageNames.find((name) => (fields[name] ?? null) !== null);
  const groups = Object.keys(fields).filter((name) => textOf(fields, [name]) === groupOf(row) && isGroupName(name));
  return {
    value: messageIn(fields)!,
    beside: restOf(fields, [...groups, ...(message === undefined ? [] : [message])]),
  };
}

/** By the number of the row, where each has one: most of these tables have no times. */
function inOrder(
  documents: readonly [FoundDocument, ...FoundDocument[]],
): readonly [FoundDocument, ...FoundDocument[]] {
  const numbers = new Map(documents.map((document) => [document, (document.value as Fields)["id"]]));
  if (![...numbers.values()].every((id) => typeof id === "number")) return documents;
  const numberOf = (document: FoundDocument): number => numbers.get(document) as number;
  return documents.toSorted((one, other) => numberOf(one) - numberOf(other)) as [FoundDocument, ...FoundDocument[]];
}
