import { AsyncLocalStorage } from "node:async_hooks";

/** Runs work in the async context in which this function was made. */
export type Within = <T>(work: () => T) => T;

/** The current async context, for work that another loop does later; undefined if the channel has no subscriber. */
export function contextFor({ start }: { readonly start: { readonly hasSubscribers: boolean } }): Within | undefined {
  return start.hasSubscribers ? AsyncLocalStorage.snapshot() : undefined;
}
