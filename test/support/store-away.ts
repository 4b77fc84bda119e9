/** Sessions with an outbox, on a store in memory that can go away, and a second program on the same store that sees all. */
import type { TestContext } from "node:test";
import { SessionError } from "../../src/errors.ts";
import type { Model } from "../../src/sessions/options/model.ts";
import type { SessionsOptions } from "../../src/sessions/options/options.ts";
import { sessionsOn, type Sessions } from "../../src/sessions/sessions.ts";
import { callStore, forwardingStore, type StoreMethod } from "../../src/store/calls/forwarding-store.ts";
import { openMemory } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { scriptedClock, type ScriptedClock } from "../../src/testing/scripted-clock.ts";

const model: Model = async function* ({ messages }) {
  yield { type: "text", text: `shown ${messages.length}` };
};

interface StoreAwayPlace extends AsyncDisposable {
  readonly state: { away: boolean; readOnly: boolean; commits: number; fails: (commit: number) => boolean };
  readonly clock: ScriptedClock;
  /** The program with an outbox. */
  readonly sessions: Sessions;
  /** One that always reaches the store. */
  readonly witness: Sessions;
  readonly outbox: Store;
  readonly store: Store;
  /** Until the breaker lets a call through again. */
  back(): Promise<void>;
}

/** Two programs on one store that can go away, the first with an outbox. */
export function place(options: SessionsOptions = {}): StoreAwayPlace {
  const clock = scriptedClock();
  const memory = openMemory({ clock });
  const state = { away: false, readOnly: false, commits: 0, fails: (_: number): boolean => false };
  const unreachable = (): SessionError =>
    new SessionError("store_unavailable", { store: "test", problem: "unreachable" });
  const guard = async (method: StoreMethod): Promise<void> => {
    if (state.away && method !== "scrub") throw unreachable();
    if (method !== "commit") return;
    if (state.readOnly) throw new SessionError("store_read_only", { store: "test" });
    if (state.fails(++state.commits)) throw unreachable();
  };
  const own: Omit<Store, StoreMethod> = {
    capabilities: { ...memory.capabilities, durable: true },
    watch: (key, wake) => memory.watch(key, wake),
    close: async () => undefined,
  };
  const store = forwardingStore(own, (method, args) => guard(method).then(() => callStore(memory, method, args)));
  const outbox = openMemory({ clock });
  const all = { clock, model, sweep: false, secret: "a secret for tests only", ...options } as const;
  const sessions = sessionsOn(store, all, outbox);
  const witness = sessionsOn(memory, all);
  return {
    state,
    clock,
    sessions,
    witness,
    outbox,
    store,
    back: async () => {
      state.away = false;
      await clock.advance(20_000);
    },
    async [Symbol.asyncDispose]() {
      state.away = false;
      await clock.advance(20_000);
      await sessions.close().catch(() => undefined);
      await witness.close();
    },
  };
}

/** Let the time pass after which the outbox sends again. The test mocks `setTimeout`. */
export async function passRetry(t: TestContext, { clock }: { readonly clock: ScriptedClock }): Promise<void> {
  t.mock.timers.tick(1000);
  await clock.advance(1000);
}
