import { AsyncLocalStorage } from "node:async_hooks";
import type { TracingChannel } from "node:diagnostics_channel";
import type { Traced } from "./store-call.ts";

/** Does work in the async context in which it was made. */
export type Within = <T>(work: () => T) => T;

/** The async context of this moment, for work that somebody else's loop does later; undefined where nobody hears of starts. */
export function contextFor({ start }: { readonly start: { readonly hasSubscribers: boolean } }): Within | undefined {
  return start.hasSubscribers ? AsyncLocalStorage.snapshot() : undefined;
}

/**
 * Do it, telling who listens of its start and its end; where nobody does, it costs nothing. What it comes to is not told:
 * it may be what was said, or a key.
 */
export async function traced<Payload extends Traced, T>(
  channel: TracingChannel<unknown, Payload>,
  payload: Payload,
  work: () => Promise<T>,
): Promise<T> {
  if (!channel.hasSubscribers) return await work();
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
