import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { migrations } from "./schema.ts";

/** Values that no program of this version writes, as a damaged page or another program may leave them. */
const damaged = [
  "no json",
  '"text"',
  "[1]",
  `{"depth":${"[".repeat(100_000)}`,
  '{"input":{"no":"list"},"output":"none","requests":1.5e300,"usage":{"inputTokens":"many","estimated":"yes"}}',
  '{"counters":{"turns":"many","messages":1e400},"metadata":3,"lease":[],"floor":7,"type":{},"requests":true,"input":[1,null]}',
];

test("a damaged value is null in the views, and fails no other row", () => {
  using database = new DatabaseSync(":memory:");
  for (const { sql } of migrations) database.exec(sql);
  const session = database.prepare(`
    insert into sessions (no, tenant, id, version, state, agent, created_at, last_activity_at, active_minute, state_since,
      expires_at, sweep_at, labels, data)
    values (?1, 't', 's' || ?1, 1, 'active', 'ceo', -9e15, 0, 0, 0, 9e15, 0, '{', ?2)`);
  const entry = database.prepare("insert into entries (session, log, seq, at, data) values (?, ?, ?, -9e15, ?)");
  const fine = { turns: '{"input":[{"role":"user","content":"a"}],"requests":1}', events: '{"type":"created"}' };
  for (const [index, data] of damaged.entries()) {
    session.run(index, data);
    for (const log of ["turns", "events"] as const) {
      entry.run(index, log, 1, fine[log]);
      entry.run(index, log, 2, data);
    }
  }
  const ask = (view: string) => database.prepare(`select * from ${view}`).all();
  const sessions = ask("readable_sessions");
  assert.equal(sessions.length, damaged.length);
  for (const row of sessions)
    assert.deepEqual([row["created_at"], row["turns"], row["labels"], row["active_agent"]], [null, null, null, null]);
  const turns = ask("readable_turns");
  assert.equal(turns.length, 2 * damaged.length);
  for (const { seq, at, requests, input_tokens: tokens } of turns)
    assert.deepEqual([at, requests, tokens], [null, seq === 1 ? 1 : null, null]);
  assert.equal(ask("readable_messages").length, damaged.length + 2, "the list of two odd messages is shown");
  assert.equal(ask("readable_events").length, 2 * damaged.length);
  assert.equal(
    ask("usage_by_day").reduce((sum, row) => sum + Number(row["turns"]), 0),
    2 * damaged.length,
  );
});

test("the turns of one session are found by its key and by the index of entries", () => {
  using database = new DatabaseSync(":memory:");
  for (const { sql } of migrations) database.exec(sql);
  for (const columns of ["count(*)", "input"]) {
    const ask = `explain query plan select ${columns} from readable_turns where tenant = 't' and session = 's'`;
    const plan = database
      .prepare(ask)
      .all()
      .map(({ detail }) => String(detail))
      .join("\n");
    assert.match(plan, /SEARCH sessions USING .*\(tenant=\? AND id=\?\)/);
    assert.match(plan, /SEARCH entries USING .*entries_by_seq \(session=\? AND log=\? AND seq<\?\)/);
    assert.doesNotMatch(plan, /SCAN (sessions|entries)/);
  }
});
