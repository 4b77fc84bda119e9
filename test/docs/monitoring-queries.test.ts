/** The SQL that the documents give to operators runs on real stores, and tells the truth. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
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

/** Two agents: one session live with a floor kept, passed on and held; one expired; one ended. */
async function live(store: string): Promise<void> {
  await using sessions = await openSessions({ store, sweep: false, secret: "a secret for tests only" });
  const busy = await sessions.create({ agent: "ceo" });
  await busy.handOff("scheduling");
  await sleep(20);
  // What has nothing to do with the floor does not end its time.
  await (await sessions.get(busy.id)).lease();
  await (await sessions.get(busy.id)).breakLease();
  await busy.handOff("billing");
  await (await sessions.create({ agent: "ceo", ttl: 1 })).touch().catch(() => undefined);
  await (await sessions.create({ agent: "cfo" })).end();
  await sessions.devices.open("0b9c8d5e-4c3f-4f0e-9a51-2f6f3f1d7a10", { agent: "cfo" });
  await sessions.devices.linkCode("0b9c8d5e-4c3f-4f0e-9a51-2f6f3f1d7a10");
  await sleep(20);
}

type Row = Record<string, unknown>;

function assertTruth([byAgent = [], handoffs = [], kept = [], events = []]: readonly (readonly Row[])[]): void {
  const counts = byAgent.map(({ agent, live, expired, ended }) => [
    agent,
    Number(live),
    Number(expired),
    Number(ended),
  ]);
  assert.deepEqual(
    counts.toSorted(([one], [other]) => String(one).localeCompare(String(other))),
    [
      ["ceo", 1, 1, 0],
      ["cfo", 1, 0, 1],
    ],
  );
  assert.deepEqual(
    handoffs.map(({ agent, handoffs: count }) => [agent, Number(count)]),
    [["billing", 1]],
  );
  assert.deepEqual(
    kept.map(({ agent, handoffs: count }) => [agent, Number(count)]),
    [["scheduling", 1]],
  );
  assert.deepEqual(
    events.map(({ type, events: count, sessions }) => [type, Number(count), Number(sessions)]),
    [
      ["created", 4, 4],
      ["handed_off", 2, 1],
      ["taken_over", 1, 1],
      ["terminated", 1, 1],
    ],
  );
  assert(Number(kept[0]?.["median_seconds"] ?? kept[0]?.["mean_seconds"]) >= 0.015);
}

test("the SQL for SQLite counts live, expired and ended sessions and handoffs by agent", async () => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-operating-"));
  try {
    const file = join(folder, "s.db");
    await live(`sqlite:${file}`);
    const database = new DatabaseSync(file, { readOnly: true });
    assertTruth(statements("sqlite").map((statement) => database.prepare(statement).all() as Row[]));
    database.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the SQL for PostgreSQL returns the same", async () => {
  await using server = await PostgresServer.start();
  await live(server.url());
  const results: Row[][] = [];
  for (const statement of statements("postgres")) results.push(await query(server.url(), statement));
  assertTruth(results);
});

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
