/** Conversations of ShareGPT, in which every message is a text. */
import { isFields, jsonOf, type Fields } from "../domain/turns/known-parts.ts";
import { callsIn } from "../domain/turns/message-steps.ts";
import type { Message, ToolCall } from "../domain/turns/turn.ts";
import type { Value } from "../domain/values/codec.ts";
import { formatValue } from "../domain/values/format-value.ts";
import { SessionError } from "../errors.ts";
import { callsInText, responsesInText } from "./hermes.ts";
import type { MessageFormat } from "./message-format.ts";
import { dataOf, resultText, shownParts, textIn } from "./shown-parts.ts";

const roles: ReadonlyMap<unknown, Message["role"]> = new Map(
  Object.entries({
    system: "system",
    human: "user",
    user: "user",
    gpt: "assistant",
    chatgpt: "assistant",
    assistant: "assistant",
    bot: "assistant",
    ai: "assistant",
    model: "assistant",
    bing: "assistant",
    bard: "assistant",
    function_call: "assistant",
    tool_call: "assistant",
    observation: "tool",
    tool: "tool",
    tool_response: "tool",
    function_response: "tool",
    ipython: "tool",
  } as const),
);

/** The authors that some programs write as `role`, beside the roles of OpenAI's format. */
const ownRoles: ReadonlySet<unknown> = new Set(
  [...roles.keys()].filter((name) => !["system", "user", "assistant", "tool", "model"].includes(name as string)),
);

export const sharegpt: MessageFormat = {
  name: "sharegpt",
  version: 1,
  list: "conversations",
  pairsCalls: false,
  fits: ({ from, value, role, content, type }) =>
    from === undefined
      ? typeof role === "string" &&
        ownRoles.has(role.toLowerCase()) &&
        typeof content === "string" &&
        type === undefined
      : typeof from === "string" && value !== undefined,
  toCanonical: ({ role: named, content, from = named, value = content }, place) => {
    const author = (from as string).toLowerCase();
    const role = roles.get(author);
    if (role === undefined)
      throw new SessionError("message_invalid", {
        path: `${place}.from`,
        value: formatValue(from),
        expected: "one_of",
        known: [...roles.keys()] as string[],
      });
    if (typeof value !== "string")
      throw new SessionError("message_invalid", {
        path: `${place}.value`,
        value: formatValue(value),
        expected: "text",
      });
    const spoken = role === "assistant" ? callsInText(value) : undefined;
    if (spoken !== undefined)
      return { messages: [{ role, content: spoken.content, tool_calls: spoken.calls.map(toolCallOf) }], aside: 0 };
    const responses = role === "tool" ? responsesInText(value) : undefined;
    if (responses !== undefined) return { messages: responses.map((text) => ({ role, content: text })), aside: 0 };
    const isCall = author === "function_call" || author === "tool_call";
    const calls = isCall ? callsOf(value) : undefined;
    const message = calls === undefined ? { role, content: value } : { role, content: null, tool_calls: calls };
    if (!isCall || calls !== undefined) return { messages: [message], aside: 0 };
    // The text of a call that cannot be read is kept, and its author is in the native form alone.
    return { messages: [message], aside: 1, leftOut: "unreadable call" };
  },
  fromCanonical: (messages, around) =>
    shownParts(inOrderOfCalls(messages), around).flatMap(({ role, parts }): readonly Value[] => {
      const text = textIn(parts);
      const from = role === "system" ? role : role === "user" ? "human" : "gpt";
      return [
        ...(text === "" ? [] : [{ from, value: text }]),
        ...parts.flatMap((part): readonly Value[] => {
          if (part.kind === "result") return [{ from: "observation", value: resultText(part.result) }];
          if (part.kind !== "call") return [];
          return [
            { from: "function_call", value: JSON.stringify({ name: part.call.function.name, arguments: part.input }) },
          ];
        }),
      ];
    }),
};

/** The messages, with neighbouring results in the order of their calls: without ids, their order pairs them. */
function inOrderOfCalls(messages: readonly Message[]): readonly Message[] {
  const places = new Map<string | undefined, number>();
  let count = 0;
  const ordered: Message[] = [];
  let results: Message[] = [];
  const placeOf = ({ tool_call_id: id }: Message): number => places.get(id) ?? count;
  const end = (): void => {
    ordered.push(...results.toSorted((one, other) => placeOf(one) - placeOf(other)));
    results = [];
  };
  for (const message of messages) {
    if (message.role === "tool") {
      results.push(message);
      continue;
    }
    end();
    for (const { id } of callsIn(message)) places.set(id, count++);
    ordered.push(message);
  }
  end();
  return ordered;
}

/** The calls in the text of a message; undefined where it is no call. Their ids are made (call-ids.ts). */
function callsOf(text: string): readonly ToolCall[] | undefined {
  const data = dataOf(text);
  const calls = Array.isArray(data) ? (data as readonly Value[]) : [data];
  const isCall = (call: Value): call is Fields => isFields(call) && typeof call["name"] === "string";
  return calls.every(isCall) ? calls.map(toolCallOf) : undefined;
}

function toolCallOf({ name, arguments: given, parameters = given }: Fields): ToolCall {
  const text = typeof parameters === "string" ? parameters : jsonOf(parameters ?? {});
  return { id: "", type: "function", function: { name: name as string, arguments: text } };
}
