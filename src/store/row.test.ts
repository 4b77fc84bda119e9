import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../test/support/fast-check.ts";
import { counterNames, type Counters } from "../domain/record/record.ts";
import { hasCode } from "../errors.ts";
import { sampleRecord } from "../testing/samples.ts";
import { earlierRowOf } from "../../test/support/earlier-row.ts";
import { activeMinuteOf, recordOf, rowOf } from "./row.ts";

test("a record comes back from its row as it was", () => {
  const metadata = { z: -0, a: new Date(5), big: 7n, ["__proto__"]: "own", bytes: Uint8Array.of(1) };
  const record = sampleRecord({
    metadata,
    user: "ann",
    restoredAt: 7,
    title: "Ordering flour",
    labels: { constructor: "x", "\u{1f9c1}": "", team: "ops" },
    openTurn: 3,
    cancel: { turn: 3, at: 1 },
    lease: { instance: "i", fence: 2, commitId: "c", acquiredAt: 1, expiresAt: null },
    waiters: [{ ticket: "t", instance: "j", until: 9 }],
    heads: { turns: 3, constructor: 1 },
    legalHold: { reason: "a lawsuit", at: 3 },
    parent: { id: "p", at: 2, born: 1 },
    inherited: 2,
    forkedAt: 2,
    resets: [{ archive: "a", at: 1 }],
    archive: {
      state: "ended",
      heads: { turns: 3 },
      parts: [{ ranges: [{ log: "turns", from: 1, to: 3 }], sha256: "f00" }],
      bytes: 100,
      packedBytes: 25,
      usageEntries: 1,
    },
  });
  for (const row of [rowOf(record), earlierRowOf(record)]) {
    assert.deepStrictEqual(recordOf(row), record);
    assert.deepStrictEqual(recordOf(structuredClone(row)), record);
  }
});

test("the row of a session that only appends has its time to live, counters and heads", () => {
  const fields = { version: 7, turnsVersion: 7, commitId: "c.1", turnsCommitId: "c.1", heads: { events: 1, turns: 2 } };
  const record = sampleRecord({ ...fields, maxAgeFrom: sampleRecord().createdAt });
  const row = rowOf(record);
  assert.deepEqual(Object.keys(JSON.parse(row.data) as object), ["metadata", "ttlMs", "counters", "heads"]);
  assert.ok(row.data.length < earlierRowOf(record).data.length / 2);
  assert.deepStrictEqual(recordOf(row), record);
});

test("a row has the counters in the order of their names", () => {
  const counters = Object.fromEntries(counterNames.map((name, index) => [name, index + 1])) as unknown as Counters;
  const row = rowOf(sampleRecord({ counters }));
  const stored = (JSON.parse(row.data) as { counters: number[] }).counters;
  assert.deepEqual(stored, Object.values(counters));
  assert.deepEqual(recordOf(row).counters, counters);
  for (const damaged of [stored.slice(1), [...stored.slice(1), "8"], []]) {
    const data = JSON.stringify({ ...(JSON.parse(row.data) as object), counters: damaged });
    assert.throws(
      () => recordOf({ ...row, data }),
      (error: unknown) => hasCode(error, "session_unreadable") && error.details.field === "counters",
      data,
    );
  }
});

test("a row keeps the names of the first version on disk", () => {
  const archive = { state: "ended", heads: { turns: 3 }, parts: [], bytes: 100, packedBytes: 25 } as const;
  const record = sampleRecord({ archive: { ...archive, usageEntries: 2 } });
  const row = rowOf(record);
  const data = JSON.parse(row.data) as object;
  assert.deepEqual("archive" in data && data.archive, { ...archive, spent: 2 });
  const older = { ...row, data: JSON.stringify({ ...data, archive }) };
  assert.deepEqual(recordOf(older).archive, { ...archive, usageEntries: 0 }, "of a version that counted none");
});

test("a row from before handoffs, archives, legal holds and forks is read", () => {
  const record = sampleRecord();
  const row = rowOf(record);
  const { floor: _, ...data } = JSON.parse(row.data) as Record<string, unknown>;
  for (const field of ["restoredAt", "waiting", "archive", "hold", "parent", "inherited", "forkedAt", "resets"])
    assert(!(field in data), `${field} takes no room`);
  assert.deepStrictEqual(recordOf({ ...row, data: JSON.stringify(data) }), record);
});

test("the minute of the last activity never runs ahead of it and is never a minute behind", () => {
  fc.assert(
    fc.property(fc.nat(Number.MAX_SAFE_INTEGER), (at) => {
      const minute = activeMinuteOf(at);
      assert.ok(Number.isSafeInteger(minute) && minute * 60_000 <= at && at < (minute + 1) * 60_000);
      assert.equal(rowOf(sampleRecord({ lastActivityAt: at })).activeMinute, minute);
    }),
  );
});

test("a session whose turn waits is found by a label that is none of its own", () => {
  const waiting = { token: "t", reason: "approval", since: 1, expiresAt: null };
  for (const labels of [{}, { team: "ops" }]) {
    const record = sampleRecord({ openTurn: 1, waiting, labels });
    const row = rowOf(record);
    assert.deepEqual(JSON.parse(row.labels ?? ""), { ...labels, "=waiting": "approval" });
    assert.deepStrictEqual(recordOf(row), record);
  }
});

test("a row without labels has no text for them, and damaged labels make the record unreadable", () => {
  const row = rowOf(sampleRecord());
  assert.deepEqual([row.title, row.labels], [null, null]);
  for (const labels of ["{", "[]", "7", '{"team":7}', '"text"'])
    assert.throws(
      () => recordOf({ ...row, labels }),
      (error: unknown) => hasCode(error, "session_unreadable") && error.details.field === "labels",
      labels,
    );
  assert.throws(() => recordOf({ ...row, title: 7 as unknown as string }), { code: "session_unreadable" });
});
