import { AsyncLocalStorage } from "node:async_hooks";

/** Does work in the async context in which it was made. */
export type Within = <T>(work: () => T) => T;

/** The async context of this moment, for work that somebody else's loop does later; undefined where nobody hears of starts. */
export function contextFor({ start }: { readonly start: { readonly hasSubscribers: boolean } }): Within | undefined {
  return start.hasSubscribers ? AsyncLocalStorage.snapshot() : undefined;
}
