/** Conversations as lists of exchanges: a question and its answer in one object. */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import type { Message } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import type { Conversation, MessageFacts } from "../../sessions/transfer/conversation.ts";
import {
  agentNames,
  besideUsers,
  factNames,
  factsOf,
  groupOf,
  hasOwnId,
  isGroupName,
  isUserName,
  onlyUser,
  restOf,
  textOf,
  userOf,
} from "../conversations/about.ts";
import type { ConversationFormat, FoundDocument } from "../conversations/conversation-format.ts";
import { answerNames, questionNames, tokensBeside } from "../conversations/exchange-names.ts";
import { withBeside } from "../conversations/kept-beside.ts";
import { aboutInstructed, instructionsIn } from "../conversations/listed-messages.ts";
import { guardOneSession, severalConversations, type LooseMessage } from "../conversations/one-session.ts";
import { noConversationName, noMessages } from "../conversations/refusals.ts";
import { inTimeOrder } from "../conversations/time-order.ts";
import { loneExchangeIn, type LoneExchange } from "./lone-exchange.ts";

export const exchanges: ConversationFormat = {
  name: "exchanges",
  title: "lists of questions and answers",
  kindOf: (document) => {
    if (!isFields(document)) return undefined;
    if (listNameIn(document) !== undefined) return "conversation";
    return isRow(document) || loneIn(document) !== undefined ? "entry" : undefined;
  },
  groupOf,
  read: (documents) => {
    const [{ value, place }] = documents;
    const fields = value as Fields;
    const name = listNameIn(fields);
    if (name === undefined && groupOf(fields) === undefined) return documents.map(conversationOfLone);
    if (name === undefined) return [conversationOfRows({}, documents)];
    const rows = (fields[name] as readonly Value[]).map((row) => ({ value: row, place }));
    const groups = Map.groupBy(rows, (row) => groupOf(row.value));
    const loose = rows.map(looseOf);
    if (hasOwnId(fields) && [...groups.keys()].filter((id) => id !== undefined).length > 1)
      throw severalConversations(loose);
    if (hasOwnId(fields)) return [conversationOf(fields, place)];
    if (groups.size === 1 && groups.has(undefined)) {
      guardOneSession(loose, { isNamed: false });
      return [conversationOf(fields, place)];
    }
    // Rows of a table in one object.
    const { [name]: _, ...around } = fields;
    return [...groups].map(([id, own]) => {
      if (id !== undefined) return conversationOfRows(around, own);
      throw noConversationName(place);
    });
  },
};

function looseOf({ value, place }: FoundDocument): LooseMessage {
  return { value: besideOf(value as Fields), place, isAsked: true };
}

/** True for a row of a table: an exchange that names its conversation. */
function isRow(document: Fields): boolean {
  return groupOf(document) !== undefined && isExchange(document);
}

const loneIn = (document: Fields): LoneExchange | undefined =>
  loneExchangeIn(document, { asked: askedNames, answered: answeredNames });

/** The conversation of an exchange that names none. The fields beside it are those of the conversation. */
function conversationOfLone({ value, place }: FoundDocument): Conversation {
  const fields = value as Fields;
  const { question, answer, names } = loneIn(fields)!;
  const around = Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
  const read = conversationOf({ ...around, conversation_history: [{ question, response: answer }] }, place);
  const { at, ...answered } = factsOf(around);
  const facts = new Map(
    read.messages.map((message) => [message, defined({ at, ...(message.role === "assistant" ? answered : {}) })]),
  );
  return { ...read, facts };
}

/** @throws SessionError `message_invalid` for rows without messages, and for rows of several users */
function conversationOfRows(around: Fields, rows: readonly FoundDocument[]): Conversation {
  const ordered = inTimeOrder(
    rows.map(({ value, place }) => ({ row: value as Fields, place })),
    ({ row }) => factsOf(row).at,
  );
  const [{ row: first, place }] = ordered as readonly [(typeof ordered)[0], ...typeof ordered];
  const said = ordered.map((one) => ({ ...one, beside: besideOf(one.row) }));
  const user = userOf(around) ?? onlyUser(said.map(({ beside, place: of }) => ({ user: userOf(beside), place: of })));
  guardOneSession(rows.map(looseOf), { isNamed: true });
  const agent =
    textOf(around, agentNames) ??
    said.map(({ beside }) => textOf(beside, agentNames)).find((name) => name !== undefined);
  const id = groupOf(first);
  const isTaken = (name: string, beside: Fields): boolean => {
    if (isUserName(name) && isFields(beside[name])) return true;
    const text = textOf(beside, [name]);
    if (isGroupName(name)) return text === id;
    return isUserName(name) ? text === user : agentNames.includes(name) && text === agent;
  };
  const list = said.map(({ row, beside }) => ({
    ...Object.fromEntries(
      Object.entries(row).filter(([name]) => !Object.hasOwn(beside, name) || !isTaken(name, beside)),
    ),
    ...besideUsers(beside),
  }));
  const named = defined({
    id,
    user: userOf(around) === undefined ? user : undefined,
    agent: textOf(around, agentNames) === undefined ? agent : undefined,
  });
  return conversationOf({ ...around, ...named, conversation_history: list }, place);
}

/** The fields of a row beside its question and its answer: one of them may be named `user`. */
function besideOf(row: Fields): Fields {
  const { names } = exchangeIn(row);
  return Object.fromEntries(Object.entries(row).filter(([name]) => !names.includes(name)));
}

/** The fields of a conversation that may have its exchanges; an empty list stands under the first name alone. */
const listNames = [
  "conversation_history",
  "history",
  "conversations",
  "conversation",
  "exchanges",
  "turns",
  "messages",
  "items",
] as const;

function listNameIn(document: Fields): string | undefined {
  return listNames.find((name, index) => {
    const list = document[name];
    return Array.isArray(list) && (list.length > 0 || index === 0) && (list as readonly Value[]).every(isExchange);
  });
}

const askedNames = [...questionNames, "human", "user"];
const answeredNames = [...answerNames, "assistant", "gpt", "bot", "ai"];

interface Exchange {
  readonly question: string | undefined;
  readonly answer: string | undefined;
  /** The names of both. */
  readonly names: readonly string[];
}

function exchangeIn(item: Fields): Exchange {
  const text = (name: string | undefined): string | undefined => {
    const value = name === undefined ? undefined : item[name];
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const asked = askedNames.find((name) => typeof item[name] === "string");
  const answered = answeredNames.find((name) => typeof item[name] === "string");
  return {
    question: text(asked),
    answer: text(answered),
    names: [asked, answered].filter((name) => name !== undefined),
  };
}

function isExchange(item: Value): boolean {
  if (!isFields(item) || item["role"] !== undefined || item["from"] !== undefined) return false;
  return exchangeIn(item).names.length === 2 || (exchangeIn(item).question !== undefined && hasNoAnswer(item));
}

/** True for a question that was not answered. */
function hasNoAnswer(item: Fields): boolean {
  return answeredNames.some((name) => item[name] === null);
}

/** @throws SessionError `message_invalid` for one without messages */
function conversationOf(fields: Fields, place: string): Conversation {
  const name = listNameIn(fields)!;
  const messages: Message[] = [];
  const facts = new Map<Message, MessageFacts>();
  let aside = 0;
  for (const item of fields[name] as readonly Fields[]) {
    const { question, answer, names } = exchangeIn(item);
    const tokens = tokensBeside(item);
    const rest = restOf(item, [...names, ...(tokens?.names ?? []), ...factNames(item)]);
    const beside = rest === undefined ? [] : [rest];
    const said: Message[] = [
      ...(question === undefined ? [] : [{ role: "user", content: question } as const]),
      ...(answer === undefined ? [] : [{ role: "assistant", content: answer } as const]),
    ];
    const { at, ...answered } = { ...defined({ usage: tokens?.usage }), ...factsOf(item) };
    const beginsTurn = question !== undefined && messages.at(-1)?.role === "user" ? true : undefined;
    for (const [index, message] of said.entries()) {
      const isLast = index === said.length - 1;
      const whole = isLast ? withBeside(message, "exchanges", beside) : message;
      messages.push(whole);
      // The tokens and the model of an exchange are those of its answer.
      facts.set(whole, defined({ at, ...(isLast ? answered : {}), beginsTurn: index === 0 ? beginsTurn : undefined }));
    }
    aside += beside.length;
  }
  if (messages.length === 0) throw noMessages(place);
  const instructions = instructionsIn(fields);
  return {
    ...aboutInstructed(fields, [name]),
    messages: instructions === "" ? messages : [{ role: "system", content: instructions }, ...messages],
    facts,
    aside,
  };
}
