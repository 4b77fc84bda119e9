/**
 * The check of a conversation that comes from another program: what passes, a model can be shown as it is, with nothing
 * missing and nothing made up. Stored conversations are not held to it: what a model is shown of them is repaired
 * (model-request.ts).
 */
import { SessionError } from "../../errors.ts";
import { formatValue } from "../values/format-value.ts";
import { callsIn, hasOwnParts, partsOf } from "../turns/message-steps.ts";
import { parseMessages, type Message } from "../turns/turn.ts";

/**
 * Every message has a known role. A message of the user, of the system or of a tool has a content, an answer has a content, a
 * call or a native form, and a result follows its call.
 * @throws SessionError `message_invalid` with the place of the first message that does not pass
 */
export function guardWhole(messages: readonly Message[], place: string): void {
  /** How many calls of each id have no result yet. */
  const open = new Map<string, number>();
  for (const [index, message] of parseMessages(messages, "user", `${place} messages`).entries()) {
    const path = `${place} messages[${index}]`;
    if (isEmpty(message)) throw new SessionError("message_invalid", { path, expected: "content_of_message" });
    for (const { id } of callsIn(message)) open.set(id, (open.get(id) ?? 0) + 1);
    if (message.role !== "tool") continue;
    const id = message.tool_call_id ?? "";
    const left = open.get(id) ?? 0;
    if (left === 0)
      throw new SessionError("message_invalid", {
        path: `${path}.tool_call_id`,
        value: formatValue(message.tool_call_id),
        expected: "earlier_call",
      });
    open.set(id, left - 1);
  }
}

function isEmpty(message: Message): boolean {
  const { role, content, tool_calls: calls, native } = message;
  if (content !== undefined && content !== null) return false;
  if (role !== "assistant") return !hasOwnParts(message) || partsOf(message).length === 0;
  return (
    (calls ?? []).length === 0 &&
    native === undefined &&
    message["function_call"] === undefined &&
    !hasOwnParts(message)
  );
}
