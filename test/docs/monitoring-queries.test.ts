/** The SQL that the documents give to operators runs on real stores, and tells the truth. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { exportSessions } from "../../src/admin.ts";
import { openSessions } from "../../src/index.ts";
import { createServer } from "../../src/server/index.ts";
import { PostgresServer, query } from "../postgres/server.ts";

const document = readFileSync(fileURLToPath(new URL("../../docs/operate/monitoring.md", import.meta.url)), "utf8");

function statements(engine: "postgres" | "sqlite"): readonly string[] {
  const block = new RegExp(`^\`\`\`sql ${engine}$(.*?)^\`\`\`$`, "ms").exec(document)?.[1] ?? "";
  return block
    .split(";")
    .map((statement) => statement.trim())
    .filter((statement) => statement !== "");
}

/**
 * Of two agents, one session lives, with a handoff that was passed on once, and one since thirty hours; one is expired, one
 * ended, one archived. Beside them are the internal records of a device, a stream and a key.
 */
async function live(store: string, backdate: (id: string, hours: number) => Promise<void>): Promise<void> {
  await using sessions = await openSessions({ store, sweep: false, secret: "a secret for tests only" });
  const busy = await sessions.create({ id: "busy", agent: "ceo" });
  await busy.append({
    input: "hello",
    output: "hi",
    model: "m",
    finish: "stop",
    usage: { inputTokens: 5, outputTokens: 2, cachedTokens: 3 },
  });
  await busy.record({ type: "app.paid", data: { amount: 3 }, severity: "warning" });
  await busy.handOff("scheduling");
  await sleep(20);
  // A lease does not end a handoff.
  await (await sessions.get("busy")).lease();
  await (await sessions.get("busy")).breakLease();
  await busy.handOff("billing");
  await (await sessions.create({ id: "long", agent: "ceo" })).handOff("billing", { ttl: "7d" });
  await backdate("long", 30);
  await (await sessions.create({ agent: "ceo", ttl: 1 })).touch().catch(() => undefined);
  await (await sessions.create({ agent: "cfo" })).end();
  const archived = await sessions.create({ id: "archived", agent: "cfo" });
  await archived.append({ input: "old", output: "older" });
  await archived.archive();
  const device = "0b9c8d5e-4c3f-4f0e-9a51-2f6f3f1d7a10";
  await sessions.devices.open(device, { agent: "cfo" });
  await sessions.devices.linkCode(device);
  await sessions.keys.create({ name: "k", right: "read" });
  const acquired = await sessions.streams.acquire("stream");
  assert(acquired.role === "producer");
  await acquired.stream.write("part");
  await acquired.stream.end();
  await sleep(20);
}

type Row = Record<string, unknown>;

function assertTruth(results: readonly (readonly Row[])[]): void {
  const [active = [], long = [], durations = [], byAgent = [], events = []] = results;
  assert.deepEqual(
    active.map(({ active_agent: agent, sessions }) => [agent, Number(sessions)]),
    [["billing", 2]],
  );
  assert.deepEqual(
    long.map(({ id, active_agent: agent }) => [id, agent]),
    [["long", "billing"]],
  );
  assert.deepEqual(
    durations.map(({ agent, handoffs }) => [agent, Number(handoffs)]),
    [["scheduling", 1]],
  );
  assert(Number(durations[0]?.["mean_seconds"]) >= 0.015);
  const counts = byAgent.map(({ agent, live, expired, ended }) => [
    agent,
    Number(live),
    Number(expired),
    Number(ended),
  ]);
  assert.deepEqual(counts, [
    ["ceo", 2, 1, 0],
    ["cfo", 1, 0, 1],
  ]);
  assert.deepEqual(
    events.map(({ type, category, severity, status, events: count, sessions }) => [
      [type, category, severity, status].join(" "),
      Number(count),
      Number(sessions),
    ]),
    [
      ["created lifecycle info ok", 6, 6],
      ["handed_off handoff info ok", 3, 2],
      ["app.paid app warning ok", 1, 1],
      ["archived lifecycle info ok", 1, 1],
      ["ended lifecycle info ok", 1, 1],
      ["taken_over lease warning ok", 1, 1],
    ],
  );
}

async function liveOnSqlite(file: string): Promise<void> {
  await live(`sqlite:${file}`, async (id, hours) => {
    using database = new DatabaseSync(file);
    database
      .prepare(
        `update sessions set data = json_set(data, '$.floor.lockedAt', json_extract(data, '$.floor.lockedAt') - cast(? as integer))
         where id = ?`,
      )
      .run(hours * 3_600_000, id);
  });
}

async function liveOnPostgres(url: string): Promise<void> {
  await live(url, async (id, hours) => {
    const moved =
      "jsonb_set(data::jsonb, '{floor,lockedAt}', to_jsonb((data::jsonb #>> '{floor,lockedAt}')::bigint - $1))";
    await query(url, `update perdure.sessions set data = ${moved}::text where id = $2`, [hours * 3_600_000, id]);
  });
}

/** Rows as the `sqlite3` of the system prints them. */
function askedOf(file: string, statement: string): readonly Row[] {
  const { stdout, stderr } = spawnSync("sqlite3", ["-readonly", "-json", file], { input: `${statement};` });
  assert.equal(stderr.toString(), "");
  return stdout.length === 0 ? [] : (JSON.parse(stdout.toString()) as Row[]);
}

const sqlite3 = spawnSync("sqlite3", ["--version"]);
const withoutSqlite3 = sqlite3.status === 0 ? false : "the program sqlite3 is not installed";
const withoutJq = spawnSync("jq", ["--version"]).status === 0 ? false : "the program jq is not installed";

describe("the SQL for SQLite", () => {
  let folder: string;
  let file: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "perdure-operating-"));
    file = join(folder, "perdure.db");
    await liveOnSqlite(file);
  });
  after(() => rmSync(folder, { recursive: true }));

  test("answers the questions of operators", () => {
    using database = new DatabaseSync(file, { readOnly: true });
    assertTruth(statements("sqlite").map((statement) => database.prepare(statement).all() as Row[]));
  });

  test("answers them in the sqlite3 of the system too", { skip: withoutSqlite3 }, () => {
    assertTruth(statements("sqlite").map((statement) => askedOf(file, statement)));
    const sessions = askedOf(file, "select id from readable_sessions");
    assert.equal(sessions.length, 6, "no internal record is shown as a session");
  });

  test("the turns of an archived session are in its export", { skip: withoutJq }, async () => {
    const program = /^jq -c '([^']*)'/m.exec(document)?.[1] ?? assert.fail();
    await using sessions = await openSessions({ store: `sqlite:${file}`, sweep: false });
    const lines = await Array.fromAsync(exportSessions(sessions, { state: "archived" }));
    const { stdout } = spawnSync("jq", ["-c", program], { input: lines.map(({ text }) => text).join("\n") });
    const [turn, ...rest] = stdout.toString().trim().split("\n");
    assert.deepEqual(rest, []);
    const { session, seq, input } = JSON.parse(turn ?? "") as Row;
    assert.deepEqual([session, seq, input], ["archived", 1, [{ role: "user", content: "old" }]]);
  });
});

describe("the SQL for PostgreSQL", () => {
  let server: PostgresServer;
  before(async () => {
    server = await PostgresServer.start();
    await liveOnPostgres(server.url());
  });
  after(() => server[Symbol.asyncDispose]());

  test("answers the questions of operators", async () => {
    const results: Row[][] = [];
    for (const statement of statements("postgres")) results.push(await query(server.url(), statement));
    assertTruth(results);
  });

  test("the views have the names, the columns and the rows of those of SQLite", async () => {
    const folder = mkdtempSync(join(tmpdir(), "perdure-views-"));
    const file = join(folder, "perdure.db");
    await liveOnSqlite(file);
    using database = new DatabaseSync(file, { readOnly: true });
    const views = database.prepare("select name from sqlite_schema where type = 'view' order by name").all();
    const names = views.map(({ name }) => String(name));
    const there = await query(
      server.url(),
      "select table_name as name from information_schema.views where table_schema = 'perdure' order by 1",
    );
    assert.deepEqual(
      names,
      there.map(({ name }) => name),
    );
    for (const name of names) {
      const here = database.prepare(`select * from ${name} where tenant = 'default'`).all().map(comparable);
      const rows = (await query(server.url(), `select * from perdure.${name} where tenant = 'default'`)).map(
        comparable,
      );
      const inOrder = (all: readonly object[]): string[] => all.map((row) => JSON.stringify(row)).toSorted();
      assert.deepEqual(inOrder(here), inOrder(rows), name);
    }
    rmSync(folder, { recursive: true });
  });
});

/** A row without what differs from run to run; JSON as values, instants as whether there is one, numbers as numbers. */
function comparable(row: Row): object {
  return Object.fromEntries(
    Object.entries(row)
      .filter(([column]) => !["version", "held_by", "day"].includes(column))
      .map(([column, value]) => [column, comparableValue(column, value)]),
  );
}

const jsonColumns = ["metadata", "labels", "input", "output", "content", "message", "tool_calls", "data"];

function comparableValue(column: string, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (/(^at|_at|_since|_until|_ms)$/.test(column)) return "some";
  if (column === "id" || column === "session") return String(value).replace(/_.*/, "");
  if (jsonColumns.includes(column)) {
    const json = typeof value === "string" && column !== "content" ? (JSON.parse(value) as unknown) : value;
    return withoutTimes(
      column === "content" && typeof value === "string" && value.startsWith('"') ? JSON.parse(value) : json,
    );
  }
  if (column === "estimated") return Number(value) === 1;
  return typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
}

/** The keys in order, and without what differs from run to run. */
function withoutTimes(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const kept = Object.entries(value).filter(([name]) => !["heldMs", "from", "to", "fence"].includes(name));
  return Object.fromEntries(kept.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

test("the alerts name metrics and labels of a server", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-alerts-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const alerts = [...document.matchAll(/^```promql$(.*?)^```$/gms)].map(([, block = ""]) => block).join("");
  const store = `sqlite:${join(folder, "perdure.db")}`;
  await using sessions = await openSessions({ store, sweep: false, secret: "a secret for tests only" });
  const server = createServer({ sessions, openMetrics: true });
  const exposed = await (await server.fetch(new Request("http://server.test/metrics"))).text();
  const named = [...alerts.matchAll(/\b((?:perdure|process|nodejs)_\w+?)(?:_bucket)?(?:\{(\w+)|\b)/g)];
  assert(named.length >= 8);
  for (const [, name = ""] of named) assert.match(exposed, new RegExp(`^# TYPE ${name} `, "m"), name);
  await server.stop();
});
