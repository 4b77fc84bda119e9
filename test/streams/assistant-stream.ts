/** The `ResumableStreamStore` of the package `assistant-stream` (0.3), on `sessions.streams`. */
import { hasCode, type StreamProducer, type Streams } from "../../src/index.ts";

/** As the package declares them. */
export type ResumableStreamRole = "producer" | "consumer";
export type ResumableStreamStatus = "streaming" | "done" | "error" | "missing";
export interface ResumableStreamLease {
  readonly token: string;
}
export type ResumableStreamAcquisition =
  | { readonly role: "producer"; readonly lease: ResumableStreamLease }
  | { readonly role: "consumer" };
export interface ResumableStreamStore {
  acquire(streamId: string, options?: { readonly ttlMs?: number }): Promise<ResumableStreamRole>;
  acquireLease(streamId: string, options?: { readonly ttlMs?: number }): Promise<ResumableStreamAcquisition>;
  append(streamId: string, chunk: Uint8Array, lease?: ResumableStreamLease): Promise<void>;
  finalize(
    streamId: string,
    status: "done" | "error",
    error?: string,
    lease?: ResumableStreamLease,
  ): Promise<boolean | void>;
  read(
    streamId: string,
    cursor: string,
    signal: AbortSignal,
  ): AsyncIterable<{ readonly cursor: string; readonly chunk: Uint8Array }>;
  status(streamId: string): Promise<ResumableStreamStatus>;
  delete(streamId: string): Promise<void>;
}

export class ResumableStreamError extends Error {
  readonly code: "missing" | "finalized";

  constructor(code: "missing" | "finalized", message: string) {
    super(message);
    this.code = code;
  }
}

export function createResumableStreamStore(streams: Streams): ResumableStreamStore {
  /** The producers of this process, by their tokens, and the last one of each stream. */
  const producers = new Map<string, StreamProducer>();
  let tokens = 0;
  const store: ResumableStreamStore = {
    async acquire(id, options) {
      return (await store.acquireLease(id, options)).role;
    },
    async acquireLease(id, { ttlMs = 86_400_000 } = {}) {
      const acquired = await streams.acquire(id, { ttl: ttlMs });
      if (acquired.role === "consumer") return acquired;
      const token = String(++tokens);
      producers.set(`token ${token}`, acquired.stream).set(`stream ${id}`, acquired.stream);
      return { role: "producer", lease: { token } };
    },
    async append(id, chunk, lease) {
      const stream = producerOf(id, lease);
      if (stream === undefined) throw new Error(`Stream not found: ${id}`);
      try {
        await stream.write(chunk);
      } catch (error) {
        if (hasCode(error, "stream_ended")) throw new ResumableStreamError("finalized", error.message);
        if (hasCode(error, "fenced") || hasCode(error, "stream_not_found"))
          throw new ResumableStreamError("missing", error.message);
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
      }
    },
    async *read(id, cursor, signal) {
      let hasBegun = false;
      try {
        for await (const { cursor: place, part } of streams.read(id, {
          signal,
          ...(cursor === "" ? {} : { after: cursor }),
        })) {
          hasBegun = true;
          yield { cursor: place, chunk: part as Uint8Array };
        }
      } catch (error) {
        // A deleted stream ends for its readers.
        if (!hasBegun || !hasCode(error, "stream_not_found")) throw error;
      }
    },
    async status(id) {
      const status = await streams.status(id);
      return status === "lost" ? "error" : status;
    },
    async delete(id) {
      await streams.delete(id);
    },
  };
  const producerOf = (id: string, lease?: ResumableStreamLease): StreamProducer | undefined =>
    producers.get(lease === undefined ? `stream ${id}` : `token ${lease.token}`);
  return store;
}
