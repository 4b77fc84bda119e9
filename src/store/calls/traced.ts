import type { TracingChannel } from "node:diagnostics_channel";
import type { Traced } from "./store-call.ts";

/**
 * Do it, telling who listens of its start and its end; where nobody does, it costs nothing. What it comes to is not told:
 * it may be what was said, or a key.
 */
export function traced<Payload extends Traced, T>(
  channel: TracingChannel<unknown, Payload>,
  payload: Payload,
  work: () => Promise<T>,
): Promise<T> {
  return channel.hasSubscribers ? told(channel, payload, work) : work();
}

async function told<Payload extends Traced, T>(
  channel: TracingChannel<unknown, Payload>,
  payload: Payload,
  work: () => Promise<T>,
): Promise<T> {
  const started = performance.now();
  const came = Promise.withResolvers<T>();
  await channel.tracePromise(async () => {
    try {
      came.resolve(await work());
    } finally {
      payload.ms = performance.now() - started;
    }
  }, payload);
  return await came.promise;
}
