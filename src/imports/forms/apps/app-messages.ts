/** Messages of chat applications, and what stands beside them. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import { stepsOf } from "../../../domain/turns/message-steps.ts";
import type { Message } from "../../../domain/turns/turn.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { withCallIds } from "../../../formats/calls/call-ids.ts";
import { canonicalParts } from "../../../formats/message-parts.ts";
import type { Conversation, MessageFacts } from "../../../sessions/transfer/conversation.ts";
import { besideOf, withBeside, type ReadNames } from "../../conversations/kept-beside.ts";
import type { LeftOutCounts } from "../../conversations/left-out.ts";
import { noMessages } from "../../conversations/refusals.ts";

/** A message of an application. */
export interface AppMessage {
  /** With parts in any known shape: a call and its result may stand in one message. */
  readonly message: Message;
  readonly facts: MessageFacts;
  /** Its objects in the file. What the message does not say of them is kept beside it. */
  readonly sources: readonly Fields[];
  readonly names: ReadNames;
  /** True for a message without words that stays, such as an error in place of an answer. @default false */
  readonly isNotice?: boolean;
}

/** How to read the messages of a conversation. */
export interface AppReading {
  /** The name of the form. */
  readonly format: string;
  readonly place: string;
  /** Instructions beside the messages; "" for none. */
  readonly instructions: string;
  /** What of the messages has no place in a session. */
  readonly leftOut: LeftOutCounts;
}

/**
 * The messages of a conversation, with ids for calls that have none. What no model is shown stays beside its message.
 * @throws SessionError `message_invalid` for a conversation without messages
 */
export function messagesOfApp(
  all: readonly AppMessage[],
  { format, place, instructions, leftOut }: AppReading,
): Required<Pick<Conversation, "messages" | "facts" | "aside" | "leftOut">> {
  const kept: { readonly messages: readonly [Message, ...Message[]]; readonly facts: MessageFacts; beside: Value[] }[] =
    [];
  /** The fields of empty messages: they are kept beside the next one, or the last one. */
  let waiting: Value[] = [];
  const identified = withCallIds(all.map(({ message }) => canonicalParts(message).messages));
  for (const [index, one] of all.entries()) {
    const messages = identified[index]!;
    const [first, ...others] = messages;
    const parts = stepsOf(one.message).flatMap((step) => step.aside.filter((part) => !isBlank(part)));
    const rest = one.sources.flatMap((source) => besideOf(source, [...messages, ...parts], one.names) ?? []);
    waiting = [...waiting, ...parts, ...rest];
    const isEmpty = others.length === 0 && parts.length === 0 && one.isNotice !== true;
    if (first === undefined || (isEmpty && saysNothing(first))) {
      leftOut.add("empty message");
      continue;
    }
    kept.push({ messages: [first, ...others], facts: one.facts, beside: waiting });
    waiting = [];
  }
  const last = kept.at(-1);
  if (last === undefined) throw noMessages(place);
  last.beside = [...last.beside, ...waiting];
  const facts = new Map<Message, MessageFacts>();
  const messages = kept.flatMap(({ messages: [first, ...others], facts: said, beside }) => {
    const whole = withBeside(first, format, beside);
    facts.set(whole, said);
    return [whole, ...others];
  });
  const aside = kept.reduce((count, { beside }) => count + beside.length, 0);
  return {
    messages: instructions === "" ? messages : [{ role: "system", content: instructions }, ...messages],
    facts,
    aside,
    leftOut: leftOut.all,
  };
}

/** A text without words. */
function isBlank(part: Value): boolean {
  return typeof part === "string" || (isFields(part) && part["type"] === "text" && part["text"] === "");
}

function saysNothing({ role, content, tool_calls: calls = [] }: Message): boolean {
  return role !== "tool" && content === "" && calls.length === 0;
}
