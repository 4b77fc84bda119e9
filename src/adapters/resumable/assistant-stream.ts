/** The store of the package `assistant-stream` (0.3) for resumable streams, on the streams of sessions. */
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { defined } from "../../domain/values/defined.ts";
import { hasCode, Sessions, type StreamProducer } from "../../index.ts";

/** The producer's identity; opaque to callers. */
export interface ResumableStreamLease {
  readonly token: string;
}

/** The role of the caller of `acquireLease`. */
export type ResumableStreamAcquisition =
  | { readonly role: "producer"; readonly lease: ResumableStreamLease }
  | { readonly role: "consumer" };

/** The store of `assistant-stream/resumable`, as that package declares it. */
export interface ResumableStreamStore {
  /** The first caller is the producer, every later one a consumer, also after the end. */
  acquire(streamId: string, options?: { readonly ttlMs?: number }): Promise<"producer" | "consumer">;
  /** As `acquire`, with a lease that a later acquisition supersedes. */
  acquireLease(streamId: string, options?: { readonly ttlMs?: number }): Promise<ResumableStreamAcquisition>;
  /** Append a chunk of a stream that this process produces. */
  append(streamId: string, chunk: Uint8Array, lease?: ResumableStreamLease): Promise<void>;
  /** End a stream that this process produces; false if it had ended, or is produced elsewhere. */
  finalize(streamId: string, status: "done" | "error", error?: string, lease?: ResumableStreamLease): Promise<boolean>;
  /** The chunks behind a cursor, in any process, until the stream ends. */
  read(
    streamId: string,
    cursor: string,
    signal: AbortSignal,
  ): AsyncIterable<{ readonly cursor: string; readonly chunk: Uint8Array }>;
  /** The status; a stream whose producer has ended is an error. */
  status(streamId: string): Promise<"streaming" | "done" | "error" | "missing">;
  /** Delete a stream; its readers end. */
  delete(streamId: string): Promise<void>;
}

/** The error of `assistant-stream`, by its `code`: the stream has another producer, or has ended. */
export class ResumableStreamError extends Error {
  override readonly name = "ResumableStreamError";
  readonly code: "missing" | "finalized";

  /** Made by the store. @internal */
  constructor(code: "missing" | "finalized", message: string, cause: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/** A stream lives this long after its last chunk, as in the package, ms. */
const defaultTtlMs = 86_400_000;

/**
 * The store of `assistant-stream` for `createResumableStreamContext` of that package, on the streams of sessions. Appends of a
 * stream come from the process that acquired it.
 */
export function createResumableStreamStore(sessions: Sessions): ResumableStreamStore {
  if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
  const { streams } = sessions;
  /** The streams that this process produces, by their ids. */
  const producers = new Map<string, { readonly token: string; readonly stream: StreamProducer }>();
  let tokens = 0;
  const producerOf = (id: string, lease: ResumableStreamLease | undefined): StreamProducer | undefined => {
    const known = producers.get(id);
    return lease === undefined || known?.token === lease.token ? known?.stream : undefined;
  };
  const store: ResumableStreamStore = {
    async acquire(id, options) {
      return (await store.acquireLease(id, options)).role;
    },
    async acquireLease(id, { ttlMs = defaultTtlMs } = {}) {
      const acquired = await streams.acquire(id, { ttl: ttlMs });
      if (acquired.role === "consumer") return acquired;
      const token = String(++tokens);
      producers.set(id, { token, stream: acquired.stream });
      return { role: "producer", lease: { token } };
    },
    async append(id, chunk, lease) {
      const stream = producerOf(id, lease);
      if (stream === undefined) throw await notProduced(id);
      try {
        await stream.write(chunk);
      } catch (error) {
        if (hasCode(error, "stream_ended")) throw new ResumableStreamError("finalized", error.message, error);
        if (hasCode(error, "fenced") || hasCode(error, "stream_not_found"))
          throw new ResumableStreamError("missing", error.message, error);
        throw error;
      }
    },
    async finalize(id, status, message = "Stream errored", lease) {
      if ((await streams.status(id)) === "missing") throw new Error(`Stream not found: ${id}`);
      const stream = producerOf(id, lease);
      try {
        return (await (status === "done" ? stream?.end() : stream?.fail(message))) ?? false;
      } catch (error) {
        if (hasCode(error, "fenced") || hasCode(error, "stream_not_found")) return false;
        throw error;
      } finally {
        if (stream !== undefined && producers.get(id)?.stream === stream) producers.delete(id);
      }
    },
    async *read(id, cursor, signal) {
      let hasBegun = false;
      const after = cursor === "" ? undefined : cursor;
      try {
        for await (const { cursor: place, part } of streams.read(id, { signal, ...defined({ after }) })) {
          hasBegun = true;
          yield { cursor: place, chunk: part as Uint8Array };
        }
      } catch (error) {
        // A deleted stream ends for its readers, and an aborted one without an error.
        const isDeleted = hasBegun && hasCode(error, "stream_not_found");
        if (!isDeleted && !signal.aborted) throw error;
      }
    },
    async status(id) {
      const status = await streams.status(id);
      return status === "lost" ? "error" : status;
    },
    async delete(id) {
      producers.delete(id);
      await streams.delete(id);
    },
  };
  /** Why a chunk cannot be appended here. */
  const notProduced = async (id: string): Promise<Error> => {
    const status = await store.status(id);
    if (status === "done" || status === "error")
      return new ResumableStreamError("finalized", `Stream already finalized: ${id}`, undefined);
    if (status === "streaming")
      return new ResumableStreamError("missing", `Stream has another producer: ${id}`, undefined);
    return new Error(`Stream not found: ${id}`);
  };
  return store;
}
