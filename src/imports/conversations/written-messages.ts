/** The messages of a conversation, read from the values of one message format. */
import { withoutNative } from "../../domain/request/native-form.ts";
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import { callsIn, textOf } from "../../domain/turns/message-steps.ts";
import type { Message } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";
import { readMessages } from "../../formats/conversion.ts";
import type { MessageFormat } from "../../formats/message-format.ts";
import { besideOf, withBeside } from "./kept-beside.ts";
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
  /** The name of the form of the conversation. @default "messages" */
  readonly form?: string;
}

/**
 * The messages, after the instructions. A message that its canonical form does not say in full keeps its native form beside it.
 * @throws SessionError `message_invalid` for a value that is no message
 */
export function messagesOfWritten(
  written: readonly WrittenMessage[],
  { place, format, instructions = "", form = "messages" }: ReadingOptions,
): Required<Pick<Conversation, "messages" | "facts" | "aside" | "leftOut">> {
  const values = written.map(({ value }) => value);
  const read = readMessages(values, place, format);
  const facts = new Map<Message, MessageFacts>();
  const messages: Message[] = [];
  let aside = 0;
  /** The fields beside values that make no message: they are kept beside the next one, or the last one. */
  let waiting: Value[] = [];
  const last = read.findLastIndex((one) => one.messages.length > 0);
  const isInstruction = ({ role }: Message): boolean => role === "system" || role === "developer";
  let isBefore = true;
  for (const [index, one] of read.entries()) {
    const [first, ...others] = one.messages;
    aside += one.aside;
    const { facts: said, beside } = written[index]!;
    if (beside !== undefined) waiting.push(beside);
    if (first === undefined) continue;
    isBefore &&= one.messages.every(isInstruction);
    if (isBefore) {
      // Instructions are stored as their text alone.
      waiting.push(...besideInstruction(written[index]!.value, one.messages));
      messages.push(...one.messages.map(withoutNative));
      continue;
    }
    if (index === last) waiting.push(...written.slice(index + 1).flatMap((behind) => behind.beside ?? []));
    const whole = withBeside(first, form, waiting);
    aside += waiting.length;
    waiting = [];
    // The tokens of one value are counted once.
    facts.set(whole, said);
    messages.push(whole, ...others);
  }
  const leftOut = new LeftOutCounts();
  leftOut.add("field of the instructions", waiting.length);
  for (const { leftOut: kind, messages: made } of read)
    if (kind !== undefined || made.length === 0) leftOut.add(kind ?? "empty message");
  return {
    messages: instructions === "" ? messages : [{ role: "system", content: instructions }, ...messages],
    facts,
    aside,
    leftOut: leftOut.all,
  };
}

/** What a message of the system says beside its text. */
function besideInstruction(value: Value, messages: readonly Message[]): readonly Fields[] {
  if (!isFields(value) || (typeof value["content"] === "string" && Object.keys(value).length === 2)) return [];
  const texts = messages.map(({ content }) => textOf(content));
  const rest = besideOf(value, texts, { placed: ["role", "type", "from"], words: Object.keys(value) });
  return rest === undefined ? [] : [rest];
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
