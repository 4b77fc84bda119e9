/** The formats of messages that Perdure reads and writes: the one list of imports, exports and adapters. */
import { isFields, type Fields } from "../domain/turns/known-parts.ts";
import { invalidArgument } from "../domain/values/invalid-argument.ts";
import type { Value } from "../domain/values/codec.ts";
import { aiSdk, aiSdkUi } from "./ai-sdk.ts";
import { anthropic } from "./anthropic.ts";
import { chatgpt, claude } from "./app-exports.ts";
import { genkit } from "./genkit.ts";
import { gemini } from "./gemini.ts";
import { langchain } from "./langchain.ts";
import type { MessageFormat, MessageFormatName } from "./message-format.ts";
import { openaiAgents, openaiResponses } from "./openai-items.ts";
import { openai } from "./openai.ts";
import { sharegpt } from "./sharegpt.ts";

/** In the order in which their shapes are compared: a message of text alone fits several. */
export const messageFormats: readonly MessageFormat[] = [
  openai,
  gemini,
  aiSdkUi,
  openaiResponses,
  openaiAgents,
  anthropic,
  aiSdk,
  langchain,
  sharegpt,
  chatgpt,
  claude,
  genkit,
];

/** Shapes that programs write beside their documented ones, such as parts of several formats in one message. */
const looseShapes: readonly { readonly format: MessageFormat; readonly fits: MessageFormat["fits"] }[] = [
  {
    format: gemini,
    fits: ({ role, parts }) => (role === "model" || role === "function") && Array.isArray(parts),
  },
  {
    format: aiSdkUi,
    fits: ({ role, parts, toolInvocations }) =>
      typeof role === "string" && (Array.isArray(parts) || Array.isArray(toolInvocations)),
  },
  { format: openaiResponses, fits: ({ role, type }) => typeof role === "string" && type === "message" },
  { format: openai, fits: ({ role }) => typeof role === "string" },
];

/** The format of this name. @throws SessionError `argument_invalid` for another name */
export function formatNamed(name: MessageFormatName): MessageFormat {
  const format = messageFormats.find((one) => one.name === name);
  if (format !== undefined) return format;
  throw invalidArgument("format", name, { expected: "one_of", known: messageFormats.map((one) => one.name) });
}

/** True for a message of this format. */
export function isMessageOf(format: MessageFormat, value: unknown): value is Fields {
  if (fitsFormat(format, value)) return true;
  const fields = messageIn(value);
  return fields !== undefined && looseShapes.some((loose) => loose.format === format && loose.fits(fields));
}

/** True for a message in the documented form of this format. */
export function fitsFormat({ fits }: MessageFormat, value: unknown): value is Fields {
  const fields = messageIn(value);
  return fields !== undefined && fits(fields);
}

/** The first format that all of these values fit; undefined where none is, and where there are no values. */
export function formatOfAll(values: readonly unknown[]): MessageFormat | undefined {
  const all = values.map(messageIn);
  if (all.length === 0 || all.includes(undefined)) return undefined;
  return messageFormats.find(({ fits }) => all.every((fields) => fits(fields!)));
}

/** The format of one message; undefined where the value is none. */
export function formatOf(value: unknown): MessageFormat | undefined {
  const fields = messageIn(value);
  if (fields === undefined) return undefined;
  return formatOfAll([fields]) ?? looseShapes.find(({ fits }) => fits(fields))?.format;
}

/** The object that a message is, its role in lower case: some programs write `User` and `ASSISTANT`. Undefined for another value. */
export function messageIn(value: unknown): Fields | undefined {
  if (!isFields(value as Value)) return undefined;
  const fields = value as Fields;
  const { role } = fields;
  const plain = typeof role === "string" ? role.toLowerCase() : role;
  return role === plain ? fields : { ...fields, role: plain! };
}
