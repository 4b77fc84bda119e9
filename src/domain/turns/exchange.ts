import { textOf } from "./message-steps.ts";
import { parseArray } from "../values/invalid-argument.ts";
import { parseMessages, type Message } from "./turn.ts";

/** A question and its answer, tool calls and their results included. */
export interface Exchange {
  readonly input: readonly Message[];
  readonly output: readonly Message[];
}

/**
 * A list of messages as exchanges: each begins with a message of the user and ends before the next one. `leading` are the
 * system messages before the first exchange.
 * @throws SessionError `message_invalid` for a value that is no message
 */
export function exchangesOf(messages: readonly Message[]): {
  readonly leading: readonly Message[];
  readonly exchanges: readonly Exchange[];
} {
  guardMessages(messages);
  const first = messages.findIndex(({ role }) => role !== "system" && role !== "developer");
  const leading = first < 0 ? messages : messages.slice(0, first);
  const exchanges: { input: Message[]; output: Message[] }[] = [];
  for (const message of messages.slice(leading.length)) {
    let current = exchanges.at(-1);
    const asks = message.role === "user";
    if (current === undefined || (asks && current.output.length > 0))
      exchanges.push((current = { input: [], output: [] }));
    (asks ? current.input : current.output).push(message);
  }
  return { leading, exchanges };
}

/** Messages as one text, for the startup context of a session; undefined if they are empty. @throws SessionError `message_invalid` */
export function instructionsOf(leading: readonly Message[]): string | undefined {
  guardMessages(leading);
  const texts = leading.map(({ content }) => textOf(content));
  const text = texts.filter((one) => one !== "").join("\n\n");
  return text === "" ? undefined : text;
}

/** @throws SessionError `argument_invalid`, `message_invalid` */
function guardMessages(messages: readonly Message[]): void {
  parseMessages(parseArray(messages, "messages"), "user", "messages");
}
