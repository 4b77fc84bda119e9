/**
 * The field `native` of a message: the form in which another program wrote it. The fields beside it are the canonical
 * form, by which Perdure and models read the message.
 */
import type { Value } from "../values/codec.ts";
import { isFields } from "../turns/known-parts.ts";
import type { Message } from "../turns/turn.ts";

/** A message as its format writes it. */
export interface NativeForm {
  /** The name of the format, such as `anthropic`. */
  readonly format: string;
  /** The version of the form that the format's converter writes. */
  readonly version: number;
  readonly value: Value;
  /**
   * The hash of the canonical form that was stored with it: another one means that the canonical form has changed since.
   * Absent where the adapter of a model made the form, and compares it itself.
   */
  readonly hash?: string;
  /** How many messages the form stands for: this one and those after it. @default 1 */
  readonly count?: number;
  /** What an import found beside the message: no export writes it. @default nothing */
  readonly beside?: Value;
}

/** The native form of a message; undefined without one, and for those that earlier versions stored without a value. */
export function nativeOf(message: Message): NativeForm | undefined {
  const native = message["native"];
  if (!isFields(native)) return undefined;
  const { format, version, value, hash = "", count = 1 } = native;
  const isForm =
    typeof format === "string" &&
    typeof version === "number" &&
    value !== undefined &&
    typeof hash === "string" &&
    typeof count === "number";
  return isForm ? (native as unknown as NativeForm) : undefined;
}

/** The message without its native form. */
export function withoutNative(message: Message): Message {
  if (message["native"] === undefined) return message;
  const { native: _, ...canonical } = message;
  return canonical;
}

/** The message without a native form that no model may be sent: only a form that a model's adapter made goes back to it. */
export function withoutForeignNative(message: Message): Message {
  const { native } = message;
  const isOfModel = isFields(native) && typeof native["format"] === "string" && native["hash"] === undefined;
  return isOfModel ? message : withoutNative(message);
}
