/** Renders a session for other programs, and for people. */
import { decode, type Value } from "../domain/values/codec.ts";
import { attachmentsLog, type Attachment } from "../domain/attachments/attachment.ts";
import {
  dataUrlOf,
  mayRefer,
  readReferenceUrl,
  referenceUrl,
  replacedUrls,
  type ReferenceUrl,
} from "../domain/attachments/reference-url.ts";
import { readTree } from "../domain/branches/tree.ts";
import { branchesLog } from "../domain/record/entry.ts";
import { pairCalls } from "../domain/request/paired-calls.ts";
import { withoutResultMedia } from "../domain/request/result-media.ts";
import { shownMessages } from "../domain/request/shown-message.ts";
import { customCallsIn } from "../formats/calls/custom-calls.ts";
import { isFields, jsonOf, type Fields } from "../domain/turns/known-parts.ts";
import type { Message } from "../domain/turns/turn.ts";
import { defined } from "../domain/values/defined.ts";
import { readMessages, toFormat } from "../formats/conversion.ts";
import type { MessageFormat, MessageFormatName } from "../formats/message-format.ts";
import { messageFormats } from "../formats/registry.ts";
import type { SessionSnapshot } from "../sessions/snapshots/snapshot-text.ts";
import type { LeftOut } from "../sessions/transfer/conversation.ts";
import { contentsOf, lostBetween, sumOf } from "./left-out.ts";
import { markdownOf, type NumberedTurn } from "./markdown.ts";
import { pairedMessages, withAcceptedId, withAcceptedIds } from "./sent-messages.ts";

/** A session in another format, and what that cannot carry. */
export interface Rendered {
  readonly text: string;
  readonly leftOut: LeftOut;
}

/** Renders the text of a snapshot. */
export type Rendering = (text: string) => Rendered;

/** Formats of an export. */
export const renderings: Readonly<Record<"perdure" | "markdown" | MessageFormatName, Rendering>> = {
  /** Snapshots, one per line: complete, for import into Perdure. */
  perdure: (text) => ({ text: `${text}\n`, leftOut: {} }),
  /** Formats of frameworks and providers, one conversation per line. */
  ...(Object.fromEntries(
    messageFormats.map((format) => [
      format.name,
      (text: string): Rendered => conversationIn(sentPartsOf(JSON.parse(text) as SessionSnapshot), format),
    ]),
  ) as Record<MessageFormatName, Rendering>),
  /** OpenAI's chat format: its own fields and parts alone, each call with its result. */
  openai: (text) => openaiConversation(sentPartsOf(JSON.parse(text) as SessionSnapshot)),
  /** For people. */
  markdown: (text) => {
    const { session, ...rest } = partsOf(JSON.parse(text) as SessionSnapshot);
    const { "unshown part": parts = 0, picture = 0, recording = 0, file = 0 } = contentsOf(messagesOf(rest));
    const leftOut = sumOf({ branch: rest.branches, "unshown part": parts, picture, recording, file });
    return { text: markdownOf(session, rest), leftOut };
  },
};

/** The parts of a session that other formats have. */
interface SessionParts {
  readonly session: SessionSnapshot["session"];
  readonly instructions: string | undefined;
  /** Those of the current branch. */
  readonly turns: readonly NumberedTurn[];
  /** The number of the other branches. */
  readonly branches: number;
}

function partsOf({ session, logs }: SessionSnapshot): SessionParts {
  const turns = (logs["turns"] ?? []).map(({ seq, at, data }): NumberedTurn => {
    // Values that JSON lacks are tagged.
    const turn = decode(JSON.stringify(data)) as unknown as NumberedTurn;
    return { ...turn, seq, at };
  });
  const [tree] = logs[branchesLog] ?? [];
  const kept = (tree && readTree(JSON.stringify(tree.data))?.kept) ?? [];
  const branches = kept.filter(({ isRemoved }) => !isRemoved).length;
  return { session, instructions: instructionsIn(logs), turns, branches };
}

/** As {@link partsOf}, with the bytes of attachments as data URLs: another program cannot follow a reference. */
function sentPartsOf(snapshot: SessionSnapshot): SessionParts {
  const parts = partsOf(snapshot);
  const data = attachedData(snapshot.logs[attachmentsLog] ?? []);
  if (data.size === 0) return parts;
  const textFor = ({ type, hash }: ReferenceUrl): string => {
    const base64 = data.get(hash);
    return base64 === undefined ? referenceUrl({ type, hash }) : dataUrlOf({ type }, base64);
  };
  const sent = (message: Message): Message => {
    const { content } = message;
    if (content === undefined || !mayRefer([message])) return message;
    return { ...message, content: replacedUrls(content, { read: readReferenceUrl, textFor }) ?? content };
  };
  const turns = parts.turns.map(({ input, output, ...turn }) => ({
    ...turn,
    input: input.map(sent),
    output: output.map(sent),
  }));
  return { ...parts, turns };
}

/** The base64 of each attachment, by its hash. The bytes of every piece but the last are a multiple of three: no piece is padded. */
function attachedData(entries: readonly { readonly data: unknown }[]): ReadonlyMap<string, string> {
  const data = new Map<string, string>();
  let hash = "";
  for (const { data: value } of entries) {
    if (typeof value === "string") data.set(hash, `${data.get(hash) ?? ""}${value}`);
    else data.set((hash = (value as Pick<Attachment, "hash">).hash), "");
  }
  return data;
}

/** All messages of a session; its instructions are the first one. */
export function messagesIn(snapshot: SessionSnapshot): readonly Message[] {
  const parts = partsOf(snapshot);
  return [...systemMessages(parts), ...messagesOf(parts)];
}

function systemMessages({ instructions }: Pick<SessionParts, "instructions">): readonly Message[] {
  return instructions === undefined ? [] : [{ role: "system", content: instructions }];
}

function messagesOf({ turns }: Pick<SessionParts, "turns">): readonly Message[] {
  return turns.flatMap(({ input, output }) => [...input, ...output]);
}

function instructionsIn(logs: SessionSnapshot["logs"]): string | undefined {
  const instructions = logs["instructions"]?.at(-1)?.data;
  return typeof instructions === "string" && instructions !== "" ? instructions : undefined;
}

/** The formats of providers that refuse some ids of calls. */
const withLimitedIds = new Set<MessageFormatName>(["anthropic", "openai-agents", "openai-responses"]);
/** The formats of applications that leave calls and results out. */
const withoutCalls = new Set<MessageFormatName>(["chatgpt", "claude"]);

/** All messages of the session, as the format writes them: `{"id", "messages"}` or the format's own fields. */
function conversationIn(parts: SessionParts, format: MessageFormat): Rendered {
  const { instructions } = parts;
  const beside = instructions === undefined ? undefined : format.instructions?.(instructions);
  const messages = beside === undefined ? [...systemMessages(parts), ...messagesOf(parts)] : messagesOf(parts);
  const paired = withoutCalls.has(format.name) ? messages : pairedMessages(messages);
  const sent = withLimitedIds.has(format.name) ? withAcceptedIds(paired) : paired;
  const written = toFormat(sent, format.name);
  const read = readMessages(written, "", format).flatMap((one) => one.messages);
  return lineOf(parts, {
    fields: { ...beside, [format.list]: written },
    leftOut: lostBetween(messages, read),
  });
}

function openaiConversation(parts: SessionParts): Rendered {
  const shown = parts.turns.map(({ input, output }) => [...input, ...output].flatMap(shownMessages));
  const paired = [...systemMessages(parts), ...withoutResultMedia(pairCalls(shown).flat())];
  const messages = paired.map(withAcceptedId).map(sentFields);
  const stored = [...systemMessages(parts), ...messagesOf(parts)];
  const leftOut = lostBetween(stored, messages);
  return lineOf(parts, { fields: { messages: messages.map(withCustomCalls(customCallsIn(stored))) }, leftOut });
}

/** The message with the calls of custom tools as their program wrote them. */
function withCustomCalls(custom: ReadonlyMap<string, string>): (message: Message) => Fields {
  return ({ tool_calls: calls, ...message }) => {
    const written = calls?.map((call): Value => {
      const { id, function: called } = call;
      const input = custom.get(id);
      // Endpoints are shown the text of a custom call as a field of an object.
      const isCustom = input !== undefined && [input, jsonOf({ arguments: input })].includes(called.arguments);
      return isCustom ? { id, type: "custom", custom: { name: called.name, input } } : call;
    });
    return { ...message, ...defined({ tool_calls: written }) };
  };
}

/** The fields that OpenAI takes: https://platform.openai.com/docs/api-reference/chat/create */
function sentFields({ role, content = null, name, tool_calls: calls, tool_call_id: callId }: Message): Message {
  const called = calls?.map(({ id, function: { name: tool, arguments: given } }) => ({
    id,
    type: "function" as const,
    function: { name: tool, arguments: given },
  }));
  // A result has no name.
  const own = { name: role === "tool" ? undefined : (name ?? undefined), tool_call_id: callId };
  return { role, ...defined(own), content, ...defined({ tool_calls: called }) };
}

/** A conversation on a line. Its metadata says what no format of messages has a place for. */
function lineOf(
  { session, turns, branches }: SessionParts,
  { fields, leftOut }: { readonly fields: Fields; readonly leftOut: LeftOut },
): Rendered {
  const { id, user, metadata } = session;
  const own = isFields(metadata as Value) ? (metadata as Fields) : {};
  const about = aboutOf(session);
  const hidden = Object.keys(about).filter((name) => Object.hasOwn(own, name) && own[name] !== about[name]).length;
  const line = { id, ...fields, ...defined({ user: user ?? undefined }), metadata: { ...own, ...about } };
  const unfinished = turns.filter(({ status }) => status !== "done").length;
  return {
    text: `${jsonOf(line)}\n`,
    leftOut: sumOf({ branch: branches }, leftOut, { "status of a turn": unfinished, "field of the metadata": hidden }),
  };
}

/** The title, the agent, the times and the tokens of a session, under the names that an import reads. */
function aboutOf({ title, agent, createdAt, lastActivityAt, counters }: SessionSnapshot["session"]): Fields {
  const { inputTokens, outputTokens, totalTokens } = counters;
  return {
    ...(title == null ? {} : { title }),
    agent,
    created_at: new Date(createdAt).toISOString(),
    updated_at: new Date(lastActivityAt).toISOString(),
    usage: { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: totalTokens },
  };
}
