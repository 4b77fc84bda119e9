import { SessionError } from "../../errors.ts";
import type { Store } from "../store.ts";

/** The methods of a store that answer a caller, which are all but `watch` and `close`. */
export type StoreMethod = Exclude<keyof Store, "capabilities" | "watch" | "close">;

/** The result of a method. */
export type StoreResult<Method extends StoreMethod> = Awaited<ReturnType<Store[Method]>>;

/** Answers the call of one method. */
export type Forward = <Method extends StoreMethod>(
  method: Method,
  args: Parameters<Store[Method]>,
) => Promise<StoreResult<Method>>;

/** A store that answers every method by `forward`. `own` has the other members, and becomes that store. */
export function forwardingStore(own: Omit<Store, StoreMethod>, forward: Forward): Store {
  return Object.assign(own, {
    commit: (...args) => forward("commit", args),
    load: (...args) => forward("load", args),
    read: (...args) => forward("read", args),
    find: (...args) => forward("find", args),
    count: (...args) => forward("count", args),
    stats: (...args) => forward("stats", args),
    usage: (...args) => forward("usage", args),
    inspect: (...args) => forward("inspect", args),
    events: (...args) => forward("events", args),
    deleteEvents: (...args) => forward("deleteEvents", args),
    documents: (...args) => forward("documents", args),
    countDocuments: (...args) => forward("countDocuments", args),
    deleteDocuments: (...args) => forward("deleteDocuments", args),
    news: (...args) => forward("news", args),
    index: (...args) => forward("index", args),
    search: (...args) => forward("search", args),
    heartbeat: (...args) => forward("heartbeat", args),
    instances: (...args) => forward("instances", args),
    scrub: (...args) => forward("scrub", args),
  } satisfies Pick<Store, StoreMethod>);
}

/** A store in front of another one. By default each method calls that of `store`. */
export function storeBefore(store: Store, forward: Forward = (method, args) => callStore(store, method, args)): Store {
  const own = {
    // Read at each use: those of a store that is not open yet change.
    get capabilities() {
      return store.capabilities;
    },
    watch: (...args: Parameters<Store["watch"]>) => store.watch(...args),
    close: () => store.close(),
  };
  return forwardingStore(own, forward);
}

/** @throws SessionError `store_invalid` for a method that the store, written for an earlier version, does not have; and the store's */
export function callStore<Method extends StoreMethod>(
  store: Store,
  method: Method,
  args: Parameters<Store[Method]>,
): Promise<StoreResult<Method>> {
  const call = store[method] as ((...given: Parameters<Store[Method]>) => Promise<StoreResult<Method>>) | undefined;
  if (call === undefined)
    return Promise.reject(new SessionError("store_invalid", { problem: "method_missing", method }));
  try {
    // A store that was written without types may give its answer at once, or throw.
    return Promise.resolve(Reflect.apply(call, store, args));
  } catch (error) {
    return Promise.reject(error);
  }
}
