/** The messages of a conversation that is a list, in any format of messages. */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import { textOf as textIn } from "../../domain/turns/message-steps.ts";
import type { Value } from "../../domain/values/codec.ts";
import type { MessageFormat } from "../../formats/message-format.ts";
import type { Conversation } from "../../sessions/transfer/conversation.ts";
import { aboutConversation, factsOf, restOf, says } from "./about.ts";
import { listOf } from "./lists.ts";
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
  const name = instructionNames.find((one) => says(fields[one] ?? null));
  const given = name === undefined ? null : fields[name];
  return textIn(isFields(given) ? (given["parts"] ?? given) : (given ?? null));
}

/** The fields around the messages but for the instructions, of which all that is no text becomes metadata. */
export function aboutInstructed(fields: Fields, used: readonly string[]): ReturnType<typeof aboutConversation> {
  const about = aboutConversation(fields, [...used, ...instructionNames]);
  const [name, ...others] = instructionNames.filter((one) => says(fields[one] ?? null));
  const rest = name === undefined ? undefined : beyondText(fields[name]!);
  const beside = [
    ...(rest === undefined ? [] : [[name!, rest] as const]),
    ...others.map((other) => [other, fields[other]!] as const),
  ];
  return beside.length === 0 ? about : { ...about, metadata: { ...Object.fromEntries(beside), ...about.metadata } };
}

/** What instructions have beside their text, such as the marks of a cache; undefined for nothing. */
function beyondText(given: Value): Value | undefined {
  if (typeof given === "string") return undefined;
  if (!isFields(given) && !Array.isArray(given)) return given;
  if (isFields(given)) {
    const isText = typeof given["text"] === "string" && (given["type"] ?? "text") === "text";
    const parts = beyondText(listOf(given["parts"]));
    const rest = restOf(given, ["role", "parts", ...(isText ? ["type", "text"] : [])]);
    return parts === undefined ? rest : { ...rest, parts };
  }
  const items = (given as readonly Value[]).map((item) => beyondText(item) ?? null);
  return items.every((item) => item === null) ? undefined : items;
}
