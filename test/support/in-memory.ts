/** Sessions on a memory store under a scripted clock, for tests of what needs no file and no second process. */
import { SessionError } from "../../src/errors.ts";
import { Sessions } from "../../src/sessions/sessions.ts";
import type { SessionsOptions } from "../../src/sessions/options/options.ts";
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
  /** True: what is loaded fails, as where the store cannot be reached. */
  loadsFail: boolean;
  /** Another program on the same store. */
  another(options?: SessionsOptions): Sessions;
}

export function inMemory(options: SessionsOptions = {}): InMemory {
  const clock = scriptedClock();
  const store = failingStore(openMemory({ clock }), {}, { clock });
  const opened: Sessions[] = [];
  const another = (others: SessionsOptions = {}): Sessions => {
    const sessions = Sessions.on(place.shared, { clock, sweep: false, ...others });
    opened.push(sessions);
    return sessions;
  };
  const place: Omit<InMemory, "sessions"> = {
    clock,
    store,
    shared: keptOpen(store, () => place.loadsFail),
    loadsFail: false,
    another,
    async [Symbol.asyncDispose]() {
      store.plan({});
      for (const sessions of opened) await sessions.close();
      await store.close();
    },
  };
  return Object.assign(place, { sessions: another(options) });
}

/** The store, outliving whoever closes it. */
function keptOpen(store: Store, loadsFail: () => boolean): Store {
  return {
    capabilities: store.capabilities,
    commit: (batch) => store.commit(batch),
    async load(requests) {
      if (loadsFail()) throw new SessionError("store_unavailable", { store: "of the test", reason: "it is away" });
      return await store.load(requests);
    },
    read: (key, range) => store.read(key, range),
    find: (query) => store.find(query),
    count: (query) => store.count(query),
    stats: (query) => store.stats(query),
    inspect: (options) => store.inspect(options),
    events: (scan) => store.events(scan),
    forgetEvents: (past) => store.forgetEvents(past),
    heartbeat: (instance, how) => store.heartbeat(instance, how),
    watch: (key, wake) => store.watch(key, wake),
    instances: (ids) => store.instances(ids),
    scrub: () => store.scrub(),
    close: async () => undefined,
  };
}
