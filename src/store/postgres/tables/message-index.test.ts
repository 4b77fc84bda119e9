import assert from "node:assert/strict";
import { test } from "node:test";
import { leaseMs } from "../schema/functions/message-index.ts";
import { MessageIndex } from "./message-index.ts";

test("a process that indexes renews its lease long before it ends, also where each step has read the next one ahead", async (t) => {
  let now = 0;
  t.mock.method(performance, "now", () => now);
  /** When each call took or renewed the lease. */
  const renewals: number[] = [];
  let sessions = 0;
  const index = new MessageIndex(async (sql, [, , afterId]) => {
    if (sql.includes("put_words")) return [{ marked: 1 }];
    if (afterId === null) renewals.push(now);
    const session = {
      tenant: "default",
      id: `s${sessions++}`,
      logs: "1",
      version: 1,
      commit_id: "c",
      title: null,
      titleMark: null,
    };
    const due = { left: 1000, isLast: false, sessions: [{ ...session, createdAt: 0, turns: [], isWhole: true }] };
    return [{ due: JSON.stringify(due) }];
  }, "perdure");
  for (; now < 4 * leaseMs; now += 400) await index.step();
  const gaps = renewals.map((at, place) => (renewals[place + 1] ?? now) - at);
  assert.equal(renewals[0], 0);
  assert.ok(Math.max(...gaps) < leaseMs - 1000, `${gaps.join(", ")} ms between renewals`);
  // Most steps take what the step before has read.
  assert.ok(renewals.length < 12, `${renewals.length} renewals`);
});
