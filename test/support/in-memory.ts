/** Sessions on a memory store under a scripted clock, for tests of what needs no file and no second process. */
import { hasCode, SessionError } from "../../src/errors.ts";
import { sessionsOn, type Sessions } from "../../src/sessions/sessions.ts";
import type { SessionsOptions } from "../../src/sessions/options/options.ts";
import { callStore, forwardingStore, type StoreMethod } from "../../src/store/calls/forwarding-store.ts";
import { openMemory } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { failingStore, type FailingStore } from "../../src/testing/failing-store.ts";
import { scriptedClock, type ScriptedClock } from "../../src/testing/scripted-clock.ts";

export interface InMemory extends AsyncDisposable {
  readonly clock: ScriptedClock;
  /** The store under the sessions; its commits fail as planned. */
  readonly store: FailingStore;
  readonly sessions: Sessions;
  /** The same store, which stays open whoever closes it. */
  readonly shared: Store;
  /** True: every load fails, as if the store could not be reached. */
  loadsFail: boolean;
  /** The open watches of the store. */
  watches: number;
  /** Another program on the same store. */
  another(options?: SessionsOptions): Sessions;
}

export function inMemory(options: SessionsOptions = {}): InMemory {
  const clock = scriptedClock();
  const store = failingStore(openMemory({ clock }), {}, { clock });
  const opened: Sessions[] = [];
  const another = (others: SessionsOptions = {}): Sessions => {
    const sessions = sessionsOn(closable(place.shared), { clock, sweep: false, ttl: "24h", ...others });
    opened.push(sessions);
    return sessions;
  };
  const place: Omit<InMemory, "sessions"> = {
    clock,
    store,
    shared: keptOpen(store, {
      loadsFail: () => place.loadsFail,
      watched: (change) => void (place.watches += change),
    }),
    loadsFail: false,
    watches: 0,
    another,
    async [Symbol.asyncDispose]() {
      store.plan({});
      for (const sessions of opened) await sessions.close().catch(unlessAway);
      await store.close();
    },
  };
  return Object.assign(place, { sessions: another(options) });
}

/** A view of the store that refuses every call once it is closed; the store stays open. */
export function closable(store: Store): Store {
  let isClosed = false;
  const guarded = { close: async () => void (isClosed = true), watch: store.watch.bind(store) };
  return new Proxy(store, {
    get(target, name) {
      if (Object.hasOwn(guarded, name)) return guarded[name as keyof typeof guarded];
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      return async (...args: unknown[]): Promise<unknown> => {
        if (isClosed) throw new SessionError("closed", { name: "store" });
        return (await Reflect.apply(member, target, args)) as unknown;
      };
    },
  });
}

/** A close that failed because the test had taken the store away. */
function unlessAway(error: unknown): void {
  if (!hasCode(error, "store_unavailable")) throw error;
}

/** The store, which stays open when a `Sessions` object closes it. */
function keptOpen(
  store: Store,
  { loadsFail, watched }: { readonly loadsFail: () => boolean; readonly watched: (change: 1 | -1) => void },
): Store {
  const own: Omit<Store, StoreMethod> = {
    capabilities: store.capabilities,
    watch(key, wake) {
      const stop = store.watch(key, wake);
      watched(1);
      let isOpen = true;
      return () => {
        if (isOpen) watched(-1);
        isOpen = false;
        stop();
      };
    },
    close: async () => undefined,
  };
  return forwardingStore(own, (method, args) =>
    method === "load" && loadsFail()
      ? Promise.reject(new SessionError("store_unavailable", { store: "test", problem: "unreachable" }))
      : callStore(store, method, args),
  );
}
