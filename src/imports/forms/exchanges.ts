/** Conversations as lists of exchanges: a question and its answer in one object. */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import type { Message } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import type { Conversation, MessageFacts } from "../../sessions/transfer/conversation.ts";
import { aboutConversation, factsOf, groupOf, hasOwnId, onlyUser, restOf, userOf } from "../conversations/about.ts";
import type { ConversationFormat } from "../conversations/conversation-format.ts";
import { answerNames, questionNames } from "../conversations/exchange-names.ts";
import { withBeside } from "../conversations/kept-beside.ts";
import { instructionNames, instructionsIn } from "../conversations/listed-messages.ts";

export const exchanges: ConversationFormat = {
  name: "exchanges",
  title: "lists of questions and answers",
  kindOf: (document) => (isFields(document) && listNameIn(document) !== undefined ? "conversation" : undefined),
  read: ([{ value, place }]) => {
    const fields = value as Fields;
    const name = listNameIn(fields)!;
    const list = fields[name] as readonly Value[];
    const groups = Map.groupBy(list, groupOf);
    if (hasOwnId(fields) || groups.size < 2) return [conversationOf(fields, place)];
    // Rows of a table in one object.
    return [...groups].map(([id, items]) => {
      if (id === undefined) throw new SessionError("message_invalid", { path: place, expected: "conversation_name" });
      const user = userOf(fields) ?? onlyUser(items.map((item) => ({ user: userOf(item), place })));
      return conversationOf({ ...fields, ...defined({ user }), id, [name]: items }, place);
    });
  },
};

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
    const rest = restOf(item, names);
    const beside = rest === undefined ? [] : [rest];
    const said: Message[] = [
      ...(question === undefined ? [] : [{ role: "user", content: question } as const]),
      ...(answer === undefined ? [] : [{ role: "assistant", content: answer } as const]),
    ];
    const { at, ...answered } = factsOf(item);
    for (const [index, message] of said.entries()) {
      const isLast = index === said.length - 1;
      const whole = isLast ? withBeside(message, "exchanges", beside) : message;
      messages.push(whole);
      // The tokens and the model of an exchange are those of its answer.
      facts.set(whole, defined({ at, ...(isLast ? answered : {}) }));
    }
    aside += beside.length;
  }
  if (messages.length === 0) throw new SessionError("message_invalid", { path: place, expected: "messages" });
  const instructions = instructionsIn(fields);
  return {
    ...aboutConversation(fields, [name, ...instructionNames]),
    messages: instructions === "" ? messages : [{ role: "system", content: instructions }, ...messages],
    facts,
    aside,
  };
}
