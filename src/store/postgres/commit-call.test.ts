import assert from "node:assert/strict";
import { test } from "node:test";
import type { Transaction } from "../../domain/record/change.ts";
import { sampleRecord, sampleSplice, stepOf } from "../../testing/samples.ts";
import { commitCall } from "./commit-call.ts";
import { Lanes } from "./lanes.ts";

test("changes are sent in the order in which the server locks their rows, also beyond U+FFFF", () => {
  const ids = ["\u{1f600}", "\uff61", "a", "\ue000", "\u{10000}", "b"];
  const batch = ids.map((id) => [stepOf(sampleRecord({ id }))]);
  const lane = new Lanes().take();
  const { values } = commitCall('"perdure"', lane, { batch, copies: new Map() });
  const updates = JSON.parse(String(values[2])) as { readonly id: string }[];
  assert.deepEqual(
    updates.map(({ id }) => id),
    ids.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  );
});

test("a change is sent to the function that does least for it", () => {
  const grown = (id: string): Transaction => [
    stepOf(sampleRecord({ id, heads: { turns: 2 } }), {
      splices: [sampleSplice("turns", 3, [{ key: "k", value: 3 }])],
    }),
  ];
  const appended = (id: string, claims = [{ log: "turns", key: "k" }]): Transaction =>
    grown(id).map((change) => ({ ...change, claims }) as Transaction[number]);
  const amended = (id: string): Transaction => [
    stepOf(sampleRecord({ id, heads: { turns: 2 } }), { splices: [sampleSplice("turns", 2, ["two"])] }),
  ];
  const archived = (id: string): Transaction => [
    stepOf(sampleRecord({ id }), { splices: [sampleSplice("archive", 1, ["bytes"])] }),
  ];
  const appendedTo = (id: string, logs: readonly string[]): Transaction => [
    stepOf(sampleRecord({ id }), { splices: logs.map((log) => ({ ...sampleSplice(log, 1, ["one"]), appends: true })) }),
  ];
  const kept = (id: string): Transaction =>
    appended(id).map((change) => ({ ...change, keepsListed: true }) as Transaction[number]);
  const touched = (id: string): Transaction => [stepOf(sampleRecord({ id }))];
  const cases: readonly (readonly [name: string, batch: readonly Transaction[], overlaps?: boolean])[] = [
    ["commit_entry", [appended("a")]],
    ["commit_two_entries", [appendedTo("a", ["turns", "steps"])]],
    ["commit_session", [appendedTo("a", ["turns", "steps", "events"])]],
    ["commit_session", [touched("a")]],
    ["commit_session", [grown("a")]],
    ["commit_session", [appended("a", [{ log: "turns", key: "another" }])]],
    ["commit_session", [amended("a")]],
    ["commit_session", [archived("a")]],
    ["commit_session", [appended("a")], true],
    ["commit_append_batch", [appended("a"), appended("b")]],
    ["commit_entry", [kept("a")]],
    ["commit_kept_appends", [kept("a"), kept("b")]],
    ["commit_append_batch", [kept("a"), appended("b")]],
    ["commit_batch", [kept("a"), kept("b")], true],
    ["commit_batch", [appended("a"), appended("b")], true],
    ["commit_batch", [appended("a"), amended("b")]],
    ["commit_batch", [appended("a"), archived("b")]],
  ];
  const lane = new Lanes().take();
  for (const [name, batch, overlaps = false] of cases)
    assert.match(
      commitCall('"perdure"', lane, { batch, copies: new Map(), overlaps }).text,
      new RegExp(`\\.${name}\\(`),
    );
});
