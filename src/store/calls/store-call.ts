import type { Store } from "../store.ts";

/** What the payload of every tracing channel has. */
export interface Traced {
  /** How long it took; there once it is over. */
  ms?: number;
  /** Why it failed. */
  readonly error?: unknown;
}

/** What is published on the tracing channel `perdure:store` around each call of a store. */
export interface StoreCall extends Traced {
  /** The store that is called: a process may have several. */
  readonly store: Store;
  readonly operation: Exclude<keyof Store, "capabilities" | "watch" | "close">;
  /** Of a commit: how many transactions it holds. */
  readonly transactions?: number;
  /** Of a commit that is over: how many of its transactions met a newer version. */
  conflicts?: number;
}
