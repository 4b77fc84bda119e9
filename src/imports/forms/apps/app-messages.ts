/** Messages of chat applications, and what stands beside them. */
import { isFields } from "../../../domain/turns/known-parts.ts";
import { stepsOf } from "../../../domain/turns/message-steps.ts";
import type { Message } from "../../../domain/turns/turn.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { withCallIds } from "../../../formats/calls/call-ids.ts";
import { canonicalParts } from "../../../formats/message-parts.ts";
import type { Conversation, MessageFacts } from "../../../sessions/transfer/conversation.ts";
import { withBeside } from "../../conversations/kept-beside.ts";
import type { LeftOutCounts } from "../../conversations/left-out.ts";
import { noMessages } from "../../conversations/refusals.ts";

/** A message of an application. */
export interface AppMessage {
  /** With parts in any known shape: a call and its result may stand in one message. */
  readonly message: Message;
  readonly facts: MessageFacts;
  /** What it has that no model is shown, beside such parts of its content. */
  readonly beside: readonly Value[];
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
  const messages: Message[] = [];
  const facts = new Map<Message, MessageFacts>();
  let aside = 0;
  const identified = withCallIds(all.map(({ message }) => canonicalParts(message).messages));
  for (const [index, one] of all.entries()) {
    const [first, ...others] = identified[index]!;
    const parts = stepsOf(one.message).flatMap((step) => step.aside);
    const beside = [...parts.filter((part) => !isBlank(part)), ...one.beside];
    if (first === undefined || (others.length === 0 && beside.length === 0 && saysNothing(first))) {
      leftOut.add("empty message");
      continue;
    }
    const whole = withBeside(first, format, beside);
    facts.set(whole, one.facts);
    messages.push(whole, ...others);
    aside += beside.length;
  }
  if (messages.length === 0) throw noMessages(place);
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
