/** Chat completions of OpenAI, which are the canonical form too. */
import { shownMessages } from "../domain/request/shown-message.ts";
import { isFields, jsonOf, type Fields } from "../domain/turns/known-parts.ts";
import { contentParts, hasOwnParts } from "../domain/turns/message-steps.ts";
import { withoutNative } from "../domain/request/native-form.ts";
import type { Message } from "../domain/turns/turn.ts";
import type { Value } from "../domain/values/codec.ts";
import { formatValue } from "../domain/values/format-value.ts";
import { SessionError } from "../errors.ts";
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
 * @throws SessionError `message_invalid` for a call without a name
 */
export function openaiMessage(given: Fields, place: string): Canonical {
  const value = withPictures(given);
  const { tool_calls: calls, content, refusal, ...others } = value;
  const { value: words = others["text"], text: _, ...unnamed } = others;
  if (content === undefined && calls === undefined && typeof words === "string")
    return canonicalMessage({ ...unnamed, content: words } as unknown as Message);
  if (typeof refusal === "string" && calls === undefined && (content ?? "") === "")
    return canonicalMessage({ ...others, content: [{ type: "refusal", refusal }] } as unknown as Message);
  if (calls === undefined || calls === null) return canonicalMessage(value as unknown as Message);
  if (!Array.isArray(calls)) throw noCall(`${place}.tool_calls`, calls);
  const whole = (calls as readonly Value[]).map((call, index) => wholeCall(call, `${place}.tool_calls[${index}]`));
  return canonicalMessage({ ...value, tool_calls: whole } as unknown as Message);
}

/** A call of chat completions; others have its name and arguments beside its id, or no type. */
function wholeCall(call: Value, place: string): Value {
  if (!isFields(call)) throw noCall(place, call);
  const { function: called, custom, name, args, input = args, arguments: given = input, ...others } = call;
  // A tool that takes free text: its input is the whole text of the arguments.
  const isCustom = call["type"] === "custom" && isFields(custom);
  const read = isCustom
    ? { name: custom["name"], given: custom["input"] ?? "" }
    : isFields(called)
      ? { name: called["name"], given: called["arguments"] }
      : { name, given };
  if (typeof read.name !== "string") throw noCall(place, call);
  if (isFields(called) && typeof read.given === "string" && !isCustom) return call;
  const text = typeof read.given === "string" ? read.given : jsonOf(read.given ?? {});
  return { ...others, type: "function", function: { name: read.name, arguments: text } };
}

function noCall(path: string, value: Value): SessionError {
  return new SessionError("message_invalid", { path, value: formatValue(value), expected: "tool_call" });
}

/** The beginnings of pictures in base64, with their media types. */
const pictures = [
  ["iVBORw0KGgo", "image/png"],
  ["/9j/", "image/jpeg"],
  ["R0lGOD", "image/gif"],
  ["UklGR", "image/webp"],
] as const;

/** The message of a user with its pictures as parts: Ollama has them in base64 beside the content. */
function withPictures(message: Fields): Fields {
  const { images, content, ...others } = message;
  if (others["role"] !== "user" || !Array.isArray(images) || images.length === 0) return message;
  const parts = (images as readonly Value[]).map((image): Value | undefined => {
    const data = typeof image === "string" ? image : "";
    const mediaType = pictures.find(([beginning]) => data.startsWith(beginning))?.[1];
    return mediaType === undefined ? undefined : { type: "image", image: data, mediaType };
  });
  // Data sets have names of files there.
  if (!parts.every((part) => part !== undefined)) return message;
  return { ...others, content: [...contentParts(content), ...parts] };
}

/** The message as it is stored; one in another shape as a model is shown it. */
function writtenMessages(message: Message): readonly Value[] {
  const isChat = !hasOwnParts(message) && contentParts(message.content).every(isOfChatCompletions);
  const written = isChat ? [withoutNative(message)] : shownMessages(withoutNative(message));
  return written.map(({ synthetic: _, ...fields }) => fields as unknown as Value);
}
