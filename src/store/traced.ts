import type { TracingChannel } from "node:diagnostics_channel";

/** What the payload of every tracing channel has: Node sets `result` and `error`, whichever it comes to. */
export interface Traced {
  /** How long it took; there once it is over. */
  ms?: number;
  readonly result?: unknown;
  /** Why it failed. */
  readonly error?: unknown;
}

/** Do it, telling who listens of its start and its end; where nobody does, it costs nothing. */
export async function traced<Payload extends Traced, T>(
  channel: TracingChannel<unknown, Payload>,
  payload: Payload,
  work: () => Promise<T>,
): Promise<T> {
  if (!channel.hasSubscribers) return await work();
  const started = performance.now();
  const timed = async (): Promise<T> => {
    try {
      return await work();
    } finally {
      payload.ms = performance.now() - started;
    }
  };
  return await channel.tracePromise(timed, payload);
}
