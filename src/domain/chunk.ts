import { decode, encode } from "./codec.ts";
import type { Entry } from "./entry.ts";
import type { Message } from "./turn.ts";

/** A piece of an answer as it arrives: some text, or a whole message such as a tool call or its result. */
export type Chunk = { readonly text: string } | { readonly message: Message };

export function encodeChunk(chunk: Chunk): string {
  return encode(chunk, "chunk");
}

export function chunkOf(entry: Entry): Chunk {
  return decode(entry.data) as unknown as Chunk;
}

/** The messages that these pieces make up: texts in a row are one message of the assistant. */
export function assemble(chunks: readonly Chunk[]): Message[] {
  const messages: Message[] = [];
  let texts: string[] = [];
  const flush = (): void => {
    if (texts.length > 0) messages.push({ role: "assistant", content: texts.join("") });
    texts = [];
  };
  for (const chunk of chunks) {
    if ("text" in chunk) {
      texts.push(chunk.text);
    } else {
      flush();
      messages.push(chunk.message);
    }
  }
  flush();
  return messages;
}
