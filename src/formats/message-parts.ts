/**
 * Parts of messages, read by the rules of what a model is shown: texts, pictures and files stay in the content, in the
 * form of chat completions; calls and results become messages; parts of all other kinds (sources, data, reasoning) are
 * left to the native form.
 */
import type { Value } from "../domain/values/codec.ts";
import { isFields, knownPart, resultContent } from "../domain/turns/known-parts.ts";
import type { Canonical } from "./message-format.ts";
import { stepsOf, type MessageStep } from "../domain/turns/message-steps.ts";
import type { Message } from "../domain/turns/turn.ts";

/** The canonical form of a message whose content may be a list of parts. */
export function canonicalMessage(message: Message): Canonical {
  const { content } = message;
  if (!Array.isArray(content) || content.every(isOfChatCompletions)) return { messages: [message], aside: 0 };
  return canonicalParts(message);
}

/** The canonical form of a message whose content is a list of parts. */
export function canonicalParts(message: Message): Canonical {
  const steps = stepsOf(message);
  return { messages: messagesOf(message, steps), aside: steps.reduce((sum, step) => sum + step.aside.length, 0) };
}

function messagesOf(message: Message, steps: readonly MessageStep[]): readonly Message[] {
  const { role, content } = message;
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
    },
  ];
}

/** One text where all parts are text, else the parts. */
function keptContent(parts: readonly Value[]): Value {
  const texts = parts.flatMap((part) => {
    const known = knownPart(part);
    return known.kind === "text" ? [known.part["text"] as string] : [];
  });
  return texts.length === parts.length ? texts.join("") : parts;
}

/** True for a part of chat completions: https://platform.openai.com/docs/api-reference/chat/create */
export function isOfChatCompletions(part: Value): boolean {
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
