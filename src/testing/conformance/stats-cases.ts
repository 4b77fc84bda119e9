import assert from "node:assert/strict";
import { identityOf } from "../../domain/record/change.ts";
import { encode, type Value } from "../../domain/values/codec.ts";
import { feedbackLog, summaryLog, truncatedUsageLog, type Entry, type Splice } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { noCounters } from "../../domain/record/record.ts";
import { entryOfTurn, type Turn } from "../../domain/turns/turn.ts";
import type { Store } from "../../store/store.ts";
import { cutToThreeDigits, type StoreStats, type StoreStatsQuery, type TurnSums } from "../../store/stats.ts";
import { creationOf, sampleAt, stepOf } from "../samples.ts";
import { land, type Bench, type Check } from "./bench.ts";
import { oddIds } from "./odd-texts.ts";

const hour = 3_600_000;
const day = 24 * hour;
/** The first moment of a day. */
const today = Math.floor(sampleAt / day) * day;
const kinds = ["agent", "session", "user", "model", "day", "hour"] as const;

export function statsCases(check: Check): void {
  check("stats-are-whole: each turn counts once in the whole and once in each kind of groups", async (bench) => {
    await land(
      bench.store,
      sessionOf(bench, { id: "a", user: "ann" }, [
        { agent: "ceo", model: "m1", at: today + 1, usage: usageOf(10, 5), requests: 2, durationMs: 1234.5 },
        {
          agent: "ceo",
          model: "m2",
          at: today + 2,
          usage: { ...usageOf(7, 3), estimated: true },
          status: "failed",
          durationMs: 50,
        },
      ]),
    );
    await land(
      bench.store,
      sessionOf(bench, { id: "b" }, [
        { agent: "cfo", at: today + hour, usage: usageOf(1, 1), status: "interrupted" },
        { agent: "cfo", at: today - 1, status: "open", requests: 0 },
      ]),
    );
    const stats = await statsOf(bench, { by: kinds });
    const sums = { requests: 4, inputTokens: 18, outputTokens: 9, totalTokens: 27 };
    const whole = {
      turns: 4,
      open: 1,
      failed: 1,
      interrupted: 1,
      truncated: 0,
      ...sums,
      estimated: 1,
      durationMs: 1284.5,
    };
    const { bytes, ...turns } = stats.turns;
    assert.deepEqual(turns, { ...whole, longestMs: 1234.5, conflicts: 0 });
    assert.equal(bytes, stats.logs.find(({ log }) => log === "turns")?.bytes);
    for (const kind of kinds) {
      const groups = stats.groups[kind] ?? [];
      for (const name of ["turns", "failed", "totalTokens", "requests", "durationMs", "bytes"] as const)
        assert.equal(sumOf(groups, name), stats.turns[name], `${name} by ${kind}`);
    }
    const keysOf = (kind: (typeof kinds)[number]): unknown => stats.groups[kind]?.map(({ key, turns }) => [key, turns]);
    assert.deepEqual(keysOf("agent"), [
      ["ceo", 2],
      ["cfo", 2],
    ]);
    assert.deepEqual(keysOf("model"), [
      ["m1", 1],
      ["m2", 1],
      [null, 2],
    ]);
    assert.deepEqual(keysOf("session"), [
      ["a", 2],
      ["b", 2],
    ]);
    assert.deepEqual(keysOf("user"), [
      ["ann", 2],
      [null, 2],
    ]);
    assert.deepEqual(keysOf("day"), [
      [today, 3],
      [today - day, 1],
    ]);
    assert.deepEqual(keysOf("hour"), [
      [today + hour, 1],
      [today, 2],
      [today - hour, 1],
    ]);
    assert.deepEqual(stats.durationMs, [
      [50, 1],
      [1230, 1],
    ]);
  });

  check("stats-are-whole: a turn that waits is open, and its usage so far counts", async (bench) => {
    await land(
      bench.store,
      sessionOf(bench, { id: "a" }, [
        { agent: "ceo", at: today, usage: usageOf(3, 2), requests: 1 },
        { agent: "ceo", at: today + 1, status: "waiting", usage: usageOf(7, 3), requests: 2 },
      ]),
    );
    const { turns } = await statsOf(bench, {});
    assert.deepEqual([turns.turns, turns.open, turns.totalTokens, turns.requests], [2, 1, 15, 3]);
  });

  check("stats-are-whole: truncated turns stay with their agent, model and hour", async (bench) => {
    const usage = { agent: "ceo", model: "m", usage: usageOf(30, 12), requests: 4, durationMs: 300, longestMs: 200 };
    const counts = { turns: 3, failed: 1, interrupted: 1, estimated: 2 };
    const splice: Splice = {
      log: truncatedUsageLog,
      from: 1,
      entries: [{ seq: 1, key: null, at: today, data: encode({ ...usage, ...counts }) }],
    };
    const one = { agent: "ceo", model: "m", at: today + 5, usage: usageOf(1, 1), durationMs: 100 };
    await land(bench.store, sessionOf(bench, { id: "a" }, [one], [splice]));
    const { turns, groups, durationMs } = await statsOf(bench, { by: ["hour", "model"] });
    const sums = { ...counts, turns: 4, open: 0, truncated: 3, requests: 5, durationMs: 400, longestMs: 200 };
    const expected = { ...sums, inputTokens: 31, outputTokens: 13, totalTokens: 44, bytes: turns.bytes, conflicts: 0 };
    assert.deepEqual(turns, expected);
    assert.deepEqual(groups, { hour: [{ key: today, ...expected }], model: [{ key: "m", ...expected }] });
    assert.deepEqual(durationMs, [[100, 1]], "how long single turns took is known of those that stand");
  });

  check("stats-are-whole: usage of summaries belongs to no turn, and their logs count as one", async (bench) => {
    const usage = { agent: "ceo", model: "m", usage: usageOf(30, 12), requests: 1, durationMs: 300, longestMs: 300 };
    const counts = { turns: 0, failed: 0, interrupted: 0, estimated: 0 };
    const entry = { seq: 1, key: null, at: today };
    const splices: readonly Splice[] = [
      { log: truncatedUsageLog, from: 1, entries: [{ ...entry, data: encode({ ...usage, ...counts }) }] },
      ...[4, 40].map((to) => ({ log: summaryLog(to), from: 1, entries: [{ ...entry, data: encode({ text: "s" }) }] })),
    ];
    const one = { agent: "ceo", model: "m", at: today + 5, usage: usageOf(1, 1), durationMs: 100 };
    await land(bench.store, sessionOf(bench, { id: "a" }, [one], splices));
    for (const by of [[], ["agent"], ["model", "day"]] as const) {
      const { turns, groups, logs, durationMs } = await statsOf(bench, { by });
      assert.deepEqual([turns.turns, turns.truncated, turns.requests, turns.totalTokens], [1, 0, 2, 44]);
      for (const group of Object.values(groups))
        assert.deepEqual(
          group?.map(({ totalTokens }) => totalTokens),
          [44],
        );
      assert.deepEqual(durationMs, [[100, 1]]);
      const counted = Object.fromEntries(logs.map(({ log, entries: count }) => [log, count]));
      assert.deepEqual(counted, { "#summaries": 2, [truncatedUsageLog]: 1, turns: 1 });
    }
  });

  check("stats-are-whole: archived turns do not count as truncated, turns truncated before do", async (bench) => {
    const usage = { agent: "ceo", model: "m", usage: usageOf(3, 1), requests: 1, durationMs: 30, longestMs: 20 };
    const entries = [2, 3, 4].map((turns, index) => {
      const counts = { turns, failed: 0, interrupted: 0, estimated: 0 };
      return { seq: index + 1, key: null, at: today, data: encode({ ...usage, ...counts }) };
    });
    const splices: readonly Splice[] = [{ log: truncatedUsageLog, from: 1, entries }];
    const archive = {
      state: "active",
      heads: { turns: 7 },
      parts: [],
      usageEntries: 2,
      bytes: 9,
      packedBytes: 9,
    } as const;
    const archived = { state: "archived", heads: { [truncatedUsageLog]: 3 }, archive } as const;
    await land(bench.store, creationOf(bench.record({ id: "archived", user: "ann", ...archived }), { splices }));
    await land(
      bench.store,
      creationOf(bench.record({ id: "whole", state: "archived", heads: { [truncatedUsageLog]: 3 } }), { splices }),
    );
    for (const by of [[], ["user"]] as const) {
      const { turns, logs, groups } = await statsOf(bench, { by });
      assert.deepEqual([turns.turns, turns.truncated, turns.totalTokens], [18, 11, 24]);
      assert.deepEqual(
        logs.map(({ log, entries: count }) => [log, count]),
        [[truncatedUsageLog, 6]],
      );
      assert.deepEqual(
        groups.user?.map(({ key, truncated }) => [key, truncated]),
        by.length === 0
          ? undefined
          : [
              [null, 9],
              ["ann", 2],
            ],
      );
    }
  });

  check("stats-are-whole: turns copied to a fork are not counted again", async (bench) => {
    const turn = { agent: "ceo", model: "m", at: today, usage: usageOf(2, 1), durationMs: 100 };
    await land(bench.store, sessionOf(bench, { id: "parent" }, [turn, turn]));
    await land(bench.store, sessionOf(bench, { id: "fork", inherited: 2 }, [turn, turn, turn]));
    const { turns, logs, durationMs } = await statsOf(bench, { by: ["user"] });
    assert.deepEqual([turns.turns, turns.totalTokens, turns.requests], [3, 9, 3]);
    assert.deepEqual(durationMs, [[100, 3]]);
    assert.deepEqual(
      logs.map(({ log, entries }) => [log, entries]),
      [
        ["inherited", 2],
        ["turns", 3],
      ],
    );
  });

  check("stats-are-whole: sessions count by the state that holds at now, by day, turns and life", async (bench) => {
    const now = today + 10 * hour;
    const live = { expiresAt: now + 1, createdAt: today, lastActivityAt: now - 5, stateSince: today };
    const over = { ...live, expiresAt: now, stateSince: today - 2 * day, createdAt: today - 3 * day };
    const handoff = { agent: "cfo", since: today, note: null };
    const records: (Partial<SessionRecord> & { id: string })[] = [
      { ...live, id: "active", handoff: { ...handoff, expiresAt: now + 1 }, counters: { ...noCounters, turns: 1234 } },
      { ...live, id: "inactive", state: "inactive", handoff: { ...handoff, expiresAt: now } },
      { ...live, id: "due", expiresAt: now - day },
      { ...over, id: "expired", state: "expired" },
      { ...over, id: "ended", state: "ended", counters: { ...noCounters, turns: 3 } },
      { ...over, id: "archived", state: "archived" },
    ];
    for (const record of records) await land(bench.store, creationOf(bench.record(record)));
    const { sessions, days } = await statsOf(bench, { now });
    assert.deepEqual(sessions.states, { active: 1, inactive: 1, expired: 2, ended: 1, archived: 1 });
    assert.equal(sessions.handoffs, 1);
    assert.deepEqual(sessions.turns, [
      [0, 4],
      [3, 1],
      [1230, 1],
    ]);
    const lifeMs = [cutToThreeDigits(now - 5 - today), cutToThreeDigits(now - 5 - today + 3 * day)];
    assert.deepEqual(
      sessions.lifeMs,
      lifeMs.map((ms) => [ms, 3]),
    );
    assert.ok(sessions.bytes > 600);
    assert.deepEqual(days, [
      { day: today, created: 3, ended: 0, expired: 0 },
      { day: today - day, created: 0, ended: 0, expired: 1 },
      { day: today - 2 * day, created: 0, ended: 1, expired: 1 },
      { day: today - 3 * day, created: 3, ended: 0, expired: 0 },
    ]);
  });

  check("stats-are-whole: since leaves out what was before, and sessions that were over by then", async (bench) => {
    const before = {
      createdAt: today - day,
      lastActivityAt: today - 1,
      stateSince: today - 1,
      expiresAt: today + 100 * day,
    };
    const turns = [
      { at: today - 1, usage: usageOf(5, 5) },
      { at: today, usage: usageOf(1, 1) },
    ];
    await land(bench.store, sessionOf(bench, { ...before, id: "on", lastActivityAt: today }, turns));
    await land(bench.store, sessionOf(bench, { ...before, id: "off" }, [{ at: today - 1 }]));
    await land(bench.store, creationOf(bench.record({ ...before, id: "ended", state: "ended", stateSince: today })));
    await land(bench.store, creationOf(bench.record({ ...before, id: "over", state: "ended" })));
    await land(bench.store, creationOf(bench.record({ ...before, id: "due", expiresAt: today })));
    const { sessions, turns: sums, days, logs } = await statsOf(bench, { since: today, now: today + 1 });
    assert.deepEqual(sessions.states, { active: 1, inactive: 0, expired: 1, ended: 1, archived: 0 });
    assert.deepEqual([sums.turns, sums.totalTokens], [1, 2]);
    assert.deepEqual(days, [{ day: today, created: 0, ended: 1, expired: 1 }]);
    assert.deepEqual(
      logs.map(({ log, entries }) => [log, entries]),
      [["turns", 1]],
    );
  });

  check("stats-are-whole: handoffs that ended, by how long they were in force", async (bench) => {
    const events: Value[] = [
      { type: "handed_off", agent: "cfo", from: null, ttlMs: 1, note: null, heldMs: null },
      { type: "handed_off", agent: "cto", from: "cfo", ttlMs: 1, note: "held", heldMs: 5000 },
      { type: "released", agent: "cto", reason: "released", heldMs: 12_345 },
      { type: "released", agent: "cto", reason: "expired", heldMs: 12_346 },
      { type: "claimed", user: "u", heldMs: 7 },
    ];
    const entries = events.map((data, index) => ({ seq: index + 1, key: null, at: today, data: encode(data) }));
    await land(bench.store, creationOf(bench.record({ id: "a" }), { splices: [{ log: "events", from: 1, entries }] }));
    const { handoffs } = await statsOf(bench);
    assert.deepEqual(handoffs, {
      activeMs: [
        [5000, 1],
        [12_300, 2],
      ],
      expired: 1,
    });
  });

  check("stats-are-whole: messages, names and other logs of any text disturb no sum", async (bench) => {
    const nasty = [
      ...oddIds,
      "\u0000",
      "\ud800",
      "😀",
      ',"input":[',
      '"requests":9',
      '{"usage":{"totalTokens":1}}',
      "}",
      "\\",
    ];
    const turns = nasty.map((text) => ({
      model: text,
      input: [{ role: "user", content: text }] as const,
      output: [{ role: "assistant", content: { input: [text], usage: { totalTokens: 9 } } }] as const,
      usage: usageOf(1, 1),
      error: { code: text, message: text },
    }));
    const chunks: Splice = {
      log: "chunks",
      from: 1,
      entries: [{ seq: 1, key: null, at: sampleAt, data: encode({ text: nasty.join("") }) }],
    };
    await land(
      bench.store,
      sessionOf(bench, { id: "a", metadata: Object.fromEntries(nasty.map((text) => [text, text])) }, turns, [chunks]),
    );
    const { turns: sums, groups, logs } = await statsOf(bench, { by: ["model"], limit: 1000 });
    assert.deepEqual([sums.turns, sums.totalTokens, sums.requests], [nasty.length, 2 * nasty.length, nasty.length]);
    assert.equal(sumOf(groups.model ?? [], "turns"), nasty.length);
    assert.deepEqual(
      logs.map(({ log, entries }) => [log, entries]),
      [
        ["chunks", 1],
        ["turns", nasty.length],
      ],
    );
  });

  check("stats-are-whole: an entry of the log of turns that is no turn counts as an empty one", async (bench) => {
    const entries = ["text", 5, null, [], { usage: "much", durationMs: -0 }].map((value, index) => ({
      seq: index + 1,
      key: null,
      at: today,
      data: encode(value),
    }));
    await land(bench.store, creationOf(bench.record({ id: "a" }), { splices: [{ log: "turns", from: 1, entries }] }));
    const { turns, groups } = await statsOf(bench, { by: ["agent"] });
    assert.deepEqual([turns.turns, turns.totalTokens, turns.durationMs], [5, 0, 0]);
    assert.deepEqual(
      groups.agent?.map(({ key }) => key),
      [null],
    );
  });

  check("stats-are-whole: truncated, removed and replaced turns no longer count", async (bench) => {
    const first = await land(bench.store, sessionOf(bench, { id: "a" }, [{}, {}, {}]));
    const gone = await land(bench.store, sessionOf(bench, { id: "b" }, [{}]));
    await land(
      bench.store,
      stepOf(first, { splices: [{ log: "turns", from: 2, entries: [entryOfTurn(turnOf({ seq: 2 }))] }] }),
    );
    await bench.store.commit([[{ key: gone, expected: identityOf(gone), record: null, splices: [], claims: [] }]]);
    const { turns, sessions } = await statsOf(bench);
    assert.equal(turns.turns, 2);
    assert.equal(sessions.states.active, 1);
  });

  check("stats-are-bounded: the groups that used most, the latest days and hours", async (bench) => {
    const turns = Array.from({ length: 30 }, (_, index) => ({
      agent: `agent${String(index).padStart(2, "0")}`,
      at: today + index * day,
      usage: usageOf(index % 10, 0),
    }));
    await land(bench.store, sessionOf(bench, { id: "a" }, turns));
    for (let index = 0; index < 7; index++)
      await land(bench.store, creationOf(bench.record({ id: `s${index}`, createdAt: today - index * day })));
    const { groups, days } = await statsOf(bench, { by: ["agent", "day", "hour"], limit: 4 });
    assert.deepEqual(
      groups.agent?.map(({ key }) => key),
      ["agent09", "agent19", "agent29", "agent08"],
    );
    const latest = [29, 28, 27, 26].map((index) => today + index * day);
    assert.deepEqual(
      groups.day?.map(({ key }) => key),
      latest,
    );
    assert.deepEqual(
      groups.hour?.map(({ key }) => key),
      latest,
    );
    assert.deepEqual(
      days.map((one) => one.day),
      [0, 1, 2, 3].map((index) => today - index * day),
    );
  });

  check("scope-is-in-the-key: stats of one tenant hold nothing of another's", async (bench) => {
    await land(bench.store, sessionOf(bench, { id: "a" }, [{}]));
    for (const other of [`${bench.tenant}x`, bench.tenant.slice(0, -1)])
      await land(bench.store, sessionOf(bench, { id: "a", tenant: other }, [{}, {}]));
    assert.equal((await statsOf(bench, { by: kinds })).turns.turns, 1);
  });

  check("stats-are-one-moment: no writer waits for them, and their numbers were true at one moment", async (bench) => {
    let record = await land(bench.store, sessionOf(bench, { id: "a" }, []));
    const tallies: Promise<StoreStats>[] = [];
    for (let seq = 1; seq <= 40; seq++) {
      tallies.push(statsOf(bench));
      const counters = { ...noCounters, turns: seq };
      record = await land(
        bench.store,
        stepOf(record, {
          fields: { counters },
          splices: [{ log: "turns", from: seq, entries: [entryOfTurn(turnOf({ seq }))] }],
        }),
      );
    }
    for (const { turns, sessions } of await Promise.all(tallies))
      assert.deepEqual(sessions.turns, [[turns.turns, 1]], "the record and the log are from the same moment");
  });

  check("inspect-finds-nothing: after any appends, truncations and removals", async (bench) => {
    const first = await land(bench.store, sessionOf(bench, { id: "a" }, [{}, {}, {}]));
    await land(bench.store, sessionOf(bench, { id: "b" }, [{}]));
    const gone = await land(bench.store, sessionOf(bench, { id: "c" }, [{}]));
    await land(bench.store, stepOf(first, { splices: [{ log: "turns", from: 2, entries: [] }] }));
    await bench.store.commit([[{ key: gone, expected: identityOf(gone), record: null, splices: [], claims: [] }]]);
    assert.deepEqual(await bench.store.inspect(), []);
  });

  check("stats-are-whole: conflicts count with their agent, user, day and hour, and with no model", async (bench) => {
    const conflicts = (count: number, at: number, from: number, agent = "ceo"): Splice => ({
      log: "events",
      from,
      entries: Array.from({ length: count }, (_, index) => {
        const event = { type: "conflicted", agent, seenTurn: 1, storedTurn: 2, seenVersion: 3, storedVersion: 4 };
        return { seq: from + index, key: null, at, data: encode(event) };
      }),
    });
    const other = { seq: 4, key: null, at: today, data: encode({ type: "reassigned", user: "conflicted" }) };
    const turn = { agent: "ceo", model: "m", at: today, usage: usageOf(2, 1) };
    const first = await land(bench.store, sessionOf(bench, { id: "a", user: "ann" }, [turn], [conflicts(2, today, 1)]));
    await land(bench.store, stepOf(first, { splices: [conflicts(1, today + hour, 3, "cfo")] }));
    await land(bench.store, sessionOf(bench, { id: "b" }, [], [conflicts(1, today - day, 1)]));
    await land(
      bench.store,
      sessionOf(bench, { id: "c" }, [], [conflicts(3, today, 1), { ...conflicts(0, 0, 4), entries: [other] }]),
    );
    for (const by of [[], ["model"], kinds, kinds.toReversed()] as const) {
      const { turns, groups } = await statsOf(bench, { by });
      assert.deepEqual([turns.turns, turns.conflicts, turns.totalTokens], [1, 7, 3], by.join());
      for (const kind of by)
        assert.equal(sumOf(groups[kind] ?? [], "conflicts"), kind === "model" ? 0 : 7, `conflicts by ${kind}`);
    }
    const { groups } = await statsOf(bench, { by: kinds });
    const of = (kind: (typeof kinds)[number]): unknown =>
      groups[kind]?.map(({ key, turns, conflicts: count, requests, longestMs }) => [
        key,
        turns,
        count,
        requests,
        longestMs,
      ]);
    assert.deepEqual(of("agent"), [
      ["ceo", 1, 6, 1, 0],
      ["cfo", 0, 1, 0, 0],
    ]);
    assert.deepEqual(of("user"), [
      ["ann", 1, 3, 1, 0],
      [null, 0, 4, 0, 0],
    ]);
    assert.deepEqual(of("model"), [["m", 1, 0, 1, 0]]);
    assert.deepEqual(of("day"), [
      [today, 1, 6, 1, 0],
      [today - day, 0, 1, 0, 0],
    ]);
    assert.deepEqual(of("hour"), [
      [today + hour, 0, 1, 0, 0],
      [today, 1, 5, 1, 0],
      [today - day, 0, 1, 0, 0],
    ]);
    const { turns } = await statsOf(bench, { by: ["agent"], since: today + 1 });
    assert.deepEqual([turns.turns, turns.conflicts], [0, 1]);
  });

  check(
    "stats-are-whole: ratings count by their word, scores with their sum, and other values not at all",
    async (bench) => {
      const rated = (values: readonly unknown[], at = today): readonly Entry[] =>
        values.map((rating, index) => {
          const data = { turn: 1, identity: "x", rating, by: null, comment: 'a "rating": 5' } as unknown as Value;
          return { seq: index + 1, key: null, at, data: encode(data) };
        });
      const feedback = (entries: readonly Entry[]): readonly Splice[] => [{ log: feedbackLog, from: 1, entries }];
      await land(bench.store, sessionOf(bench, { id: "a" }, [{}], feedback(rated(["up", "up", "down", 4, -1.5]))));
      await land(bench.store, sessionOf(bench, { id: "b" }, [{}], feedback(rated(["up", null, "score", 2, {}, true]))));
      await land(bench.store, sessionOf(bench, { id: "c" }, [], feedback(rated(["down"], today - day))));
      const { ratings, turns, groups } = await statsOf(bench, { by: ["agent"] });
      assert.deepEqual(ratings, { up: 3, down: 2, scores: 3, scoreSum: 4.5 });
      assert.deepEqual([turns.turns, sumOf(groups.agent ?? [], "turns")], [2, 2]);
      assert.equal((await statsOf(bench, { since: today })).ratings.down, 1);
    },
  );

  check("stats-are-whole: an empty tenant has zeros", async (bench) => {
    const { turns, groups, days, durationMs, sessions, ratings } = await statsOf(bench, { by: kinds });
    assert.deepEqual(ratings, { up: 0, down: 0, scores: 0, scoreSum: 0 });
    assert.equal(turns.turns + turns.totalTokens + turns.longestMs + sessions.bytes, 0);
    assert.deepEqual(
      [groups, days, durationMs],
      [{ agent: [], session: [], user: [], model: [], day: [], hour: [] }, [], []],
    );
  });
}

async function statsOf(bench: Bench, query: Partial<StoreStatsQuery> = {}): ReturnType<Store["stats"]> {
  return await bench.store.stats({ tenant: bench.tenant, now: sampleAt + 1, by: [], limit: 100, ...query });
}

function usageOf(inputTokens: number, outputTokens: number): NonNullable<Turn["usage"]> {
  return { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens };
}

/** The fields of a turn, with the time when it began in epoch ms. */
type TurnFields = Omit<Partial<Turn>, "at"> & { readonly at?: number };

function turnOf({ at = today, ...fields }: TurnFields): Turn {
  const turn = { seq: 1, key: null, status: "done", agent: "ceo", input: [], output: [], requests: 1 } as const;
  return { ...turn, at: new Date(at), ...fields };
}

function sessionOf(
  bench: Bench,
  fields: Partial<SessionRecord> & { readonly id: string },
  turns: readonly TurnFields[],
  splices: readonly Splice[] = [],
): ReturnType<typeof creationOf> {
  const entries = turns.map((turn, index) => entryOfTurn(turnOf({ ...turn, seq: index + 1 })));
  const log: readonly Splice[] = turns.length === 0 ? [] : [{ log: "turns", from: 1, entries }];
  return creationOf(bench.record(fields), { splices: [...log, ...splices] });
}

function sumOf(groups: readonly TurnSums[], name: keyof TurnSums): number {
  return groups.reduce((sum, group) => sum + group[name], 0);
}
