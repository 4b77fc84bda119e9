import assert from "node:assert/strict";
import { decode, encode, type Value } from "../../domain/values/codec.ts";
import { dateMaxMs } from "../../domain/values/limits.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { creationOf, sampleAt, sampleSplice, stepOf } from "../samples.ts";
import { keyOf, land, see, type Check } from "./bench.ts";
import { oddIds } from "./odd-texts.ts";

const values: readonly [string, Value][] = [
  ["the order of keys", { z: 1, a: 2, m: { b: 1, a: 2 }, 10: "ten", 2: "two", "": 0 }],
  ["U+0000 and other controls", { text: "a\u0000b\u0001\u001b[31m\u007f\u0085\r\n\t", "\u0000": 1 }],
  ["halves of surrogate pairs", { text: "\ud800 \udc00 \udfff\ud800", "\udead": "key" }],
  ["negative zero", { zero: 0, minus: -0, list: [-0, 0] }],
  ["the edges of numbers", [1e308, -1e308, 5e-324, 0.1, 1 / 3, 2 ** 53, -(2 ** 53), 1e21, 123456789012345680000]],
  ["emoji and scripts", "👨‍👩‍👧‍👦 😀 日本語 עברית \u202e\u2028\u2029\ufeff\ufffe\uffff \u{10ffff}"],
  ["composed and decomposed letters", ["caf\u00e9", "cafe\u0301", "\u212b", "\u00c5"]],
  [
    "names of Object.prototype",
    JSON.parse('{"__proto__":{"a":1},"constructor":"c","toString":null,"hasOwnProperty":0}') as Value,
  ],
  ["a dollar type of the user's own", { $type: "date", value: "today", inner: { $type: 5 } }],
  ["dates, bytes and bigints", { at: new Date(0), bytes: Uint8Array.of(0, 128, 255), big: -(10n ** 40n) }],
  ["nothing much", [null, "", [], {}, false, [[[]]], { a: {} }]],
  ["what looks like SQL or markup", "'; drop table sessions; -- \\' \\\\ %s $1 ?1 :a @b <b>&amp;</b>"],
  ["deep nesting", nested(400)],
];

export function valueCases(check: Check): void {
  for (const [what, value] of values) {
    check(`values-are-kept: ${what}`, async (bench) => {
      const { store } = bench;
      const record = bench.record({ id: "values", metadata: { value } });
      const splices = [sampleSplice("turns", 1, [{ key: "k", value }]), sampleSplice("events", 1, [value])];
      await land(store, creationOf(record, { splices }));
      const seen = await see(store, keyOf(record), ["turns", "events"]);
      // As text too, for deepEqual takes objects with their keys in another order for equal.
      assert.equal(encode(seen?.record.metadata), encode({ value }));
      assert.deepEqual(seen?.record.metadata, { value });
      for (const log of ["turns", "events"]) {
        assert.equal(seen?.logs[log]?.[0]?.data, encode(value));
        assert.deepEqual(decode(seen.logs[log][0].data), value);
      }
    });
  }

  check("values-are-kept: a text of a megabyte and one of many bytes a character", async (bench) => {
    const { store } = bench;
    const texts = ["x".repeat(1024 * 1024), "語😀".repeat(200_000), '"\\'.repeat(250_000), "\u0000".repeat(100_000)];
    const record = bench.record({ id: "large" });
    await land(store, creationOf(record, { splices: [sampleSplice("turns", 1, texts)] }));
    const seen = await see(store, keyOf(record), ["turns"]);
    // Compared by hand: a failing deepEqual would print megabytes.
    for (const [index, text] of texts.entries())
      assert.ok(seen?.logs["turns"]?.[index]?.data === encode(text), `text ${index}`);
  });

  check("values-are-kept: an archive, whether it is bytes or looks like them", async (bench) => {
    const { store } = bench;
    const record = bench.record({ id: "archive" });
    const bytes = [0, 1, 2, 3, 57, 58, 1000].map((length) => encode(Uint8Array.from({ length }, (_, at) => at * 7)));
    const others = ["AB==", "AAA", "AA\\n==", "A", "=", "*", '"', "", ' "'].map(
      (text) => `{"$type":"bytes","value":"${text}"}`,
    );
    const texts = [...bytes, ...others, `{"$type":"bytes","value":"}`, `{"$type":"bytes","value":"AA=="} `, "{}"];
    const splices = ["archive", "turns"].map((log) => ({
      log,
      from: 1,
      entries: texts.map((data, index) => ({ seq: index + 1, key: null, at: sampleAt, data })),
    }));
    await land(store, creationOf(record, { splices }));
    const keyed = { seq: texts.length + 1, key: "k", at: sampleAt, data: encode(Uint8Array.of(1)) };
    const {
      sessions: [loaded],
    } = await store.load([{ key: keyOf(record), tails: [] }]);
    assert.ok(loaded);
    await land(store, stepOf(loaded.record, { splices: [{ log: "archive", from: keyed.seq, entries: [keyed] }] }));
    const all = [...texts, keyed.data];
    const seen = await see(store, keyOf(record), ["archive", "turns"]);
    assert.deepEqual(
      seen?.logs["archive"]?.map(({ data }) => data),
      all,
    );
    assert.deepEqual(
      seen.logs["turns"]?.map(({ data }) => data),
      texts,
    );
    const range = { log: "archive", from: 1, to: 99, order: "ascending", limit: 99 } as const;
    assert.deepEqual(
      (await store.read(keyOf(record), range)).map(({ data }) => data),
      all,
    );
    assert.deepEqual(
      (await store.read(keyOf(record), { log: "archive", keys: ["k"] })).map(({ data }) => data),
      [keyed.data],
    );
  });

  check("values-are-kept: every field of a record, at its extremes", async (bench) => {
    const { store } = bench;
    const most = Number.MAX_SAFE_INTEGER;
    const extremes: readonly Partial<SessionRecord>[] = [
      {
        createdAt: 0,
        lastActivityAt: 0,
        stateSince: 0,
        expiresAt: 0,
        sweepAt: 0,
        ttlMs: 1,
        maxAgeMs: 1,
      },
      {
        // A store keeps numbers beyond a date, and hands out a record with such a time as unreadable.
        createdAt: dateMaxMs,
        lastActivityAt: dateMaxMs,
        stateSince: dateMaxMs,
        expiresAt: dateMaxMs,
        sweepAt: most,
        ttlMs: most,
        maxAgeMs: null,
      },
      { state: "inactive", user: null, openTurn: 1, turnsVersion: most, fence: most },
      { state: "expired", user: "", agent: "" },
      {
        state: "ended",
        cancel: { turn: 3, at: sampleAt },
        lease: { instance: "i", fence: 4, commitId: "c", acquiredAt: 1, expiresAt: null },
      },
      {
        state: "archived",
        lease: { instance: "i", fence: most, commitId: "c", acquiredAt: dateMaxMs, expiresAt: most },
        waiters: ["a", "b", "a\u0000b"].map((ticket) => ({ ticket, instance: "😀", until: most })),
        counters: {
          turns: most,
          messages: 1,
          requests: 2,
          inputTokens: 3,
          outputTokens: 4,
          totalTokens: 5,
          durationMs: 6,
          longestMs: most,
        },
      },
    ];
    for (const [index, fields] of extremes.entries()) {
      const change = creationOf(bench.record({ id: `extreme ${index}`, ...fields }));
      const record = await land(store, change);
      assert.deepEqual((await see(store, keyOf(record), []))?.record, change.record);
    }
    const page = await store.find({ order: "recent", tenant: bench.tenant, now: 0, limit: 10 });
    assert.equal(page.records.length, extremes.length);
  });

  check("values-are-kept: entries at the ends of time and with odd keys", async (bench) => {
    const { store } = bench;
    const entries = [0, 1, 8_640_000_000_000_000, Number.MAX_SAFE_INTEGER].map((at, index) => ({
      seq: index + 1,
      key: oddIds[index] ?? null,
      at,
      data: "null",
    }));
    const record = bench.record({ id: "times" });
    await land(store, creationOf(record, { splices: [{ log: "turns", from: 1, entries }] }));
    assert.deepEqual((await see(store, keyOf(record), ["turns"]))?.logs["turns"], entries);
  });

  check("values-are-kept: a caller that changes a passed or returned value changes nothing stored", async (bench) => {
    const { store } = bench;
    const metadata = { list: [1, 2], at: new Date(5) };
    const entries = [{ seq: 1, key: null, at: sampleAt, data: '"before"' }];
    const record = bench.record({ id: "kept", metadata });
    await land(store, creationOf(record, { splices: [{ log: "turns", from: 1, entries }] }));
    const before = await see(store, keyOf(record), ["turns"]);
    const tails = [{ log: "turns", last: 1 }];
    const {
      sessions: [handedOut],
    } = await store.load([{ key: keyOf(record), tails }]);
    metadata.list.push(3);
    metadata.at.setTime(6);
    Object.assign(entries[0]!, { data: '"after"' });
    Object.assign(handedOut?.record.metadata ?? {}, { list: "changed" });
    assert.deepEqual(await see(store, keyOf(record), ["turns"]), before);
  });

  check("values-are-kept: ids, agents and users are ordinary text", async (bench) => {
    const { store } = bench;
    const { batchMax } = store.capabilities;
    const records = oddIds.map((id) => bench.record({ id, agent: id, user: id }));
    for (let from = 0; from < records.length; from += batchMax) {
      const outcomes = await store.commit(
        records.slice(from, from + batchMax).map((record) => [
          creationOf(record, {
            splices: [sampleSplice("turns", 1, [{ key: record.id, value: record.id }])],
          }),
        ]),
      );
      assert.ok(
        outcomes.every(({ status }) => status === "ok"),
        "no two of them are the same",
      );
    }
    for (const record of records) {
      const { id } = record;
      const seen = await see(store, keyOf(record), ["turns"]);
      assert.deepEqual(seen?.record, { ...record, heads: { turns: 1 } }, id);
      assert.equal(seen.logs["turns"]?.[0]?.data, encode(id));
      for (const filter of [{ agent: id }, { user: id }]) {
        const page = await store.find({
          order: "recent",
          tenant: bench.tenant,
          now: 0,
          limit: 9,
          ...filter,
        });
        assert.deepEqual(
          page.records.map((found) => found.id),
          [id],
        );
      }
    }
  });
}

function nested(depth: number): Value {
  let value: Value = "bottom";
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}
