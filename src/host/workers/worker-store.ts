import { Watchers } from "../../store/watchers.ts";
import type { Capabilities, Store } from "../../store/store.ts";
import type { HostCalls, StoreCall } from "./wire.ts";

/** The host's store, as its workers call it. */
export function workerStore(host: Pick<HostCalls, "store">, capabilities: Capabilities): Store {
  const watchers = new Watchers();
  const forward =
    <Call extends StoreCall>(call: Call) =>
    (...args: Parameters<Store[Call]>): Promise<Awaited<ReturnType<Store[Call]>>> =>
      host.store(call, args);
  return {
    capabilities,
    async commit(batch) {
      const outcomes = await host.store("commit", [batch]);
      watchers.wakeLanded(batch, outcomes);
      return outcomes;
    },
    load: forward("load"),
    read: forward("read"),
    find: forward("find"),
    count: forward("count"),
    stats: forward("stats"),
    inspect: forward("inspect"),
    events: forward("events"),
    forgetEvents: forward("forgetEvents"),
    heartbeat: forward("heartbeat"),
    instances: forward("instances"),
    watch: (key, wake) => watchers.watch(key, wake),
    scrub: forward("scrub"),
    close: async () => undefined, // it belongs to the host
  };
}
