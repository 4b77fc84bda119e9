/** The messages of a conversation, read from the values of one message format. */
import type { Fields } from "../../domain/turns/known-parts.ts";
import { callsIn } from "../../domain/turns/message-steps.ts";
import type { Message } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";
import { readMessages } from "../../formats/conversion.ts";
import type { MessageFormat } from "../../formats/message-format.ts";
import { withBeside } from "./kept-beside.ts";
import { LeftOutCounts } from "./left-out.ts";
import type { Conversation, MessageFacts } from "../../sessions/transfer/conversation.ts";

/** A message as its program writes it. */
export interface WrittenMessage {
  readonly value: Value;
  readonly facts: MessageFacts;
  /** Its fields that no model is shown. @default none */
  readonly beside?: Fields | undefined;
}

/** How to read messages. */
export interface ReadingOptions {
  readonly place: string;
  /** The format of the messages. @default the first one that all of them fit, else that of each message */
  readonly format?: MessageFormat | undefined;
  /** Instructions beside the messages; "" for none. @default "" */
  readonly instructions?: string;
  /** The name of the form of the conversation. Required where messages have fields beside them. @default "" */
  readonly form?: string;
}

/**
 * The messages, after the instructions. A message that its canonical form does not say in full keeps its native form beside it.
 * @throws SessionError `message_invalid` for a value that is no message
 */
export function messagesOfWritten(
  written: readonly WrittenMessage[],
  { place, format, instructions = "", form = "" }: ReadingOptions,
): Required<Pick<Conversation, "messages" | "facts" | "aside" | "leftOut">> {
  const values = written.map(({ value }) => value);
  const read = readMessages(values, place, format);
  const facts = new Map<Message, MessageFacts>();
  const messages: Message[] = [];
  let aside = 0;
  for (const [index, one] of read.entries()) {
    const [first, ...others] = one.messages;
    aside += one.aside;
    if (first === undefined) continue;
    const { facts: said, beside } = written[index]!;
    const whole = beside === undefined ? first : withBeside(first, form, [beside]);
    aside += beside === undefined ? 0 : 1;
    // The tokens of one value are counted once.
    facts.set(whole, said);
    messages.push(whole, ...others);
  }
  const leftOut = new LeftOutCounts();
  for (const { leftOut: kind, messages: made } of read)
    if (kind !== undefined || made.length === 0) leftOut.add(kind ?? "empty message");
  return {
    messages: instructions === "" ? messages : [{ role: "system", content: instructions }, ...messages],
    facts,
    aside,
    leftOut: leftOut.all,
  };
}

/**
 * The messages without the results whose call is missing: logs that were cut or damaged have such results, and no model takes
 * them.
 */
export function withoutLooseResults(messages: readonly Message[]): {
  readonly messages: readonly Message[];
  /** How many results were left out. */
  readonly loose: number;
} {
  const open = new Set<string>();
  const kept = messages.filter((message) => {
    for (const { id } of callsIn(message)) open.add(id);
    return message.role !== "tool" || open.delete(message.tool_call_id ?? "");
  });
  return { messages: kept, loose: messages.length - kept.length };
}
