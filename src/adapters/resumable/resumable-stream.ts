/** The context of the package `resumable-stream` (2.2), on the streams of sessions. */
import { invalidArgument, parseFunction } from "../../domain/values/invalid-argument.ts";
import { Sessions, type StreamProducer, type Streams } from "../../index.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";

/** The context of `resumable-stream`, as that package declares it. */
export interface ResumableStreamContext {
  /** The stream, made by the first caller; null once it is done. `skipCharacters` counts UTF-16 units. */
  resumableStream(
    streamId: string,
    makeStream: () => ReadableStream<string>,
    skipCharacters?: number,
  ): Promise<ReadableStream<string> | null>;
  /** The stream that exists; null once it is done, undefined if there is none. */
  resumeExistingStream(streamId: string, skipCharacters?: number): Promise<ReadableStream<string> | null | undefined>;
  /** A new stream, in the place of an earlier one with its id. */
  createNewResumableStream(
    streamId: string,
    makeStream: () => ReadableStream<string>,
    skipCharacters?: number,
  ): Promise<ReadableStream<string> | null>;
  /** Null if there is no such stream, true while it is produced, "DONE" after its end. */
  hasExistingStream(streamId: string): Promise<null | true | "DONE">;
}

/** Options of the context. */
export interface ResumableStreamOptions {
  readonly sessions: Sessions;
  /** Keeps a serverless function alive until the stream has ended; null where nothing suspends the program. */
  readonly waitUntil: ((work: Promise<unknown>) => void) | null;
}

const optionNames: OptionNames<ResumableStreamOptions> = { sessions: true, waitUntil: true };

/**
 * The context of `resumable-stream` on the streams of sessions, without Redis: parts are in the store, so the end of the producer
 * loses none of them, and its readers end with `stream_failed` within its lease.
 * @throws SessionError `argument_invalid`
 */
export function createResumableStreamContext(options: ResumableStreamOptions): ResumableStreamContext {
  guardNames(options, "options", optionNames);
  const { sessions, waitUntil } = options;
  if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
  if (waitUntil != null) parseFunction(waitUntil, "waitUntil");
  const { streams } = sessions;
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
      const { text, done } = await produced(acquired.stream, make);
      waitUntil?.(done);
      return text;
    },
    async createNewResumableStream(id, make, skip) {
      await streams.delete(id);
      return await context.resumableStream(id, make, skip);
    },
  };
  return context;
}

/** The text for the caller that made the stream, and the end of the work, which does not depend on that caller. */
async function produced(
  stream: StreamProducer,
  make: () => ReadableStream<string>,
): Promise<{ readonly text: ReadableStream<string>; readonly done: Promise<void> }> {
  let reader: ReadableStreamDefaultReader<string>;
  try {
    reader = make().getReader();
  } catch (error) {
    await stream.fail(error);
    throw error;
  }
  let caller: ReadableStreamDefaultController<string> | undefined;
  const text = new ReadableStream<string>({
    start: (controller) => void (caller = controller),
    cancel: () => void (caller = undefined),
  });
  const stop = (): void => void reader.cancel(stream.signal.reason).catch(() => undefined);
  stream.signal.addEventListener("abort", stop, { once: true });
  const done = (async () => {
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        await stream.write(next.value, { said: next.value });
        caller?.enqueue(next.value);
      }
      // Its caller may ask at once whether the stream is done.
      await stream.end();
      caller?.close();
    } catch (error) {
      await stream.fail(error).catch(() => undefined);
      await reader.cancel(error).catch(() => undefined);
      caller?.error(error);
    } finally {
      stream.signal.removeEventListener("abort", stop);
    }
  })();
  return { text, done };
}

/** The text of a stream behind its first UTF-16 units. */
function charactersAfter(streams: Streams, id: string, skip: number): ReadableStream<string> {
  async function* texts(): AsyncGenerator<string, void, void> {
    let left = skip;
    for await (const { part } of streams.read(id)) {
      // Another program may have written other parts than texts.
      const text = typeof part === "string" ? part : JSON.stringify(part);
      const rest = text.slice(left);
      left = Math.max(0, left - text.length);
      if (rest !== "") yield rest;
    }
  }
  return ReadableStream.from(texts());
}
