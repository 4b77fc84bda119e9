/** Messages of a framework that keeps a transcript of its own, as other frameworks read them in the turns of the session. */
import { encodeValue, fromFormat, hasCode, type Message, type MessageFormatName, type Value } from "../../index.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/**
 * A value as messages that every framework reads, without its native form: the framework has the value in its own log. A value that is
 * no message of the format, and one without words and calls, has none.
 */
export function shownMessages(value: unknown, format: MessageFormatName): readonly Message[] {
  return shownTogether([value], format);
}

/** Several values as messages: calls without ids get those of their places among all of them. */
export function shownTogether(values: readonly unknown[], format: MessageFormatName): readonly Message[] {
  try {
    return fromFormat(values, format)
      .map(({ native: _, ...shown }) => shown as Message)
      .filter((message) => !isEmpty(message));
  } catch (error) {
    if (!hasCode(error, "message_invalid") && !hasCode(error, "value_unstorable")) throw error;
    return values.length === 1 ? [] : values.flatMap((value) => shownTogether([value], format));
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

/** A digest of messages: equal messages have equal ones, in any order of their fields. */
export function digestOf(messages: readonly Message[]): string {
  return messages.reduce(digestBehind, "");
}

/** The digests of the first messages: of none, of one, and so on up to all. */
export function digestsOf(messages: readonly Message[]): readonly string[] {
  const digests = [""];
  for (const message of messages) digests.push(digestBehind(digests.at(-1)!, message));
  return digests;
}

function digestBehind(before: string, message: Message): string {
  const text = encodeValue(ordered(message));
  return nodeCrypto()
    .hash("sha256", before + text, "base64url")
    .slice(0, 22);
}

/** The value with the fields of its objects in order, so that equal values have equal texts. */
function ordered(value: Value): Value {
  if (Array.isArray(value)) return (value as readonly Value[]).map(ordered);
  if (typeof value !== "object" || value === null || value instanceof Date || value instanceof Uint8Array) return value;
  return Object.fromEntries(
    Object.entries(value as Readonly<Record<string, Value>>)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, field]) => [name, ordered(field)]),
  );
}
