import { clip, formatValue } from "../../domain/values/format-value.ts";
import type { Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { Core } from "../core/core.ts";
import { Handle } from "../handle/handle.ts";
import { appendWith, type WriteKey } from "../operations/append.ts";
import type { TurnInput } from "../operations/turn-input.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import type { SessionWrite } from "../logs/session-write.ts";
import { writeOn } from "../logs/write.ts";
import { traceCall, type Operation, type OperationName } from "../tracing/operation.ts";
import { SessionLease } from "../turns/session-lease.ts";
import { TurnInProgress } from "../turns/progress/turn-in-progress.ts";
import type { Seal, SealBeside } from "../turns/progress/seal.ts";
import { failureOf, withStreamErrors } from "./stream-error.ts";

/** Options of a part. */
export interface PartOptions {
  /** The text that the part adds to the answer: what is kept of a producer that has ended. @default none */
  readonly said?: string;
}

/** Writes that become visible together with the last part and the end of a stream. */
export type StreamEnd =
  /** A finished exchange, appended to the stream's session behind the turns that it has. */
  | { readonly append: TurnInput & WriteKey }
  /** A turn in progress, sealed. */
  | { readonly turn: TurnInProgress; readonly seal?: Seal }
  /** A write to a session of the same tenant, under the lease of its caller, such as an answer that grew. */
  | { readonly lease: SessionLease; readonly write: SessionWrite };

const partNames: OptionNames<PartOptions> = { said: true };
const appendNames: OptionNames<Extract<StreamEnd, { append: unknown }>> = { append: true };
const turnNames: OptionNames<Extract<StreamEnd, { turn: unknown }>> = { turn: true, seal: true };
const writeNames: OptionNames<Extract<StreamEnd, { write: unknown }>> = { lease: true, write: true };

/** A stored failure has at most this many characters. */
export const reportedLengthMax = 1000;
/** A stopped stream whose producer does not end it ends after this time, ms. */
const stoppedMs = 2000;

/**
 * The one producer of a stream. Parts are written in groups, and readers get them in order. A producer that is disposed
 * without an end, or whose process ends, leaves a stream that is lost.
 */
export class StreamProducer implements AsyncDisposable {
  readonly id: string;
  /** The session whose answer it is. */
  readonly session: string | undefined;
  readonly #handle: Handle;
  readonly #turn: TurnInProgress;
  #hasEnded = false;
  /** The call of `end` or `fail` that is under way. */
  #ending: Promise<unknown> | undefined;

  /** Made by `streams.acquire`. @internal */
  constructor(handle: Handle, turn: TurnInProgress) {
    this.id = handle.key.id;
    this.session = handle.record.user ?? undefined;
    this.#handle = handle;
    this.#turn = turn;
    const settle = (): void => handle.core.schedule(stoppedMs, () => turn.settle().catch(() => undefined));
    turn.signal.addEventListener("abort", settle, { once: true });
  }

  /** Aborts when the stream is stopped or deleted, or its producer superseded; the reason is a `SessionError`. */
  get signal(): AbortSignal {
    return this.#turn.signal;
  }

  /**
   * Write a part. Resolves at once, before the part is durable, unless the store lags behind. Later changes of the value by
   * its caller do not change the part. A part that does not fit into the stream (`turn_too_large`) is refused alone.
   * @throws SessionError `fenced`, `stream_not_found`, `stream_ended`, `stream_failed` once it is stopped,
   *   `argument_invalid`, `value_unstorable`, `turn_too_large`, `turn_parts_exceeded`, or the store's, of this or an earlier part
   */
  async write(part: Value, options: PartOptions = {}): Promise<void> {
    guardNames(options, "part", partNames);
    const { said } = options;
    if (part === undefined) throw invalidArgument("part", part, { expected: "value" });
    await withStreamErrors(() => this.#turn.write({ part, ...defined({ said }) }));
  }

  /**
   * End the stream: its last parts, its end and what the caller gives become visible in one commit. If the session refuses
   * its turn, nothing is written, and the call may be repeated without it. False if the stream had ended here before.
   * @throws SessionError as `write`, and those of `session.append`, `turn.seal` or `session.write`; `stream_failed` if the stream was ended as
   *   stopped or lost before: then nothing was written
   */
  async end(end?: StreamEnd): Promise<boolean> {
    return await this.#endOnce("streams.end", async () => {
      this.#guardWhole();
      const commit = end === undefined ? undefined : this.#commitOf(end);
      const sealed = await this.#turn.sealTogether({ status: "done" }, defined({ commit }));
      // A stream that is stopped is ended for its producer after a while.
      const failure = failureOf(sealed, { stream: this.id, tenant: this.#tenant });
      if (failure !== undefined) throw failure;
    });
  }

  /**
   * End the stream as failed: its readers get the message, after the parts. False if the stream had ended here before.
   * @throws SessionError as `write`
   */
  async fail(error: unknown): Promise<boolean> {
    return await this.#endOnce("streams.fail", async () => {
      const code = error instanceof SessionError ? error.code : "stream_failed";
      const reported = typeof error === "object" && error !== null ? formatValue(error) : String(error);
      const message = clip(error instanceof Error ? error.message : reported, reportedLengthMax);
      await this.#turn.seal({ status: "failed", error: { code, message } });
    });
  }

  /** End the stream as lost, unless it has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await withStreamErrors(() => this.#turn.settle());
    this.#hasEnded = true;
  }

  /** A stream with a part that was not written is not done; one that was stopped may be. */
  #guardWhole(): void {
    const { aborted, reason } = this.signal;
    if (aborted && !(hasCode(reason, "interrupted") && reason.details.how === "cancelled")) throw reason;
  }

  /** @throws SessionError `argument_invalid` */
  #commitOf(end: StreamEnd): SealBeside {
    if (typeof end !== "object" || end === null) throw invalidArgument("end", end, { expected: "object" });
    if ("turn" in end) {
      guardNames(end, "end", turnNames);
      const given: unknown = end.turn;
      if (!(given instanceof TurnInProgress))
        throw invalidArgument("end.turn", given, { expected: "one_of", known: ["a turn in progress"] });
      return (beside) => end.turn.sealTogether(end.seal ?? {}, { beside });
    }
    if ("write" in end) {
      guardNames(end, "end", writeNames);
      const given: unknown = end.lease;
      if (!(given instanceof SessionLease))
        throw invalidArgument("end.lease", given, { expected: "one_of", known: ["a lease"] });
      return (beside) => writeOn(end.lease.handle, end.write, { beside });
    }
    guardNames(end, "end", appendNames);
    if (typeof end.append !== "object" || end.append === null)
      throw invalidArgument("end.append", end.append, { expected: "object" });
    const { key, ...turn } = end.append;
    const id = this.session;
    if (id === undefined) throw invalidArgument("session", id, { expected: "stream_session" });
    const place = { stream: this.id, session: { tenant: this.#tenant, id } };
    return (beside) => appendBeside(this.#handle.core, place, { exchange: turn, write: defined({ key }) }, beside);
  }

  get #tenant(): string {
    return this.#handle.about("seal").tenant ?? "";
  }

  async #endOnce(operation: OperationName, work: () => Promise<void>): Promise<boolean> {
    while (this.#ending !== undefined) await this.#ending.catch(() => undefined);
    if (this.#hasEnded) return false;
    const about: Operation = { operation, tenant: this.#tenant, session: this.id };
    this.#ending = traceCall(about, () => withStreamErrors(work));
    try {
      await this.#ending;
    } finally {
      this.#ending = undefined;
    }
    this.#hasEnded = true;
    return true;
  }
}

/** Append an exchange to the session of a stream behind the turns that are stored, in one commit with changes of the stream. */
export async function appendBeside(
  core: Core,
  { stream, session }: { readonly stream: string; readonly session: SessionKey },
  { exchange, write }: { readonly exchange: TurnInput; readonly write: WriteKey },
  beside: Parameters<SealBeside>[0],
): Promise<unknown> {
  return await retryOnConflict({ sessionId: stream, tenant: session.tenant }, async () => {
    const handle = new Handle(core, (await core.load(session)).record);
    try {
      return await appendWith(handle, exchange, { ...write, beside });
    } catch (error) {
      // Another turn came in between: the turn goes behind it.
      if (hasCode(error, "conflict")) return undefined;
      throw error;
    }
  });
}
