import assert from "node:assert/strict";
import type { SessionRecord } from "../../domain/record/record.ts";
import { creationOf, sampleAt, sampleSplice, stepOf } from "../samples.ts";
import { keyOf, land, type Bench, type Check } from "./bench.ts";

/** Ranges over a log of ten turns, and the seqs they hold. */
const ranges: readonly [from: number, to: number, limit: number, ascending: number[], descending: number[]][] = [
  [1, 10, 100, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]],
  [1, 10, 3, [1, 2, 3], [10, 9, 8]],
  [3, 5, 100, [3, 4, 5], [5, 4, 3]],
  [3, 5, 2, [3, 4], [5, 4]],
  [4, 4, 1, [4], [4]],
  [0, 2, 100, [1, 2], [2, 1]],
  [9, 99, 100, [9, 10], [10, 9]],
  [9, Number.MAX_SAFE_INTEGER, 100, [9, 10], [10, 9]],
  [11, 20, 100, [], []],
  [5, 4, 100, [], []],
];

export function readCases(check: Check): void {
  for (const [from, to, limit, ascending, descending] of ranges) {
    check(`read-is-bounded: from ${from} to ${to}, at most ${limit}`, async (bench) => {
      const key = keyOf(await tenTurns(bench));
      for (const [order, expected] of Object.entries({ ascending, descending })) {
        const range = { log: "turns", from, to, limit, order: order as "ascending" };
        const entries = await bench.store.read(key, range);
        assert.deepEqual(
          entries.map(({ seq }) => seq),
          expected,
          order,
        );
        assert.ok(entries.every(({ seq, data }) => data === String(seq * 11)));
      }
    });
  }

  for (const [bytesMax, ascending, descending] of [
    [1, [1], [5]],
    [9, [1], [5]],
    [10, [1, 2], [5]],
    [11, [1, 2], [5, 4]],
    [19, [1, 2, 3], [5, 4, 3]],
    [20, [1, 2, 3, 4], [5, 4, 3, 2]],
    [1_000_000, [1, 2, 3, 4, 5], [5, 4, 3, 2, 1]],
  ] as const) {
    check(`read-is-bounded: at most ${bytesMax} bytes, and one entry at least`, async (bench) => {
      const key = keyOf(await fiveTurnsOfBytes(bench));
      for (const [order, expected] of Object.entries({ ascending, descending })) {
        const range = { log: "turns", from: 1, to: 5, limit: 10, order: order as "ascending", bytesMax };
        const entries = await bench.store.read(key, range);
        assert.deepEqual(
          entries.map(({ seq }) => seq),
          expected,
          order,
        );
      }
    });

    check(`tails-are-bounded: at most ${bytesMax} bytes, and the last entry at least`, async (bench) => {
      const record = await fiveTurnsOfBytes(bench);
      const tails = [
        { log: "turns", last: 9, bytesMax },
        { log: "turns", last: 2 },
      ];
      const {
        sessions: [loaded],
      } = await bench.store.load([{ key: keyOf(record), tails }]);
      assert.deepEqual(
        loaded?.tails.map((entries) => entries.map(({ seq }) => seq)),
        [descending.toReversed(), [4, 5]],
      );
    });
  }

  check("read-is-bounded: entries by their keys, by ascending seq", async (bench) => {
    const { store } = bench;
    const key = keyOf(await tenTurns(bench));
    const seqs = async (log: string, keys: readonly string[]): Promise<number[]> =>
      (await store.read(key, { log, keys })).map(({ seq }) => seq);
    assert.deepEqual(await seqs("turns", ["k2"]), [2]);
    assert.deepEqual(await seqs("turns", ["k10", "unknown", "k2", "k6"]), [2, 6, 10]);
    assert.deepEqual(await seqs("turns", ["k4", "k4"]), [4]);
    assert.deepEqual(await seqs("turns", ["k1", "null", ""]), [], "odd turns bear no key");
    assert.deepEqual(await seqs("turns", []), []);
    assert.deepEqual(await seqs("events", ["k2"]), []);
  });

  check("read-is-bounded: nothing is read from a log or a session that is not there", async (bench) => {
    const { store, tenant } = bench;
    const key = keyOf(await tenTurns(bench));
    const range = { from: 1, to: 10, limit: 10, order: "ascending" } as const;
    assert.deepEqual(await store.read(key, { log: "events", ...range }), []);
    assert.deepEqual(await store.read({ tenant, id: "absent" }, { log: "turns", ...range }), []);
    assert.deepEqual(await store.read({ tenant, id: "absent" }, { log: "turns", keys: ["k2"] }), []);
  });

  check("load-is-one-moment: records come in the order of the requests", async (bench) => {
    const { store, tenant } = bench;
    const ids = ["b", "a", "d", "c"];
    for (const id of ids) await land(store, creationOf(bench.record({ id })));
    const asked = ["c", "absent", "a", "b", "a", "absent too", "d"];
    const { sessions: loaded } = await store.load(asked.map((id) => ({ key: { tenant, id }, tails: [] })));
    assert.deepEqual(
      loaded.map((one) => one?.record.id),
      ["c", undefined, "a", "b", "a", undefined, "d"],
    );
    assert.deepEqual((await store.load([])).sessions, []);
  });

  check("load-is-one-moment: tails come in the order asked for, each ascending", async (bench) => {
    const { store } = bench;
    const record = await tenTurns(bench);
    await land(store, stepOf(record, { splices: [sampleSplice("events", 1, ["a", "b", "c"])] }));
    const tails = [
      { log: "events", last: 2 },
      { log: "turns", last: 3 },
      { log: "chunks", last: 5 },
      { log: "turns", last: 0 },
      { log: "turns", last: 1 },
      { log: "turns", last: 99 },
    ];
    const {
      sessions: [loaded],
    } = await store.load([{ key: keyOf(record), tails }]);
    assert.deepEqual(
      loaded?.tails.map((entries) => entries.map(({ seq }) => seq)),
      [[2, 3], [8, 9, 10], [], [], [10], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
    );
    assert.deepEqual(
      loaded.tails[0]?.map(({ data }) => data),
      ['"b"', '"c"'],
    );
  });

  check("load-is-one-moment: requests of one load have tails of their own", async (bench) => {
    const { store, tenant } = bench;
    const ids = Array.from({ length: 60 }, (_, index) => `s${index}`);
    for (const [index, id] of ids.entries()) {
      const values = Array.from({ length: index % 5 }, (_unused, seq) => `${id} ${seq + 1}`);
      await land(store, creationOf(bench.record({ id }), { splices: [sampleSplice("turns", 1, values)] }));
    }
    const requests = ids.map((id, index) => ({
      key: { tenant, id },
      tails: [{ log: index % 2 === 0 ? "turns" : "events", last: (index % 3) + 1 }],
    }));
    for (const [index, one] of (await store.load(requests)).sessions.entries()) {
      const length = index % 5;
      const last = index % 2 === 0 ? Math.min(length, (index % 3) + 1) : 0;
      assert.deepEqual(
        one?.tails[0]?.map(({ data }) => JSON.parse(data) as string),
        Array.from({ length: last }, (_, place) => `s${index} ${length - last + place + 1}`),
      );
    }
  });

  check("load-returns-the-time: whatever is found, and where nothing is", async (bench) => {
    const { store, tenant } = bench;
    const key = keyOf(await land(store, creationOf(bench.record({ id: "timed" }))));
    const absent = { tenant, id: "absent" };
    const times: number[] = [];
    for (const keys of [[key], [], [absent], [key, absent], [absent, key]]) {
      const { now } = await store.load(keys.map((one) => ({ key: one, tails: [] })));
      times.push(now, (await store.instances([])).now);
    }
    assert.ok(
      times.every((time) => Number.isSafeInteger(time) && time > 0),
      "in epoch ms",
    );
    assert.deepEqual(
      times.toSorted((a, b) => a - b),
      times,
      "and it does not run backwards",
    );
  });
}

/** A session with ten turns, of which the even ones bear keys. */
function tenTurns(bench: Bench): Promise<SessionRecord> {
  const values = Array.from({ length: 10 }, (_, index) => ({
    seq: index + 1,
    key: index % 2 === 1 ? `k${index + 1}` : null,
    at: sampleAt,
    data: String((index + 1) * 11),
  }));
  const splices = [{ log: "turns", from: 1, entries: values }];
  return land(bench.store, creationOf(bench.record({ id: "ten turns" }), { splices }));
}

/** Turns of 6, 4, 5, 5 and 6 bytes: a letter may have more bytes than one. */
function fiveTurnsOfBytes(bench: Bench): Promise<SessionRecord> {
  const values = ['"\u00e9\u00e9"', '"bb"', '"ccc"', '"d\u00e9"', '"eeee"'];
  const entries = values.map((data, index) => ({ seq: index + 1, key: null, at: sampleAt, data }));
  const splices = [{ log: "turns", from: 1, entries }];
  return land(bench.store, creationOf(bench.record({ id: "turns of bytes" }), { splices }));
}
