import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "../../../test/support/fast-check.ts";
import { sampleEntries, sampleRecord, sampleSplice, stepOf } from "../../testing/samples.ts";
import { changeOf, draftOf, headOf, keepsListed, set, splice } from "./change.ts";
import type { Splice } from "./entry.ts";

const logs = ["turns", "events", "constructor"];
const step = fc.record({
  log: fc.constantFrom(...logs),
  /** Where between the beginning and the end, in parts of a thousand. */
  place: fc.nat(1000),
  values: fc.array(fc.nat(), { maxLength: 4 }),
});

test("several splices of a draft make one splice a log, with the same result", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5), { minLength: 3, maxLength: 3 }), fc.array(step), (lengths, steps) => {
      const before = new Map(
        logs.map((log, index) => [log, sampleEntries(1, ["old", "old", "old", "old", "old"].slice(0, lengths[index]))]),
      );
      const heads = Object.fromEntries(logs.map((log, index) => [log, lengths[index] ?? 0]));
      const draft = draftOf(sampleRecord({ heads }));
      const model = new Map(before);
      for (const { log, place, values } of steps) {
        const entries = model.get(log) ?? [];
        const from = 1 + Math.round((entries.length * place) / 1000);
        const added = sampleEntries(from, values);
        splice(draft, log, from, added);
        model.set(log, [...entries.slice(0, from - 1), ...added]);
      }
      const change = changeOf(draft);
      assert.equal(new Set(change.splices.map(({ log }) => log)).size, change.splices.length, "one splice a log");
      const applied = new Map(before);
      for (const one of change.splices) applied.set(one.log, applySplice(applied.get(one.log) ?? [], one));
      for (const log of logs) {
        assert.deepEqual(applied.get(log), model.get(log), log);
        assert.equal(headOf(change.record!, log), model.get(log)?.length, "the record counts what the log holds");
        for (const [index, { seq }] of (applied.get(log) ?? []).entries()) assert.equal(seq, index + 1);
      }
    }),
  );
});

function applySplice(
  entries: readonly Splice["entries"][number][],
  { from, entries: added }: Splice,
): Splice["entries"][number][] {
  return [...entries.slice(0, from - 1), ...added];
}

test("a splice that would leave a gap throws", () => {
  const draft = draftOf(sampleRecord({ heads: { turns: 2 } }));
  for (const from of [0, -1, 4, 99]) assert.throws(() => splice(draft, "turns", from, []), RangeError);
  assert.throws(() => splice(draft, "events", 2, []), RangeError);
  splice(draft, "turns", 1, []);
  assert.throws(() => splice(draft, "turns", 3, []), RangeError, "the draft's own cuts count");
});

test("a change is one version ahead and expects the one it was made from", () => {
  const record = sampleRecord({ version: 41 });
  const draft = draftOf(record);
  set(draft, { agent: "cfo" });
  set(draft, { user: "ann" });
  assert.deepEqual(changeOf(draft), {
    key: { tenant: record.tenant, id: record.id },
    expected: { version: 41, commitId: record.commitId },
    record: { ...record, version: 42, agent: "cfo", user: "ann" },
    splices: [],
    claims: [],
  });
  assert.equal(record.agent, "ceo", "the record it was made from stays");
});

test("only a change of the turns makes a view of them stale", () => {
  const record = sampleRecord({ version: 10, turnsVersion: 7 });
  assert.equal(stepOf(record).record?.turnsVersion, 7);
  assert.equal(stepOf(record, { splices: [sampleSplice("events", 1, ["x"])] }).record?.turnsVersion, 7);
  assert.equal(stepOf(record, { splices: [sampleSplice("turns", 1, ["x"])] }).record?.turnsVersion, 11);
  assert.equal(stepOf(record, { splices: [sampleSplice("turns", 1, [])] }).record?.turnsVersion, 11);
});

test("the names of Object.prototype are logs like any other", () => {
  assert.equal(headOf(sampleRecord(), "constructor"), 0);
});

test("a draft keeps the fields by which lists find a session unless one of them changes", () => {
  const base = sampleRecord({ labels: { a: "b" }, title: "old", user: "ada" });
  const draft = (fields: Parameters<typeof set>[1]): boolean => {
    const made = draftOf(base);
    set(made, fields);
    return keepsListed(made);
  };
  assert.equal(draft({ version: 9, commitId: "c", lastActivityAt: 9, expiresAt: 9, sweepAt: 9, metadata: {} }), true);
  const changed: readonly Parameters<typeof set>[1][] = [
    { state: "ended" },
    { stateSince: base.stateSince + 1 },
    { agent: "other" },
    { user: null },
    { createdAt: base.createdAt + 1 },
    { title: null },
    { labels: {} },
    { waiting: { since: 1 } as never },
  ];
  for (const fields of changed) assert.equal(draft(fields), false, Object.keys(fields).join());
});
