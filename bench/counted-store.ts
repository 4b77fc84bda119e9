import type { Store } from "../src/store/store.ts";

/** A view of a store whose calls are counted. It gives no hints, as if other processes wrote to the store, which it never closes. */
export function countedStore({ on }: { readonly on: Store }): { readonly store: Store; readonly calls: () => number } {
  let calls = 0;
  const store: Store = {
    capabilities: on.capabilities,
    commit: (batch) => (calls++, on.commit(batch)),
    load: (requests) => (calls++, on.load(requests)),
    read: (key, range) => (calls++, on.read(key, range)),
    find: (query) => (calls++, on.find(query)),
    count: (query) => (calls++, on.count(query)),
    stats: (query) => (calls++, on.stats(query)),
    inspect: (options) => (calls++, on.inspect(options)),
    events: (scan) => (calls++, on.events(scan)),
    forgetEvents: (past) => (calls++, on.forgetEvents(past)),
    heartbeat: (instance, how) => (calls++, on.heartbeat(instance, how)),
    instances: (ids) => (calls++, on.instances(ids)),
    watch: () => () => undefined,
    scrub: () => (calls++, on.scrub()),
    close: () => Promise.resolve(),
  };
  return { store, calls: () => calls };
}
