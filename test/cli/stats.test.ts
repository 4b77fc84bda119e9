import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import type { Stats } from "../../src/admin.ts";
import { openSessions } from "../../src/index.ts";
import { Workplace } from "./command-line.ts";

const usage = { inputTokens: 900, outputTokens: 100, totalTokens: 1000 };
const small = { inputTokens: 9, outputTokens: 1, totalTokens: 10 };

/** A store with turns of three agents, one of them named as a formula. */
async function filled(): Promise<Workplace> {
  const place = await Workplace.open();
  const sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const session = await sessions.create({ id: "s", agent: "ceo", user: "ada" });
  await session.append({ input: "q", output: "a", usage, durationMs: 100, agent: "ceo", model: "m" });
  await session.append({ input: "q", output: "a", usage, durationMs: 300, agent: "ceo", status: "failed" });
  await session.append({ input: "q", output: "a", usage, agent: "=1+1" });
  await session.append({ input: "q", output: "a", usage: small, agent: 'a "quoted", one' });
  await session.attachments.put(Buffer.alloc(2048), { type: "image/png" });
  await sessions.close();
  return place;
}

test("stats for people: the whole, then a line for each day or agent; bars on a terminal only", async () => {
  await using place = await filled();
  const { stdout, code } = await place.run(["stats", "--by", "agent"]);
  assert.equal(code, 0);
  assert.match(stdout, /^SESSIONS +1\nstates +1 active, 0 inactive/);
  assert.match(stdout, /\ntokens +3,010 \(2,709 in, 301 out\)\n/);
  assert.match(stdout, /\nattachments +1, 2\.0 KiB\n/);
  assert.match(stdout, /\nduration +mean 200 ms, p50 100 ms, p95 300 ms, max 300 ms\n/);
  assert.match(stdout, /\nceo +2 +1 +2 +2,000 +200 ms +\d+ B +0\n=1\+1 +1 /);
  assert.doesNotMatch(stdout, /█/);
  const child = place.startOnTerminal(["stats", "--by", "agent"]);
  const parts: string[] = [];
  child.stdout?.on("data", (data: Buffer) => parts.push(data.toString()));
  await once(child, "close");
  assert.match(parts.join(""), /ceo .*█{24}/);
});

test("stats for programs: one JSON object, or comma-separated values that no spreadsheet runs", async () => {
  await using place = await filled();
  const json = JSON.parse((await place.run(["stats", "--by", "model", "--json"])).stdout) as Stats;
  assert.deepEqual(
    json.groups.model?.map(({ key, turns }) => [key, turns]),
    [
      [null, 3],
      ["m", 1],
    ],
  );
  const lines = (await place.run(["stats", "--by", "agent", "--csv"])).stdout.split("\r\n");
  assert.match(lines[0] ?? "", /^agent,turns,open,failed,/);
  assert.match(lines[1] ?? "", /^ceo,2,0,1,0,0,2,1800,200,2000,0,400,300,\d+,0$/);
  assert.match(lines[2] ?? "", /^'=1\+1,1,/);
  assert.match(lines[3] ?? "", /^"a ""quoted"", one",1,/);
  assert.equal(lines[4], "");
});

test("by day, sessions that came and went stand beside the turns, also on days without any", async () => {
  await using place = await filled();
  const { stdout } = await place.run(["stats"]);
  assert.match(stdout, /\nDAY +TURNS .* CREATED +ENDED +EXPIRED\n\d{4}-\d\d-\d\d +4 .* 1 +0 +0\n$/);
  const sessions = await openSessions({ store: place.storeUrl, sweep: false });
  await (await sessions.get("s")).truncate(0);
  await sessions.close();
  const [heading, line] = (await place.run(["stats", "--csv"])).stdout.split("\r\n");
  assert.match(heading ?? "", /^day,turns,open,failed,interrupted,truncated,.*,created,ended,expired$/);
  assert.match(line ?? "", /^\d{4}-\d\d-\d\d,4,0,1,0,4,.*,1,0,0$/);
});

test("conflicts are counted by agent, user, day and hour, and not by model", async () => {
  await using place = await filled();
  const sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const stale = await sessions.get("s");
  await (await sessions.get("s")).append({ input: "q" });
  await assert.rejects(stale.append({ input: "q" }), { code: "conflict" });
  for (const [by, rating] of Object.entries({ ana: "up", ben: "down", judge: 0.5 } as const))
    await stale.rate(1, { rating, by });
  await sessions.close();
  const { stdout } = await place.run(["stats"]);
  assert.match(stdout, /\nconflicts +1\n/);
  assert.match(stdout, /\nratings +1 up, 1 down, 1 score of mean 0.5\n/);
  assert.match(stdout, / TEXT +CONFLICTS +CREATED .*\n\d{4}-\d\d-\d\d +5 .* (Ki)?B +1 +1 +0 +0\n$/);
  for (const by of ["agent", "user", "day", "hour"]) {
    const { groups } = JSON.parse((await place.run(["stats", "--by", by, "--json"])).stdout) as Stats;
    assert.equal(
      groups[by as "day"]?.reduce((sum, { conflicts }) => sum + conflicts, 0),
      1,
      by,
    );
  }
  const byModel = await place.run(["stats", "--by", "model"]);
  assert.match(byModel.stdout, /\nconflicts +1\n/);
  assert.doesNotMatch(byModel.stdout, /CONFLICTS/);
  assert.doesNotMatch((await place.run(["stats", "--by", "model", "--csv"])).stdout, /conflicts/);
  assert.match(
    (await place.run(["events", "--type", "conflicted"])).stdout,
    /warning +s +conflicted +agent "ceo", seenTurn 4, storedTurn 5/,
  );
});

test("earlier turns are left out on request, a limit reports further groups, and an unknown kind is refused", async () => {
  await using place = await filled();
  const later = JSON.parse((await place.run(["stats", "--since", "2099-01-01", "--json"])).stdout) as Stats;
  assert.deepEqual([later.turns.turns, later.sessions.total], [0, 0]);
  assert.match((await place.run(["stats", "--by", "agent", "--limit", "1"])).stderr, /the first 1; --limit shows more/);
  assert.equal((await place.run(["stats", "--by", "colour"])).code, 2);
  assert.equal((await place.run(["stats", "--csv", "--json"])).code, 2);
});

test("an empty store has stats", async () => {
  await using place = await Workplace.open();
  await (await openSessions({ store: place.storeUrl, sweep: false })).close();
  const { stdout, code } = await place.run(["stats"]);
  assert.equal(code, 0);
  assert.match(stdout, /^SESSIONS +0\n/);
});
