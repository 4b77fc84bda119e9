/** The messages of `useChat`, described by the members that are read here, and their place in the turns of a session. */
import { fromFormat, toFormat, type Message, type Turn, type Value } from "../../index.ts";

/** A part of a message. */
export interface UiPart {
  readonly type: string;
}

/** A message as `useChat` has it: `UIMessage` of the package `ai` is one. */
export interface AnyUiMessage {
  readonly id: string;
  readonly role: "system" | "user" | "assistant";
  readonly metadata?: unknown;
  readonly parts: readonly UiPart[];
}

/** A chunk of a UI message stream: `UIMessageChunk` of the package `ai` is one. */
export interface UiChunk {
  readonly type: string;
}

/** Any field of a part, a chunk or a message. */
export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

/** True for a part that is a call of a tool. */
export function isToolPart({ type }: UiPart): boolean {
  return type === "dynamic-tool" || type.startsWith("tool-");
}

/** The messages of a turn. One that another framework wrote has an id by its place, always the same. */
export function messagesOfTurn({ seq, input, output }: Turn): readonly AnyUiMessage[] {
  const own = new Set([...input, ...output].flatMap((message) => nativeOf(message)?.value ?? []));
  return toFormat([...input, ...output], format).map((value, index) => {
    const message = value as unknown as AnyUiMessage;
    return own.has(value) ? message : { ...message, id: `turn-${seq}-${index + 1}` };
  });
}

/** The messages of the session in the place of one of `useChat`. */
export function storedForm(message: AnyUiMessage): readonly Message[] {
  return fromFormat([message], format);
}

/** The messages of a list that make up the message with this id; all of them if another framework wrote them. */
export function rangeOf(list: readonly Message[], id: string): { readonly from: number; readonly to: number } {
  const from = list.findIndex((message) => fieldsOf(nativeOf(message)?.value)["id"] === id);
  if (from < 0) return { from: 0, to: list.length };
  return { from, to: Math.min(list.length, from + (nativeOf(list[from]!)?.count ?? 1)) };
}

const format = "ai-sdk-ui";

function nativeOf({ native }: Message): { readonly value: Value; readonly count?: number } | undefined {
  const { format: name, value, count } = fieldsOf(native);
  if (name !== format || value === undefined) return undefined;
  return { value: value as Value, ...(typeof count === "number" ? { count } : {}) };
}
