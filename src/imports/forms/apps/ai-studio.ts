/** Prompts that Google AI Studio saves: a chat in chunks, of which several are one message. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import type { Conversation } from "../../../sessions/transfer/conversation.ts";
import { restOf, textOf, timeIn } from "../../conversations/about.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";
import { aboutInstructed, instructionsIn } from "../../conversations/listed-messages.ts";
import { partsOfFiles } from "./app-files.ts";
import { messagesOfApp, type AppMessage } from "./app-messages.ts";

export const aiStudio: ConversationFormat = {
  name: "ai-studio",
  title: "prompts of Google AI Studio",
  kindOf: (document) => (isFields(document) && chunksIn(document, "chunks") !== undefined ? "conversation" : undefined),
  read: ([{ value, place }]) => [conversationOf(value as Fields, place)],
};

function chunksIn({ chunkedPrompt: prompt }: Fields, name: "chunks" | "pendingInputs"): readonly Fields[] | undefined {
  const list = isFields(prompt) ? prompt[name] : undefined;
  return Array.isArray(list) ? (list as readonly Value[]).filter(isFields) : undefined;
}

/** @throws SessionError `message_invalid` for one without messages */
function conversationOf(fields: Fields, place: string): Conversation {
  const { runSettings } = fields;
  const model = isFields(runSettings) ? textOf(runSettings, ["model"]) : undefined;
  const { chunkedPrompt: prompt, ...around } = fields;
  const rest = restOf(prompt as Fields, ["chunks", "pendingInputs"]);
  const about = aboutInstructed(rest === undefined ? around : { ...around, chunkedPrompt: rest }, []);
  const leftOut = new LeftOutCounts();
  // What was not sent is no message.
  const drafts = chunksIn(fields, "pendingInputs") ?? [];
  leftOut.add("draft", drafts.filter((draft) => restOf(draft, ["role"]) !== undefined).length);
  return {
    ...about,
    metadata: defined({ ...about.metadata, source: "ai-studio" }),
    ...messagesOfApp(
      messagesIn(chunksIn(fields, "chunks")!).map((chunks) => appMessage(chunks, model, leftOut)),
      { format: "ai-studio", place, instructions: instructionsIn(fields), leftOut },
    ),
  };
}

/** The chunks of each message: neighbours of one author. */
function messagesIn(chunks: readonly Fields[]): readonly (readonly [Fields, ...Fields[]])[] {
  const messages: [Fields, ...Fields[]][] = [];
  for (const chunk of chunks) {
    const last = messages.at(-1);
    if (last !== undefined && last[0]["role"] === chunk["role"]) last.push(chunk);
    else messages.push([chunk]);
  }
  return messages;
}

const mediaNames = [
  "driveImage",
  "driveDocument",
  "driveVideo",
  "driveAudio",
  "youtubeVideo",
  "inlineImage",
  "inlineFile",
];

function appMessage(
  chunks: readonly [Fields, ...Fields[]],
  model: string | undefined,
  leftOut: LeftOutCounts,
): AppMessage {
  const isAnswer = chunks[0]["role"] === "model";
  const tokens = (some: readonly Fields[]): number =>
    some.reduce((sum, { tokenCount }) => sum + (typeof tokenCount === "number" ? tokenCount : 0), 0);
  const isCounted = isAnswer && chunks.some(({ tokenCount }) => typeof tokenCount === "number");
  return {
    message: {
      role: isAnswer ? "assistant" : "user",
      content: chunks.flatMap((chunk) => partsOfChunk(chunk, leftOut)),
    },
    facts: defined({
      at: timeIn(chunks[0], ["createTime"]),
      model: isAnswer ? model : undefined,
      usage: isCounted
        ? {
            inputTokens: 0,
            outputTokens: tokens(chunks),
            reasoningTokens: tokens(chunks.filter(({ isThought }) => isThought === true)),
          }
        : undefined,
    }),
    sources: chunks,
    names: { placed: ["role"], words: ["text", "parts", ...mediaNames] },
  };
}

function partsOfChunk(chunk: Fields, leftOut: LeftOutCounts): readonly Value[] {
  const text = textOf(chunk, ["text"]);
  if (chunk["isThought"] === true) return [{ type: "reasoning", text: text ?? "" }];
  const media = mediaNames.flatMap((name): readonly Value[] => {
    const medium = chunk[name];
    if (!isFields(medium)) return [];
    const type = name.endsWith("Image") ? "image" : "file";
    return name.startsWith("inline") ? [{ ...medium, type }] : partsOfFiles([{ ...medium, type }], leftOut);
  });
  return [...media, ...(text === undefined ? [] : [text])];
}
