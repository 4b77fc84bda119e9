import { callStore, forwardingStore } from "../src/store/calls/forwarding-store.ts";
import type { Store } from "../src/store/store.ts";

/** A view of a store whose calls are counted. It gives no hints, as if other processes wrote to the store, which it never closes. */
export function countedStore({ on }: { readonly on: Store }): { readonly store: Store; readonly calls: () => number } {
  let calls = 0;
  const own = { capabilities: on.capabilities, watch: () => () => undefined, close: () => Promise.resolve() };
  const store = forwardingStore(own, (method, args) => (calls++, callStore(on, method, args)));
  return { store, calls: () => calls };
}
