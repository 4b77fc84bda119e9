/** Chat completions of OpenAI, which are the canonical form too. */
import { shownMessages } from "../domain/request/shown-message.ts";
import { isFields, type Fields } from "../domain/turns/known-parts.ts";
import { contentParts, hasOwnParts } from "../domain/turns/message-steps.ts";
import { withoutNative } from "../domain/request/native-form.ts";
import type { Message } from "../domain/turns/turn.ts";
import type { Value } from "../domain/values/codec.ts";
import type { Canonical, MessageFormat } from "./message-format.ts";
import { canonicalMessage, isOfChatCompletions } from "./message-parts.ts";

const roles = new Set<unknown>(["system", "developer", "user", "assistant", "tool", "function"]);

export const openai: MessageFormat = {
  name: "openai",
  version: 1,
  list: "messages",
  pairsCalls: false,
  fits: ({ role, type, content, parts, toolInvocations }) => {
    const isOther = type !== undefined || Array.isArray(parts) || Array.isArray(toolInvocations);
    return roles.has(role) && !isOther && (!Array.isArray(content) || content.every(isOfChatCompletions));
  },
  toCanonical: openaiMessage,
  fromCanonical: (messages) => messages.flatMap(writtenMessages),
};

/**
 * Any message with a role. Some programs write the arguments of a call as an object, or name the content `value` or `text`. A
 * refusal stands beside an absent content.
 */
export function openaiMessage(value: Fields): Canonical {
  const { tool_calls: calls, content, refusal, ...others } = value;
  const { value: words = others["text"], text: _, ...unnamed } = others;
  if (content === undefined && calls === undefined && typeof words === "string")
    return canonicalMessage({ ...unnamed, content: words } as unknown as Message);
  if (typeof refusal === "string" && calls === undefined && (content ?? "") === "")
    return canonicalMessage({ ...others, content: [{ type: "refusal", refusal }] } as unknown as Message);
  if (!Array.isArray(calls)) return canonicalMessage(value as unknown as Message);
  const whole = (calls as readonly Value[]).map((call): Value => {
    if (!isFields(call)) return call;
    const { custom } = call;
    const input = isFields(custom) ? custom["input"] : undefined;
    // A tool that takes free text: its input is the whole text of the arguments.
    if (call["type"] === "custom" && isFields(custom) && typeof custom["name"] === "string")
      return {
        id: call["id"]!,
        type: "function",
        function: { name: custom["name"], arguments: typeof input === "string" ? input : "" },
      };
    if (!isFields(call["function"])) return call;
    const { arguments: given } = call["function"];
    return isFields(given) ? { ...call, function: { ...call["function"], arguments: JSON.stringify(given) } } : call;
  });
  return canonicalMessage({ ...value, tool_calls: whole } as unknown as Message);
}

/** The message as it is stored; one in another shape as a model is shown it. */
function writtenMessages(message: Message): readonly Value[] {
  const isChat = !hasOwnParts(message) && contentParts(message.content).every(isOfChatCompletions);
  const written = isChat ? [withoutNative(message)] : shownMessages(withoutNative(message));
  return written.map(({ synthetic: _, ...fields }) => fields as unknown as Value);
}
