/** Conversations of other programs, as their files have them. */
import { createHash } from "node:crypto";
import { withoutNative } from "../../domain/request/native-form.ts";
import type { Metadata } from "../../domain/record/record.ts";
import { isFields as areFields, type Fields } from "../../domain/turns/known-parts.ts";
import { textOf as textIn } from "../../domain/turns/message-steps.ts";
import type { Message } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { instantMaxMs } from "../../domain/values/limits.ts";
import { SessionError } from "../../errors.ts";
import { exportedMessages } from "../../formats/app-exports.ts";
import { readMessages } from "../../formats/conversion.ts";
import { messageFormats } from "../../formats/registry.ts";
import type { Conversation } from "../../sessions/transfer/conversation.ts";
import type { ImportItem } from "../../sessions/transfer/importing.ts";

/** The item of a conversation, or of the error of its conversion. */
export function importItem(source: string, convert: () => Conversation): ImportItem {
  try {
    return { source, conversation: convert() };
  } catch (error) {
    if (error instanceof SessionError) return { source, error };
    throw error;
  }
}

/** True for an object that is no list. */
function isFields(value: unknown): value is Fields {
  return areFields(value as Value);
}

/** The fields in which the formats keep the messages of a conversation, and one that other programs use. */
const lists = [...new Set(messageFormats.map(({ list }) => list)), "conversation"];

/** The conversation in a value of JSON. @throws SessionError `message_invalid` */
export function conversationOf(value: unknown, source: string): Conversation {
  const fields = isFields(value) ? value : {};
  const given = Array.isArray(value)
    ? value
    : (exportedMessages(fields) ??
      (lists.map((name) => fields[name]).find(Array.isArray) as readonly Value[] | undefined));
  if (!Array.isArray(given) || given.length === 0) {
    throw new SessionError("message_invalid", { path: source, value: formatValue(value), expected: "conversation" });
  }
  const times = new Map<Message, number>();
  const read = readMessages(given, source);
  const messages = read.flatMap((one) => one.messages);
  for (const [index, one] of read.entries()) {
    const at = timeOf(given[index]);
    if (at !== undefined) for (const message of one.messages) times.set(message, at);
  }
  const { id, uuid, conversation_id: conversationId, thread_id: threadId, user, metadata, source: from } = fields;
  const named = [id, uuid, conversationId, threadId].find((one) => typeof one === "string" || typeof one === "number");
  const instructions = instructionsIn(fields);
  const known = isFields(metadata) ? (metadata as Metadata) : {};
  return {
    // A conversation without an id gets one that is the same at each import.
    id:
      named === undefined
        ? `import_${createHash("sha256")
            .update(JSON.stringify(messages.map(withoutNative)))
            .digest("hex")
            .slice(0, 26)}`
        : String(named),
    messages: instructions === "" ? messages : [{ role: "system", content: instructions }, ...messages],
    ...(typeof user === "string" ? { user } : {}),
    metadata: defined({ ...textField("source", from), ...textField("title", titleOf(fields)), ...known }),
    times,
    ...defined({ createdAt: timeOf(fields) }),
    aside: read.reduce((count, { aside }) => count + aside, 0),
  };
}

/** Instructions beside the messages: Anthropic's `system`, a text or a list of blocks, and Gemini's `systemInstruction`. */
function instructionsIn(fields: Readonly<Record<string, unknown>>): string {
  const { system, systemInstruction = fields["system_instruction"] } = fields;
  const given = system ?? systemInstruction;
  return textIn((isFields(given) ? (given["parts"] ?? given) : (given ?? null)) as Value);
}

function textField(name: string, value: unknown): Metadata {
  return typeof value === "string" && value !== "" ? { [name]: value } : {};
}

/** The title of a conversation: ChatGPT's and the AI SDK's `title`, Claude's `name`. */
function titleOf({ title, name }: Readonly<Record<string, unknown>>): unknown {
  return title ?? name;
}

/** The names under which programs keep the time of a conversation or a message. */
const timeNames = ["createdAt", "created_at", "create_time", "timestamp", "created", "time", "date"];

/** The time of a conversation or a message, epoch ms: an ISO text, or seconds or milliseconds since the epoch. */
function timeOf(value: unknown): number | undefined {
  if (!isFields(value)) return undefined;
  const nested = isFields(value["metadata"]) ? value["metadata"] : {};
  for (const given of [...timeNames.map((name) => value[name]), ...timeNames.map((name) => nested[name])]) {
    if (typeof given !== "string" && typeof given !== "number") continue;
    const ms = typeof given === "number" ? given * (given < secondsBelow ? 1000 : 1) : Date.parse(given);
    if (ms > 0 && ms < instantMaxMs) return Math.floor(ms);
  }
  return undefined;
}

/** Numbers below this are seconds: as milliseconds they would be of the year 1973 or earlier. */
const secondsBelow = 1e11;
