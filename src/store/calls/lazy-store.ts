import { SessionError } from "../../errors.ts";
import type { Capabilities, Store } from "../store.ts";
import { callStore, forwardingStore } from "./forwarding-store.ts";

/**
 * A store that could not be opened when the program started. Each call tries to open it again, and fails as the opening
 * does. After the first success all calls go to the opened store.
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
  const own = {
    get capabilities() {
      return opened?.capabilities ?? capabilities;
    },
    watch: (...args: Parameters<Store["watch"]>) => opened?.watch(...args) ?? (() => undefined),
    async close() {
      closed = true;
      const late = opened ?? (await opening?.catch(() => undefined));
      await late?.close();
    },
  };
  return forwardingStore(own, (method, args) => store().then((target) => callStore(target, method, args)));
}
