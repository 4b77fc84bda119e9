/**
 * One answer while it is produced: its chunks go to the client that asked and, in groups, to its stream, where readers in any
 * process find them. At its end the message and the end of the stream become visible in one commit. A client that leaves
 * changes nothing.
 */
import { clip } from "../../domain/values/format-value.ts";
import {
  hasCode,
  SessionError,
  type SessionLease,
  type SessionWrite,
  type StreamProducer,
  type TurnInput,
  type Value,
} from "../../index.ts";
import { defined } from "../../domain/values/defined.ts";
import { chunk, chunksOfMessage, ReceivedChunks } from "./chunks.ts";
import { assembled } from "./package-ai.ts";
import { lostText } from "./reading.ts";
import { SourceReader, type AnswerSource } from "./source.ts";
import { fieldsOf, type AnyUiMessage, type UiChunk } from "./ui-message.ts";

/** How an answer ended. */
export interface AnswerEnd extends Pick<TurnInput, "model" | "usage" | "finish" | "requests"> {
  readonly status: "done" | "failed" | "interrupted";
  /** The message, with its parts before the answer; undefined if no part came. */
  readonly message: AnyUiMessage | undefined;
}

/** The target of an answer. */
export interface AnswerTarget {
  readonly stream: StreamProducer;
  readonly lease: SessionLease;
  /** The id of a new message. */
  readonly id: string;
  /** The message that the answer continues; undefined: a new one. */
  readonly base: AnyUiMessage | undefined;
  /** The write of the answer; undefined where nothing is to be written. */
  readonly writeOf: (end: AnswerEnd) => SessionWrite | undefined;
  /** Write to the session without its stream. */
  readonly write: (write: SessionWrite) => Promise<unknown>;
}

/** The failures that clients see by their message: the limits of an answer. */
const limitCodes: ReadonlySet<string> = new Set(["turn_too_large", "turn_parts_exceeded", "value_unstorable"]);

/** A text for clients: it names a limit, and no other detail of the server. */
function textOf(error: unknown): string {
  return error instanceof SessionError && limitCodes.has(error.code) ? clip(error.message, 1000) : lostText;
}

export class AnswerInProgress {
  readonly #source: SourceReader;
  readonly #target: AnswerTarget;
  readonly #received = new ReceivedChunks();
  #client: ReadableStreamDefaultController<UiChunk> | undefined;
  #id: string;
  #hasBegun = false;
  /** No part of a message has come. */
  #isEmpty = true;
  /** Why it takes no more chunks: its source failed, or a chunk cannot be stored. */
  #failure: { readonly error: unknown } | undefined;
  /** The last chunk, which the client gets once the answer is durable. */
  #finish: UiChunk | undefined;

  /** @throws SessionError `argument_invalid` for a value that is no source */
  constructor(source: AnswerSource, target: AnswerTarget) {
    this.#source = new SourceReader(source);
    this.#target = target;
    this.#id = target.base?.id ?? target.id;
  }

  /** The chunks for the client that asked, and the end of the work, which does not depend on that client. */
  begin(): { readonly chunks: ReadableStream<UiChunk>; readonly done: Promise<void> } {
    const chunks = new ReadableStream<UiChunk>({
      start: (controller) => void (this.#client = controller),
      cancel: () => void (this.#client = undefined),
    });
    return { chunks, done: this.#run() };
  }

  async #run(): Promise<void> {
    const { stream, lease } = this.#target;
    const signal = AbortSignal.any([stream.signal, lease.signal]);
    const stop = (): void => void this.#source.cancel(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    let last: UiChunk | undefined;
    try {
      await this.#receive();
      last = await this.#seal();
    } catch (error) {
      await this.#source.cancel(error);
      await stream.fail(lostText).catch(() => undefined);
      last = chunk("error", { errorText: textOf(error) });
    } finally {
      signal.removeEventListener("abort", stop);
      await stream[Symbol.asyncDispose]().catch(() => undefined);
      // A client that has the end may write the next message at once.
      await lease.release().catch(() => undefined);
      if (last !== undefined) this.#send(last);
      this.#client?.close();
      this.#client = undefined;
    }
  }

  async #receive(): Promise<void> {
    try {
      for (let next = await this.#source.next(); next !== undefined; next = await this.#source.next()) {
        if (!this.#hasBegun) await this.#start(next);
        if (next.type !== "start") await this.#take(next);
        if (this.#failure !== undefined) return;
      }
    } catch (error) {
      if (!this.#isOver) this.#failure = { error };
    }
  }

  /** Every answer begins with `start` and the id of its message, and a reader that comes later gets all of the message. */
  async #start(first: UiChunk): Promise<void> {
    this.#hasBegun = true;
    const { base } = this.#target;
    const given = first.type === "start" ? fieldsOf(first) : {};
    const { messageId } = given;
    if (base === undefined && typeof messageId === "string") this.#id = messageId;
    const start = chunk("start", { ...given, messageId: this.#id });
    this.#received.add(start);
    this.#send(start);
    for (const part of [start, ...(base === undefined ? [] : chunksOfMessage(base))]) await this.#write(part);
  }

  async #take(given: UiChunk): Promise<void> {
    if (given.type === "finish") {
      this.#finish = given;
      this.#received.add(given);
      return;
    }
    await this.#write(given);
    if (this.#failure !== undefined || this.#isOver) return;
    this.#received.add(given);
    this.#isEmpty &&= addsNoPart(given);
    this.#send(given);
  }

  /** True once the stream takes no more parts: it was stopped, or its store failed. */
  get #isOver(): boolean {
    return this.#target.stream.signal.aborted;
  }

  /** True for a stream that a caller has stopped. */
  get #isStopped(): boolean {
    const { aborted, reason } = this.#target.stream.signal;
    return aborted && hasCode(reason, "interrupted") && reason.details.how === "cancelled";
  }

  async #write(given: UiChunk): Promise<void> {
    if (this.#isOver) return;
    try {
      await this.#target.stream.write(given as unknown as Value);
    } catch (error) {
      // A stop ends the answer with what has come.
      if (!this.#isStopped) this.#failure ??= { error };
    }
  }

  #send(given: UiChunk): void {
    this.#client?.enqueue(given);
  }

  /** Write the answer; the last chunk for the client. */
  async #seal(): Promise<UiChunk | undefined> {
    const { base } = this.#target;
    const { status: ended, requests, finish, used } = this.#source;
    // A finished answer that adds nothing to the message that it continues leaves that message as it is.
    const unchanged = ended === "done" ? base : undefined;
    const message = this.#isEmpty ? unchanged : await this.#message(base);
    if (this.#failure !== undefined) await this.#source.cancel(this.#failure.error);
    const status = this.#statusOf(message);
    const end: AnswerEnd = { status, message, requests, ...used, ...defined({ finish }) };
    try {
      await this.#end(end);
    } catch (error) {
      if (!hasCode(error, "turn_too_large") && !hasCode(error, "turn_parts_exceeded")) throw error;
      // Too large to store: the question stays, and its answer has failed.
      this.#failure ??= { error };
      await this.#end({ ...end, status: "failed", message: undefined });
    }
    if (this.#failure !== undefined) return chunk("error", { errorText: textOf(this.#failure.error) });
    return this.#isStopped ? chunk("abort") : this.#finish;
  }

  /** An answer without a message is not `done`: its question may be asked again. */
  #statusOf(message: AnyUiMessage | undefined): AnswerEnd["status"] {
    if (this.#isStopped) return "interrupted";
    if (this.#failure !== undefined) return "failed";
    const { status } = this.#source;
    return status === "done" && message === undefined ? "interrupted" : status;
  }

  /** The received chunks as a message; undefined if they make up none, or one without parts. */
  async #message(base: AnyUiMessage | undefined): Promise<AnyUiMessage | undefined> {
    try {
      const message = await assembled(this.#received, { id: this.#id, base });
      return message.parts.length === 0 ? undefined : message;
    } catch (error) {
      this.#failure ??= { error };
      return undefined;
    }
  }

  /** The last chunk, the message and the end of the stream land together. */
  async #end(end: AnswerEnd): Promise<void> {
    const { stream, lease, writeOf, write } = this.#target;
    const { error } = this.#failure ?? {};
    const last = error === undefined ? this.#finish : chunk("error", { errorText: textOf(error) });
    const written = writeOf(end);
    if (last !== undefined) await this.#write(last);
    if (!this.#isOver || this.#isStopped) {
      await stream.end(written === undefined ? undefined : { lease, write: written });
      return;
    }
    // Its store failed, or it has too many parts: readers have the parts that were stored, and then an error.
    if (written !== undefined) await write(written);
  }
}

function addsNoPart({ type }: UiChunk): boolean {
  return ["start-step", "finish-step", "error", "abort", "message-metadata"].includes(type);
}
