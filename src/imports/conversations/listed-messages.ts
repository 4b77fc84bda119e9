/** The messages of a conversation that is a list, in any format of messages. */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import { textOf as textIn } from "../../domain/turns/message-steps.ts";
import type { Value } from "../../domain/values/codec.ts";
import type { MessageFormat } from "../../formats/message-format.ts";
import type { Conversation } from "../../sessions/transfer/conversation.ts";
import { factsOf } from "./about.ts";
import { messagesOfWritten } from "./written-messages.ts";

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
): Required<Pick<Conversation, "messages" | "facts" | "aside" | "leftOut">> {
  const read = messagesOfWritten(
    values.map((value) => ({ value, facts: isFields(value) ? factsOf(value) : {} })),
    { place, instructions, format },
  );
  if (model === undefined) return read;
  const facts = [...read.facts].map(
    ([message, said]) => [message, message.role === "assistant" ? { model, ...said } : said] as const,
  );
  return { ...read, facts: new Map(facts) };
}

/** The names of instructions beside the messages: Anthropic's `system`, a text or a list of blocks, Gemini's `systemInstruction`, and others. */
export const instructionNames = [
  "system",
  "systemInstruction",
  "system_instruction",
  "system_prompt",
  "systemPrompt",
  "startup_context",
] as const;

/** Instructions beside the messages; "" for none. */
export function instructionsIn(fields: Fields): string {
  const given = instructionNames.map((name) => fields[name]).find((value) => value !== undefined && value !== null);
  return textIn(isFields(given) ? (given["parts"] ?? given) : (given ?? null));
}
