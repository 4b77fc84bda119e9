import assert from "node:assert/strict";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { LogRange } from "../../store/store.ts";
import { creationOf, sampleAt, sampleRecord, sampleSplice, stepOf } from "../samples.ts";
import { keyOf, land, type Bench, type Check } from "./bench.ts";
import { oddIds } from "./odd-texts.ts";

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

  check("keys-sort-by-code-point: keys of all kinds, in both orders", async (bench) => {
    const key = keyOf(await keyedEntries(bench, [...oddIds, null]));
    const byCodePoint = oddIds.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const keysIn = async (order: "ascending" | "descending"): Promise<(string | null)[]> => {
      const between = [" ", `${lastKey} `] as const;
      const entries = await bench.store.read(key, { log: "notes", between, order, limit: 500 });
      return entries.map((entry) => entry.key);
    };
    assert.deepEqual(await keysIn("ascending"), byCodePoint);
    assert.deepEqual(await keysIn("descending"), byCodePoint.toReversed());
  });

  check("keys-sort-by-code-point: a range has its first key, and its second one not", async (bench) => {
    const record = await keyedEntries(bench, ["b", "a", null, "c", "b/2", "b/10", "B", "\u{1f600}", "\uffff"]);
    const keys = keysOf(bench, keyOf(record));
    assert.deepEqual(await keys(["a", "c"]), ["a", "b", "b/10", "b/2"]);
    assert.deepEqual(await keys(["b/", "b0"]), ["b/10", "b/2"]);
    assert.deepEqual(await keys(["b/1", "b/10"]), []);
    assert.deepEqual(await keys(["b", "b"]), []);
    assert.deepEqual(await keys(["c", "a"]), []);
    assert.deepEqual(await keys(["c", "\u{1f601}"]), ["c", "\uffff", "\u{1f600}"]);
    assert.deepEqual(await keys(["\uffff", "\u{1f600}"]), ["\uffff"]);
    assert.deepEqual(await keys(["a", "c"], { log: "events" }), []);
    const other = keysOf(bench, { ...keyOf(record), id: "absent" });
    assert.deepEqual(await other(["a", "c"]), []);
  });

  check("keys-sort-by-code-point: after splices, a range has the entries that stand", async (bench) => {
    const record = await keyedEntries(bench, ["c", "a", "b"]);
    const keys = keysOf(bench, keyOf(record));
    const over = sampleSplice("notes", 2, [{ key: "d", value: 1 }, 2, { key: "aa", value: 3 }]);
    const grown = await land(bench.store, stepOf(record, { splices: [over] }));
    assert.deepEqual(await keys(["a", "e"]), ["aa", "c", "d"]);
    await land(bench.store, stepOf(grown, { splices: [sampleSplice("notes", 1, [])] }));
    assert.deepEqual(await keys(["a", "e"]), []);
  });

  check("keys-sort-by-code-point: a range has no entry of another tenant, session or log", async (bench) => {
    const { store, tenant } = bench;
    const tenants = [tenant, `${tenant} other`];
    for (const one of tenants)
      for (const id of ["s", "t"]) {
        const splices = ["notes", "notes2"].map((log) =>
          sampleSplice(log, 1, [{ key: "k", value: `${one} ${id} ${log}` }]),
        );
        await land(store, creationOf(sampleRecord({ tenant: one, id }), { splices }));
      }
    for (const one of tenants)
      for (const id of ["s", "t"]) {
        const range = { log: "notes", between: ["a", "z"], order: "ascending", limit: 10 } as const;
        const found = await store.read({ tenant: one, id }, range);
        assert.deepEqual(
          found.map(({ data }) => JSON.parse(data) as string),
          [`${one} ${id} notes`],
        );
      }
  });

  check("read-is-bounded: a range of keys has at most as many entries and bytes", async (bench) => {
    const key = keyOf(await keyedEntries(bench, ["c", "a", "e", "b", "d"]));
    const keys = keysOf(bench, key);
    const [up, down] = [{ order: "ascending" }, { order: "descending" }] as const;
    assert.deepEqual(await keys(["a", "z"], { ...up, limit: 2 }), ["a", "b"]);
    assert.deepEqual(await keys(["a", "z"], { ...down, limit: 2 }), ["e", "d"]);
    // Each entry has three bytes.
    for (const [bytesMax, count] of [
      [1, 1],
      [5, 1],
      [6, 2],
      [14, 4],
      [15, 5],
    ] as const) {
      assert.deepEqual(await keys(["a", "z"], { ...up, bytesMax }), ["a", "b", "c", "d", "e"].slice(0, count));
      assert.deepEqual(await keys(["a", "z"], { ...down, bytesMax }), ["e", "d", "c", "b", "a"].slice(0, count));
    }
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

/** The greatest key by code point that the cases use. */
const lastKey = "\u{10ffff}";

/** A session whose log `notes` has an entry for each key, or without one, of three bytes. */
function keyedEntries(bench: Bench, keys: readonly (string | null)[]): Promise<SessionRecord> {
  const entries = keys.map((key, index) => ({ seq: index + 1, key, at: sampleAt, data: '"x"' }));
  const splices = [{ log: "notes", from: 1, entries }];
  return land(bench.store, creationOf(bench.record({ id: "keyed entries" }), { splices }));
}

type KeyRange = Extract<LogRange, { between: unknown }>;

/** Reads the keys of a range. */
function keysOf({ store }: Bench, key: SessionKey) {
  return async (
    between: KeyRange["between"],
    rest: Partial<Omit<KeyRange, "between">> = {},
  ): Promise<(string | null)[]> => {
    const entries = await store.read(key, { log: "notes", order: "ascending", limit: 500, ...rest, between });
    return entries.map((entry) => entry.key);
  };
}
