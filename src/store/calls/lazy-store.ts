import { SessionError } from "../../errors.ts";
import type { Capabilities, Store } from "../store.ts";

/**
 * A store that could not be opened when the program started: each call tries again, and once one succeeds it is that
 * store. Meanwhile calls fail as the opening does.
 */
export function lateStore(open: () => Promise<Store>, capabilities: Capabilities): Store {
  let opened: Store | undefined;
  let opening: Promise<Store> | undefined;
  let closed = false;
  const store = async (): Promise<Store> => {
    if (closed) throw new SessionError("closed", { name: "store" });
    if (opened !== undefined) return opened;
    opening ??= open().finally(() => (opening = undefined));
    opened ??= await opening;
    return opened;
  };
  return {
    get capabilities() {
      return opened?.capabilities ?? capabilities;
    },
    commit: async (batch) => await (await store()).commit(batch),
    load: async (requests) => await (await store()).load(requests),
    read: async (key, range) => await (await store()).read(key, range),
    find: async (query) => await (await store()).find(query),
    count: async (query) => await (await store()).count(query),
    stats: async (query) => await (await store()).stats(query),
    inspect: async (options) => await (await store()).inspect(options),
    events: async (scan) => await (await store()).events(scan),
    forgetEvents: async (past) => await (await store()).forgetEvents(past),
    heartbeat: async (instance, options) => await (await store()).heartbeat(instance, options),
    instances: async (ids) => await (await store()).instances(ids),
    watch: (key, wake) => opened?.watch(key, wake) ?? (() => undefined),
    scrub: async () => await (await store()).scrub(),
    async close() {
      closed = true;
      const late = opened ?? (await opening?.catch(() => undefined));
      await late?.close();
    },
  };
}
