/** What becomes of a commit whose connection breaks: it lands once, and its caller learns what came of it. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Change } from "../../src/domain/record/change.ts";
import { removeSession } from "../../src/domain/record/lifecycle.ts";
import type { SessionRecord } from "../../src/domain/record/record.ts";
import { hasCode } from "../../src/errors.ts";
import { openPostgres } from "../../src/store/postgres/open.ts";
import type { Outcome, Store } from "../../src/store/store.ts";
import { creationOf, sampleRecord, sampleSplice, stepOf } from "../../src/testing/samples.ts";
import { cuts, Proxy } from "./proxy.ts";
import { Client, PostgresServer, query } from "./server.ts";

let server: PostgresServer;
let proxy: Proxy;
/** Reaches the server through the proxy, and directly. */
let store: Store;
let other: Store;
before(async () => {
  server = await PostgresServer.start();
  proxy = await Proxy.before(server.port);
  store = await openPostgres({ url: proxy.url() });
  other = await openPostgres({ url: server.url() });
});
after(async () => {
  await store.close();
  await other.close();
  await proxy[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

let names = 0;
async function born(fields: Partial<SessionRecord> = {}): Promise<SessionRecord> {
  const change = creationOf(sampleRecord({ id: `s${names++}`, ...fields }), {
    splices: [sampleSplice("turns", 1, [{ key: "taken", value: "one" }])],
  });
  assert.deepEqual(await other.commit([[change]]), [{ status: "ok" }]);
  return change.record!;
}

/** One of each kind of change, with what a reader sees once it has landed. */
const kinds: readonly [string, () => Promise<readonly Change[]>][] = [
  ["an append without a key", async () => [stepOf(await born(), { splices: [sampleSplice("turns", 2, ["two"])] })]],
  [
    "an append with a key",
    async () => [
      stepOf(await born(), {
        splices: [sampleSplice("turns", 2, [{ key: "k", value: "two" }])],
        claims: [{ log: "turns", key: "k" }],
      }),
    ],
  ],
  ["a touch without entries", async () => [stepOf(await born(), { fields: { lastActivityAt: 5 } })]],
  ["a truncation", async () => [stepOf(await born(), { splices: [sampleSplice("turns", 1, [])] })]],
  [
    "a creation",
    async () => [creationOf(sampleRecord({ id: `new${names++}` }), { splices: [sampleSplice("turns", 1, ["one"])] })],
  ],
  ["a removal", async () => [removeSession(await born())]],
  [
    "a pair",
    async () => [stepOf(await born(), { splices: [sampleSplice("turns", 2, ["two"])] }), stepOf(await born())],
  ],
  [
    "a creation and a removal together",
    async () => [creationOf(sampleRecord({ id: `new${names++}` })), removeSession(await born())],
  ],
];

/** Every change of the transaction stands as it was meant, once. */
async function assertLanded(transaction: readonly Change[]): Promise<void> {
  for (const change of transaction) {
    const {
      sessions: [loaded],
    } = await other.load([{ key: change.key, tails: [{ log: "turns", last: 100 }] }]);
    assert.deepEqual(loaded?.record, change.record ?? undefined);
    const head = change.record?.heads["turns"] ?? 0;
    assert.deepEqual(
      (loaded?.tails[0] ?? []).map(({ seq }) => seq),
      Array.from({ length: head }, (_, index) => index + 1),
    );
  }
}

/** The next step of another writer on each session that stands. */
function further(transaction: readonly Change[]): (readonly Change[])[] {
  return transaction.map((change) => [
    change.record === null
      ? creationOf(sampleRecord({ ...change.key, version: 1 }), { splices: [sampleSplice("turns", 1, ["anew"])] })
      : stepOf(change.record, {
          splices: [sampleSplice("turns", (change.record.heads["turns"] ?? 0) + 1, ["further"])],
        }),
  ]);
}

for (const cut of cuts) {
  describe(`a connection cut ${cut}`, () => {
    for (const [kind, make] of kinds) {
      test(`${kind} lands once and is acknowledged`, async () => {
        const transaction = await make();
        const cutting = proxy.cutAt(cut);
        const outcomes = await store.commit([transaction]);
        await cutting;
        assert.deepEqual(outcomes, [{ status: "ok" }]);
        await assertLanded(transaction);
      });
    }

    test("in a batch each transaction gets its own outcome", async () => {
      const [first, second, third] = [await born(), await born(), await born()];
      const batch: (readonly Change[])[] = [
        [stepOf(first, { splices: [sampleSplice("turns", 2, ["two"])] })],
        [{ ...stepOf(second), expected: { ...second, version: second.version + 3 } }],
        [stepOf(third, { splices: [sampleSplice("turns", 2, ["x"])], claims: [{ log: "turns", key: "taken" }] })],
        [creationOf(sampleRecord({ id: `new${names++}` }))],
      ];
      const cutting = proxy.cutAt(cut);
      const outcomes = await store.commit(batch);
      await cutting;
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ["ok", "conflict", "duplicate", "ok"],
      );
      assert.deepEqual((outcomes[1] as Extract<Outcome, { status: "conflict" }>).current, second);
      assert.equal((outcomes[2] as Extract<Outcome, { status: "duplicate" }>).entry.data, '"one"');
      await assertLanded(batch[0]!);
      await assertLanded(batch[3]!);
    });
  });
}

for (const [kind, make] of kinds) {
  test(`${kind} that is refused writes nothing, not even its number`, async () => {
    const transaction = await make();
    const stale = transaction.map((change): Change => {
      const record = change.record ?? sampleRecord(change.key);
      return { ...change, expected: { version: 1, commitId: "x" }, record };
    });
    const rows = "select id, number, xmin::text from perdure.lanes order by id";
    const before = await query(server.url(), rows);
    const outcomes = await store.commit([stale]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["conflict"],
    );
    assert.deepEqual(await query(server.url(), rows), before);
    assert.deepEqual(await store.commit([transaction]), [{ status: "ok" }]);
  });

  test(`${kind} that landed is acknowledged though others have moved on since`, async () => {
    const transaction = await make();
    const cutting = proxy.cutAt("after-commit");
    const committing = store.commit([transaction]);
    await proxy.hold(async () => {
      await cutting;
      for (
        let round = 0, steps = further(transaction);
        round < 3;
        round++, steps = steps.flatMap((one) => further(one))
      ) {
        assert.ok(
          (await other.commit(steps)).every(({ status }) => status === "ok"),
          `round ${round}`,
        );
      }
    });
    assert.deepEqual(await committing, [{ status: "ok" }]);
  });

  test(`${kind} that did not land and came too late is a conflict`, async () => {
    const transaction = await make();
    const cutting = proxy.cutAt("before-send");
    const committing = store.commit([transaction]);
    await proxy.hold(async () => {
      await cutting;
      const rivals = transaction.map((change): Change => {
        const { key, expected } = change;
        return expected === null
          ? creationOf(sampleRecord({ ...key, agent: "rival" }))
          : {
              key,
              expected,
              record: sampleRecord({ ...key, version: expected.version + 1, heads: { turns: 1 } }),
              splices: [],
              claims: [],
            };
      });
      assert.ok((await other.commit(rivals.map((rival) => [rival]))).every(({ status }) => status === "ok"));
    });
    assert.deepEqual(
      (await committing).map(({ status }) => status),
      ["conflict"],
    );
  });
}

/** A transaction that holds the row of a session until it is disposed of. */
async function lockRow(id: string): Promise<AsyncDisposable> {
  const client = new Client({ connectionString: server.url() });
  await client.connect();
  await client.query("begin");
  await client.query("select from perdure.sessions where id = $1 for update", [id]);
  return { [Symbol.asyncDispose]: () => client.end() };
}

test("a commit that still runs when its connection breaks is waited for, not doubled", async () => {
  const record = await born();
  const change = stepOf(record, { splices: [sampleSplice("turns", 2, ["two"])] });
  // Another transaction locks the row, so that the first try is stuck in the server when it loses its client.
  const locked = await lockRow(record.id);
  const cutting = proxy.cutAt("after-send");
  const committing = store.commit([[change]]);
  await cutting;
  const {
    sessions: [loaded],
  } = await other.load([{ key: change.key, tails: [] }]);
  assert.equal(loaded?.record.version, record.version, "it has not landed yet");
  await locked[Symbol.asyncDispose]();
  assert.deepEqual(await committing, [{ status: "ok" }]);
  await assertLanded([change]);
});

test("a connection that hangs is given up, and its commit settled on another", async () => {
  await using patient = await Proxy.before(server.port);
  const hanging = await openPostgres({ url: patient.url(), attempt: "400ms", connectTimeout: "200ms" });
  const record = await born();
  const change = stepOf(record, { splices: [sampleSplice("turns", 2, ["two"])] });
  patient.stall();
  const committing = hanging.commit([[change]]);
  await sleep(700);
  patient.resume();
  assert.deepEqual(await committing, [{ status: "ok" }]);
  await assertLanded([change]);
  await hanging.close();
});

test("reads are tried again on another connection", async () => {
  const record = await born();
  for (const cut of cuts) {
    const cutting = proxy.cutAt(cut, "load_one");
    const {
      sessions: [loaded],
    } = await store.load([{ key: record, tails: [] }]);
    await cutting;
    assert.deepEqual(loaded?.record, record);
  }
  for (const cut of cuts) {
    const cutting = proxy.cutAt(cut, "read_by_seq");
    const entries = await store.read(record, { log: "turns", from: 1, to: 9, order: "ascending", limit: 9 });
    await cutting;
    assert.equal(entries.length, 1);
  }
});

test("a server that stays away is an error after the deadline, and the error says so", async () => {
  await using away = await Proxy.before(server.port);
  const patient = await openPostgres({ url: away.url(), deadline: "3s", attempt: "1s", connectTimeout: "1s" });
  const record = await born();
  away.stall();
  const start = performance.now();
  const failing = patient.commit([[stepOf(record)]]);
  await assert.rejects(
    failing,
    (error) =>
      hasCode(error, "store_unavailable") && error.details.problem === "outcome_unknown" && error.cause !== undefined,
  );
  assert.ok(performance.now() - start < 30_000, "nothing hangs");
  away.resume();
  // The next commit of the same lane is another one, and works.
  assert.deepEqual(await patient.commit([[stepOf(record)]]), [{ status: "ok" }]);
  await patient.close();
});

test("a commit that was reported as failed never lands, even if it was still in flight", async () => {
  const record = await born();
  const change = stepOf(record, { splices: [sampleSplice("turns", 2, ["two"])] });
  await using slow = await Proxy.before(server.port);
  const impatient = await openPostgres({ url: slow.url(), deadline: "2s", attempt: "30s" });
  // The first try waits in the server for the row that another transaction locks, far beyond the deadline.
  const locked = await lockRow(record.id);
  const committing = impatient.commit([[change]]).then(
    ([first]) => first?.status,
    (error) =>
      hasCode(error, "store_unavailable") && error.details.problem === "outcome_unknown" ? "in doubt" : "failed",
  );
  await sleep(2500);
  await locked[Symbol.asyncDispose]();
  const outcome = await committing;
  await sleep(200);
  const {
    sessions: [loaded],
  } = await other.load([{ key: record, tails: [] }]);
  const landed = loaded?.record.version === change.record?.version;
  assert.ok(outcome === "ok" ? landed : outcome === "in doubt" || !landed, `${outcome}, landed: ${landed}`);
  assert.equal(outcome, "ok", "it was waited for");
  await impatient.close();
});

test("a commit that was reported as failed does not land when the network delivers it late", async () => {
  await using proxied = await Proxy.before(server.port);
  const own = await openPostgres({ url: proxied.url(), deadline: "3s", attempt: "1s" });
  const record = await born();
  const change = stepOf(record, { splices: [sampleSplice("turns", 2, ["two"])] });
  const cutting = (async () => {
    await proxied.cutAt("delay");
    for (;;) await proxied.cutAt("before-send");
  })();
  await assert.rejects(own.commit([[change]]), (error: Error) => {
    return hasCode(error, "store_unavailable") && !error.message.includes("not known");
  });
  proxied.disarm();
  void cutting; // the last cut never comes
  proxied.release();
  await sleep(200);
  const {
    sessions: [loaded],
  } = await other.load([{ key: record, tails: [] }]);
  assert.deepEqual(loaded?.record, record);
  assert.deepEqual(await own.commit([[change]]), [{ status: "ok" }]);
  await own.close();
});

test("after a hundred random connection cuts every turn is stored once", async () => {
  let record = await born();
  for (let round = 0; round < 100; round++) {
    const cutting = proxy.cutAt(cuts[round % cuts.length]!);
    const seq = (record.heads["turns"] ?? 0) + 1;
    const change = stepOf(record, { splices: [sampleSplice("turns", seq, [round])] });
    assert.deepEqual(await store.commit([[change]]), [{ status: "ok" }]);
    await cutting;
    record = change.record!;
  }
  const entries = await other.read(record, { log: "turns", from: 2, to: 200, order: "ascending", limit: 200 });
  assert.deepEqual(
    entries.map(({ data }) => data),
    Array.from({ length: 100 }, (_, round) => String(round)),
  );
});
