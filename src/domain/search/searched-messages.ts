/** The texts of a session that search reads: the messages of its turns, and its title. */
import type { Entry } from "../record/entry.ts";
import { textOf } from "../turns/message-steps.ts";
import { guardObject } from "../values/option-names.ts";
import { readTurn, type Message, type Turn } from "../turns/turn.ts";
import { spacedWords, wordsOf } from "./words.ts";

/** The number that stands for the title in the place of a turn, which begins at 1. */
export const titleSeq = 0;

/** The words of a message. */
export interface SearchedMessage {
  /** The place of the message in its turn, from 0: those of the input, then those of the output. */
  readonly message: number;
  readonly words: readonly string[];
}

/** The messages of a turn, those of the input first. */
export function messagesOf({ input, output }: Pick<Turn, "input" | "output">): readonly Message[] {
  return [...input, ...output];
}

/** The text of a message: its own words, or the result of a tool. */
export function searchedText(message: Message): string {
  return textOf(message.content ?? message["parts"]);
}

/** The words of the messages of an entry of the turns; none of one that cannot be read. @throws SessionError `argument_invalid` */
export function searchedMessages(entry: Entry): readonly SearchedMessage[] {
  return wordsOfMessages(entry, (text) => [...wordsOf(text)]);
}

/** As {@link searchedMessages}, the words with spaces between them. */
export function spacedMessages(entry: Entry): readonly { readonly message: number; readonly words: string }[] {
  return wordsOfMessages(entry, spacedWords);
}

function wordsOfMessages<Words extends { readonly length: number }>(
  entry: Entry,
  wordsIn: (text: string) => Words,
): readonly { readonly message: number; readonly words: Words }[] {
  guardObject(entry, "entry");
  const turn = readTurn(entry);
  if (typeof turn === "string") return [];
  return messagesOf(turn).flatMap((one, message) => {
    const words = wordsIn(searchedText(one));
    return words.length === 0 ? [] : [{ message, words }];
  });
}

/** Begins the words that name the scope of a message. No text has such a word. */
export const scopeMark = "\ue000";

/** The word of all messages of a tenant. Long tenants may share one: a store compares the tenant too. */
export function tenantWord(tenant: string): string {
  return `${scopeMark}t${Buffer.from(tenant).toString("hex").slice(0, 64)}`;
}
