import type { Transaction } from "../../domain/record/change.ts";
import { forwardingStore, type StoreMethod } from "../../store/calls/forwarding-store.ts";
import { markServed } from "../../store/calls/stored-form.ts";
import { Watchers } from "../../store/watchers.ts";
import type { Capabilities, Store } from "../../store/store.ts";
import type { HostCalls } from "./wire.ts";

/** The host's store, as its workers call it. */
export function workerStore(host: Pick<HostCalls, "store">, capabilities: Capabilities): Store {
  const watchers = new Watchers();
  const own: Omit<Store, StoreMethod> = {
    capabilities,
    watch: (key, wake) => watchers.watch(key, wake),
    close: async () => undefined, // the host closes it
  };
  const store = forwardingStore(own, (method, args) => host.store(method, args));
  const committing = Object.assign(store, {
    async commit(batch: readonly Transaction[]) {
      const outcomes = await host.store("commit", [batch]);
      watchers.wakeLanded(batch, outcomes);
      return outcomes;
    },
  });
  return markServed(committing);
}
