/** Parts of a conversation that no model is shown: they are kept beside the message that follows them. */
import { isFields } from "../../domain/turns/known-parts.ts";
import type { Message } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";

/** The message, with values that stand beside it in the form `format`. A native form that it has stays. */
export function withBeside(message: Message, format: string, beside: readonly Value[]): Message {
  if (beside.length === 0) return message;
  const { native } = message;
  if (isFields(native)) return { ...message, native: { ...native, beside: { format, value: [...beside] } } };
  // A form with a hash is sent to no model, and this one is that of no canonical form: no export takes it for the message.
  return { ...message, native: { format, version: 1, value: [...beside], hash: "" } };
}
