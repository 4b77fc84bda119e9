import { streamSSE, type SSEStreamingApi } from "hono/streaming";
import { toJson } from "../../protocol/json.ts";
import { problemOf } from "../../protocol/problem.ts";
import { asSessionError } from "../http/problem-response.ts";
import type { RequestContext } from "../http/route.ts";

/** One event of a stream. */
export interface StreamEvent {
  readonly event: string;
  readonly data: object;
  /** Position after it, for `Last-Event-ID`. */
  readonly id?: string;
  /** Key of events that other streams send with the same `event`, `id` and `data`: they are encoded once. */
  readonly shared?: object;
}

/** Proxies close a stream that is silent for a minute; a comment prevents that. */
const keepAliveMs = 15_000;
/** A reader that reads nothing for this time has left, whatever its connection says. */
const stalledMs = 60_000;

/** Whether the request prefers server-sent events to JSON. */
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

/**
 * Answers with server-sent events until they end, the reader leaves, or `stop` aborts. An error is the last event,
 * `error`, with the problem. `admitted` is checked at intervals: a key may be revoked while its stream runs.
 */
export function eventStream(
  c: RequestContext,
  events: (signal: AbortSignal) => AsyncIterable<StreamEvent>,
  {
    stop,
    admitted,
    close,
  }: {
    readonly stop?: AbortSignal;
    readonly admitted?: () => Promise<boolean>;
    /**
     * Ends the counting of a stream that was counted before.
     * @default the stream is counted here
     */
    readonly close?: () => void;
  } = {},
): Response {
  const requestId = c.get("requestId");
  c.header("x-accel-buffering", "no"); // nginx would buffer the events
  // HEAD has no reader, so the stream would never end.
  if (c.req.method === "HEAD") return c.body(null, 200, { "content-type": "text/event-stream" });
  const closed = close ?? countStream(c);
  const response = streamSSE(c, async (stream) => {
    const left = new AbortController();
    stream.onAbort(() => left.abort());
    const signal = stop === undefined ? left.signal : AbortSignal.any([left.signal, stop]);
    const write = async (event: StreamEvent): Promise<void> => await taken(stream, event, left, signal);
    const keepAlive = setInterval(() => {
      void stream.write(": keep-alive\n\n");
      void admitted?.().then((isAdmitted) => isAdmitted || left.abort());
    }, keepAliveMs);
    try {
      for await (const event of events(signal)) {
        if (signal.aborted) break;
        await write(event);
      }
    } catch (error) {
      if (left.signal.aborted) return;
      const known = asSessionError(error, requestId);
      c.get("report")(known);
      await write({ event: "error", data: problemOf(known, { requestId, audience: c.get("audience") }) });
    } finally {
      clearInterval(keepAlive);
      closed();
    }
  });
  // Hono would make the response cacheable.
  response.headers.set("cache-control", "no-store");
  return response;
}

/** Writes an event; a reader that does not read it in time has left. */
async function taken(
  stream: SSEStreamingApi,
  streamEvent: StreamEvent,
  left: AbortController,
  signal: AbortSignal,
): Promise<void> {
  const writing = stream.write(frameOf(streamEvent));
  const given = Promise.withResolvers<void>();
  const stalled = setTimeout(() => left.abort(), stalledMs);
  const onAbort = (): void => given.resolve();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([writing, given.promise]);
  } finally {
    clearTimeout(stalled);
    signal.removeEventListener("abort", onAbort);
  }
}

/** Encoded shared events. Thousands of slow readers share the same bytes. */
const frames = new WeakMap<object, { readonly id: string | undefined; readonly bytes: Uint8Array }>();

function frameOf({ event, data, id, shared }: StreamEvent): Uint8Array {
  const known = shared === undefined ? undefined : frames.get(shared);
  if (known !== undefined && known.id === id) return known.bytes;
  // JSON contains no line breaks.
  const text = `event: ${event}\ndata: ${toJson(data)}\n${id === undefined ? "" : `id: ${id}\n`}\n`;
  const bytes = new TextEncoder().encode(text);
  if (shared !== undefined) frames.set(shared, { id, bytes });
  return bytes;
}
