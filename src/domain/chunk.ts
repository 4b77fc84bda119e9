import { SessionError } from "../errors.ts";
import { decode, encode } from "./codec.ts";
import type { Entry } from "./entry.ts";
import { parseMessages, type Message } from "./turn.ts";

/** A piece of an answer as it arrives: some text, or a whole message such as a tool call or its result. */
export type Chunk = { readonly text: string } | { readonly message: Message };

export function encodeChunk(chunk: Chunk): string {
  return encode(chunk, "chunk");
}

/** What of a piece its reader hears: its text, or what an assistant says in a whole message. */
export function saidIn(chunk: Chunk): string {
  if ("text" in chunk) return chunk.text;
  const { role, content } = chunk.message;
  return role === "assistant" && typeof content === "string" ? content : "";
}

/** @throws SessionError `store_invalid` where the entry holds no chunk */
export function chunkOf(entry: Entry): Chunk {
  try {
    const chunk = decode(entry.data) as { readonly text?: unknown; readonly message?: unknown } | null;
    if (typeof chunk?.text !== "string") parseMessages([chunk?.message], "assistant", "chunk");
    return chunk as Chunk;
  } catch (error) {
    const reason = `entry ${entry.seq} of the log "chunks" holds neither a text nor a message`;
    throw new SessionError("store_invalid", { store: "of this session", reason }, { cause: error });
  }
}

/** The chunks of these entries that can be read, in order. */
export function readableChunks(entries: readonly Entry[]): readonly Chunk[] {
  return entries.flatMap((entry) => {
    try {
      return [chunkOf(entry)];
    } catch {
      // The caller compares the numbers and says how many are missing.
      return [];
    }
  });
}

/**
 * The messages that these pieces make up: texts in a row are one message of the assistant, and the tool calls that
 * follow a text belong to the same message, as providers want it.
 */
export function assemble(chunks: readonly Chunk[]): Message[] {
  const messages: Message[] = [];
  const texts: string[] = [];
  const spoken = (): string => texts.splice(0).join("");
  for (const chunk of chunks) {
    if ("text" in chunk) {
      texts.push(chunk.text);
    } else if (texts.length > 0 && chunk.message.tool_calls != null && chunk.message.content == null) {
      messages.push({ ...chunk.message, content: spoken() });
    } else {
      if (texts.length > 0) messages.push({ role: "assistant", content: spoken() });
      messages.push(chunk.message);
    }
  }
  if (texts.length > 0) messages.push({ role: "assistant", content: spoken() });
  return messages;
}
