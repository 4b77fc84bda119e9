/** Batches of appends that leave the columns of lists alone, by each way to send them. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Change, Transaction } from "../../src/domain/record/change.ts";
import type { SessionRecord } from "../../src/domain/record/record.ts";
import { openPostgres } from "../../src/store/postgres/index.ts";
import { creationOf, sampleCommitId, sampleRecord, sampleSplice, stepOf } from "../../src/testing/samples.ts";
import { serverOfFile } from "./of-file.ts";
import { Pool, query } from "./server.ts";

const server = await serverOfFile();
const pool = new Pool({ connectionString: server.url() });

const ways = {
  "a pool of its own": { url: server.url() },
  "a pool of its own without prepared statements": { url: server.url(), prepare: false },
  "a pool of the caller": { pool },
} as const;

// The server may end before the pool does.
pool.on("error", () => undefined);
after(() => pool.end());

for (const [way, options] of Object.entries(ways)) {
  test(`a batch of appends is written whole, and refused by its sessions, through ${way}`, async (context) => {
    await query(server.url(), "drop schema if exists kept cascade");
    const store = await openPostgres({ ...options, schema: "kept" });
    context.after(() => store.close());
    const labels = { plan: "pro" };
    const created = ["a", "b b", "\u{1f600}", 'd"\\{},', "e"].map((id) =>
      creationOf(sampleRecord({ id, title: `title of ${id}`, labels, user: `user of ${id}`, agent: "other" }), {
        splices: [sampleSplice("turns", 1, [{ key: "first", value: 1 }])],
      }),
    );
    assert.deepEqual(
      await store.commit(created.map((change) => [change])),
      created.map(() => ({ status: "ok" })),
    );
    const records = created.map(({ record }) => record as SessionRecord);
    const step = (record: SessionRecord, key: string | null): Change => {
      const [lastActivityAt, expiresAt, sweepAt] = [
        record.lastActivityAt + 61_000,
        record.expiresAt + 1,
        record.sweepAt + 2,
      ];
      const fields = { metadata: { of: record.id }, lastActivityAt, expiresAt, sweepAt };
      const turn = { ...sampleSplice("turns", 2, [key === null ? "two €" : { key, value: "two €" }]), appends: true };
      const claims = key === null ? [] : [{ log: "turns", key }];
      return { ...stepOf(record, { fields, splices: [turn], claims }), keepsListed: true };
    };
    const [first, stale, third, keyed, last] = records as [
      SessionRecord,
      SessionRecord,
      SessionRecord,
      SessionRecord,
      SessionRecord,
    ];
    const early = step(third, null);
    const [splice] = early.splices;
    const batch: readonly Transaction[] = [
      [step(last, null)],
      [step({ ...stale, commitId: sampleCommitId() }, null)],
      [{ ...early, splices: [{ ...splice!, entries: splice!.entries.map((entry) => ({ ...entry, at: -1 })) }] }],
      [step(keyed, "second")],
      [step(first, null)],
    ];
    assert.deepEqual(await store.commit(batch), [
      { status: "ok" },
      { status: "conflict", current: stale },
      { status: "ok" },
      { status: "ok" },
      { status: "ok" },
    ]);
    for (const [change] of batch as readonly [Change][]) {
      const { sessions } = await store.load([{ key: change.key, tails: [{ log: "turns", last: 1 }] }]);
      const isRefused = change.key.id === stale.id;
      assert.deepEqual(sessions[0]?.record, isRefused ? stale : change.record);
      const [tail] = sessions[0]?.tails ?? [];
      if (isRefused) assert.equal(tail?.at(-1)?.seq, 1);
      else assert.deepEqual(tail, change.splices[0]?.entries);
    }
    // A key that the log has already fails the batch, which is then judged by its parts.
    const next = batch.map(([change]) => (change as Change).record as SessionRecord);
    const again = (record: SessionRecord, key: string): Transaction => {
      const turn = { ...sampleSplice("turns", 3, [{ key, value: 3 }]), appends: true };
      return [{ ...stepOf(record, { splices: [turn], claims: [{ log: "turns", key }] }), keepsListed: true }];
    };
    const outcomes = await store.commit([again(next[0]!, "first"), again(next[4]!, "third")]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["duplicate", "ok"],
    );
  });
}
