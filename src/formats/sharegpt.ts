/** Conversations of ShareGPT, in which every message is a text. */
import type { Message } from "../domain/turns/turn.ts";
import type { Value } from "../domain/values/codec.ts";
import { formatValue } from "../domain/values/format-value.ts";
import { SessionError } from "../errors.ts";
import type { MessageFormat } from "./message-format.ts";
import { resultText, shownParts, textIn } from "./shown-parts.ts";

const roles: ReadonlyMap<unknown, Message["role"]> = new Map(
  Object.entries({
    system: "system",
    human: "user",
    user: "user",
    gpt: "assistant",
    chatgpt: "assistant",
    assistant: "assistant",
    bing: "assistant",
    bard: "assistant",
    function_call: "assistant",
    observation: "tool",
    tool: "tool",
  } as const),
);

export const sharegpt: MessageFormat = {
  name: "sharegpt",
  version: 1,
  list: "conversations",
  pairsCalls: false,
  fits: ({ from, value }) => typeof from === "string" && value !== undefined,
  toCanonical: ({ from, value }, place) => {
    const role = roles.get(from);
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
    return { messages: [{ role, content: value }], aside: 0 };
  },
  fromCanonical: (messages, around) =>
    shownParts(messages, around).flatMap(({ role, parts }): readonly Value[] => {
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
