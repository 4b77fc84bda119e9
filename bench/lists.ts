/**
 * Lists and counts among 50 000 sessions: by labels, beside the same list and count without labels; of a rare agent and of a
 * short time of creation, beside the list of a user with as many sessions.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LabelFilter } from "../src/domain/values/labels.ts";
import { openPostgres } from "../src/store/postgres/index.ts";
import { openSqlite } from "../src/store/sqlite/open.ts";
import type { SessionFilter, Store } from "../src/store/store.ts";
import { creationOf, sampleAt, sampleRecord } from "../src/testing/samples.ts";
import { PostgresServer, query } from "../test/postgres/server.ts";
import { alternate, type Bench, type Measure } from "./measure.ts";

const sessionsCount = 50_000;
const rounds = 11;
const pageSize = 100;

/** Nine of ten sessions, one of a hundred, and fifty. */
const filters: readonly (readonly [name: string, labels: LabelFilter, count: number])[] = [
  ["a common label", { tier: "free" }, 45_000],
  ["any value of a common label", { tier: true }, 50_000],
  ["a label of 1 %", { team: "team 7" }, 500],
  ["a rare label", { batch: "7" }, 50],
  ["a rare and a common label", { tier: "free", batch: "7" }, 45],
];

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    const store = await openSqlite({ url: `sqlite:${join(folder, "perdure.db")}?synchronous=normal` });
    await grow(store);
    await measure("SQLite", store, report);
    await measureBesideUser("SQLite", store, report);
    await store.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
  await using server = await PostgresServer.start();
  const store = await openPostgres({ url: server.url() });
  await grow(store);
  await query(server.url(), "vacuum analyze");
  await measure("PostgreSQL", store, report);
  await measureBesideUser("PostgreSQL", store, report);
  await store.close();
};

/** Creation and activity are in different orders, and neither is that of the ids or of the labels. */
async function grow(store: Store): Promise<void> {
  const batch = 125;
  for (let first = 0; first < sessionsCount; first += batch) {
    const creations = Array.from({ length: batch }, (_, index) => {
      const number = first + index;
      const labels = {
        tier: number % 10 === 3 ? "paid" : "free",
        team: `team ${number % 100}`,
        batch: String(Math.floor(number / 50)),
      };
      const createdAt = sampleAt + ((number * 104_729) % sessionsCount) * 60_000;
      const lastActivityAt = createdAt + ((number * 15_485_863) % 10_000) * 60_000;
      const user = `user ${number % 1000}`;
      const agent = number % 1000 === 3 ? "rare" : "common";
      return [creationOf(sampleRecord({ id: `s${number}`, agent, user, labels, createdAt, lastActivityAt }))];
    });
    await store.commit(creations);
  }
}

const common = { tenant: "default", now: sampleAt } as const;

async function timed(work: () => Promise<number>, expected: number): Promise<number> {
  const startedAt = performance.now();
  const found = await work();
  const ms = performance.now() - startedAt;
  if (found !== expected) throw new Error(`found ${found} sessions, not ${expected}`);
  return ms;
}

/** Each filter has fifty sessions, as the user has. */
async function measureBesideUser(engine: string, store: Store, report: (measure: Measure) => void): Promise<void> {
  const user = { user: "user 3" };
  const created = { createdSince: sampleAt, createdBefore: sampleAt + 50 * 60_000 };
  for (const [name, filter] of [
    ["of a rare agent", { agent: "rare" }],
    ["of a short time of creation", created],
  ] as const) {
    for (const order of ["recent", "created", "key"] as const) {
      const listed = async (by: Partial<SessionFilter>): Promise<number> =>
        (await store.find({ ...common, ...by, order, limit: pageSize })).records.length;
      const { ours, limit, ratio } = await alternate(rounds, {
        ours: async () => await timed(() => listed(filter), 50),
        limit: async () => await timed(() => listed(user), 50),
      });
      report({
        name: `${engine}: a page ${name}, ${order}`,
        unit: "ms",
        ours,
        limit,
        limitName: "of a user",
        value: ratio,
        valueUnit: "times",
        ...(order === "recent" ? { bar: { atMost: 2 } } : {}),
      });
    }
  }
}

async function measure(engine: string, store: Store, report: (measure: Measure) => void): Promise<void> {
  for (const [name, labels, count] of filters) {
    for (const order of ["recent", "created", "key"] as const) {
      const listed = async (filter: { readonly labels?: LabelFilter }): Promise<number> =>
        (await store.find({ ...common, ...filter, order, limit: pageSize })).records.length;
      const { ours, limit, ratio } = await alternate(rounds, {
        ours: async () => await timed(() => listed({ labels }), Math.min(pageSize, count)),
        limit: async () => await timed(() => listed({}), pageSize),
      });
      report({
        name: `${engine}: a page by ${name}, ${order}`,
        unit: "ms",
        ours,
        limit,
        limitName: "without labels",
        value: ratio,
        valueUnit: "times",
      });
    }
    const { ours, limit, ratio } = await alternate(rounds, {
      ours: async () => await timed(() => store.count({ ...common, labels }), count),
      limit: async () => await timed(() => store.count(common), sessionsCount),
    });
    report({
      name: `${engine}: count by ${name}`,
      unit: "ms",
      ours,
      limit,
      limitName: "of all",
      value: ratio,
      valueUnit: "times",
    });
  }
}
