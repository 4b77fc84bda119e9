import assert from "node:assert/strict";
import type { Transaction } from "../../domain/record/change.ts";
import type { Splice } from "../../domain/record/entry.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { creationOf, sampleEntries, sampleSplice, stepOf } from "../samples.ts";
import { commitOne, keyOf, land, refuse, see, type Check } from "./bench.ts";

const five = ["a", "b", "c", "d", "e"];

/** The results of splices of a log of five turns. */
const outcomes: readonly [string, Splice, readonly string[]][] = [
  ["appends at the end", sampleSplice("turns", 6, ["f"]), ["a", "b", "c", "d", "e", "f"]],
  ["appends several", sampleSplice("turns", 6, ["f", "g"]), ["a", "b", "c", "d", "e", "f", "g"]],
  ["replaces the last", sampleSplice("turns", 5, ["E"]), ["a", "b", "c", "d", "E"]],
  ["replaces the tail by a shorter one", sampleSplice("turns", 2, ["B"]), ["a", "B"]],
  ["replaces the tail by a longer one", sampleSplice("turns", 5, ["E", "F"]), ["a", "b", "c", "d", "E", "F"]],
  ["replaces everything", sampleSplice("turns", 1, ["A", "B"]), ["A", "B"]],
  ["cuts the tail off", sampleSplice("turns", 4, []), ["a", "b", "c"]],
  ["empties the log", sampleSplice("turns", 1, []), []],
  ["of nothing at the end changes nothing", sampleSplice("turns", 6, []), five],
];

export function spliceCases(check: Check): void {
  for (const [what, change, expected] of outcomes) {
    check(`commit-is-whole: a splice ${what}`, async (bench) => {
      const { store } = bench;
      const splices = [sampleSplice("turns", 1, five), sampleSplice("events", 1, ["said"])];
      const record = await land(store, creationOf(bench.record({ id: "spliced" }), { splices }));
      const next = stepOf(record, { splices: [change] });
      await land(store, next);
      const seen = await see(store, keyOf(record), ["turns", "events"]);
      assert.deepEqual(
        seen?.logs["turns"]?.map(({ seq, data }) => [seq, JSON.parse(data)]),
        expected.map((value, index) => [index + 1, value]),
      );
      assert.deepEqual(seen.logs["events"], sampleEntries(1, ["said"]), "other logs stay");
      assert.deepEqual(seen.record, next.record);
    });
  }

  check("commit-is-whole: one change splices several logs", async (bench) => {
    const { store } = bench;
    const logs = ["turns", "chunks", "events", "constructor", "a-log_of-its-own-with-32-chars-0"];
    const born = await land(
      store,
      creationOf(bench.record({ id: "several" }), {
        splices: logs.map((log) => sampleSplice(log, 1, [`${log} 1`, `${log} 2`])),
      }),
    );
    // A seal: the finished turn over the open one, the chunks away, an event more, all in one step.
    const sealed = stepOf(born, {
      splices: [
        sampleSplice("turns", 2, ["sealed"]),
        sampleSplice("chunks", 1, []),
        sampleSplice("events", 3, ["sealed", "released"]),
      ],
    });
    await land(store, sealed);
    const seen = await see(store, keyOf(born), logs);
    assert.deepEqual(seen?.logs, {
      turns: [...sampleEntries(1, ["turns 1"]), ...sampleEntries(2, ["sealed"])],
      chunks: [],
      events: [...sampleEntries(1, ["events 1", "events 2"]), ...sampleEntries(3, ["sealed", "released"])],
      constructor: sampleEntries(1, ["constructor 1", "constructor 2"]),
      [logs[4]!]: sampleEntries(1, [`${logs[4]} 1`, `${logs[4]} 2`]),
    });
    assert.deepEqual(seen.record.heads, sealed.record?.heads);
  });

  check("commit-is-whole: a log continues after it was emptied", async (bench) => {
    const { store } = bench;
    let record = await land(store, creationOf(bench.record({ id: "emptied" })));
    for (const round of ["first", "second", "third"]) {
      for (let seq = 1; seq <= 3; seq++)
        record = await land(store, stepOf(record, { splices: [sampleSplice("chunks", seq, [`${round} ${seq}`])] }));
      const seen = await see(store, keyOf(record), ["chunks"]);
      assert.deepEqual(
        seen?.logs["chunks"]?.map(({ data }) => JSON.parse(data) as string),
        [1, 2, 3].map((seq) => `${round} ${seq}`),
      );
      record = await land(store, stepOf(record, { splices: [sampleSplice("chunks", 1, [])] }));
    }
    assert.deepEqual((await see(store, keyOf(record), ["chunks"]))?.logs["chunks"], []);
  });

  check("commit-is-whole: three hundred entries come in one change and leave in one", async (bench) => {
    const { store } = bench;
    const values = Array.from({ length: 300 }, (_, index) => ({
      key: `k${index}`,
      value: index,
    }));
    const record = await land(
      store,
      creationOf(bench.record({ id: "many" }), { splices: [sampleSplice("turns", 1, values)] }),
    );
    const seen = await see(store, keyOf(record), ["turns"]);
    assert.deepEqual(seen?.logs["turns"], sampleEntries(1, values));
    await land(store, stepOf(record, { splices: [sampleSplice("turns", 2, [])] }));
    assert.equal((await see(store, keyOf(record), ["turns"]))?.logs["turns"]?.length, 1);
  });

  check("logs-may-begin-later: a fork's log begins after the turns that it shares", async (bench) => {
    const { store } = bench;
    const fields = { heads: { turns: 3 }, parent: { id: "parent", at: 3, born: 1 } };
    const born = bench.record({ id: "fork", ...fields });
    const creation = creationOf(born);
    assert.ok(creation.record);
    // The record speaks of turns that are not its own.
    await land(store, { ...creation, record: { ...creation.record, heads: fields.heads } });
    const load = async (last: number): Promise<unknown> =>
      (await store.load([{ key: keyOf(born), tails: [{ log: "turns", last }] }])).sessions[0]?.tails[0];
    assert.deepEqual(await load(10), []);
    const range = { log: "turns", from: 4, to: 100, limit: 100 } as const;
    assert.deepEqual(await store.read(keyOf(born), { ...range, order: "ascending" }), []);
    let record = await land(store, stepOf(born, { splices: [sampleSplice("turns", 4, ["d", "e"])] }));
    record = await land(store, stepOf(record, { splices: [sampleSplice("turns", 5, ["E", "F"])] }));
    const whole = [...sampleEntries(4, ["d"]), ...sampleEntries(5, ["E", "F"])];
    assert.deepEqual(await load(10), whole);
    assert.deepEqual(await load(1), whole.slice(2));
    assert.deepEqual(await store.read(keyOf(born), { ...range, order: "ascending" }), whole);
    assert.deepEqual(await store.read(keyOf(born), { ...range, from: 1, order: "descending" }), whole.toReversed());
    record = await land(store, stepOf(record, { splices: [sampleSplice("turns", 4, [])] }));
    assert.deepEqual(await load(10), []);
    // Given its own, it has them all.
    await land(
      store,
      stepOf(record, { fields: { parent: null }, splices: [sampleSplice("turns", 1, ["a", "b", "c", "d"])] }),
    );
    assert.deepEqual(await load(10), sampleEntries(1, ["a", "b", "c", "d"]));
  });

  check("logs-grow-at-the-front: a fork takes over its shared turns from the last to the first", async (bench) => {
    const { store } = bench;
    const born = bench.record({ id: "front", parent: { id: "parent", at: 5, born: 1 } });
    const heads = { turns: 5 };
    const creation = creationOf(born);
    assert.ok(creation.record);
    let record = await land(store, { ...creation, record: { ...creation.record, heads } });
    record = await land(store, stepOf(record, { splices: [sampleSplice("turns", 6, [{ key: "f", value: "f" }])] }));
    for (const [seq, values] of [
      [5, [{ key: "e", value: "e" }]],
      [3, ["c", "d"]],
      [1, ["a", { key: "b", value: "b" }]],
    ] as const) {
      const splices = [{ log: "turns", from: 7, entries: sampleEntries(seq, values) }];
      const parent = seq === 1 ? null : { id: "parent", at: seq - 1, born: 1 };
      record = await land(store, { ...stepOf(record, { fields: { parent } }), splices });
      const key = keyOf(record);
      const {
        sessions: [loaded],
      } = await store.load([{ key, tails: [{ log: "turns", last: 10 }] }]);
      assert.deepEqual(
        loaded?.tails[0]?.map((entry) => [entry.seq, JSON.parse(entry.data)]),
        ["a", "b", "c", "d", "e", "f"].map((value, index) => [index + 1, value]).slice(seq - 1),
      );
      const range = { log: "turns", from: 1, to: 6, order: "descending", limit: 10 } as const;
      assert.deepEqual((await store.read(key, range)).toReversed(), loaded?.tails[0]);
    }
    const keyed = await store.read(keyOf(record), { log: "turns", keys: ["b", "e", "f"] });
    assert.deepEqual(
      keyed.map(({ seq }) => seq).toSorted((a, b) => a - b),
      [2, 5, 6],
    );
    const again = stepOf(record, {
      splices: [sampleSplice("turns", 7, [{ key: "b", value: "b" }])],
      claims: [{ log: "turns", key: "b" }],
    });
    assert.equal((await commitOne(store, again)).status, "duplicate");
  });

  check("logs-move-whole: one session moves all its logs to another and is emptied, in one step", async (bench) => {
    const { store } = bench;
    const logs = ["turns", "events", "a-log-of-its-own"];
    const values = [{ key: "k", value: "a" }, "b", "c"];
    const born = await land(
      store,
      creationOf(bench.record({ id: "moves" }), { splices: logs.map((log) => sampleSplice(log, 1, values)) }),
    );
    const other = await land(
      store,
      creationOf(bench.record({ id: "other" }), { splices: [sampleSplice("turns", 1, ["o"])] }),
    );
    const event = sampleSplice("events", 4, ["moved"]);
    const moved = creationOf(bench.record({ id: "moved" }));
    assert.ok(moved.record);
    const taking = (record: SessionRecord): Transaction => {
      const again = stepOf(
        { ...record, heads: {} },
        { splices: [sampleSplice("turns", 1, [{ key: "k", value: "new" }])] },
      );
      const heads = { ...born.heads, events: 4 };
      return [{ ...moved, logsOf: keyOf(born), splices: [event], record: { ...moved.record!, heads } }, again];
    };
    const touched = await land(store, stepOf(born));
    assert.equal((await store.commit([taking(born)]))[0]?.status, "conflict");
    assert.equal(await see(store, moved.key, logs), undefined);
    assert.deepEqual((await see(store, keyOf(born), logs))?.logs["turns"], sampleEntries(1, values));
    assert.deepEqual(await store.commit([taking(touched)]), [{ status: "ok" }]);
    const whole = sampleEntries(1, values);
    assert.deepEqual((await see(store, moved.key, logs))?.logs, {
      turns: whole,
      events: [...whole, ...event.entries],
      "a-log-of-its-own": whole,
    });
    assert.deepEqual((await see(store, keyOf(born), logs))?.logs, {
      turns: sampleEntries(1, [{ key: "k", value: "new" }]),
      events: [],
      "a-log-of-its-own": [],
    });
    assert.deepEqual((await see(store, keyOf(other), ["turns"]))?.logs["turns"], sampleEntries(1, ["o"]));
  });

  check(
    "logs-move-whole: a session that exists takes the logs of one of another tenant, which is removed",
    async (bench) => {
      const { store } = bench;
      const standing = await land(
        store,
        creationOf(bench.record({ id: "takes" }), {
          splices: ["turns", "chunks"].map((log) =>
            sampleSplice(log, 1, [{ key: "k", value: "old" }, "old 2", "old 3"]),
          ),
        }),
      );
      const tenant = `${bench.tenant}.other`;
      const giver = await land(
        store,
        creationOf(bench.record({ id: "gives", tenant }), {
          splices: [
            sampleSplice("turns", 1, [{ key: "k", value: "new" }]),
            sampleSplice("archive", 1, [Buffer.from("a part")]),
          ],
        }),
      );
      const fields = { heads: { turns: 2, archive: 1 } };
      const taking = (record: SessionRecord): Transaction => [
        { ...stepOf(record, { fields }), logsOf: keyOf(giver), splices: [sampleSplice("turns", 2, ["new"])] },
        { ...stepOf(giver), record: null },
      ];
      const before = await see(store, keyOf(standing), ["turns", "chunks"]);
      const touched = await land(store, stepOf(standing));
      assert.equal((await store.commit([taking(standing)]))[0]?.status, "conflict");
      assert.deepEqual((await see(store, keyOf(standing), ["turns", "chunks"]))?.logs, before?.logs);
      assert.ok(await see(store, keyOf(giver), []));
      assert.deepEqual(await store.commit([taking(touched)]), [{ status: "ok" }]);
      const logs = ["turns", "chunks", "archive"];
      assert.deepEqual((await see(store, keyOf(standing), logs))?.logs, {
        turns: [{ key: "k", value: "new" } as const, "new"].flatMap((value, at) => sampleEntries(at + 1, [value])),
        chunks: [],
        archive: sampleEntries(1, [Buffer.from("a part")]),
      });
      assert.equal(await see(store, keyOf(giver), logs), undefined);
      assert.deepEqual(await store.read(keyOf(giver), { log: "turns", keys: ["k"] }), []);
      assert.deepEqual(await store.inspect(), []);
    },
  );

  check("commit-is-whole: a change without splices leaves the logs alone", async (bench) => {
    const { store } = bench;
    const record = await land(
      store,
      creationOf(bench.record({ id: "touched" }), { splices: [sampleSplice("turns", 1, ["a"])] }),
    );
    const before = await see(store, keyOf(record), ["turns"]);
    const touch = stepOf(record, { fields: { lastActivityAt: record.lastActivityAt + 5 } });
    await land(store, touch);
    assert.deepEqual(await see(store, keyOf(record), ["turns"]), {
      record: touch.record,
      logs: before?.logs,
    });
  });

  check("commit-is-whole: a removal takes the record and every log", async (bench) => {
    const { store } = bench;
    const logs = ["turns", "events", "chunks"];
    const keyed = [{ key: "k", value: "old" }, "old"];
    const record = await land(
      store,
      creationOf(bench.record({ id: "removed" }), {
        splices: logs.map((log) => sampleSplice(log, 1, keyed)),
      }),
    );
    assert.deepEqual(await commitOne(store, removeSession(record)), { status: "ok" });
    assert.equal(await see(store, keyOf(record), logs), undefined);
    const page = await store.find({ order: "recent", tenant: bench.tenant, now: 0, limit: 10 });
    assert.deepEqual(page.records, []);
    assert.equal(await refuse(store, removeSession(record)), undefined, "it was removed before");

    // A new session under the same id has free keys, and its seq begins at 1.
    const again = creationOf(bench.record({ id: "removed" }), {
      splices: [sampleSplice("turns", 1, [{ key: "k", value: "new" }])],
      claims: [{ log: "turns", key: "k" }],
    });
    await land(store, again);
    assert.deepEqual(await see(store, keyOf(record), logs), {
      record: again.record,
      logs: { turns: sampleEntries(1, [{ key: "k", value: "new" }]), events: [], chunks: [] },
    });
  });
}
