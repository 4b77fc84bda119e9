import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { LabelFilter, Labels } from "../../domain/values/labels.ts";
import { creationOf, sampleAt, sampleRecord, sampleSplice, stepOf } from "../../testing/samples.ts";
import { openMemory } from "../memory.ts";
import type { SessionQuery, Store } from "../store.ts";
import { openSqlite } from "./open.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-labelled-"));
after(() => rmSync(folder, { recursive: true }));

test("common and rare labels find the same sessions as a store in memory, in each order", async () => {
  const stores = [await openSqlite({ url: "sqlite::memory:" }), openMemory()];
  const changes = Array.from({ length: 6000 }, (_, index) => {
    const labels: Labels = {
      common: index % 10 === 0 ? "no" : "yes",
      ...(index % 1000 === 7 ? { rare: String(index) } : {}),
      other: index % 4 === 0 ? "no" : "yes",
    };
    const id = `s${(index * 7919) % 6000}`;
    const at = sampleAt + ((index * 31) % 6000) * 1000;
    return creationOf(sampleRecord({ id, labels, createdAt: at, lastActivityAt: at + ((index * 17) % 600) * 1000 }));
  });
  for (const store of stores)
    for (let first = 0; first < changes.length; first += 100)
      await store.commit(changes.slice(first, first + 100).map((change) => [change]));
  const filters: readonly LabelFilter[] = [
    { common: "yes" },
    { common: "no" },
    { common: true },
    { common: "yes", other: "yes" },
    { common: true, other: "no" },
    { rare: true },
    { rare: "1007", common: "yes" },
    { rare: true, common: "no" },
    { common: "yes", absent: true },
  ];
  const orders: readonly SessionQuery[] = [
    { order: "recent", tenant: "default", now: sampleAt, limit: 97 },
    { order: "created", tenant: "default", now: sampleAt, limit: 97 },
    { order: "key", tenant: "default", now: sampleAt, limit: 97 },
  ];
  for (const labels of filters) {
    for (const query of orders) {
      const [found, expected] = await Promise.all(
        stores.map((store) => threePages(store, { ...query, labels } as SessionQuery)),
      );
      assert.deepEqual(found, expected, `${query.order} ${JSON.stringify(labels)}`);
    }
    const [counted, expected] = await Promise.all(
      stores.map((store) => store.count({ tenant: "default", now: sampleAt, agent: "ceo", labels })),
    );
    assert.equal(counted, expected);
  }
  for (const store of stores) await store.close();
});

async function threePages(store: Store, query: SessionQuery): Promise<readonly string[]> {
  const ids: string[] = [];
  let cursor: { readonly after?: string } = {};
  for (let page = 0; page < 3; page++) {
    const { records, next } = await store.find({ ...query, ...cursor });
    ids.push(...records.map(({ id }) => id));
    if (next === undefined) break;
    cursor = { after: next };
  }
  return ids;
}

test("an append to a session with labels writes no page more than one to a session without", async () => {
  const sizes = await Promise.all(
    [{}, { team: "ops", tier: "1", region: "eu-central", channel: "mail" }].map(async (labels, index) => {
      const file = join(folder, `append-${index}.db`);
      const store = await openSqlite({ url: `sqlite:${file}` });
      const creation = creationOf(sampleRecord({ id: "s", labels }));
      await store.commit([[creation]]);
      let record = creation.record ?? assert.fail();
      const size = (): number => statSync(`${file}-wal`).size;
      const before = size();
      for (let turn = 1; turn <= 20; turn++) {
        // Each append begins another minute, which changes the index of the activity.
        const fields = { lastActivityAt: record.lastActivityAt + 60_000 };
        const change = stepOf(record, {
          fields,
          splices: [sampleSplice("turns", turn, [{ key: `k${turn}`, value: turn }])],
        });
        assert.deepEqual(await store.commit([[change]]), [{ status: "ok" }]);
        record = change.record ?? assert.fail();
      }
      const written = size() - before;
      await store.close();
      return written;
    }),
  );
  assert.ok((sizes[0] ?? 0) > 0);
  assert.equal(sizes[1], sizes[0]);
});
