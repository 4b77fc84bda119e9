/** The contract of a converter: one for each format in which programs write messages. */
import type { Value } from "../domain/values/codec.ts";
import { isFields, type Fields } from "../domain/turns/known-parts.ts";
import type { Message } from "../domain/turns/turn.ts";

/** The names of the formats. */
export type MessageFormatName =
  | "openai"
  | "gemini"
  | "ai-sdk-ui"
  | "openai-agents"
  | "openai-responses"
  | "anthropic"
  | "ai-sdk"
  | "langchain"
  | "sharegpt"
  | "chatgpt"
  | "claude"
  | "genkit";

/** A format of messages. The functions are pure and read data only: nothing is loaded or run. */
export interface MessageFormat {
  readonly name: MessageFormatName;
  /** Grows when {@link fromCanonical} writes another form; a native form of another version is rebuilt. */
  readonly version: number;
  /** The field of a conversation that has its messages. */
  readonly list: "messages" | "contents" | "conversations" | "chat_messages";
  /** Instructions as fields of a conversation; absent where they are a message of the system. */
  readonly instructions?: (text: string) => Fields;
  /** True where every call needs its result; a call without one gets a marked result at the conversion. */
  readonly pairsCalls: boolean;
  /** True for a value that is a message of this format. */
  readonly fits: (value: Fields) => boolean;
  /**
   * The messages in place of one value that fits.
   * @throws SessionError `message_invalid` with the place
   */
  readonly toCanonical: (value: Fields, place: string) => Canonical;
  /** The values in place of messages. */
  readonly fromCanonical: (messages: readonly Message[], around: Surroundings) => readonly Value[];
}

/** The conversation around some messages. */
export interface Surroundings {
  /** The number of values before them, for formats whose messages have ids. */
  readonly before: number;
  /** The tools of its calls, by the ids of the calls. */
  readonly toolNames: ReadonlyMap<string, string>;
  /** The texts that calls of custom tools take, by the ids of the calls. @default none */
  readonly customInputs?: ReadonlyMap<string, string>;
}

/** A message in canonical form. */
export interface Canonical {
  readonly messages: readonly Message[];
  /** The number of its parts that are in the native form alone, such as sources and reasoning. */
  readonly aside: number;
  /** The kind of what is not read of the value, for reports: a noun in the singular. */
  readonly leftOut?: string;
}

/** The canonical form of a value that is no message of a conversation. */
export function noMessage(leftOut: string): Canonical {
  return { messages: [], aside: 0, leftOut };
}

/** True for a list of which every item is an object that passes the check. */
export function isListOf(value: Value | undefined, isOne: (item: Fields) => boolean): value is readonly Fields[] {
  return Array.isArray(value) && (value as readonly Value[]).every((item) => isFields(item) && isOne(item));
}

/** How many of these fields say something. */
export function countOf(value: Fields, names: readonly string[]): number {
  return names.filter((name) => {
    const field = value[name];
    return Array.isArray(field) ? field.length > 0 : (typeof field === "string" && field !== "") || isFields(field);
  }).length;
}

/** True for a message of the AI SDK's version 4 that has calls or files beside its content. */
export function hasUiFields({ toolInvocations, experimental_attachments: attachments }: Fields): boolean {
  return Array.isArray(toolInvocations) || (Array.isArray(attachments) && attachments.length > 0);
}
