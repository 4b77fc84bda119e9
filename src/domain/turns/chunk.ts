import { decode, encode, type Value } from "../values/codec.ts";
import { invalidText } from "../values/invalid-argument.ts";
import type { Entry } from "../record/entry.ts";
import { GrowingText } from "../values/growing-text.ts";
import { nativeText, parseMessages, type Message } from "./turn.ts";

/**
 * A part of an answer as it arrives: some text, some of the model's reasoning, a whole message such as a tool call or its
 * result, or a part in the form of the caller's own framework, with the text that it adds to the answer. Reasoning and the
 * parts themselves are for readers of the running answer; the sealed turn has their text.
 */
export type Chunk =
  | { readonly text: string }
  | { readonly reasoning: string }
  | { readonly message: Message }
  | { readonly part: Value; readonly said?: string };

export function encodeChunk(chunk: Chunk): string {
  return encode(chunk, "chunk");
}

/**
 * @throws SessionError `message_invalid` for a value that is neither a text, nor reasoning, nor a message, nor a part;
 *   `argument_invalid` for a part that says something other than text
 */
export function parseChunk(value: unknown): Chunk {
  const chunk = value as { readonly [field in "text" | "reasoning" | "message" | "part" | "said"]?: unknown } | null;
  if (typeof chunk?.text === "string" || typeof chunk?.reasoning === "string") return chunk as Chunk;
  if (chunk?.part === undefined) parseMessages([chunk?.message], "assistant", "chunk");
  else if (chunk.said !== undefined && typeof chunk.said !== "string") throw invalidText("chunk.said", chunk.said, {});
  return chunk as Chunk;
}

/**
 * A chunk that its writer can change no longer, and its length for the limits, in characters.
 * @throws SessionError `value_unstorable`
 */
export function keptChunk(chunk: Chunk): { readonly chunk: Chunk; readonly length: number } {
  if ("text" in chunk) return { chunk, length: chunk.text.length };
  if ("reasoning" in chunk) return { chunk, length: chunk.reasoning.length };
  const text = encodeChunk(chunk);
  // As in the size of a turn, the native form of a message does not count beside the message.
  const native = "message" in chunk ? nativeText(chunk.message).length : 0;
  return { chunk: decode(text) as Chunk, length: Math.max(text.length - native, native) };
}

/** The chunk of an entry; undefined if the entry contains none. */
export function readChunk(entry: Entry): Chunk | undefined {
  try {
    return parseChunk(decode(entry.data));
  } catch {
    // A watch passes over the entry; a recovery compares the counts and reports how many chunks are missing.
    return undefined;
  }
}

/** The readable chunks of these entries, in order. */
export function readableChunks(entries: readonly Entry[]): readonly Chunk[] {
  return entries.map(readChunk).filter((chunk) => chunk !== undefined);
}

/** The messages that the chunks make up. */
export function assemble(chunks: Iterable<Chunk>): Message[] {
  const assembly = new Assembly();
  for (const chunk of chunks) assembly.add(chunk);
  return assembly.messages;
}

/**
 * Assembles chunks as they arrive: consecutive texts, and the texts of parts, become one message of the assistant, and tool
 * calls after a text join its message, as providers expect. Empty texts are dropped.
 */
export class Assembly {
  readonly #messages: Message[] = [];
  #text = new GrowingText();

  add(chunk: Chunk): void {
    if ("text" in chunk) {
      this.#text.add(chunk.text);
      return;
    }
    if ("reasoning" in chunk) return;
    if ("part" in chunk) {
      this.#text.add(chunk.said ?? "");
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

  /** The messages that the chunks so far make up. */
  get messages(): Message[] {
    if (this.#text.isEmpty) return [...this.#messages];
    return [...this.#messages, { role: "assistant", content: this.#text.toString() }];
  }
}

/** The same chunks with consecutive texts joined, and consecutive pieces of reasoning; empty ones are dropped. */
export function mergeTexts(chunks: readonly Chunk[]): Chunk[] {
  const merged: Chunk[] = [];
  let pieces: string[] = [];
  let kind: "text" | "reasoning" = "text";
  const close = (): void => {
    const joined = pieces.join("");
    if (joined !== "") merged.push(kind === "text" ? { text: joined } : { reasoning: joined });
    pieces = [];
  };
  for (const chunk of chunks) {
    if ("message" in chunk || "part" in chunk) {
      close();
      merged.push(chunk);
      continue;
    }
    const [next, piece] = "text" in chunk ? (["text", chunk.text] as const) : (["reasoning", chunk.reasoning] as const);
    if (piece === "") continue;
    if (next !== kind) close();
    kind = next;
    pieces.push(piece);
  }
  close();
  return merged;
}
