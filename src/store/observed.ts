import { channel } from "node:diagnostics_channel";
import type { Outcome, Store } from "./store.ts";

/** What is published on the channel `perdure:store` after each call of a store. */
export interface StoreCall {
  /** The store that was called: a process may have several. */
  readonly store: Store;
  readonly operation: "commit" | "load" | "read" | "find" | "heartbeat" | "instances";
  readonly ms: number;
  /** Of a commit: how many transactions it held, and how many of them were conflicts. */
  readonly transactions?: number;
  readonly conflicts?: number;
  /** Why it failed. */
  readonly error?: unknown;
}

const calls = channel("perdure:store");

/** The same store, telling who listens of each call; where nobody does, it costs nothing. */
export function observed(store: Store): Store {
  async function told<T>(
    operation: StoreCall["operation"],
    call: () => Promise<T>,
    about?: (result: T) => Partial<StoreCall>,
  ): Promise<T> {
    if (!calls.hasSubscribers) return await call();
    const started = performance.now();
    try {
      const result = await call();
      calls.publish({ store, operation, ms: performance.now() - started, ...about?.(result) } satisfies StoreCall);
      return result;
    } catch (error) {
      calls.publish({ store, operation, ms: performance.now() - started, error } satisfies StoreCall);
      throw error;
    }
  }
  const count = (outcomes: readonly Outcome[]): Partial<StoreCall> => ({
    transactions: outcomes.length,
    conflicts: outcomes.filter(({ status }) => status === "conflict").length,
  });
  return {
    capabilities: store.capabilities,
    commit: (batch) => told("commit", () => store.commit(batch), count),
    load: (requests) => told("load", () => store.load(requests)),
    read: (key, range) => told("read", () => store.read(key, range)),
    find: (query) => told("find", () => store.find(query)),
    heartbeat: (instance, options) => told("heartbeat", () => store.heartbeat(instance, options)),
    instances: (ids) => told("instances", () => store.instances(ids)),
    watch: (key, wake) => store.watch(key, wake),
    scrub: () => store.scrub(),
    close: () => store.close(),
  };
}
