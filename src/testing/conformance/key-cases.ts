import assert from "node:assert/strict";
import type { Change } from "../../domain/record/change.ts";
import type { Entry } from "../../domain/record/entry.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Store } from "../../store/store.ts";
import { creationOf, sampleEntries, sampleSplice, stepOf } from "../samples.ts";
import { commitOne, keyOf, land, see, type Bench, type Check } from "./bench.ts";
import { oddIds } from "./odd-texts.ts";

export function keyCases(check: Check): void {
  check("key-is-once: a retry is a duplicate that hands back the entry", async (bench) => {
    const { store } = bench;
    const record = await born(bench);
    const first = append(record, "k", "the first");
    const after = await land(store, first);
    const before = await see(store, keyOf(record), ["turns"]);
    // The very same change again, as after a lost answer: its version is stale, yet it is a duplicate.
    assert.deepEqual(await duplicate(store, first), sampleEntries(2, [{ key: "k", value: "the first" }])[0]);
    // The key with other content on the stored version, on an older one and on one that never was.
    const { commitId } = after;
    for (const expected of [after, record, null, { version: 99, commitId }, { ...after, commitId: "another" }]) {
      const retry = { ...append(after, "k", "another"), expected };
      assert.equal((await duplicate(store, retry)).seq, 2, `expecting ${expected?.version} ${expected?.commitId}`);
    }
    assert.deepEqual(await see(store, keyOf(record), ["turns"]), before);
  });

  check("key-is-once: a key whose entry was spliced away is free again", async (bench) => {
    const { store } = bench;
    const record = await land(store, append(await born(bench), "k", "gone"));
    const cut = await land(store, stepOf(record, { splices: [sampleSplice("turns", 2, [])] }));
    const again = await land(store, append(cut, "k", "back"));
    assert.equal((await duplicate(store, append(again, "k", "more"))).data, '"back"');
    // Spliced over by other entries is spliced away too.
    const over = await land(store, stepOf(again, { splices: [sampleSplice("turns", 1, ["x", "y"])] }));
    await land(store, append(over, "k", "once more"));
  });

  check("key-is-once: a splice over an entry keeps its key", async (bench) => {
    const { store } = bench;
    const open = await land(store, append(await born(bench), "k", "open"));
    const sealed = await land(
      store,
      stepOf(open, { splices: [sampleSplice("turns", 2, [{ key: "k", value: "sealed" }])] }),
    );
    assert.equal((await duplicate(store, append(sealed, "k", "retry"))).data, '"sealed"');
  });

  check("key-is-once: a key of an entry that the same change replaces is a duplicate", async (bench) => {
    const { store } = bench;
    const record = await land(store, append(await born(bench), "k", "stands"));
    const change = stepOf(record, {
      splices: [sampleSplice("turns", 1, [{ key: "k", value: "new" }])],
      claims: [{ log: "turns", key: "k" }],
    });
    assert.equal((await duplicate(store, change)).data, '"stands"');
  });

  check("key-is-once: the same key in another log or another session is another key", async (bench) => {
    const { store } = bench;
    const record = await land(store, append(await born(bench), "k", "turn"));
    const event = stepOf(record, {
      splices: [sampleSplice("events", 1, [{ key: "k", value: "event" }])],
      claims: [{ log: "events", key: "k" }],
    });
    await land(store, event);
    const others = ["other", "Session", "session "].map((id) => bench.record({ id }));
    const outcomes = await store.commit(
      others.map((other) => [
        creationOf(other, {
          splices: [sampleSplice("turns", 1, [{ key: "k", value: "other" }])],
          claims: [{ log: "turns", key: "k" }],
        }),
      ]),
    );
    assert.ok(outcomes.every(({ status }) => status === "ok"));
  });

  check("key-is-once: entries without a key never stand in each other's way", async (bench) => {
    const { store } = bench;
    let record = await born(bench);
    for (let seq = 2; seq <= 4; seq++)
      record = await land(store, stepOf(record, { splices: [sampleSplice("turns", seq, ["same"])] }));
    for (const key of ["null", "undefined", "NULL"]) record = await land(store, append(record, key, key));
  });

  check("key-is-once: of several claims of a transaction one that stands is enough", async (bench) => {
    const { store } = bench;
    const record = await land(store, append(await born(bench), "k", "stands"));
    const other = bench.record({ id: "other" });
    const two = stepOf(record, {
      splices: [
        sampleSplice("turns", 3, [
          { key: "new", value: 1 },
          { key: "k", value: 2 },
        ]),
      ],
      claims: [
        { log: "turns", key: "new" },
        { log: "turns", key: "k" },
      ],
    });
    assert.equal((await duplicate(store, two)).data, '"stands"');
    const stale: Change = { ...stepOf(other), expected: { version: 4, commitId: other.commitId } };
    const last = await commitOne(store, stale, append(record, "k", "again"));
    assert.equal(last.status, "duplicate", "also behind a change that conflicts");
    // The other claim was not taken.
    const splices = [
      sampleSplice("turns", 3, [
        { key: "new", value: 1 },
        { key: "newer", value: 2 },
      ]),
    ];
    const claims = ["new", "newer"].map((key) => ({ log: "turns", key }));
    await land(store, stepOf(record, { splices, claims }));
  });

  check("key-is-once: a key of either log refuses a change of two logs, which writes neither", async (bench) => {
    const { store } = bench;
    const twoLogs = (onto: SessionRecord, keys: Readonly<Record<"turns" | "steps", string>>): Change => {
      const logs = ["turns", "steps"] as const;
      return stepOf(onto, {
        splices: logs.map((log) =>
          sampleSplice(log, (onto.heads[log] ?? 0) + 1, [{ key: keys[log], value: keys[log] }]),
        ),
        claims: logs.map((log) => ({ log, key: keys[log] })),
      });
    };
    const record = await land(store, twoLogs(await born(bench), { turns: "t", steps: "s" }));
    const before = await see(store, keyOf(record), ["turns", "steps"]);
    for (const [keys, standing] of [
      [{ turns: "t", steps: "new" }, "t"],
      [{ turns: "new", steps: "s" }, "s"],
    ] as const) {
      assert.equal((await duplicate(store, twoLogs(record, keys))).key, standing);
      const stale = { ...twoLogs(record, keys), expected: { version: 99, commitId: record.commitId } };
      assert.equal((await duplicate(store, stale)).key, standing, "also on another version");
    }
    assert.deepEqual(await see(store, keyOf(record), ["turns", "steps"]), before);
    await land(store, twoLogs(record, { turns: "s", steps: "t" }));
  });

  check("key-is-once: keys are compared exactly", async (bench) => {
    const { store } = bench;
    let record = await born(bench);
    for (const key of oddIds) record = await land(store, append(record, key, key));
    for (const [index, key] of oddIds.entries()) {
      const entry = await duplicate(store, append(record, key, "again"));
      assert.deepEqual({ ...entry }, { ...sampleEntries(index + 2, [{ key, value: key }])[0] });
    }
    const range = { log: "turns", keys: oddIds };
    assert.deepEqual(
      (await store.read(keyOf(record), range)).map(({ key }) => key),
      oddIds,
    );
  });

  check("key-is-once: the keys of a removed session are removed with it", async (bench) => {
    const { store } = bench;
    const record = await land(store, append(await born(bench), "k", "stands"));
    await commitOne(store, removeSession(record));
    const late = append(record, "k", "late");
    assert.deepEqual(await commitOne(store, late), { status: "conflict", current: undefined });
  });
}

/** A session with one turn. */
function born(bench: Bench): Promise<SessionRecord> {
  const splices = [sampleSplice("turns", 1, ["one"])];
  return land(bench.store, creationOf(bench.record({ id: "session" }), { splices }));
}

/** One more turn that claims `key`. */
function append(record: SessionRecord, key: string, value: string): Change {
  const seq = (record.heads["turns"] ?? 0) + 1;
  return stepOf(record, {
    splices: [sampleSplice("turns", seq, [{ key, value }])],
    claims: [{ log: "turns", key }],
  });
}

/** The entry handed back by a commit that must be a duplicate. */
async function duplicate(store: Store, change: Change): Promise<Entry> {
  const outcome = await commitOne(store, change);
  assert.ok(outcome.status === "duplicate", `a duplicate, not ${outcome.status}`);
  return { ...outcome.entry };
}
