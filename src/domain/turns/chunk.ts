import { SessionError } from "../../errors.ts";
import { decode, encode } from "../values/codec.ts";
import type { Entry } from "../record/entry.ts";
import { GrowingText } from "../values/growing-text.ts";
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

/** @throws SessionError `message_invalid` for what is neither a text nor a message */
export function parseChunk(value: unknown): Chunk {
  const chunk = value as { readonly text?: unknown; readonly message?: unknown } | null | undefined;
  if (typeof chunk?.text !== "string") parseMessages([chunk?.message], "assistant", "chunk");
  return chunk as Chunk;
}

/** @throws SessionError `store_invalid` where the entry holds no chunk */
export function chunkOf(entry: Entry): Chunk {
  try {
    return parseChunk(decode(entry.data));
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

/** The messages that these pieces make up. */
export function assemble(chunks: Iterable<Chunk>): Message[] {
  const assembly = new Assembly();
  for (const chunk of chunks) assembly.add(chunk);
  return assembly.messages;
}

/**
 * Puts pieces together as they arrive: texts in a row are one message of the assistant, and the tool calls that follow a
 * text belong to the same message, as providers want it. Empty texts are nothing.
 */
export class Assembly {
  readonly #messages: Message[] = [];
  #text = new GrowingText();

  add(chunk: Chunk): void {
    if ("text" in chunk) {
      this.#text.add(chunk.text);
      return;
    }
    const { message } = chunk;
    // Tool calls, and the fields that only the provider knows, complete the text before them.
    const isSameMessage = message.role === "assistant" && message.content == null;
    if (this.#text.isEmpty) {
      this.#messages.push(message);
    } else if (isSameMessage) {
      this.#messages.push({ ...message, content: this.#text.toString() });
    } else {
      this.#messages.push({ role: "assistant", content: this.#text.toString() }, message);
    }
    this.#text = new GrowingText();
  }

  /** What the pieces so far make up. */
  get messages(): Message[] {
    if (this.#text.isEmpty) return [...this.#messages];
    return [...this.#messages, { role: "assistant", content: this.#text.toString() }];
  }
}

/** The same pieces with texts in a row joined, and without empty ones. */
export function mergeTexts(chunks: readonly Chunk[]): Chunk[] {
  const merged: Chunk[] = [];
  let texts: string[] = [];
  const close = (): void => {
    if (texts.length > 0) merged.push({ text: texts.join("") });
    texts = [];
  };
  for (const chunk of chunks) {
    if ("text" in chunk) {
      if (chunk.text !== "") texts.push(chunk.text);
    } else {
      close();
      merged.push(chunk);
    }
  }
  close();
  return merged;
}
