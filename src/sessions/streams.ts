import { headOf, isSame, type Change } from "../domain/record/change.ts";
import type { SessionKey } from "../domain/record/entry.ts";
import { removeSession } from "../domain/record/lifecycle.ts";
import type { Lease } from "../domain/record/record.ts";
import { requestCancel, tokenHolder } from "../domain/turns/leases.ts";
import { absentStream, beginStream, streamToken, type NewStream } from "../domain/turns/stream.ts";
import { defined } from "../domain/values/defined.ts";
import { parseDuration, type Duration } from "../domain/values/duration.ts";
import { parseId, parseNewId } from "../domain/values/ids.ts";
import { streamScope } from "../domain/values/internal-scope.ts";
import { hasCode } from "../errors.ts";
import { interruptions } from "../errors/answer-problems.ts";
import type { Loaded } from "../store/store.ts";
import type { Core } from "./core/core.ts";
import { recordPages } from "./core/record-pages.ts";
import { retryOnConflict } from "./core/retry-on-conflict.ts";
import { Handle } from "./handle/handle.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { leaseOfTokens, parseFlush, type Flush } from "../domain/writes/flush.ts";
import { StreamProducer } from "./streams/producer.ts";
import { hasLapsed, parsePlace, readParts, type StreamPart } from "./streams/reader.ts";
import type { TokenEnd, TokenWrite } from "./streams/token-producer.ts";
import { withStreamErrors } from "./streams/stream-error.ts";
import {
  infoOfStream,
  isProduced,
  listStreams,
  statusOf,
  type StreamInfo,
  type StreamPage,
  type StreamQuery,
  type StreamStatus,
} from "./streams/stream-list.ts";
import { traceCall, type OperationName } from "./tracing/operation.ts";

export type { StreamPart } from "./streams/reader.ts";
export type {
  StandingStatus,
  StreamInfo,
  StreamPage,
  StreamQuery,
  StreamStatus,
  UnreadableStream,
} from "./streams/stream-list.ts";
export type { PartInput, TokenEnd, TokenWrite } from "./streams/token-producer.ts";

/** Options of an acquisition; they shape a new stream only. */
export interface AcquireOptions {
  /** The time to live after the last part or the end. @default "24h" */
  readonly ttl?: Duration;
  /** The session whose answer the stream is: `active` finds the stream by it, and `end` may append to it. @default none */
  readonly session?: string;
  /** When parts are written. @default after 50 ms or 8192 characters */
  readonly flush?: Flush;
}

const optionNames: OptionNames<AcquireOptions> = { ttl: true, session: true, flush: true };

/** Options of an acquisition by a producer with a token. */
export interface AcquireTokenOptions extends Pick<AcquireOptions, "ttl" | "session"> {
  /** How long the producer may write nothing before it counts as ended. @default "30s" */
  readonly lease?: Duration;
}

const tokenNames: OptionNames<AcquireTokenOptions> = { ttl: true, session: true, lease: true };

/** The role of the caller of `acquireToken`. */
export type AcquiredToken = { readonly role: "producer"; readonly token: string } | { readonly role: "consumer" };

/** A stream that this caller has begun. */
interface BegunStream {
  readonly handle: Handle;
  readonly change: Change;
}

/** A stream with the lease that its begin granted. */
interface LeasedStream {
  readonly key: SessionKey;
  readonly lease: Lease;
}

/** A removal that failed is tried again after this time, ms. */
const retryMs = 2000;

/** The role of the caller: one caller produces a stream, and all others read it. */
export type AcquiredStream =
  | { readonly role: "producer"; readonly stream: StreamProducer }
  | { readonly role: "consumer" };

/** The position to read from. */
export interface ReadOptions {
  /**
   * The cursor of the last part that the reader has, or its number. A cursor also distinguishes the stream from a later one with its
   * id.
   * @default from the first part
   */
  readonly after?: string | number;
  /** Ends the reading without an error. */
  readonly signal?: AbortSignal;
}

const readNames: OptionNames<ReadOptions> = { after: true, signal: true };

/**
 * Streams of any kind of parts, by ids of their own, outside of sessions: one producer writes a stream, and any number of
 * readers in any process read it from any place, while it is written and until its time to live has passed.
 */
export class Streams {
  readonly #core: Core;
  readonly #tenant: string;

  /** Made by `Sessions`. @internal */
  constructor(core: Core, tenant: string) {
    this.#core = core;
    this.#tenant = tenant;
  }

  /**
   * Acquire a stream. The first caller is its producer; every later one is a consumer, also after the end. An id is free again
   * once the stream is deleted or its time to live has passed, and where its producer had ended before the first part.
   * @throws SessionError `id_invalid`, `duration_invalid`, `argument_invalid`, `session_not_found` for the session
   */
  async acquire(id: string, options: AcquireOptions = {}): Promise<AcquiredStream> {
    guardNames(options, "acquire", optionNames);
    const { flush, ...place } = options;
    const flushes = parseFlush(flush);
    const { answering } = await import("./turns/begin.ts");
    const begun = await this.#begin(id, place, async (begin) => {
      await this.#core.instance.ensureAlive();
      return await this.#core.take(async () => {
        const written = await begin({ instance: this.#core.instance.id });
        if (written === undefined) return undefined;
        const { handle, change } = written;
        const turn = answering(handle, change, { brings: true, flush: flushes });
        return new StreamProducer(handle, turn);
      });
    });
    return begun === null ? { role: "consumer" } : { role: "producer", stream: begun };
  }

  /**
   * As `acquire`, for a producer that writes through any process, one call at a time: `append` and `finish` take the token. The
   * producer has ended once it wrote nothing for the time of the lease; a call of `append` without parts renews it.
   * @throws SessionError as `acquire`
   */
  async acquireToken(id: string, options: AcquireTokenOptions = {}): Promise<AcquiredToken> {
    guardNames(options, "acquireToken", tokenNames);
    const { lease = leaseOfTokens, ...place } = options;
    const leaseMs = parseDuration(lease, "lease");
    const token = await this.#begin(id, place, async (begin) => {
      const secret = Buffer.from(this.#core.options.clock.random(16)).toString("base64url");
      const record = (await begin({ leaseMs, secret }))?.handle.record;
      return record === undefined || record.lease === null ? undefined : streamToken(record.lease, record);
    });
    return token === null ? { role: "consumer" } : { role: "producer", token };
  }

  /**
   * Write parts under the token of the producer. Returns how many parts are stored then. The call may be repeated with the same
   * `after`: no part is written twice.
   * @throws SessionError `fenced` for a token of another producer, `stream_not_found`, `stream_ended`, `stream_failed` once it is
   *   stopped, `range_invalid` if parts before these are missing, `argument_invalid`, `value_unstorable`, `turn_too_large`,
   *   `turn_parts_exceeded`, or the store's
   */
  async append(id: string, write: TokenWrite): Promise<number> {
    const key = this.#key(parseId(id, "stream"));
    return await this.#perform("streams.append", id, async () => {
      const { appendParts } = await import("./streams/token-producer.ts");
      return await appendParts(this.#core, key, write);
    });
  }

  /**
   * End the stream under the token of its producer: its last parts, its end and the turn become visible in one commit. False if
   * it had ended before.
   * @throws SessionError as `append`, and those of `session.append`; `stream_failed` if it was ended as stopped, failed or lost
   *   before
   */
  async finish(id: string, end: TokenEnd): Promise<boolean> {
    const name = { key: this.#key(parseId(id, "stream")), tenant: this.#tenant };
    return await this.#perform("streams.finish", id, async () => {
      const { finishStream } = await import("./streams/token-producer.ts");
      return await finishStream(this.#core, name, end);
    });
  }

  /** Null for a consumer; undefined of `make` where another caller has begun the stream meanwhile. */
  async #begin<Made>(
    id: string,
    { ttl = "24h", session }: Pick<AcquireOptions, "ttl" | "session">,
    make: (begin: (holder: NewStream["holder"]) => Promise<BegunStream | undefined>) => Promise<Made | undefined>,
  ): Promise<Made | null> {
    const ttlMs = parseDuration(ttl, "ttl");
    const key = this.#key(parseNewId(id, "stream"));
    const linked = session === undefined ? null : parseId(session, "session");
    return await this.#perform("streams.acquire", id, async () => {
      const core = this.#core;
      return await retryOnConflict({ sessionId: id, tenant: this.#tenant }, async () => {
        const found = await core.find(key, [{ log: "turns", last: 1 }]);
        if (found !== undefined && !(await this.#isFree(found))) return null;
        if (linked !== null) await core.load({ tenant: this.#tenant, id: linked });
        const before = found?.record ?? absentStream(key, core.context());
        const handle = new Handle(core, before);
        return await make(async (holder) => {
          const stream = { key, session: linked, ttlMs, birth: core.newCommitId().replace(".", "-"), holder };
          const written = await handle.write(({ record }, context) =>
            isSame(record, before) ? beginStream(before, stream, context) : null,
          );
          if (written.status !== "ok") return undefined;
          const { lease } = handle.record;
          if (linked !== null && lease !== null)
            await this.#keepIfLinked({ key, lease }, { tenant: this.#tenant, id: linked });
          return { handle, change: written.change };
        });
      });
    });
  }

  /**
   * A removal of the session removes the streams that it finds. One that began meanwhile may have been too late for it, and goes here.
   * So does one whose session cannot be read: its caller gets the error, and no producer.
   * @throws SessionError `session_not_found`, and the store's
   */
  async #keepIfLinked(begun: LeasedStream, session: SessionKey): Promise<void> {
    try {
      await this.#core.load(session);
    } catch (error) {
      const { instance } = this.#core;
      // No instance uses the lease of a producer with a token.
      if (begun.lease.instance === instance.id) instance.disuse(begun.key, begun.lease.fence);
      await this.#discard(begun);
      throw error;
    }
  }

  /** Remove a stream that no caller produces, unless another one has its id. A removal that fails is tried again later. */
  async #discard(begun: LeasedStream): Promise<void> {
    const { key, lease } = begun;
    try {
      const handle = await this.#find(key);
      await handle?.write(({ record }) => (record.lease?.commitId === lease.commitId ? removeSession(record) : null));
    } catch {
      this.#core.schedule(retryMs, () => this.#discard(begun));
    }
  }

  /** True where another stream may take the id: its time has passed, or it was lost before its first part. */
  async #isFree(found: Loaded): Promise<boolean> {
    const isEmpty = headOf(found.record, "chunks") === 0;
    return hasLapsed(found.record, this.#core.now()) || (isEmpty && (await statusOf(this.#core, found)) === "lost");
  }

  /** The status of a stream. Nothing is written. */
  async status(id: string): Promise<StreamStatus> {
    return (await this.#infoOf(id, "streams.status"))?.status ?? "missing";
  }

  /** A stream without its parts; null if there is none. Nothing is written. */
  async get(id: string): Promise<StreamInfo | null> {
    return await this.#infoOf(id, "streams.get");
  }

  async #infoOf(id: string, operation: "streams.get" | "streams.status"): Promise<StreamInfo | null> {
    const key = this.#key(parseId(id, "stream"));
    return await this.#perform(operation, id, async () => {
      const found = await this.#core.find(key, [{ log: "turns", last: 1 }]);
      if (found === undefined || hasLapsed(found.record, this.#core.now())) return null;
      return await infoOfStream(this.#core, found);
    });
  }

  /**
   * One page of the streams, the most recently written first: those in progress, and those that ended, until their time to live has
   * passed. Nothing is written.
   * @throws SessionError `argument_invalid`, `id_invalid`
   */
  async list(query: StreamQuery = {}): Promise<StreamPage> {
    return await this.#perform("streams.list", undefined, () => listStreams(this.#core, this.#tenant, query));
  }

  /**
   * The parts of a stream, in order, without gap or repeat: those that were written, then later ones as they are committed.
   * Ends with the stream. A stream whose producer has ended ends within the lease of that producer.
   * @throws SessionError `stream_not_found`; `stream_failed` after the last part of a stream that did not finish;
   *   `argument_invalid` for a cursor of another form or an option that does not exist, `closed`, or the store's
   */
  async *read(id: string, options: ReadOptions = {}): AsyncGenerator<StreamPart, void, void> {
    guardNames(options, "read", readNames);
    const { after, signal } = options;
    const key = this.#key(parseId(id, "stream"));
    const place = after === undefined ? undefined : parsePlace(after);
    yield* readParts(this.#core, { key, tenant: this.#tenant }, { place, signal });
  }

  /** The stream in progress of a session; null if there is none. Nothing is written. */
  async active(session: string): Promise<string | null> {
    const user = parseId(session, "session");
    return await this.#perform("streams.active", undefined, async () => {
      await this.#core.learnTime();
      for await (const page of recordPages(this.#core, streamScope(this.#tenant), user))
        for (const record of page)
          if (record.openTurn !== null && (await isProduced(this.#core, record))) return record.id;
      return null;
    });
  }

  /**
   * Stop a stream, from any process: the signal of its producer aborts, and its writes fail. Waits up to 3 s for its end. False
   * if it is not in progress.
   */
  async stop(id: string): Promise<boolean> {
    const key = this.#key(parseId(id, "stream"));
    return await this.#perform("streams.stop", id, async () => {
      const { untilStopped } = await import("./turns/running-answer.ts");
      const handle = await this.#find(key);
      if (handle === undefined) return false;
      await handle.recoverAbandoned();
      const written = await handle.write(({ record }, context) => requestCancel(record, context));
      const { cancel } = handle.record;
      if (cancel !== null) await untilStopped(handle, cancel.turn);
      await endWithoutProducer(handle);
      return written.status === "ok" || cancel !== null;
    });
  }

  /** Delete a stream with its parts, also one in progress; its readers get `stream_not_found`. False if there is none. */
  async delete(id: string): Promise<boolean> {
    const key = this.#key(parseId(id, "stream"));
    return await this.#perform("streams.delete", id, async () => {
      const handle = await this.#find(key);
      if (handle === undefined) return false;
      try {
        return (await handle.write(({ record }) => removeSession(record))).status === "ok";
      } catch (error) {
        if (hasCode(error, "session_not_found")) return false;
        throw error;
      }
    });
  }

  async #find(key: SessionKey): Promise<Handle | undefined> {
    const found = await this.#core.find(key);
    return found === undefined ? undefined : new Handle(this.#core, found.record);
  }

  #key(id: string): SessionKey {
    return { tenant: streamScope(this.#tenant), id };
  }

  async #perform<T>(operation: OperationName, session: string | undefined, work: () => Promise<T>): Promise<T> {
    return await traceCall({ operation, tenant: this.#tenant, ...defined({ session }) }, async () => {
      this.#core.guardOpen();
      return await withStreamErrors(work);
    });
  }
}

/** No instance ends the stream of a producer with a token that does not end it itself. */
async function endWithoutProducer(handle: Handle): Promise<void> {
  const { record } = await handle.peek();
  if (record.openTurn === null || record.cancel === null || record.lease?.instance !== tokenHolder) return;
  await handle.recoverAbandoned({ recovers: "any", reason: interruptions.cancelled });
}
