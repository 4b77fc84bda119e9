import { createSession } from "../../src/domain/record/lifecycle.ts";
import type { Sessions } from "../../src/index.ts";
import { newSession } from "../../src/sessions/session/opening.ts";
import { coreOf } from "../../src/sessions/sessions.ts";

/** Creates sessions `s0`, `s1` … that are live under the leases of a program that is gone. */
export async function abandon(sessions: Sessions, count: number): Promise<void> {
  const core = coreOf(sessions);
  const { store } = core;
  await core.learnTime();
  for (let from = 0; from < count; from += store.capabilities.batchMax) {
    const batch = Array.from({ length: Math.min(store.capabilities.batchMax, count - from) }, (_, index) => {
      const session = newSession(core, { tenant: sessions.tenant, id: `s${from + index}` }, {});
      const change = createSession(session, core.context());
      if (change.record === null) throw new Error("a new session has a record");
      const { version: fence, createdAt: acquiredAt } = change.record;
      const lease = { instance: "i_gone", fence, commitId: "c", acquiredAt, expiresAt: null };
      return [{ ...change, record: { ...change.record, fence, lease } }];
    });
    const outcomes = await store.commit(batch);
    if (outcomes.some(({ status }) => status !== "ok")) throw new Error("another writer was faster");
  }
}
