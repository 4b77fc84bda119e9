/** Stores that break the contract when they are watched, inspected or closed, or that claim to be durable or shared. */
import type { Store } from "../../../src/store/store.ts";
import type { NamedBreakage } from "./breakage.ts";

export const lifetimeBreakages: readonly NamedBreakage[] = [
  [
    "says it is durable and is not",
    "committed-is-durable",
    (store) => ({ capabilities: { ...store.capabilities, durable: true } }),
  ],
  [
    "says it is shared and is not",
    "handles of a shared store",
    (store) => ({ capabilities: { ...store.capabilities, shared: true } }),
  ],
  [
    "finds fault with itself",
    "inspect-finds-nothing",
    () => ({ inspect: async () => [{ kind: "damage", what: "everything", fix: null, repaired: false }] }),
  ],
  ["wakes no watcher", "own-changes-wake", () => ({ watch: () => () => undefined })],
  [
    "goes on telling",
    "own-changes-wake: not those",
    (store) => ({ watch: (key, wake) => (store.watch(key, wake), () => undefined) }),
  ],
  ["goes on after it is closed", "close", () => ({ close: async () => {} })],
  ["throws when it is closed twice", "close: calling it again", closesOnce],
];

function closesOnce(store: Store): Partial<Store> {
  let closed = false;
  return {
    close: async () => {
      if (closed) throw new Error("closed already");
      closed = true;
      await store.close();
    },
  };
}
