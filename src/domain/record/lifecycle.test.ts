import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../../test/support/fast-check.ts";
import { sampleAt, sampleRecord } from "../../testing/samples.ts";
import { draftOf, type Change } from "./change.ts";
import { encode, type Value } from "../values/codec.ts";
import { eventOf } from "./event.ts";
import {
  createSession,
  restartSession,
  reviveSession,
  touchSession,
  updateSession,
  type NewSession,
} from "./lifecycle.ts";
import { defaultLimits } from "../values/limits.ts";
import type { Metadata, SessionRecord } from "./record.ts";
import type { Context } from "./guards.ts";

const hourMs = 3_600_000;
const session: NewSession = {
  key: { tenant: "t", id: "s" },
  agent: "ceo",
  user: null,
  metadata: {},
  ttlMs: hourMs,
  maxAgeMs: null,
  instructions: null,
};

function at(now: number): Context {
  return { now, chance: 0, limits: defaultLimits };
}

function recordOf(change: Change | null): SessionRecord {
  assert.ok(change?.record);
  return change.record;
}

test("activity moves a sliding deadline, and an absolute cap bounds it", () => {
  const born = recordOf(createSession({ ...session, maxAgeMs: 90 * 60_000 }, at(sampleAt)));
  assert.equal(born.expiresAt, sampleAt + hourMs);
  assert.equal(recordOf(touchSession(born, at(sampleAt + 60_000))).expiresAt, sampleAt + 60_000 + hourMs);
  assert.equal(recordOf(touchSession(born, at(sampleAt + 50 * 60_000))).expiresAt, sampleAt + 90 * 60_000);
});

test("a clock that runs backwards shortens no deadline", () => {
  const born = recordOf(createSession(session, at(sampleAt)));
  const touched = recordOf(touchSession(born, at(sampleAt - 60_000)));
  assert.equal(touched.lastActivityAt, sampleAt);
  assert.equal(touched.expiresAt, born.expiresAt);
});

test("each revival gives a session the life it was created with, no more", () => {
  let record = recordOf(createSession({ ...session, maxAgeMs: 2 * hourMs }, at(sampleAt)));
  for (let round = 1; round <= 4; round++) {
    const now = sampleAt + round * 10 * hourMs;
    record = recordOf(reviveSession(draftOf(record), at(now)));
    assert.equal(record.expiresAt, now + hourMs, "the sliding deadline");
    // Kept busy, it reaches the cap, which counts from the revival.
    for (let minutes = 30; minutes < 120; minutes += 30)
      record = recordOf(touchSession(record, at(now + minutes * 60_000)));
    assert.equal(record.expiresAt, now + 2 * hourMs, "the cap");
    assert.equal(record.maxAgeMs, 2 * hourMs);
  }
});

const metadata = fc.dictionary(
  fc.constantFrom("a", "b", "c", "__proto__", "constructor", "$type"),
  fc.oneof(fc.nat(), fc.constant(undefined), fc.constant({ n: [1] })),
) as fc.Arbitrary<Metadata>;

test("a patch of metadata is merged key by key, and undefined removes a key", () => {
  fc.assert(
    fc.property(metadata, metadata, (first, patch) => {
      const born = recordOf(createSession({ ...session, metadata: first }, at(sampleAt)));
      const updated = recordOf(updateSession(born, { metadata: patch }, at(sampleAt)));
      const expected = new Map<string, Value | undefined>([...Object.entries(first), ...Object.entries(patch)]);
      for (const [key, value] of expected) if (value === undefined) expected.delete(key);
      assert.deepEqual(new Map(Object.entries(updated.metadata)), expected);
      assert.deepEqual(born.metadata, recordOf(createSession({ ...session, metadata: first }, at(sampleAt))).metadata);
    }),
  );
});

test("a session keeps its metadata after the caller changes the object", () => {
  const given = { list: [1], at: new Date(5) };
  const born = recordOf(createSession({ ...session, metadata: given }, at(sampleAt)));
  const updated = recordOf(updateSession(born, { metadata: { more: given } }, at(sampleAt)));
  given.list.push(2);
  given.at.setTime(6);
  assert.deepEqual(born.metadata, { list: [1], at: new Date(5) });
  assert.deepEqual(updated.metadata["more"], { list: [1], at: new Date(5) });
});

test("metadata over its limit, or of values that cannot be kept, is refused before anything is written", () => {
  const large = { text: "語".repeat(22_000) };
  assert.throws(() => createSession({ ...session, metadata: large }, at(sampleAt)), { code: "metadata_too_large" });
  const born = recordOf(createSession(session, at(sampleAt)));
  assert.throws(() => updateSession(born, { metadata: large }, at(sampleAt)), { code: "metadata_too_large" });
  const call = { call: (): void => {} } as unknown as Metadata;
  assert.throws(() => updateSession(born, { metadata: call }, at(sampleAt)), {
    code: "value_unstorable",
    message: /metadata\.call/,
  });
});

test("new instructions follow the old ones in a log of their own, and a text too long is refused", () => {
  const born = createSession({ ...session, instructions: "one" }, at(sampleAt));
  assert.deepEqual(born.splices[0], {
    log: "instructions",
    from: 1,
    entries: [{ seq: 1, key: null, at: sampleAt, data: encode("one") }],
    appends: true,
  });
  const updated = updateSession(recordOf(born), { instructions: "two" }, at(sampleAt));
  assert.equal(updated.splices[0]?.from, 2);
  assert.equal(recordOf(updated).turnsVersion, recordOf(born).turnsVersion, "turns seen before are not stale");
  const long = "x".repeat(defaultLimits.instructionsLengthMax + 1);
  assert.throws(() => updateSession(recordOf(born), { instructions: long }, at(sampleAt)), {
    code: "argument_invalid",
  });
});

test("a reset keeps the old session whole under another id and begins an empty one under its own", () => {
  const heads = { turns: 3, events: 1, instructions: 2 };
  const old = sampleRecord({
    tenant: "t",
    id: "s",
    version: 40,
    state: "expired",
    fence: 17,
    heads,
    turnsVersion: 30,
    waiters: [],
  });
  const now = sampleAt + 5;
  const [archived, fresh] = restartSession(
    old,
    { session: { ...session, instructions: "new" }, archiveId: "s.1" },
    at(now),
  );

  assert.deepEqual(archived.key, { tenant: "t", id: "s.1" });
  assert.equal(archived.expected, null);
  assert.equal(archived.record?.state, "archived");
  assert.equal(archived.record?.stateSince, now);
  assert.deepEqual(archived.record?.heads, { ...heads, events: 2 });
  assert.deepEqual(archived.record?.counters, old.counters);
  assert.deepEqual(archived.logsOf, { tenant: archived.key.tenant, id: "s" }, "its logs move, whatever their length");
  const [splice, ...others] = archived.splices;
  assert.deepEqual([splice?.log, splice?.from, others], ["events", 2, []]);
  const last = splice?.entries[0];
  assert.ok(last);
  const { type, ...archival } = eventOf(last);
  assert.equal(type, "archived");
  assert.equal("of" in archival ? archival.of : null, "s");

  assert.deepEqual(fresh.key, { tenant: "t", id: "s" });
  assert.deepEqual(fresh.expected, { version: 40, commitId: old.commitId });
  assert.equal(fresh.record?.version, 41);
  assert.equal(fresh.record?.turnsVersion, 41, "turns seen before are stale");
  assert.equal(fresh.record?.state, "active");
  assert.equal(fresh.record?.fence, 17, "a holder from before stays superseded");
  assert.deepEqual(fresh.record?.heads, { instructions: 1, events: 1 });
  assert.deepEqual(
    new Map(fresh.splices.map(({ log, from, entries }) => [log, [from, entries.length]])),
    new Map([
      ["instructions", [1, 1]],
      ["events", [1, 1]],
    ]),
  );
});
