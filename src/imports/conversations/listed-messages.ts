/** The messages of a conversation that is a list, in any format of messages. */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import { textOf as textIn } from "../../domain/turns/message-steps.ts";
import type { Message } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { readMessages } from "../../formats/conversion.ts";
import type { MessageFormat } from "../../formats/message-format.ts";
import type { Conversation, MessageFacts } from "../../sessions/transfer/conversation.ts";
import { factsOf } from "./about.ts";

/** What stands around a list of messages. */
export interface Around {
  /** Instructions beside the messages; "" for none. */
  readonly instructions: string;
  /** The model of the whole conversation. */
  readonly model: string | undefined;
  readonly format: MessageFormat | undefined;
}

/**
 * The messages of a list: those of the format, or of the first format that all fit, or else of several formats.
 * @throws SessionError `message_invalid` with the place
 */
export function listedMessages(
  values: readonly Value[],
  place: string,
  { instructions, model, format }: Around,
): Pick<Conversation, "messages" | "facts" | "aside"> {
  const read = readMessages(values, place, format);
  const facts = new Map<Message, MessageFacts>();
  for (const [index, { messages }] of read.entries()) {
    const said = factsOf(values[index] as Fields);
    const [first] = messages;
    if (first === undefined) continue;
    const own = first.role === "assistant" ? defined({ model, ...said }) : said;
    // The tokens of one value are counted once.
    facts.set(first, own);
  }
  const messages = read.flatMap((one) => one.messages);
  return {
    messages: instructions === "" ? messages : [{ role: "system", content: instructions }, ...messages],
    facts,
    aside: read.reduce((count, { aside }) => count + aside, 0),
  };
}

/** Instructions beside the messages: Anthropic's `system`, a text or a list of blocks, and Gemini's `systemInstruction`. */
export function instructionsIn(fields: Fields): string {
  const { system, systemInstruction = fields["system_instruction"] } = fields;
  const given = system ?? systemInstruction;
  return textIn(isFields(given) ? (given["parts"] ?? given) : (given ?? null));
}
