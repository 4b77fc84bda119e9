import { toJson } from "../../protocol/json.ts";
import { problemOf } from "../../protocol/problem.ts";
import type { SessionError } from "../../errors.ts";
import { asSessionError } from "../http/problem-response.ts";
import type { RequestContext } from "../http/route.ts";

/** One event of a stream. */
export interface StreamEvent {
  readonly event: string;
  readonly data: object;
  /** Position after it, for `Last-Event-ID`. */
  readonly id?: string;
  /** Names the bytes of the event for other streams that send the same: they are encoded once. */
  readonly shared?: SharedBytes;
}

/** The bytes of an event. Streams with the same source, slot and variant send the same bytes. */
export interface SharedBytes {
  /** The object that the event is made of; the bytes live as long as it does. */
  readonly source: object;
  /** The kind of event; a slot keeps its last variant. */
  readonly slot: string;
  readonly variant: string;
}

/** The reader of a stream, as the source of its events sees it. */
export interface StreamReader {
  /** Aborts when the stream ends: the reader left, or the server stops. */
  readonly signal: AbortSignal;
}

/** Proxies close a stream that is silent for a minute; a comment prevents that. */
const keepAliveMs = 15_000;
/** The stream ends after this many intervals in which its reader read nothing, even if the connection is open. */
const stalledIntervals = 4;

/** True if the request prefers server-sent events to JSON. */
export function wantsStream(c: RequestContext): boolean {
  return /\btext\/event-stream\b/i.test(c.req.header("accept") ?? "");
}

/**
 * Counts a stream before its work begins.
 * @throws SessionError `streams_full`
 */
export function countStream(c: RequestContext): () => void {
  return c.get("countStream")();
}

/** The conditions that end a stream before its events end. */
export interface StreamOptions {
  /** Ends the stream when it aborts. */
  readonly stop?: AbortSignal;
  /** Checked at intervals: a key may be revoked while its stream runs. */
  readonly admitted?: () => Promise<boolean>;
  /**
   * Ends the counting of a stream that was counted before.
   * @default the stream is counted here
   */
  readonly close?: () => void;
}

/**
 * Answers with server-sent events until they end, the reader leaves, or `stop` aborts. An error is the last event,
 * `error`, with the problem. The next event is made when the reader has taken the one before.
 */
export function eventStream(
  c: RequestContext,
  events: (reader: StreamReader) => AsyncIterable<StreamEvent>,
  { stop, admitted, close }: StreamOptions = {},
): Response {
  c.header("x-accel-buffering", "no"); // nginx would buffer the events
  c.header("cache-control", "no-store");
  // HEAD has no reader, so the stream would never end.
  if (c.req.method === "HEAD") return c.body(null, 200, { "content-type": "text/event-stream" });
  const closed = close ?? countStream(c);
  // An open stream keeps no reference to its request.
  const [requestId, audience, report] = [c.get("requestId"), c.get("audience"), c.get("reporter")()];
  const failed = (thrown: unknown): StreamEvent => {
    const error: SessionError = asSessionError(thrown, requestId);
    report(error);
    return { event: "error", data: problemOf(error, { requestId, audience }) };
  };
  const stream = new EventStream({ events, failed, closed, stop, admitted });
  return c.body(new ReadableStream(stream, { highWaterMark: 0 }), 200, {
    "content-type": "text/event-stream",
    "transfer-encoding": "chunked",
    connection: "keep-alive",
  });
}

interface Source {
  readonly stop: StreamOptions["stop"] | undefined;
  readonly admitted: StreamOptions["admitted"] | undefined;
  readonly events: (reader: StreamReader) => AsyncIterable<StreamEvent>;
  /** The last event, after an error. */
  readonly failed: (thrown: unknown) => StreamEvent;
  /** Called once, when the stream has ended. */
  readonly closed: () => void;
}

/**
 * An open stream. States: *open*; *over*, once the events have ended or failed, the reader has left, or the server
 * stops. A stream that is over has no timer, no listener and no running source.
 */
class EventStream implements StreamReader {
  readonly #source: Source;
  #events: AsyncIterator<StreamEvent> | undefined;
  readonly #keepAlive: NodeJS.Timeout;
  /** Made when the source of the events asks for it: most sources end by `return`. */
  #left: AbortController | undefined;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** The reader has taken all events, and waits for the next one. */
  #isAwaited = false;
  /** Intervals since the reader took an event. */
  #stalled = 0;
  #isOver = false;

  constructor(source: Source) {
    this.#source = source;
    // The connection of its reader keeps the process alive, and a response without a reader does not.
    this.#keepAlive = setInterval(() => this.#tick(), keepAliveMs).unref();
    source.stop?.addEventListener("abort", this.#stop, { once: true });
    if (source.stop?.aborted === true) this.#end();
  }

  get signal(): AbortSignal {
    if (this.#left === undefined) {
      this.#left = new AbortController();
      if (this.#isOver) this.#left.abort();
    }
    return this.#left.signal;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller;
    if (this.#isOver) controller.close();
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#isAwaited = true;
    this.#stalled = 0;
    let bytes: Uint8Array | undefined;
    let isLast = false;
    try {
      this.#events ??= this.#source.events(this)[Symbol.asyncIterator]();
      const { done, value } = await this.#events.next();
      isLast = done === true;
      if (done !== true) bytes = frameOf(value);
    } catch (error) {
      isLast = true;
      if (!this.#isOver) bytes = frameOf(this.#source.failed(error));
    }
    this.#isAwaited = false;
    if (this.#isOver) return;
    if (bytes !== undefined) controller.enqueue(bytes);
    if (isLast) this.#stop();
  }

  cancel(): void {
    this.#end();
  }

  #tick(): void {
    const isRead = this.#isAwaited && (this.#controller?.desiredSize ?? -1) >= 0;
    if (isRead) this.#controller?.enqueue(keepAlive);
    else if (++this.#stalled >= stalledIntervals) this.#stop();
    void this.#source.admitted?.().then((isAdmitted) => isAdmitted || this.#stop());
  }

  /** Ends the stream, and its response behind the events that are written already. */
  readonly #stop = (): void => {
    if (this.#isOver) return;
    this.#end();
    this.#controller?.close();
  };

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearInterval(this.#keepAlive);
    this.#source.stop?.removeEventListener("abort", this.#stop);
    this.#left?.abort();
    // A source that was never read may hold something too: an answer of a live session waits for its reader.
    this.#events ??= this.#source.events(this)[Symbol.asyncIterator]();
    // No reader is left for an error of the source.
    void this.#events.return?.().catch(() => undefined);
    this.#source.closed();
  }
}

/**
 * The items of a source as events, and one more at their end. Unlike a generator, it passes `return` on at once, also
 * while the source is being read: a reader that leaves ends the source.
 */
export function eventsOf<Item>(
  items: AsyncIterable<Item>,
  eventOf: (item: Item) => StreamEvent,
  last?: StreamEvent,
): AsyncIterable<StreamEvent> {
  const iterator = items[Symbol.asyncIterator]();
  let ending = last;
  const events: AsyncIterableIterator<StreamEvent> = {
    async next() {
      const { done, value } = await iterator.next();
      if (done !== true) return { done: false, value: eventOf(value) };
      const event = ending;
      ending = undefined;
      return event === undefined ? { done: true, value: undefined } : { done: false, value: event };
    },
    async return() {
      await iterator.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => events,
  };
  return events;
}

const encoder = new TextEncoder();
const keepAlive = encoder.encode(": keep-alive\n\n");

/** Encoded events by their sources and slots. Thousands of slow readers share the same bytes. */
const frames = new WeakMap<object, Map<string, { readonly variant: string; readonly bytes: Uint8Array }>>();

function frameOf(event: StreamEvent): Uint8Array {
  const { shared } = event;
  if (shared === undefined) return encoded(event);
  const slots = frames.get(shared.source) ?? new Map<string, { variant: string; bytes: Uint8Array }>();
  const known = slots.get(shared.slot);
  if (known?.variant === shared.variant) return known.bytes;
  const bytes = encoded(event);
  frames.set(shared.source, slots.set(shared.slot, { variant: shared.variant, bytes }));
  return bytes;
}

function encoded({ event, data, id }: StreamEvent): Uint8Array {
  // JSON contains no line breaks.
  return encoder.encode(`event: ${event}\ndata: ${toJson(data)}\n${id === undefined ? "" : `id: ${id}\n`}\n`);
}
