import assert from "node:assert/strict";
import { test } from "node:test";
import { sampleAt, sampleRecord } from "../../testing/samples.ts";
import { draftOf, set, type Change } from "./change.ts";
import { eventOf, type SessionEvent } from "./event.ts";
import { grant } from "../turns/leases.ts";
import { defaultLimits } from "../values/limits.ts";
import { activateSession, failSession, passivateSession } from "./activation.ts";
import type { SessionRecord } from "./record.ts";
import type { Context } from "./guards.ts";

const at = (ms: number): Context => ({ now: sampleAt + ms, chance: 0, limits: defaultLimits });
const cause = { code: "out_of_memory", message: "it grew beyond 64 MiB" };

function recordOf({ record }: Change): SessionRecord {
  assert.ok(record);
  return record;
}

function eventsOf({ splices }: Change): SessionEvent[] {
  return splices.filter(({ log }) => log === "events").flatMap(({ entries }) => entries.map(eventOf));
}

test("activation, passivation and failure of a session change its state and its events in the same change", () => {
  const draft = draftOf(sampleRecord());
  grant(draft, { instance: "i", ttlMs: null, ticket: null }, at(1));
  const active = activateSession(draft, { instance: "i", reason: "a message" }, at(1));
  const { fence } = recordOf(active);
  const asleep = passivateSession(draftOf(recordOf(active)), { reason: "idle", fence }, at(2));
  assert.ok(asleep);
  assert.equal(recordOf(asleep).state, "inactive");
  assert.equal(recordOf(asleep).lease, null, "the lease is given back in the same step");
  assert.equal(passivateSession(draftOf(recordOf(asleep)), { reason: "idle" }, at(3)), null, "it sleeps already");
  const awake = activateSession(draftOf(recordOf(asleep)), { instance: "i", reason: "a message" }, at(4));
  assert.equal(recordOf(awake).state, "active");
  assert.equal(recordOf(awake).stateSince, sampleAt + 4);
  const failed = failSession(draftOf(recordOf(awake)), { cause }, at(5));
  assert.equal(recordOf(failed).state, "inactive");
  assert.deepEqual(
    [active, asleep, awake, failed].flatMap(eventsOf).map(({ type, severity, status }) => [type, severity, status]),
    [
      ["activated", "info", "ok"],
      ["passivated", "info", "ok"],
      ["activated", "info", "ok"],
      ["failed", "error", "failed"],
    ],
  );
  const [event] = eventsOf(failed);
  assert.ok(event?.type === "failed");
  assert.deepEqual({ code: event.code, message: event.message }, cause);
});

test("an instance cannot activate a session that another instance holds, nor passivate it under an old fencing token", () => {
  const draft = draftOf(sampleRecord());
  grant(draft, { instance: "other", ttlMs: null, ticket: null }, at(0));
  const { record } = draft;
  assert.throws(() => activateSession(draftOf(record), { instance: "i", reason: "x" }, at(1)), { code: "busy" });
  const fence = record.fence - 1;
  assert.throws(() => passivateSession(draftOf(record), { reason: "idle", fence }, at(1)), { code: "fenced" });
  assert.throws(() => failSession(draftOf(record), { cause, fence }, at(1)), { code: "fenced" });
});

test("a running answer is sealed before its session is passivated or fails", () => {
  const draft = draftOf(sampleRecord());
  set(draft, { openTurn: 1 });
  const { record } = draft;
  assert.throws(() => passivateSession(draftOf(record), { reason: "idle" }, at(1)), { code: "turn_open" });
  assert.throws(() => failSession(draftOf(record), { cause }, at(1)), { code: "turn_open" });
});

test("a turn that waits has no writer: its session is passivated, and the turn still waits", () => {
  const draft = draftOf(sampleRecord());
  const waiting = { token: "t", reason: "approval", since: sampleAt, expiresAt: null };
  set(draft, { openTurn: 1, waiting });
  const { record } = draft;
  const asleep = passivateSession(draftOf(record), { reason: "idle" }, at(1));
  assert.ok(asleep);
  for (const change of [asleep, failSession(draftOf(record), { cause }, at(1))]) {
    const { state, openTurn, waiting: still } = recordOf(change);
    assert.deepEqual([state, openTurn, still], ["inactive", 1, waiting]);
  }
});

test("an ended session is not activated, and its failure changes its events only", () => {
  const ended = sampleRecord({ state: "ended" });
  assert.throws(() => activateSession(draftOf(ended), { instance: "i", reason: "x" }, at(1)), {
    code: "session_ended",
  });
  const failed = failSession(draftOf(ended), { cause }, at(1));
  assert.equal(recordOf(failed).state, "ended");
  assert.equal(eventsOf(failed).length, 1);
});

test("an event keeps a bounded part of the message of a crash, and the name of its request", () => {
  const long = { code: "thrown", message: "x".repeat(100_000) };
  const [event] = eventsOf(failSession(draftOf(sampleRecord()), { cause: long }, { ...at(1), correlation: "req-1" }));
  assert.ok(event?.type === "failed");
  assert.equal(event.message.length, defaultLimits.noteLengthMax);
  assert.equal(event.correlation, "req-1");
});
