/**
 * Parts of imported messages, read by the rules of what a model is shown: texts, pictures and files stay in the content,
 * in the form of chat completions; calls and results become messages; parts of all other kinds (sources, data,
 * reasoning) are kept in the field `native` of the message, which no model is sent.
 */
import type { Value } from "../domain/values/codec.ts";
import { isFields, knownPart, resultContent } from "../domain/turns/known-parts.ts";
import { stepsOf, type MessageStep } from "../domain/turns/message-steps.ts";
import type { Message } from "../domain/turns/turn.ts";

/** The messages in place of one whose content may be a list of parts. */
export function withKnownParts(message: Message): readonly Message[] {
  const { content } = message;
  if (!Array.isArray(content) || content.every(isOfChatCompletions)) return [message];
  return messagesOfParts(message);
}

/** The messages in place of one whose content is a list of parts. */
export function messagesOfParts(message: Message): readonly Message[] {
  const { role, content } = message;
  const steps = stepsOf(message);
  if (role === "assistant")
    return steps.flatMap((step, index) => [...messageOfStep(index === 0 ? message : { role }, step), ...step.results]);
  const results = steps.flatMap((step) => step.results);
  if (role === "tool") return results.length > 0 ? results : [{ ...message, content: resultContent(content) }];
  const whole: MessageStep = {
    content: steps.flatMap((step) => step.content),
    aside: steps.flatMap((step) => step.aside),
    calls: [],
    results,
  };
  return [...results, ...messageOfStep(message, whole)];
}

/** The message with its words and calls; none where its parts are results alone. */
function messageOfStep(message: Message, { content, calls, results, aside }: MessageStep): readonly Message[] {
  if (content.length + calls.length + aside.length === 0 && results.length > 0) return [];
  return [
    {
      ...message,
      content: content.length === 0 && calls.length > 0 ? null : keptContent(content),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
      ...(aside.length === 0 ? {} : { native: { parts: aside } }),
    },
  ];
}

/** How many parts of a message are kept beside its content. */
export function countAside({ native }: Message): number {
  const parts = (native as { readonly parts?: unknown } | undefined)?.parts;
  return Array.isArray(parts) ? parts.length : 0;
}

/** One text where all parts are text, else the parts. */
function keptContent(parts: readonly Value[]): Value {
  const texts = parts.flatMap((part) => {
    const known = knownPart(part);
    return known.kind === "text" ? [known.part["text"] as string] : [];
  });
  return texts.length === parts.length ? texts.join("") : parts;
}

/** https://platform.openai.com/docs/api-reference/chat/create */
function isOfChatCompletions(part: Value): boolean {
  if (typeof part === "string") return true;
  if (!isFields(part)) return false;
  const { type } = part;
  switch (type) {
    case "text":
    case "refusal":
      return typeof part[type] === "string";
    case "image_url":
    case "input_audio":
    case "file":
      return isFields(part[type]);
    default:
      return false;
  }
}
