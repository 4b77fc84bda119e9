import { Watchers } from "../../store/watchers.ts";
import type { Capabilities, Store } from "../../store/store.ts";
import type { HostCalls, StoreCall } from "./wire.ts";

/** The host's store, as a worker sees it. */
export function workerStore(host: Pick<HostCalls, "store">, capabilities: Capabilities): Store {
  const watchers = new Watchers();
  const pass =
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
    load: pass("load"),
    read: pass("read"),
    find: pass("find"),
    count: pass("count"),
    stats: pass("stats"),
    inspect: pass("inspect"),
    events: pass("events"),
    forgetEvents: pass("forgetEvents"),
    heartbeat: pass("heartbeat"),
    instances: pass("instances"),
    watch: (key, wake) => watchers.watch(key, wake),
    scrub: pass("scrub"),
    close: async () => undefined, // it is the host's
  };
}
