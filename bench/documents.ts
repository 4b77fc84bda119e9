/**
 * 100 000 documents on both engines, beside the same statements by hand in the same run: a table with the obvious primary key,
 * the same values.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openSessions, type Documents } from "../src/index.ts";
import { Pool, PostgresServer } from "../test/postgres/server.ts";
import { alternate, p50Of, type Bench, type Measure } from "./measure.ts";

const count = 100_000;
const calls = 200;
const rounds = 5;
const value = { text: "x".repeat(150), n: 1 };
const data = JSON.stringify(value);
const keyOf = (n: number): string => `doc/${String(n).padStart(8, "0")}`;

/** The work without Perdure. */
interface ByHand {
  fill(keys: readonly string[]): Promise<void>;
  put(key: string): Promise<unknown>;
  get(key: string): Promise<unknown>;
  /** All documents of a page behind a key, as values. */
  page(after: string): Promise<readonly string[]>;
}

export const bench: Bench = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-bench-"));
  try {
    {
      using database = new DatabaseSync(join(folder, "by-hand.db"));
      await using sessions = await openSessions({ store: `sqlite:${join(folder, "perdure.db")}`, sweep: false });
      await measure("SQLite", { documents: sessions.documents("bench"), byHand: sqliteByHand(database) }, report);
    }
    const settings = { checkpoint_timeout: "1h", max_wal_size: "16GB" };
    await using server = await PostgresServer.start({ fsync: true, settings });
    const pool = new Pool({ connectionString: server.url(), max: 4 });
    await using sessions = await openSessions({ store: server.url(), sweep: false });
    await measure("PostgreSQL", { documents: sessions.documents("bench"), byHand: await postgresByHand(pool) }, report);
    await pool.end();
  } finally {
    rmSync(folder, { recursive: true });
  }
};

async function measure(
  engine: string,
  { documents, byHand }: { readonly documents: Documents; readonly byHand: ByHand },
  report: (measure: Measure) => void,
): Promise<void> {
  for (let n = 0; n < count; n += 100) {
    const keys = Array.from({ length: 100 }, (_, index) => keyOf(n + index));
    await documents.write(keys.map((key) => ({ key, value })));
    await byHand.fill(keys);
  }
  let n = 0;
  const next = (): string => keyOf((n += 331) % count);
  const compared = async (
    name: string,
    { ours, limit, limitName }: { ours: () => Promise<unknown>; limit: () => Promise<unknown>; limitName: string },
  ): Promise<void> => {
    const found = await alternate(rounds, { ours: () => p50Of(calls, ours), limit: () => p50Of(calls, limit) });
    const { ratio, ...both } = found;
    report({ name: `${engine}: ${name}`, unit: "µs", ...both, limitName, value: ratio, valueUnit: "times" });
  };
  await compared("put", {
    ours: () => documents.put(next(), value),
    limit: () => byHand.put(next()),
    limitName: "one upsert",
  });
  await compared("get", {
    ours: () => documents.get(next()),
    limit: () => byHand.get(next()),
    limitName: "one select, parsed",
  });
  const { ratio, ...both } = await alternate(rounds, {
    ours: () => timeOf(async () => (await Array.fromAsync(documents.each())).length),
    limit: () =>
      timeOf(async () => {
        let found = 0;
        for (let keys = await byHand.page(""); keys.length > 0; keys = await byHand.page(keys.at(-1) ?? ""))
          found += keys.length;
        return found;
      }),
  });
  const limitName = "select pages of 1000, parsed";
  report({ name: `${engine}: list 100 000`, unit: "ms", ...both, limitName, value: ratio, valueUnit: "times" });
}

async function timeOf(work: () => Promise<number>): Promise<number> {
  const startedAt = performance.now();
  const found = await work();
  if (found !== count) throw new Error(`listed ${found} documents`);
  return performance.now() - startedAt;
}

const columns = "tenant, scope, key, version, user_id, created_at, updated_at, expires_at, data";

function sqliteByHand(database: DatabaseSync): ByHand {
  database.exec("pragma journal_mode = wal; pragma synchronous = full");
  database.exec(`create table documents (tenant text, scope text, key text, version integer, user_id text, created_at integer,
    updated_at integer, expires_at integer, data text, primary key (tenant, scope, key))`);
  const upsert = database.prepare(`
    insert into documents (${columns}) values ('default', 'bench', ?, 1, null, 1, 1, null, ?)
    on conflict (tenant, scope, key) do update set version = excluded.version + 1, data = excluded.data`);
  const one = "tenant = 'default' and scope = 'bench' and key";
  const get = database.prepare(`select version, data from documents where ${one} = ?`);
  const page = database.prepare(`select ${columns} from documents where ${one} > ? order by key limit 1000`);
  return {
    async fill(keys) {
      database.exec("begin immediate");
      for (const key of keys) upsert.run(key, data);
      database.exec("commit");
    },
    put: async (key) => upsert.run(key, data),
    get: async (key) => JSON.parse(String(get.get(key)?.["data"])) as unknown,
    page: async (after) => page.all(after).map((row) => (JSON.parse(String(row["data"])), String(row["key"]))),
  };
}

async function postgresByHand(pool: Pool): Promise<ByHand> {
  await pool.query(`create table by_hand (tenant text, scope text, key text collate "C", version bigint, user_id text,
    created_at bigint, updated_at bigint, expires_at bigint, data text, primary key (tenant, scope, key))`);
  const one = "tenant = 'default' and scope = 'bench' and key";
  const upsert = `on conflict (tenant, scope, key) do update set version = by_hand.version + 1, data = excluded.data`;
  return {
    fill: async (keys) =>
      void (await pool.query(
        `insert into by_hand (${columns}) select 'default', 'bench', key, 1, null, 1, 1, null, $2 from unnest($1::text[]) key`,
        [[...keys], data],
      )),
    put: (key) =>
      pool.query(
        `insert into by_hand (${columns}) values ('default', 'bench', $1, 1, null, 1, 1, null, $2) ${upsert}`,
        [key, data],
      ),
    async get(key) {
      const { rows } = await pool.query(`select version, data from by_hand where ${one} = $1`, [key]);
      return JSON.parse(String(rows[0]?.["data"])) as unknown;
    },
    async page(after) {
      const text = `select ${columns} from by_hand where ${one} > $1 order by key limit 1000`;
      const { rows } = await pool.query(text, [after]);
      return rows.map((row) => (JSON.parse(String(row["data"])), String(row["key"])));
    },
  };
}
