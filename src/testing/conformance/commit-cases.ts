import assert from "node:assert/strict";
import type { Change, UsageAddition } from "../../domain/record/change.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { Identity, SessionRecord } from "../../domain/record/record.ts";
import type { Outcome } from "../../store/store.ts";
import { creationOf, sampleCommitId, sampleEntries, sampleInstance, sampleSplice, stepOf } from "../samples.ts";
import { commitOne, keyOf, land, refuse, see, type Bench, type Check } from "./bench.ts";

export function commitCases(check: Check): void {
  check("commit-is-whole: a session appears with its record and its logs", async (bench) => {
    const { store } = bench;
    const splices = [sampleSplice("turns", 1, ["one", "two"]), sampleSplice("events", 1, ["born"])];
    const change = creationOf(bench.record({ id: "new" }), { splices });
    const record = await land(store, change);
    assert.deepEqual(await see(store, keyOf(record), ["turns", "events", "chunks"]), {
      record: change.record,
      logs: {
        turns: sampleEntries(1, ["one", "two"]),
        events: sampleEntries(1, ["born"]),
        chunks: [],
      },
    });
  });

  check("commit-is-whole: an empty batch has no outcomes", async ({ store }) => {
    assert.deepEqual(await store.commit([]), []);
  });

  check("commit-is-whole: a batch that fails as a whole leaves nothing of itself", async (bench) => {
    const { store } = bench;
    const standing = await land(
      store,
      creationOf(bench.record({ id: "standing" }), {
        splices: [sampleSplice("turns", 1, ["one"])],
      }),
    );
    const before = await see(store, keyOf(standing), ["turns"]);
    const unstorable = { call: (): void => {} } as unknown as Record<string, string>;
    const broken = bench.record({ id: "broken", metadata: unstorable });
    const fresh = bench.record({ id: "fresh" });
    const late = bench.record({ id: "late" });
    await assert.rejects(
      store.commit([
        [creationOf(fresh, { splices: [sampleSplice("turns", 1, ["one"])] })],
        [stepOf(standing, { splices: [sampleSplice("turns", 2, ["two"])] })],
        [creationOf(broken, { splices: [sampleSplice("turns", 1, ["one"])] })],
        [creationOf(late)],
      ]),
    );
    assert.deepEqual(await see(store, keyOf(standing), ["turns"]), before);
    for (const record of [fresh, broken, late]) assert.equal(await see(store, keyOf(record), []), undefined, record.id);
    // And the store continues as if nothing had been.
    await land(store, creationOf(fresh, { splices: [sampleSplice("turns", 1, ["one"])] }));
    assert.equal((await see(store, keyOf(fresh), ["turns"]))?.logs["turns"]?.length, 1);
  });

  staleCases(check);
  batchCases(check);
  pairCases(check);
}

/** An identity that no record of these cases has. */
const never: Identity = { version: 9, commitId: "never" };

function staleCases(check: Check): void {
  const stale: readonly [string, (standing: Identity) => Identity | null][] = [
    ["an older version", ({ version, commitId }) => ({ version: version - 1, commitId })],
    ["a newer version", ({ version, commitId }) => ({ version: version + 1, commitId })],
    ["no record at all", () => null],
    ["a much newer version", ({ commitId }) => ({ version: Number.MAX_SAFE_INTEGER - 1, commitId })],
  ];
  // The same number in a store that was restored from a backup.
  const foreign: typeof stale = [
    ["the version with another commit id", ({ version }) => ({ version, commitId: sampleCommitId() })],
    ["the version with an empty commit id", ({ version }) => ({ version, commitId: "" })],
    ["the version with a commit id that is longer", ({ version, commitId }) => ({ version, commitId: `${commitId}0` })],
    [
      "the version with a commit id in capitals",
      ({ version, commitId }) => ({ version, commitId: commitId.toUpperCase() }),
    ],
  ];
  const unfit = [
    ...stale.map((one) => ["stale-version-writes-nothing", ...one] as const),
    ...foreign.map((one) => ["another-commit-id-writes-nothing", ...one] as const),
  ];
  for (const [invariant, what, expectedOf] of unfit) {
    check(`${invariant}: a change that expects ${what} is a conflict`, async (bench) => {
      const { store } = bench;
      const standing = await standingSession(bench);
      const before = await see(store, keyOf(standing), ["turns", "events"]);
      const fitting = stepOf(standing, {
        fields: { agent: "usurper" },
        splices: [sampleSplice("turns", 1, ["usurped"]), sampleSplice("events", 1, [])],
        claims: [{ log: "turns", key: "usurper" }],
      });
      const change: Change = { ...fitting, expected: expectedOf(standing) };
      assert.deepEqual(await refuse(store, change), standing);
      assert.deepEqual(await see(store, keyOf(standing), ["turns", "events"]), before);
      // The same change lands where it fits, so nothing else was wrong with it.
      await land(store, fitting);
    });
  }

  for (const [invariant, what, expectedOf] of unfit) {
    check(
      `${invariant}: an append that expects ${what} is a conflict, alone and in a batch of appends`,
      async (bench) => {
        const { store } = bench;
        const records: SessionRecord[] = [];
        for (const id of ["a", "b", "c"]) records.push(await land(store, creationOf(bench.record({ id }))));
        const [a, b, c] = records;
        assert.ok(a && b && c);
        const append = (record: SessionRecord): Change =>
          stepOf(record, { splices: [sampleSplice("turns", 1, ["one"])] });
        const unfitted = (record: SessionRecord): Change => ({ ...append(record), expected: expectedOf(record) });
        assert.deepEqual(await refuse(store, unfitted(a)), a);
        assert.deepEqual(await store.commit([[unfitted(a)], [append(b)], [unfitted(c)]]), [
          { status: "conflict", current: a },
          { status: "ok" },
          { status: "conflict", current: c },
        ]);
        for (const [record, turns] of [
          [a, 0],
          [b, 1],
          [c, 0],
        ] as const)
          assert.equal((await see(store, keyOf(record), ["turns"]))?.logs["turns"]?.length, turns);
      },
    );
  }

  check("stale-version-writes-nothing: a change of a record that is missing is a conflict", async (bench) => {
    const { store } = bench;
    const missing = bench.record({ id: "missing" });
    const change = stepOf(missing, { splices: [sampleSplice("turns", 1, ["one"])] });
    assert.equal(await refuse(store, change), undefined);
    assert.equal(await see(store, keyOf(missing), ["turns"]), undefined);
    // Nor did its entries land beside the record: a session created there is empty.
    await land(store, creationOf(missing));
    assert.deepEqual((await see(store, keyOf(missing), ["turns"]))?.logs["turns"], []);
  });

  check("stale-version-writes-nothing: a removal of another version is a conflict", async (bench) => {
    const { store } = bench;
    const standing = await standingSession(bench);
    const before = await see(store, keyOf(standing), ["turns", "events"]);
    const stale = removeSession({ ...standing, version: standing.version - 1 });
    assert.deepEqual(await refuse(store, stale), standing);
    assert.equal(await refuse(store, removeSession(bench.record({ id: "none" }))), undefined);
    assert.deepEqual(await see(store, keyOf(standing), ["turns", "events"]), before);
  });

  check(
    "another-commit-id-writes-nothing: a removal of the version with another commit id is a conflict",
    async (bench) => {
      const { store } = bench;
      const standing = await standingSession(bench);
      const before = await see(store, keyOf(standing), ["turns", "events"]);
      assert.deepEqual(await refuse(store, removeSession({ ...standing, commitId: sampleCommitId() })), standing);
      assert.deepEqual(await see(store, keyOf(standing), ["turns", "events"]), before);
      assert.deepEqual(await commitOne(store, removeSession(standing)), { status: "ok" });
    },
  );

  check("another-commit-id-writes-nothing: in a batch and in a transaction as alone", async (bench) => {
    const { store } = bench;
    const records: SessionRecord[] = [];
    for (const id of ["a", "b", "c", "d"]) records.push(await land(store, creationOf(bench.record({ id }))));
    const [a, b, c, d] = records;
    assert.ok(a && b && c && d);
    const foreignTo = (record: SessionRecord): Change => stepOf({ ...record, commitId: sampleCommitId() });
    const outcomes = await store.commit([[foreignTo(a)], [stepOf(b)], [stepOf(c), foreignTo(d)]]);
    assert.deepEqual(outcomes, [
      { status: "conflict", current: a },
      { status: "ok" },
      { status: "conflict", current: d },
    ]);
    const { sessions } = await store.load(records.map((record) => ({ key: keyOf(record), tails: [] })));
    assert.deepEqual(
      sessions.map((one, index) => one && one.record.version - (records[index]?.version ?? 0)),
      [0, 1, 0, 0],
    );
  });

  check("another-commit-id-writes-nothing: a session that was removed and created again is another", async (bench) => {
    const { store } = bench;
    const first = await land(store, creationOf(bench.record({ id: "again" })));
    assert.deepEqual(await commitOne(store, removeSession(first)), { status: "ok" });
    const second = await land(store, creationOf(bench.record({ id: "again" })));
    assert.equal(second.version, first.version, "though its version is the same");
    assert.deepEqual(await refuse(store, stepOf(first)), second);
    assert.deepEqual(await refuse(store, removeSession(first)), second);
    await land(store, stepOf(second));
  });

  check(
    "stale-version-writes-nothing: of two changes that follow on the same version the second is a conflict",
    async (bench) => {
      const { store } = bench;
      const standing = await standingSession(bench);
      const first = stepOf(standing, { splices: [sampleSplice("turns", 3, ["first"])] });
      const second = stepOf(standing, { splices: [sampleSplice("turns", 3, ["second"])] });
      const record = await land(store, first);
      assert.deepEqual(await refuse(store, second), record);
      const seen = await see(store, keyOf(standing), ["turns"]);
      assert.deepEqual(seen?.logs["turns"]?.slice(2), sampleEntries(3, ["first"]));
    },
  );
}

/** A session at its third version with two turns and an event. */
async function standingSession(bench: Bench): Promise<SessionRecord> {
  const { store } = bench;
  const born = await land(store, creationOf(bench.record({ id: "standing" })));
  const one = await land(store, stepOf(born, { splices: [sampleSplice("turns", 1, ["one"])] }));
  const splices = [sampleSplice("turns", 2, ["two"]), sampleSplice("events", 1, ["said"])];
  return land(store, stepOf(one, { splices }));
}

function batchCases(check: Check): void {
  check("transactions-are-separate: each of a batch has its own outcome", async (bench) => {
    const { store } = bench;
    const splices = [sampleSplice("turns", 1, [{ key: "taken", value: "one" }])];
    const created: SessionRecord[] = [];
    for (const id of ["first", "second", "third"])
      created.push(await land(store, creationOf(bench.record({ id }), { splices })));
    const [first, second, third] = created;
    assert.ok(first && second && third);
    const more = { splices: [sampleSplice("turns", 2, ["two"])] };
    const outcomes = await store.commit([
      [stepOf(first, { ...more, claims: [{ log: "turns", key: "taken" }] })],
      [stepOf(second, more)],
      [{ ...stepOf(third, more), expected: never }],
      [creationOf(bench.record({ id: "fourth" }), { splices })],
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["duplicate", "ok", "conflict", "ok"],
    );
    const turns = async (id: string): Promise<number | undefined> =>
      (await see(store, { tenant: bench.tenant, id }, ["turns"]))?.logs["turns"]?.length;
    assert.equal(await turns("first"), 1);
    assert.equal(await turns("second"), 2);
    assert.equal(await turns("third"), 1);
    assert.equal(await turns("fourth"), 1);
  });

  for (const [what, third, outcome, left] of [
    ["land", sampleSplice("turns", 2, ["two"]), "ok", [1, 2]],
    ["repeat a key", sampleSplice("turns", 2, [{ key: "taken", value: "two" }]), "duplicate", [1]],
    ["cut a log", sampleSplice("turns", 1, ["new"]), "ok", [1]],
  ] as const) {
    check(`transactions-are-separate: appends of one batch, one of which may ${what}`, async (bench) => {
      const { store } = bench;
      const splices = [sampleSplice("turns", 1, [{ key: "taken", value: "one" }])];
      const created: SessionRecord[] = [];
      for (const [id, title] of [
        ["a", "one \u001e, two \u001f"],
        ["b", null],
        ["c", '€ \\ " \t {}, null'],
        ["d", ""],
      ] as const)
        created.push(await land(store, creationOf(bench.record({ id, title }), { splices })));
      const steps = created.map((record) => stepOf(record, { splices: [sampleSplice("turns", 2, ['two \\ € "'])] }));
      const [a, b, c, d] = steps;
      assert.ok(a && b && c && d && created[2]);
      const claims = outcome === "duplicate" ? [{ log: "turns", key: "taken" }] : [];
      const changed = stepOf(created[2], { splices: [third], claims });
      for (const batch of [
        [[d], [{ ...b, expected: never }], [changed]],
        [[a], [b]],
      ]) {
        const outcomes = await store.commit(batch);
        const statuses = batch.length === 3 ? ["ok", "conflict", outcome] : ["ok", "ok"];
        assert.deepEqual(
          outcomes.map(({ status }) => status),
          statuses,
        );
      }
      const landed = { a, b, c: outcome === "ok" ? changed : undefined, d };
      for (const [id, change] of Object.entries(landed)) {
        const seen = await see(store, { tenant: bench.tenant, id }, ["turns"]);
        assert.deepEqual(seen?.record, change?.record ?? created[2]);
        const numbers = seen?.logs["turns"]?.map(({ seq }) => seq);
        assert.deepEqual(numbers, id === "c" ? left : [1, 2]);
      }
    });
  }

  check("transactions-are-separate: a large batch of every kind of change", async (bench) => {
    const { store } = bench;
    const size = Math.min(200, store.capabilities.batchMax);
    const keyed = [sampleSplice("turns", 1, [{ key: "k", value: "one" }])];
    const creations = Array.from({ length: size }, (_, index) =>
      creationOf(bench.record({ id: `n${index}` }), { splices: keyed }),
    );
    // Every session but each fifth exists already.
    const created = await store.commit(creations.filter((_, index) => index % 5 !== 0).map((change) => [change]));
    assert.ok(created.every(({ status }) => status === "ok"));
    const records = creations.map(({ record }) => record!);
    const append = { splices: [sampleSplice("turns", 2, [{ key: "l", value: "two" }])] };
    const kinds: readonly ((record: SessionRecord) => [Change, Outcome])[] = [
      (record) => [creationOf(record, { splices: keyed }), { status: "ok" }],
      (record) => [stepOf(record, { ...append, claims: [{ log: "turns", key: "l" }] }), { status: "ok" }],
      (record) => [
        { ...stepOf(record, append), expected: never },
        { status: "conflict", current: record },
      ],
      (record) => [
        stepOf(record, { ...append, claims: [{ log: "turns", key: "k" }] }),
        { status: "duplicate", entry: sampleEntries(1, [{ key: "k", value: "one" }])[0]! },
      ],
      (record) => [removeSession(record), { status: "ok" }],
    ];
    const planned = records.map((record, index) => kinds[index % 5]!(record));
    const outcomes = await store.commit(planned.map(([change]) => [change]));
    assert.deepEqual(
      outcomes.map((outcome) =>
        outcome.status === "duplicate" ? { ...outcome, entry: { ...outcome.entry } } : outcome,
      ),
      planned.map(([, outcome]) => outcome),
    );
    const { sessions: loaded } = await store.load(
      records.map((record) => ({ key: keyOf(record), tails: [{ log: "turns", last: 10 }] })),
    );
    for (const [index, session] of loaded.entries()) {
      const turns = [1, 2, 1, 1, undefined][index % 5];
      assert.equal(session?.tails[0]?.length, turns, `turns of n${index}`);
      const steps = [0, 1, 0, 0][index % 5];
      assert.equal(session && session.record.version - records[index]!.version, steps, `steps of n${index}`);
    }
  });
}

function pairCases(check: Check): void {
  check("changes-land-together: both changes of a transaction land", async (bench) => {
    const { store } = bench;
    const guest = await land(store, creationOf(bench.record({ id: "guest" })));
    const known = bench.record({ id: "known" });
    const splices = [sampleSplice("turns", 1, ["one"])];
    assert.deepEqual(await commitOne(store, creationOf(known, { splices }), removeSession(guest)), {
      status: "ok",
    });
    assert.equal(await see(store, keyOf(guest), []), undefined);
    assert.equal((await see(store, keyOf(known), ["turns"]))?.logs["turns"]?.length, 1);
  });

  const partners: readonly [string, (record: SessionRecord) => Change][] = [
    ["is stale", (record) => ({ ...stepOf(record), expected: never })],
    ["should be the first", (record) => creationOf(record)],
    ["claims a key that stands", (record) => stepOf(record, { claims: [{ log: "turns", key: "k" }] })],
  ];
  for (const [what, unfitFor] of partners) {
    for (const place of ["first", "second"] as const) {
      check(`changes-land-together: neither lands where the ${place} ${what}`, async (bench) => {
        const { store } = bench;
        const splices = [sampleSplice("turns", 1, [{ key: "k", value: "one" }])];
        const a = await land(store, creationOf(bench.record({ id: "a" }), { splices }));
        const b = await land(store, creationOf(bench.record({ id: "b" }), { splices }));
        const seenA = await see(store, keyOf(a), ["turns"]);
        const seenB = await see(store, keyOf(b), ["turns"]);
        const fitting = stepOf(a, { splices: [sampleSplice("turns", 1, [])] });
        const unfit = unfitFor(b);
        const outcome = await commitOne(store, ...(place === "first" ? [unfit, fitting] : [fitting, unfit]));
        if (outcome.status === "conflict") assert.deepEqual(outcome.current, b);
        else assert.equal(outcome.status, "duplicate");
        assert.deepEqual(await see(store, keyOf(a), ["turns"]), seenA);
        assert.deepEqual(await see(store, keyOf(b), ["turns"]), seenB);
        await land(store, fitting);
      });
    }
  }

  check("changes-land-together: the outcome of the first conflicting change has the stored record", async (bench) => {
    const { store } = bench;
    const a = await land(store, creationOf(bench.record({ id: "a" })));
    const b = await land(store, creationOf(bench.record({ id: "b" })));
    const stale = (record: SessionRecord): Change => ({ ...stepOf(record), expected: never });
    assert.deepEqual(await refuse(store, stale(a), stale(b)), a);
    assert.deepEqual(await refuse(store, stale(b), stale(a)), b);
    assert.equal(await refuse(store, stepOf(bench.record({ id: "c" })), stale(a)), undefined);
  });

  check("changes-land-together: four changes, of two tenants, are one like two of one are", async (bench) => {
    const { store } = bench;
    const a = await land(store, creationOf(bench.record({ id: "a" })));
    const b = await land(store, creationOf(bench.record({ id: "b", tenant: `${bench.tenant} other` })));
    const c = await land(store, creationOf(bench.record({ id: "c" })));
    const d = bench.record({ id: "d", tenant: `${bench.tenant}\u0001inner` });
    const unfit = [stepOf(a), removeSession(b), { ...stepOf(c), expected: never }, creationOf(d)];
    assert.deepEqual(await commitOne(store, ...unfit), { status: "conflict", current: c });
    assert.deepEqual(await see(store, keyOf(b), []), { record: b, logs: {} });
    assert.equal(await see(store, keyOf(d), []), undefined);
    assert.deepEqual(await commitOne(store, stepOf(a), removeSession(b), stepOf(c), creationOf(d)), { status: "ok" });
    assert.equal(await see(store, keyOf(b), []), undefined);
    assert.equal((await see(store, keyOf(d), []))?.record.tenant, d.tenant);
    assert.equal((await see(store, keyOf(a), []))?.record.version, a.version + 1);
  });

  check("changes-land-together: a batch mixes pairs with single changes", async (bench) => {
    const { store } = bench;
    const [a, b, c, d, e] = await Promise.all(
      ["a", "b", "c", "d", "e"].map((id) => land(store, creationOf(bench.record({ id })))),
    );
    assert.ok(a && b && c && d && e);
    const outcomes = await store.commit([
      [stepOf(a), { ...stepOf(b), expected: never }],
      [stepOf(c), stepOf(d)],
      [stepOf(e)],
    ]);
    assert.deepEqual(outcomes, [{ status: "conflict", current: b }, { status: "ok" }, { status: "ok" }]);
    const { sessions: loaded } = await store.load([a, b, c, d, e].map((one) => ({ key: keyOf(one), tails: [] })));
    assert.deepEqual(
      loaded.map((one) => one && one.record.version - a.version),
      [0, 0, 1, 1, 1],
    );
  });

  check("usage-adds-up: a sum grows with the changes that land, and with no other", async (bench) => {
    const { store, tenant } = bench;
    const until = (await store.instances([])).now + 86_400_000;
    const sum = { tenant, name: "2026-11-30 ada" };
    const other = { tenant, name: "2026-11-30" };
    const adds = (tokens: number): readonly UsageAddition[] => [
      { ...sum, tokens, turns: 1, until },
      { ...other, tokens, turns: 0, until },
    ];
    assert.deepEqual(await store.usage([sum, other]), [nothing, nothing]);
    const [a, b] = await Promise.all(["a", "b"].map((id) => land(store, creationOf(bench.record({ id })))));
    assert.ok(a && b);
    const outcomes = await store.commit([
      [{ ...stepOf(a), additions: adds(100) }],
      [{ ...stepOf(b), expected: never, additions: adds(1000) }],
      [{ ...creationOf(bench.record({ id: "c" })), additions: adds(20) }],
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["ok", "conflict", "ok"],
    );
    await refuse(store, { ...stepOf(a), additions: adds(1000) });
    assert.deepEqual(await store.usage([other, { tenant, name: "none" }, sum]), [
      { tokens: 120, turns: 0 },
      nothing,
      { tokens: 120, turns: 2 },
    ]);
    assert.deepEqual(await store.usage([]), []);
  });

  check("usage-adds-up: writers of different sessions add at the same time", async (bench) => {
    const { store, tenant } = bench;
    const until = (await store.instances([])).now + 86_400_000;
    const additions = [{ tenant, name: "day", tokens: 7, turns: 1, until }];
    const ids = Array.from({ length: 24 }, (_, index) => `s${index}`);
    await Promise.all(ids.map((id) => land(store, { ...creationOf(bench.record({ id })), additions })));
    assert.deepEqual(await store.usage([{ tenant, name: "day" }]), [{ tokens: 24 * 7, turns: 24 }]);
  });

  check("usage-adds-up: a duplicate adds nothing", async (bench) => {
    const { store, tenant } = bench;
    const until = (await store.instances([])).now + 86_400_000;
    const additions = [{ tenant, name: "day", tokens: 7, turns: 1, until }];
    const splices = [sampleSplice("turns", 1, [{ key: "k", value: 1 }])];
    const record = await land(store, { ...creationOf(bench.record({ id: "a" }), { splices }), additions });
    const again = { ...stepOf(record, { claims: [{ log: "turns", key: "k" }] }), additions };
    assert.equal((await commitOne(store, again)).status, "duplicate");
    assert.deepEqual(await store.usage([{ tenant, name: "day" }]), [{ tokens: 7, turns: 1 }]);
  });

  check("old-usage-is-deleted: a heartbeat removes a sum whose time has passed", async (bench) => {
    const { store, tenant } = bench;
    const { now } = await store.instances([]);
    const additions = [
      { tenant, name: "old", tokens: 7, turns: 1, until: now - 1 },
      { tenant, name: "new", tokens: 7, turns: 1, until: now + 86_400_000 },
    ];
    await land(store, { ...creationOf(bench.record({ id: "a" })), additions });
    await store.heartbeat(sampleInstance(`${tenant} self`));
    assert.deepEqual(await store.usage(additions), [nothing, { tokens: 7, turns: 1 }]);
  });

  check("scope-is-in-the-key: a sum of one tenant has no addition of another", async (bench) => {
    const { store, tenant } = bench;
    const until = (await store.instances([])).now + 86_400_000;
    const additions = [{ tenant, name: "day", tokens: 7, turns: 1, until }];
    await land(store, { ...creationOf(bench.record({ id: "a" })), additions });
    assert.deepEqual(await store.usage([{ tenant: `${tenant}2`, name: "day" }]), [nothing]);
  });
}

const nothing = { tokens: 0, turns: 0 };
