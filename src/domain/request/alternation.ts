/**
 * One conversation in the order of roles that the strictest chat templates demand: one system message at the beginning,
 * then the user first, and the user and the assistant in turns.
 */
import type { Value } from "../values/codec.ts";
import { textOf } from "../turns/message-steps.ts";
import type { Message } from "../turns/turn.ts";

/** Inserted after a question without an answer. */
export function noAnswer(reason?: string): Message {
  return {
    role: "assistant",
    content: reason === undefined ? "(no answer)" : `(no answer: ${reason})`,
    synthetic: true,
  };
}

const beginning: Message = { role: "user", content: "(the conversation begins)", synthetic: true };

/** Replaces a question without words of the user. */
export const proceed: Message = { role: "user", content: "(the conversation continues)", synthetic: true };

/** All system messages as one. */
export function systemMessage(messages: readonly Message[]): readonly Message[] {
  const texts = messages.flatMap(({ role, content }) => (role === "system" ? [textOf(content)] : []));
  const content = texts.filter((text) => text !== "").join("\n\n");
  return content === "" ? [] : [{ role: "system", content }];
}

/**
 * The messages without those of the system, neighbours of one role joined. A marked line answers a tool's result that a
 * question follows, and a marked question stands before an answer at the beginning. Applied again, it changes nothing.
 */
export function alternate(messages: readonly Message[]): readonly Message[] {
  const shown: Message[] = [];
  for (const message of messages) {
    if (message.role === "system") continue;
    const last = shown.at(-1);
    if (last === undefined && message.role !== "user") shown.push(beginning);
    if (last !== undefined && last.role === message.role && message.role !== "tool") {
      shown[shown.length - 1] = message.role === "user" ? joinQuestions(last, message) : joinAnswers(last, message);
      continue;
    }
    if (last?.role === "tool" && message.role === "user") shown.push(noAnswer());
    shown.push(message);
  }
  return shown;
}

function joinQuestions(first: Message, second: Message): Message {
  const { name: firstName, ...rest } = first;
  const { name: secondName } = second;
  if (firstName === secondName) return { ...first, content: joinContents(first.content, second.content) };
  // One message has one name: the texts of several speakers say whose they are.
  const content = joinContents(named(firstName, first.content), named(secondName, second.content));
  return { ...rest, content };
}

function named(name: string | undefined, content: Value | undefined): Value | undefined {
  if (name === undefined) return content;
  return typeof content === "string"
    ? `${name}: ${content}`
    : [{ type: "text", text: `${name}:` }, ...partsOf(content)];
}

function joinContents(first: Value | undefined, second: Value | undefined): Value {
  if (typeof first === "string" && typeof second === "string") return `${first}\n\n${second}`;
  return [...partsOf(first), ...partsOf(second)];
}

function partsOf(content: Value | undefined): readonly Value[] {
  return Array.isArray(content) ? content : [{ type: "text", text: content ?? "" }];
}

/** The first has no calls, or their results would stand between the two. */
function joinAnswers(first: Message, second: Message): Message {
  const texts = [textOf(first.content), textOf(second.content)].filter((text) => text !== "");
  return { ...first, ...second, content: texts.length === 0 ? null : texts.join("\n\n") };
}
