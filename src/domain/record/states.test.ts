import assert from "node:assert/strict";
import { test } from "node:test";
import { sampleRecord } from "../../testing/samples.ts";
import type { SessionState } from "./record.ts";
import { nextState, sessionStates, stateAt, type Transition } from "./states.ts";

const now = 1_000_000;
const transitions: readonly Transition[] = ["use", "passivate", "expire", "revive", "end", "archive"];

/** What each transition leads to, in the order above; an error's code where there is no way. */
const table: Readonly<
  Record<SessionState, readonly (SessionState | "session_expired" | "session_ended" | "session_archived" | undefined)[]>
> = {
  active: ["active", "inactive", "expired", undefined, "ended", "archived"],
  inactive: ["active", "inactive", "expired", undefined, "ended", "archived"],
  expired: ["session_expired", "session_expired", "expired", "active", "ended", "archived"],
  ended: ["session_ended", "session_ended", "session_ended", "session_ended", "ended", "archived"],
  archived: [
    "session_archived",
    "session_archived",
    "session_archived",
    "session_archived",
    "session_archived",
    "archived",
  ],
};

for (const state of sessionStates) {
  for (const [index, transition] of transitions.entries()) {
    const expected = table[state][index];
    test(`${transition} of a session that is ${state}: ${expected ?? "no rule"}`, () => {
      const record = sampleRecord({ state, expiresAt: now + 1 });
      if (expected === undefined) assert.throws(() => nextState(record, transition, now), /no rule/);
      else if (expected.startsWith("session_"))
        assert.throws(() => nextState(record, transition, now), { code: expected });
      else assert.equal(nextState(record, transition, now), expected);
    });
  }
}

test("a live session is expired from its deadline on, whatever state its record has", () => {
  for (const state of ["active", "inactive"] as const) {
    const record = sampleRecord({ state, expiresAt: now });
    assert.equal(stateAt(record, now - 1), state);
    assert.equal(stateAt(record, now), "expired");
    assert.equal(stateAt(record, now + 1), "expired");
    assert.throws(() => nextState(record, "use", now), { code: "session_expired" });
    assert.equal(nextState(record, "revive", now), "active");
  }
});

test("the clock changes no other state", () => {
  for (const state of ["expired", "ended", "archived"] as const)
    for (const expiresAt of [0, now, now + 1]) assert.equal(stateAt(sampleRecord({ state, expiresAt }), now), state);
});
