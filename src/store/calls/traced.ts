import type { TracingChannel } from "node:diagnostics_channel";
import type { Traced } from "./store-call.ts";

/**
 * Publishes the start and the end of `work` on the channel; without a subscriber it costs nothing. The result is not
 * published, because it may be message text or a key.
 */
export function traced<Payload extends Traced, T>(
  channel: TracingChannel<unknown, Payload>,
  payload: Payload,
  work: () => Promise<T>,
): Promise<T> {
  return channel.hasSubscribers ? publishing(channel, payload, work) : work();
}

async function publishing<Payload extends Traced, T>(
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
