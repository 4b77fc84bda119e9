/** The context of the package `resumable-stream` (2.2), on `sessions.streams`. */
import type { StreamProducer, Streams } from "../../src/index.ts";

/** As the package declares it. */
export interface ResumableStreamContext {
  resumableStream(
    streamId: string,
    makeStream: () => ReadableStream<string>,
    skipCharacters?: number,
  ): Promise<ReadableStream<string> | null>;
  resumeExistingStream(streamId: string, skipCharacters?: number): Promise<ReadableStream<string> | null | undefined>;
  createNewResumableStream(
    streamId: string,
    makeStream: () => ReadableStream<string>,
    skipCharacters?: number,
  ): Promise<ReadableStream<string> | null>;
  hasExistingStream(streamId: string): Promise<null | true | "DONE">;
}

export function createResumableStreamContext({
  streams,
  waitUntil,
}: {
  readonly streams: Streams;
  readonly waitUntil: ((promise: Promise<unknown>) => void) | null;
}): ResumableStreamContext {
  const context: ResumableStreamContext = {
    async hasExistingStream(id) {
      const status = await streams.status(id);
      return status === "missing" ? null : status === "streaming" ? true : "DONE";
    },
    async resumeExistingStream(id, skip = 0) {
      const existing = await context.hasExistingStream(id);
      if (existing === null) return undefined;
      return existing === "DONE" ? null : charactersAfter(streams, id, skip);
    },
    async resumableStream(id, make, skip = 0) {
      const acquired = await streams.acquire(id);
      if (acquired.role === "consumer") return (await context.resumeExistingStream(id, skip)) ?? null;
      const producing = produce(acquired.stream, make());
      waitUntil?.(producing);
      return charactersAfter(streams, id, skip);
    },
    async createNewResumableStream(id, make, skip) {
      await streams.delete(id);
      return await context.resumableStream(id, make, skip);
    },
  };
  return context;
}

async function produce(stream: StreamProducer, source: ReadableStream<string>): Promise<void> {
  try {
    for await (const part of source) await stream.write(part, { said: part });
    await stream.end();
  } catch (error) {
    await stream.fail(error).catch(() => undefined);
  }
}

/** The text of a stream behind its first UTF-16 characters. */
function charactersAfter(streams: Streams, id: string, skip: number): ReadableStream<string> {
  async function* texts(): AsyncGenerator<string, void, void> {
    let left = skip;
    for await (const { part } of streams.read(id)) {
      const text = String(part).slice(left);
      left = Math.max(0, left - String(part).length);
      if (text !== "") yield text;
    }
  }
  return ReadableStream.from(texts());
}
