import { Assembly, keptChunk, mergeTexts, type Chunk } from "../../../domain/turns/chunk.ts";
import type { Message } from "../../../domain/turns/turn.ts";
import type { NewChunks } from "../../../domain/turns/turns.ts";
import type { Flush } from "../../../domain/writes/flush.ts";

/**
 * Gathers the chunks of an answer and appends them to its log, since one write to the store for each token would be too
 * many. One write is under way at a time: a slow store gets larger writes, not a queue of them.
 */
export class ChunkWriter {
  readonly #append: (chunks: NewChunks) => Promise<void>;
  readonly #flushes: Required<Flush>;
  readonly #written = new Assembly();
  #buffer: Chunk[] = [];
  #bufferLength = 0;
  #bytes = 0;
  /** The last write of chunks that was begun or waits; after a failure it stays rejected, so that no later chunk is written. */
  #flushing: Promise<void> = Promise.resolve();
  /** A write that waits for the one before it, and will take all chunks that are buffered by then. */
  #nextFlush: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `written`: the chunks that are in the log already. `append` writes chunks to it. */
  constructor({
    flush,
    written,
    append,
  }: {
    readonly flush: Required<Flush>;
    readonly written: readonly Chunk[];
    readonly append: (chunks: NewChunks) => Promise<void>;
  }) {
    this.#flushes = flush;
    this.#append = append;
    for (const chunk of written) {
      this.#written.add(chunk);
      this.#bytes += keptChunk(chunk).length;
    }
  }

  /** The messages of all chunks. */
  get output(): readonly Message[] {
    return this.#written.messages;
  }

  /** The bytes of all chunks. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves when no write is under way; rejects once one has failed. */
  get flushed(): Promise<void> {
    return this.#flushing;
  }

  /** Add a chunk. Resolves at once, before the chunk is durable, unless the store lags behind. An empty text is dropped. */
  async add({ chunk, length }: ReturnType<typeof keptChunk>): Promise<void> {
    if (length === 0) return;
    this.#written.add(chunk);
    this.#buffer.push(chunk);
    this.#bufferLength += length;
    this.#bytes += length;
    const { ms, length: lengthMax } = this.#flushes;
    this.#timer ??= setTimeout(() => void this.#flush().catch(() => undefined), ms).unref();
    if (this.#bufferLength >= lengthMax) await this.#flush();
  }

  /** Take the buffered chunks: another write has them. */
  take(): readonly Chunk[] {
    this.#stopTimer();
    const chunks = mergeTexts(this.#buffer);
    this.#buffer = [];
    return chunks;
  }

  /** Put chunks back that `take` returned: they were not written. */
  putBack(chunks: readonly Chunk[]): void {
    this.#buffer.unshift(...chunks);
  }

  #flush(): Promise<void> {
    if (this.#nextFlush !== undefined) return this.#nextFlush;
    const flushing = this.#flushing.then(() => {
      this.#nextFlush = undefined;
      return this.#writeBuffered();
    });
    // Callers that await the flush get its failure.
    flushing.catch(() => undefined);
    this.#flushing = flushing;
    this.#nextFlush = flushing;
    return flushing;
  }

  async #writeBuffered(): Promise<void> {
    this.#stopTimer();
    const chunks = mergeTexts(this.#buffer.splice(0));
    this.#bufferLength = 0;
    if (chunks.length > 0) await this.#append({ chunks, chunkBytes: this.#bytes });
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
