import { tracingChannel, type TracingChannel } from "node:diagnostics_channel";
import type { Store } from "../store.ts";
import type { StoreCall } from "./store-call.ts";
import { traced } from "./traced.ts";

/** Who listens to the calls of stores. */
export const storeCalls: TracingChannel<unknown, StoreCall> = tracingChannel("perdure:store");

/** The same store, telling who listens of each call. */
export function observed(store: Store): Store {
  const told = <T>(operation: StoreCall["operation"], call: () => Promise<T>): Promise<T> =>
    traced(storeCalls, { store, operation }, call);
  return {
    capabilities: store.capabilities,
    commit(batch) {
      if (!storeCalls.hasSubscribers) return store.commit(batch);
      const call: StoreCall = { store, operation: "commit", transactions: batch.length };
      return traced(storeCalls, call, async () => {
        const outcomes = await store.commit(batch);
        call.conflicts = outcomes.filter(({ status }) => status === "conflict").length;
        return outcomes;
      });
    },
    load: (requests) => told("load", () => store.load(requests)),
    read: (key, range) => told("read", () => store.read(key, range)),
    find: (query) => told("find", () => store.find(query)),
    count: (query) => told("count", () => store.count(query)),
    stats: (query) => told("stats", () => store.stats(query)),
    inspect: (options) => told("inspect", () => store.inspect(options)),
    events: (scan) => told("events", () => store.events(scan)),
    forgetEvents: (past) => told("forgetEvents", () => store.forgetEvents(past)),
    heartbeat: (instance, options) => told("heartbeat", () => store.heartbeat(instance, options)),
    instances: (ids) => told("instances", () => store.instances(ids)),
    watch: (key, wake) => store.watch(key, wake),
    scrub: () => store.scrub(),
    close: () => store.close(),
  };
}
