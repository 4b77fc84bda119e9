/** Chat completions of OpenAI, which are the canonical form too. */
import { shownMessages } from "../domain/request/shown-message.ts";
import { isFields, jsonOf, type Fields } from "../domain/turns/known-parts.ts";
import { contentParts, hasOwnParts } from "../domain/turns/message-steps.ts";
import { withoutNative } from "../domain/request/native-form.ts";
import type { Message } from "../domain/turns/turn.ts";
import type { Value } from "../domain/values/codec.ts";
import { countOf, hasUiFields, type Canonical, type MessageFormat } from "./message-format.ts";
import { canonicalMessage, isOfChatCompletions } from "./message-parts.ts";

const roles = new Set<unknown>(["system", "developer", "user", "assistant", "tool", "function"]);

export const openai: MessageFormat = {
  name: "openai",
  version: 1,
  list: "messages",
  pairsCalls: false,
  fits: (value) => {
    const { role, type, content, parts } = value;
    const isOther = type !== undefined || Array.isArray(parts) || hasUiFields(value);
    return roles.has(role) && !isOther && (!Array.isArray(content) || content.every(isOfChatCompletions));
  },
  toCanonical: openaiMessage,
  fromCanonical: (messages) => messages.flatMap(writtenMessages),
};

/**
 * Any message with a role. Some programs write the arguments of a call as an object, or name the content `value` or `text`. A
 * refusal, and the transcript of a spoken answer, stand beside an absent content.
 */
function openaiMessage(given: Fields): Canonical {
  const spoken = withTranscript(given);
  const { messages, aside } = canonicalOf(spoken ?? given);
  return { messages, aside: aside + (spoken === undefined ? 0 : 1) + countOf(given, besideNames) };
}

/** The fields beside the words of an answer that no model is shown: thoughts and sources. */
const besideNames = ["thinking", "reasoning", "reasoning_content", "annotations"];

function canonicalOf(given: Fields): Canonical {
  const value = withPictures(given);
  const { tool_calls: calls, content, refusal, ...others } = value;
  const { value: words = others["text"], text: _, ...unnamed } = others;
  if (content === undefined && calls === undefined && typeof words === "string")
    return canonicalMessage({ ...unnamed, content: words } as unknown as Message);
  if (typeof refusal === "string" && calls === undefined && (content ?? "") === "")
    return canonicalMessage({ ...others, content: [{ type: "refusal", refusal }] } as unknown as Message);
  if (!Array.isArray(calls)) return canonicalMessage(value as unknown as Message);
  return canonicalMessage({ ...value, tool_calls: (calls as readonly Value[]).map(wholeCall) } as unknown as Message);
}

/** A call of chat completions; others have its name and arguments beside its id, or no type. */
function wholeCall(call: Value): Value {
  if (!isFields(call)) return call;
  const { function: called, custom, name, args, input = args, arguments: given = input, ...others } = call;
  // A tool that takes free text: its input is the whole text of the arguments.
  const isCustom = call["type"] === "custom" && isFields(custom);
  const read = isCustom
    ? { name: custom["name"], given: custom["input"] ?? "" }
    : isFields(called)
      ? { name: called["name"], given: called["arguments"] }
      : { name, given };
  if (typeof read.name !== "string") return call;
  if (isFields(called) && typeof read.given === "string" && !isCustom) return call;
  const text = typeof read.given === "string" ? read.given : jsonOf(read.given ?? {});
  return { ...others, type: "function", function: { name: read.name, arguments: text } };
}

/** The beginnings of pictures in base64, with their media types. */
const pictures = [
  ["iVBORw0KGgo", "image/png"],
  ["/9j/", "image/jpeg"],
  ["R0lGOD", "image/gif"],
  ["UklGR", "image/webp"],
] as const;

/**
 * A spoken answer with its words as its content; the recording stays in the native form. A request names an earlier one by its id.
 * Undefined for another message. https://platform.openai.com/docs/guides/audio
 */
function withTranscript({ audio, content, ...others }: Fields): Fields | undefined {
  if (others["role"] !== "assistant" || !isFields(audio) || (content ?? "") !== "") return undefined;
  const { transcript, id } = audio;
  if (typeof transcript === "string" && transcript !== "") return { ...others, content: transcript };
  return typeof id === "string" ? { ...others, content: `[audio ${id}]` } : undefined;
}

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
