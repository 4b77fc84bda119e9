import assert from "node:assert/strict";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { Entry, Splice } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { eachPage } from "../../domain/values/pages.ts";
import { hasCode } from "../../errors.ts";
import type { EventScan, FoundEvent, Store } from "../../store/store.ts";
import { creationOf, sampleRecord, sampleSplice, stepOf } from "../samples.ts";
import { commitOne, keyOf, land, plain, see, type Bench, type Check } from "./bench.ts";
import { oddIds } from "./odd-texts.ts";

export function eventCases(check: Check): void {
  check(
    "events-are-found: those of all sessions of a tenant, by time, then session, then seq, either way",
    async (bench) => {
      await createWithEvents(bench, "b", [3, 3, 9]);
      await createWithEvents(bench, "a", [1, 3, 20], { agent: "cfo" });
      await createWithEvents(bench, "B", [3]);
      await land(
        bench.store,
        creationOf(bench.record({ id: "c" }), { splices: [sampleSplice("turns", 1, ["no event"])] }),
      );
      const expected = ["a1", "B1", "a2", "b1", "b2", "b3", "a3"];
      const found = await bench.store.events(scanOf(bench));
      assert.deepEqual(names(found.events), expected);
      const descending = await bench.store.events(scanOf(bench, { order: "descending" }));
      assert.deepEqual(names(descending.events), expected.toReversed());
      assert.deepEqual([found.next, descending.next], [undefined, undefined]);
    },
  );

  check("events-are-found: what is found is the whole entry, and the agent as the record has it now", async (bench) => {
    const { store } = bench;
    const splices = [sampleSplice("events", 1, [{ key: "k", value: { type: "x", text: "\u0000 ä 😀" } }])];
    const record = await land(store, creationOf(bench.record({ id: "s" }), { splices }));
    await land(store, stepOf(record, { fields: { agent: "cfo" } }));
    const { events } = await store.events(scanOf(bench));
    const entry = splices[0]?.entries[0];
    assert.deepEqual(
      events.map((one) => ({ ...one, entry: { ...one.entry } })),
      [{ session: "s", agent: "cfo", entry }],
    );
  });

  const filters: readonly [string, Partial<EventScan>, readonly string[]][] = [
    ["a session", { session: "a" }, ["a1", "a2"]],
    ["a session that is not there", { session: "none" }, []],
    ["an agent", { agent: "cfo" }, ["b1", "b2"]],
    ["a beginning", { beginnings: ['{"type":"one"'] }, ["a1", "b1"]],
    ["one of two beginnings", { beginnings: ['{"type":"two"', '{"type":"one"'] }, ["a1", "a2", "b1", "b2"]],
    ["a beginning in another case", { beginnings: ['{"type":"ONE"'] }, []],
    ["a beginning that some databases take for a pattern", { beginnings: ["{%", "{_type", "["] }, []],
    ["no beginning at all", { beginnings: [] }, []],
    ["at or after a time", { since: 20 }, ["a2", "b2"]],
    ["before a time", { before: 20 }, ["a1", "b1"]],
    ["between times, of an agent", { agent: "cfo", since: 11, before: 21 }, ["b1", "b2"]],
    ["between times where nothing was", { since: 12, before: 20 }, []],
  ];
  for (const [what, fields, expected] of filters) {
    check(`events-are-found: found by ${what}`, async (bench) => {
      const types = ["one", "two"];
      await createWithEvents(bench, "a", [10, 20], { types });
      await createWithEvents(bench, "b", [11, 20], { types, agent: "cfo" });
      assert.deepEqual(names((await bench.store.events(scanOf(bench, fields))).events).toSorted(), expected);
    });
  }

  check("events-are-found: many of the same time appear on exactly one page each, either way", async (bench) => {
    for (let index = 0; index < 9; index++) await createWithEvents(bench, `s${(index * 5) % 9}`, [7, 7, 8, index]);
    for (const order of ["ascending", "descending"] as const) {
      const whole = (await bench.store.events(scanOf(bench, { order }))).events;
      assert.equal(whole.length, 36);
      for (const limit of [1, 5, 12, 35, 36, 37])
        assert.deepEqual(names(await pages(bench.store, scanOf(bench, { order, limit }))), names(whole), `by ${limit}`);
    }
  });

  check("events-are-bounded: a page ends where its bytes are reached, and the next one continues", async (bench) => {
    const { store } = bench;
    const sizes = [10, 20_000, 30_000, 90_000, 10, 20_000, 20_000, 20_000, 20_000, 10];
    for (const [index, size] of sizes.entries()) {
      const { log, entries } = sampleSplice("events", 1, [{ type: "sample", text: "ä".repeat(size / 2) }]);
      const splices = [{ log, from: 1, entries: entries.map((entry): Entry => ({ ...entry, at: index })) }];
      await land(store, creationOf(bench.record({ id: `s${index}` }), { splices }));
    }
    const bytesMax = 64 * 1024;
    for (const order of ["ascending", "descending"] as const)
      for (const limit of [1, 2, 3, 100]) {
        const found: FoundEvent[] = [];
        const scan = { order, limit, bytesMax };
        for await (const page of eachPage((after) => store.events(scanOf(bench, { ...scan, ...after })))) {
          const bytes = page.events.reduce((sum, { entry }) => sum + Buffer.byteLength(entry.data), 0);
          assert.ok(page.events.length <= limit, "within the limit");
          assert.ok(page.events.length === 1 || (page.events.length > 1 && bytes <= bytesMax), "within the bytes");
          found.push(...page.events);
        }
        const whole = (await store.events(scanOf(bench, { order }))).events;
        assert.deepEqual(names(found), names(whole), `${order} by ${limit}`);
        assert.equal(found.length, sizes.length);
      }
  });

  check("events-are-found: ids of every kind lie between pages", async (bench) => {
    for (const id of oddIds) await createWithEvents(bench, id, [5]);
    const byBytes = oddIds.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const found = await pages(bench.store, scanOf(bench, { limit: 1 }));
    assert.deepEqual(
      found.map(({ session }) => session),
      byBytes,
    );
  });

  check("events-are-found: removed and replaced events are no longer found, and later ones are", async (bench) => {
    const { store } = bench;
    const gone = await createWithEvents(bench, "gone", [1, 2]);
    const stays = await createWithEvents(bench, "stays", [1, 4]);
    const first = await store.events(scanOf(bench, { limit: 2 }));
    assert.ok(first.next);
    await commitOne(store, removeSession(gone));
    await land(store, stepOf(stays, { splices: [splice(2, [5, 6])] }));
    const rest = await store.events(scanOf(bench, { after: first.next }));
    assert.deepEqual(names(rest.events), ["stays2", "stays3"]);
    assert.deepEqual(names((await store.events(scanOf(bench))).events), ["stays1", "stays2", "stays3"]);
  });

  for (const after of ["", "nonsense", "WzEsMl0", "WzEsMiwzXQ", "'; drop table entries; --"]) {
    check(`events-are-found: ${JSON.stringify(after)} is no place where a page ended`, async (bench) => {
      await createWithEvents(bench, "s", [1]);
      const scan = scanOf(bench, { after });
      await assert.rejects(bench.store.events(scan), (error) => hasCode(error, "argument_invalid"));
    });
  }

  check("scope-is-in-the-key: events of tenants that look alike are each one's own", async (bench) => {
    const { store } = bench;
    const tenants = [bench.tenant, `${bench.tenant} `, bench.tenant.toUpperCase()];
    for (const tenant of tenants) {
      const splices = [sampleSplice("events", 1, [tenant])];
      await land(store, creationOf(sampleRecord({ tenant, id: "s" }), { splices }));
    }
    for (const tenant of tenants) {
      const { events } = await store.events(scanOf(bench, { tenant }));
      assert.deepEqual(
        events.map(({ entry }) => JSON.parse(entry.data)),
        [tenant],
      );
    }
    assert.equal(await store.deleteEvents({ tenant: bench.tenant, before: 1e15, limit: 10 }), 1);
    assert.equal((await store.events(scanOf(bench, { tenant: tenants[1]! }))).events.length, 1);
  });

  check("deleted-events-leave-the-rest: the oldest go first, no more than asked for", async (bench) => {
    const { store, tenant } = bench;
    await createWithEvents(bench, "a", [1, 3, 5]);
    await createWithEvents(bench, "b", [2, 4, 6]);
    assert.equal(await store.deleteEvents({ tenant, before: 5, limit: 3 }), 3);
    assert.deepEqual(names((await store.events(scanOf(bench))).events), ["b2", "a3", "b3"]);
    assert.equal(await store.deleteEvents({ tenant, before: 5, limit: 3 }), 1);
    assert.equal(await store.deleteEvents({ tenant, before: 5, limit: 3 }), 0);
    assert.deepEqual(names((await store.events(scanOf(bench))).events), ["a3", "b3"]);
  });

  check("deleted-events-leave-the-rest: of all tenants where none is named", async (bench) => {
    const { store } = bench;
    const tenants = [`${bench.tenant} 1`, `${bench.tenant} 2`, `${bench.tenant} 3`];
    for (const tenant of tenants) {
      const splices = [splice(1, [1, 900])];
      await land(store, creationOf(sampleRecord({ tenant, id: "s" }), { splices }));
    }
    // So long ago that no other case has events from then.
    let deleted = 0;
    for (let more = 1; more > 0; deleted += more) more = await store.deleteEvents({ before: 2, limit: 2 });
    assert.ok(deleted >= 3);
    for (const tenant of tenants)
      assert.deepEqual(names((await store.events(scanOf(bench, { tenant }))).events), ["s2"]);
  });

  check(
    "deleted-events-leave-the-rest: concurrent calls, while sessions are created, removed and written",
    async (bench) => {
      const { store, tenant } = bench;
      const handles = [store, store.capabilities.shared ? await bench.openAnother() : store];
      const times = Array.from({ length: 12 }, (_, index) => index + 1);
      const records = await Promise.all(
        Array.from({ length: 12 }, (_, index) => createWithEvents(bench, `s${index}`, times)),
      );
      const past = { tenant, before: 10, limit: 5 };
      const forgetting = handles.map(async (handle) => {
        let deleted = 0;
        for (let more = 1; more > 0; deleted += more) more = await handle.deleteEvents(past);
        return deleted;
      });
      for (const [index, record] of records.entries()) {
        if (index % 3 === 0) await commitOne(store, removeSession(record));
        else if (index % 3 === 1) await land(store, stepOf(record, { splices: [splice(13, [13])] }));
        else await land(store, stepOf(record, { splices: [splice(1, [14])] }));
      }
      await Promise.all(forgetting);
      // The events that one handle skipped while the other one held them.
      while ((await store.deleteEvents(past)) > 0);
      const left = names((await store.events(scanOf(bench))).events).toSorted();
      const expected = records.flatMap(({ id }, index) => {
        if (index % 3 === 0) return [];
        return index % 3 === 1 ? [`${id}10`, `${id}11`, `${id}12`, `${id}13`] : [`${id}1`];
      });
      assert.deepEqual(left, expected.toSorted());
    },
  );

  check("deleted-events-leave-the-rest: records, other logs and numbers stay, and the log continues", async (bench) => {
    const { store, tenant } = bench;
    const splices = [splice(1, [1, 2, 3]), sampleSplice("turns", 1, ["old", "older"])];
    const record = await land(store, creationOf(bench.record({ id: "s" }), { splices }));
    const turns = (await see(store, keyOf(record), ["turns"]))?.logs["turns"];
    await store.deleteEvents({ tenant, before: 3, limit: 10 });
    const seen = await see(store, keyOf(record), ["events", "turns"]);
    assert.deepEqual(seen?.record, record);
    assert.deepEqual(seen.logs["turns"], turns);
    assert.deepEqual(seqs(seen.logs["events"]), [3]);
    const next = await land(store, stepOf(record, { splices: [splice(4, [9])] }));
    assert.deepEqual(seqs((await see(store, keyOf(record), ["events"]))?.logs["events"]), [3, 4]);
    const range = { log: "events", from: 1, to: 9, order: "descending", limit: 1 } as const;
    assert.deepEqual(seqs(plain(await store.read(keyOf(record), range))), [4]);
    await store.deleteEvents({ tenant, before: 1e15, limit: 10 });
    assert.deepEqual((await see(store, keyOf(record), ["events"]))?.logs["events"], []);
    const again = await land(store, stepOf(next, { splices: [splice(5, [10])] }));
    assert.deepEqual(seqs((await see(store, keyOf(again), ["events"]))?.logs["events"]), [5]);
    await land(store, stepOf(again, { splices: [splice(1, [11])] }));
    assert.deepEqual(
      seqs((await see(store, keyOf(again), ["events"]))?.logs["events"]),
      [1],
      "the numbers begin again",
    );
  });
}

function scanOf(bench: Bench, fields: Partial<EventScan> = {}): EventScan {
  return { tenant: bench.tenant, order: "ascending", limit: 100, ...fields };
}

/** Events at these times. */
function splice(from: number, times: readonly number[], types: readonly string[] = []): Splice {
  const { log, entries } = sampleSplice(
    "events",
    from,
    times.map((_, index) => ({ type: types[index] ?? "sample" })),
  );
  return { log, from, entries: entries.map((entry, index): Entry => ({ ...entry, at: times[index] ?? 0 })) };
}

/** A session with events at these times. */
async function createWithEvents(
  bench: Bench,
  id: string,
  times: readonly number[],
  { types, agent = "ceo" }: { types?: readonly string[]; agent?: string } = {},
): Promise<SessionRecord> {
  return await land(bench.store, creationOf(bench.record({ id, agent }), { splices: [splice(1, times, types)] }));
}

function names(events: readonly FoundEvent[]): string[] {
  return events.map(({ session, entry }) => `${session}${entry.seq}`);
}

function seqs(entries: readonly Entry[] | undefined): number[] | undefined {
  return entries?.map(({ seq }) => seq);
}

/** All pages of a scan, each of which must be full, but for the last, and bring events that no earlier page had. */
async function pages(store: Store, scan: EventScan): Promise<FoundEvent[]> {
  const events: FoundEvent[] = [];
  const seen = new Set<string>();
  let after: { after?: string } = {};
  for (;;) {
    const found = await store.events({ ...scan, ...after });
    for (const event of found.events) {
      const name = `${event.session} ${event.entry.seq}`;
      assert.ok(!seen.has(name), `event ${name} is found again: the pages come to no end`);
      seen.add(name);
      events.push(event);
    }
    if (found.next === undefined) {
      assert.ok(found.events.length > 0 || after.after === undefined, "no page follows where nothing follows");
      return events;
    }
    assert.equal(found.events.length, scan.limit, "only the last page is shorter");
    after = { after: found.next };
  }
}
