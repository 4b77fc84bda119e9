/**
 * The parts of an answer as its message keeps them: everything that chat messages have no field for (reasoning,
 * signatures and other metadata, tools that the provider ran, files), and the order of all parts. Texts and arguments of
 * calls stand in the message alone: a part of text has its length, a part of a call its id. The provider that made the
 * parts gets them back; another one gets the message's text and calls.
 */
import type { Message, Value } from "../../index.ts";
import type { ProviderFields } from "./language-model.ts";

/** A part, named as the AI SDK names it. */
export type KeptPart = { providerMetadata?: ProviderFields } & (
  | { type: "text"; length: number }
  | { type: "reasoning"; text: string }
  /** A call of a tool of the application. */
  | { type: "tool-call"; toolCallId: string }
  /** A call of a tool that the provider ran. */
  | { type: "tool-call"; toolCallId: string; toolName: string; input: string; providerExecuted: true }
  | { type: "tool-result"; toolCallId: string; toolName: string; result: Value; isError?: true }
  /** A file that the model made: base64, or a URL. */
  | { type: "file" | "reasoning-file"; mediaType: string; data: { type: "data" | "url"; value: string } }
  | { type: "custom"; kind: string }
  | { type: "source"; [field: string]: unknown }
);

const format = "ai-sdk";
const version = 1;

interface ProviderParts {
  readonly provider?: unknown;
  readonly parts?: unknown;
}

interface Native extends ProviderParts {
  readonly format?: unknown;
  readonly version?: unknown;
  readonly value?: ProviderParts | null;
}

/** The field of a message that keeps the parts; none where the message says all of it. */
export function keepParts(parts: readonly KeptPart[], provider: string): { readonly native?: Value } {
  const isComplete = parts.every(
    (part) =>
      part.providerMetadata === undefined &&
      (part.type === "text" || (part.type === "tool-call" && !("providerExecuted" in part))),
  );
  return isComplete ? {} : { native: { format, version, value: { provider, parts } } as unknown as Value };
}

/**
 * The parts that this provider made of the message; undefined where there are none, or the message was changed since:
 * its text has another length, or its calls are other ones.
 */
export function keptParts(message: Message, provider: string): readonly KeptPart[] | undefined {
  const native = message["native"] as Native | null | undefined;
  if (native?.format !== format) return undefined;
  // Messages that were stored before have the two fields beside the format.
  const value = native.version === version ? native.value : native;
  if (value?.provider !== provider || !Array.isArray(value.parts)) return undefined;
  const parts = value.parts as readonly KeptPart[];
  const calls = parts.flatMap((part) => (isOwnCall(part) ? [part.toolCallId] : []));
  const called = message.tool_calls ?? [];
  const isSame = calls.length === called.length && calls.every((id, index) => id === called[index]?.id);
  if (!isSame) return undefined;
  const { content } = message;
  // A blank text is shown as none.
  if (content === null || content === undefined || content === "")
    return parts.map((part) => (part.type === "text" ? { ...part, length: 0 } : part));
  const length = parts.reduce((sum, part) => sum + (part.type === "text" ? part.length : 0), 0);
  return typeof content === "string" && content.length === length ? parts : undefined;
}

/** True for a call of a tool of the application. */
export function isOwnCall(part: KeptPart): part is Extract<KeptPart, { type: "tool-call" }> {
  return part.type === "tool-call" && !("providerExecuted" in part);
}
