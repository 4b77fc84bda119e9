/** Messages of a framework that keeps a transcript of its own, as other frameworks read them in the turns of the session. */
import { fromFormat, hasCode, type Message, type MessageFormatName } from "../../index.ts";

/**
 * A value as messages that every framework reads, without its native form: the framework has the value in its own log. A value that is
 * no message of the format, and one without words and calls, has none.
 */
export function shownMessages(value: unknown, format: MessageFormatName): readonly Message[] {
  try {
    return fromFormat([value], format)
      .map(({ native: _, ...shown }) => shown as Message)
      .filter((message) => !isEmpty(message));
  } catch (error) {
    if (hasCode(error, "message_invalid") || hasCode(error, "value_unstorable")) return [];
    throw error;
  }
}

function isEmpty({ role, content, tool_calls: calls = [] }: Message): boolean {
  const isBlank = content === undefined || content === null || content === "";
  return role !== "tool" && calls.length === 0 && (isBlank || (Array.isArray(content) && content.length === 0));
}

/** True for a message of the user or the system: others answer it. */
export function isQuestion({ role }: Message): boolean {
  return role === "user" || role === "system" || role === "developer";
}

/** Messages as a turn: the questions at the beginning are its input. A turn is done once it ends with an answer without calls. */
export function turnOfMessages(messages: readonly Message[]): {
  readonly input: readonly Message[];
  readonly output: readonly Message[];
  readonly status: "done" | "interrupted";
} {
  const first = messages.findIndex((message) => !isQuestion(message));
  const end = first === -1 ? messages.length : first;
  const last = messages.at(-1);
  const isAnswered = last?.role === "assistant" && (last.tool_calls ?? []).length === 0;
  return {
    input: messages.slice(0, end),
    output: messages.slice(end),
    status: isAnswered ? "done" : "interrupted",
  };
}

/** True where a call of these messages has no result in them. */
export function hasOpenCalls(messages: readonly Message[]): boolean {
  const open = new Set<string>();
  for (const { role, tool_calls: calls = [], tool_call_id: id = "" } of messages) {
    for (const call of calls) open.add(call.id);
    if (role === "tool") open.delete(id);
  }
  return open.size > 0;
}
