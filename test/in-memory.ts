/** Sessions on a memory store under a scripted clock, for tests of what needs no file and no second process. */
import { Sessions } from "../src/sessions/sessions.ts";
import type { SessionsOptions } from "../src/sessions/options.ts";
import { openMemory } from "../src/store/memory.ts";
import type { Store } from "../src/store/store.ts";
import { failingStore, type FailingStore } from "../src/testing/failing-store.ts";
import { scriptedClock, type ScriptedClock } from "../src/testing/scripted-clock.ts";

export interface InMemory extends AsyncDisposable {
  readonly clock: ScriptedClock;
  /** The store under the sessions; its commits fail as planned. */
  readonly store: FailingStore;
  readonly sessions: Sessions;
  /** Another program on the same store. */
  another(options?: SessionsOptions): Sessions;
}

export function inMemory(options: SessionsOptions = {}): InMemory {
  const clock = scriptedClock();
  const store = failingStore(openMemory({ clock }), {}, { clock });
  const opened: Sessions[] = [];
  const another = (others: SessionsOptions = {}): Sessions => {
    const sessions = Sessions.on(keptOpen(store), { clock, sweep: false, ...others });
    opened.push(sessions);
    return sessions;
  };
  return {
    clock,
    store,
    another,
    sessions: another(options),
    async [Symbol.asyncDispose]() {
      store.plan({});
      for (const sessions of opened) await sessions.close();
      await store.close();
    },
  };
}

/** The store, outliving whoever closes it. */
function keptOpen(store: Store): Store {
  return {
    capabilities: store.capabilities,
    commit: (batch) => store.commit(batch),
    load: (requests) => store.load(requests),
    read: (key, range) => store.read(key, range),
    find: (query) => store.find(query),
    heartbeat: (instance, how) => store.heartbeat(instance, how),
    instances: (ids) => store.instances(ids),
    close: async () => undefined,
  };
}
