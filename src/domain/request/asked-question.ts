/** The check of a question before it is stored. */
import { SessionError } from "../../errors.ts";
import { isFields } from "../turns/known-parts.ts";
import { partsOf } from "../turns/message-steps.ts";
import type { Message } from "../turns/turn.ts";
import type { Value } from "../values/codec.ts";
import { shownMessages } from "./shown-message.ts";

/**
 * A question has a message that a model is shown: endpoints refuse a request without one, and every retry of it.
 * @throws SessionError `message_invalid` for no message, and for messages without content
 */
export function guardQuestion(question: readonly Message[], path: string): void {
  if (question.some((message) => shownMessages(message).length > 0 && !isBlank(message))) return;
  throw new SessionError("message_invalid", { path, expected: "content_of_message" });
}

/** True for a message of the user whose parts are texts without a character. */
function isBlank(message: Message): boolean {
  return message.role === "user" && partsOf(message).length > 0 && partsOf(message).every(isBlankText);
}

function isBlankText(part: Value): boolean {
  const text = isFields(part) ? part["text"] : part;
  return typeof text === "string" && text.trim() === "";
}
