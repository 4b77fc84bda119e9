import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { SweepReport } from "../../src/admin.ts";
import { openSessions } from "../../src/index.ts";
import { openStore } from "../../src/open.ts";
import { damage } from "../conformance/damaged-sessions.ts";
import { forwardClock } from "../support/forward-clock.ts";
import { answers, finish, setUp, Workplace } from "./command-line.ts";

test("a session that answers elsewhere is busy: exit 4, its holder shown, its lease broken on request", async () => {
  await using context = await setUp(answers({ "long?": { kind: "hang", texts: ["…"] } }));
  const { place } = context;
  const setup = await openSessions(place.storeUrl);
  await setup.create({ id: "s", agent: "ceo" });
  await setup.close();
  const child = place.start(["consult", "ceo", "long?", "--session", "s"]);
  const finished = finish(child);
  await once(child.stdout ?? child, "data");

  const busy = await place.run(["consult", "ceo", "me?", "--session", "s"]);
  assert.equal(busy.code, 4, busy.stderr);
  assert.match(busy.stderr, /instance i_.* holds the lease.*perdure sessions break-lease/);
  const shown = await place.run(["sessions", "show", "s"]);
  assert.match(shown.stdout, new RegExp(`lease holder +i_\\w+ \\(process ${child.pid} on .*\\) for `));
  assert.equal((await place.run(["sessions", "break-lease", "s"])).code, 0);
  assert.equal((await place.run(["consult", "ceo", "me?", "--session", "s"])).stdout, "saw 3\n");
  child.kill("SIGINT");
  await finished;
  const { turns } = JSON.parse((await place.run(["sessions", "show", "s", "--json"])).stdout) as {
    turns: { status: string }[];
  };
  assert.deepEqual(
    turns.map(({ status }) => status),
    ["interrupted", "done"],
  );
});

test("list, show, end, remove and sweep, for people and for programs", async () => {
  await using context = await setUp();
  const { place } = context;
  await place.run(["consult", "ceo", "hi"]);
  await place.run(["consult", "cto", "hi"]);
  const lines = (await place.run(["sessions", "list", "--json"])).stdout.trim().split("\n");
  const infos = lines.map(
    (line) => JSON.parse(line) as { id: string; agent: string; createdAt: string; state: string },
  );
  assert.deepEqual(new Set(infos.map(({ agent }) => agent)), new Set(["ceo", "cto"]));
  assert.match(infos[0]?.createdAt ?? "", /^\d{4}-\d\d-\d\dT.*Z$/);
  const id = infos.find(({ agent }) => agent === "ceo")?.id ?? "";

  const table = (await place.run(["sessions", "list", "--agent", "ceo"])).stdout;
  assert.match(table, new RegExp(`^SESSION .*\\n${id} +ceo .* active +1 +12 `));
  assert.match((await place.run(["sessions", "show", id])).stdout, /user: hi\n {2}assistant: saw 1/);
  assert.equal((await place.run(["sessions", "end", id])).code, 0);
  assert.equal((await place.run(["consult", "ceo", "more", "--session", id])).code, 1);
  assert.equal(JSON.parse((await place.run(["sessions", "list", "--state", "ended", "--json"])).stdout).id, id);
  const swept = JSON.parse((await place.run(["sessions", "sweep", "--retention", "1ms", "--json"])).stdout) as object;
  assert.deepEqual(swept, {
    expired: 0,
    handoffs: 0,
    archived: 0,
    removed: 1,
    events: 0,
    documents: 0,
    looked: 1,
    failed: 0,
    failures: [],
    complete: true,
  });
  const other = infos.find(({ agent }) => agent === "cto")?.id ?? "";
  assert.equal((await place.run(["sessions", "remove", other])).code, 0);
  assert.equal((await place.run(["sessions", "list"])).stdout, "");
});

test("the budget of a session is shown, set, heeded and cleared; a running answer is cancelled from elsewhere", async () => {
  await using context = await setUp(answers({ "long?": { kind: "hang", texts: ["…"] } }));
  const { place } = context;
  await place.run(["consult", "ceo", "hi"]);
  const { id, counters } = JSON.parse((await place.run(["sessions", "list", "--json"])).stdout) as {
    id: string;
    counters: { totalTokens: number };
  };
  assert.match((await place.run(["sessions", "show", id])).stdout, /\nbudget +no limit\n/);
  assert.equal((await place.run(["sessions", "budget", id])).code, 2);
  assert.equal((await place.run(["sessions", "budget", id, "--tokens", "5", "--clear"])).code, 2);
  const max = counters.totalTokens + 7;
  const set = await place.run(["sessions", "budget", id, "--tokens", String(max), "--turns", "1", "--json"]);
  assert.deepEqual(JSON.parse(set.stdout), { session: id, budget: { tokens: max, turns: 1 } });
  const shown = await place.run(["sessions", "show", id]);
  assert.match(shown.stdout, new RegExp(`\\nbudget +${max} tokens, 7 left; 1 turn, 0 left\\n`));
  const refused = await place.run(["consult", "ceo", "more", "--session", id]);
  assert.match(refused.stderr, /\[budget_exceeded\]/);
  assert.match((await place.run(["sessions", "budget", id, "--clear"])).stderr, /has no budget/);

  const child = place.start(["consult", "ceo", "long?", "--session", id]);
  const finished = finish(child);
  await once(child.stdout ?? child, "data");
  const cancelled = await place.run(["sessions", "cancel", id, "--json"]);
  assert.deepEqual(JSON.parse(cancelled.stdout), { session: id, cancelled: true });
  assert.match((await finished).stderr, /\[interrupted\]/);
  assert.match((await place.run(["sessions", "cancel", id])).stderr, /has no running answer/);
});

test("held sessions are listed with their holder, sessions by tokens, and looking changes nothing", async () => {
  const place = await Workplace.open();
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  for (const [index, totalTokens] of [10, 30, 20].entries()) {
    const session = await sessions.create({ id: `s${index}`, agent: "ceo" });
    await session.append({ input: "q", output: "a", usage: { inputTokens: 0, outputTokens: 0, totalTokens } });
  }
  assert.equal((await place.run(["sessions", "list", "--held"])).stderr, "no session has a lease\n");
  const held = await sessions.get("s1");
  const lease = await held.lease();
  const before = (await held.refresh()).version;
  const table = (await place.run(["sessions", "list", "--held"])).stdout;
  assert.match(table, new RegExp(`^SESSION .*\\ns1 +ceo +1 +30 +i_\\w+ +${process.pid} on \\S+ .* alive\\n$`));
  const json = JSON.parse((await place.run(["sessions", "list", "--held", "--json"])).stdout) as {
    id: string;
    lease: { alive: boolean; pid: number; heldMs: number };
  };
  assert.deepEqual([json.id, json.lease.alive, json.lease.pid], ["s1", true, process.pid]);
  assert.ok(json.lease.heldMs >= 0);
  const sorted = await place.run(["sessions", "list", "--sort", "tokens", "--limit", "2", "--json"]);
  const ids = sorted.stdout
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { id: string }).id);
  assert.deepEqual(ids, ["s1", "s2"]);
  assert.equal((await place.run(["sessions", "list", "--sort", "tokens", "--after", "x"])).code, 2);
  const stats = JSON.parse((await place.run(["stats", "--by", "session", "--json"])).stdout) as {
    groups: { session: { key: string; totalTokens: number }[] };
  };
  assert.deepEqual(
    stats.groups.session.map(({ key, totalTokens }) => [key, totalTokens]),
    [
      ["s1", 30],
      ["s2", 20],
      ["s0", 10],
    ],
  );
  assert.equal((await held.refresh()).version, before);
  await lease.release();
});

/** A store with sessions of several agents, users and days, made through the library. */
async function stocked(): Promise<Workplace> {
  const place = await Workplace.open();
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  await sessions.create({ id: "a", agent: "ceo", user: "ada", metadata: { big: 10n, when: new Date(0) } });
  await sessions.create({ id: "b", agent: "cto", user: "ada" });
  await sessions.create({ id: "c", agent: "cto", user: "bob", ttl: 1 });
  await (await sessions.get("b")).end();
  return place;
}

async function idsOf(place: Workplace, filter: readonly string[]): Promise<string[]> {
  const { stdout, stderr, code } = await place.run(["sessions", "list", "--json", ...filter]);
  assert.equal(code, 0, stderr);
  const lines = stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => (JSON.parse(line) as { id: string }).id).sort();
}

test("list filters by agent, user, state and activity", async () => {
  await using place = await stocked();
  assert.deepEqual(await idsOf(place, []), ["a", "b", "c"]);
  assert.deepEqual(await idsOf(place, ["--agent", "cto"]), ["b", "c"]);
  assert.deepEqual(await idsOf(place, ["--user", "ada"]), ["a", "b"]);
  assert.deepEqual(await idsOf(place, ["--state", "expired"]), ["c"]);
  assert.deepEqual(await idsOf(place, ["--state", "ended", "--agent", "cto", "--user", "ada"]), ["b"]);
  assert.deepEqual(await idsOf(place, ["--since", "1h"]), ["a", "b", "c"]);
  assert.deepEqual(await idsOf(place, ["--before", "1h"]), []);
  assert.deepEqual(await idsOf(place, ["--before", "2020-01-01"]), []);
  assert.deepEqual(await idsOf(place, ["--created-since", "1h", "--agent", "ceo"]), ["a"]);
  assert.deepEqual(await idsOf(place, ["--created-before", "1h"]), []);
  assert.deepEqual(await idsOf(place, ["--since", "2020-01-01T10:00", "--tenant", "other"]), []);
});

test("the title and the labels of a session are changed, shown, and listed by", async () => {
  await using place = await stocked();
  await place.run(["sessions", "rename", "a", "Ordering flour"]);
  const labelled = await place.run(["sessions", "label", "a", "team=ops", "note=a=b", "--json"]);
  assert.deepEqual(JSON.parse(labelled.stdout), { session: "a", labels: { note: "a=b", team: "ops" } });
  assert.deepEqual(await idsOf(place, ["--label", "team"]), ["a"]);
  assert.deepEqual(await idsOf(place, ["--label", "team=ops", "--label", "note"]), ["a"]);
  assert.deepEqual(await idsOf(place, ["--label", "team=sales"]), []);
  assert.deepEqual(await idsOf(place, ["--label", "team=ops", "--sort", "created"]), ["a"]);
  const shown = (await place.run(["sessions", "show", "a"])).stdout;
  assert.match(shown, /title +Ordering flour\n.*labels +note=a=b, team=ops\n/s);
  const removed = await place.run(["sessions", "label", "a", "--remove", "note"]);
  assert.equal(removed.stderr, "session a: team=ops\n");
  for (const wrong of [
    ["rename", "a", ""],
    ["rename", "a", "x", "--clear"],
    ["label", "a"],
    ["label", "a", "team"],
    ["label", "a", "team=it", "--remove", "team"],
    ["label", "a", "=x"],
  ]) {
    const { code, stderr } = await place.run(["sessions", ...wrong]);
    assert.equal(code, 2, `${wrong.join(" ")}: ${stderr}`);
  }
});

test("a page that is not the last names the cursor of the next, on stderr", async () => {
  await using place = await stocked();
  const first = await place.run(["sessions", "list", "--json", "--limit", "2"]);
  assert.equal(first.stdout.trim().split("\n").length, 2);
  const cursor = /^more: --after (\S+)\n$/.exec(first.stderr)?.[1] ?? "";
  const rest = await idsOf(place, ["--limit", "2", "--after", cursor]);
  assert.equal(rest.length, 1);
  assert.ok(!first.stdout.includes(`"id":"${rest[0]}"`));
});

test("a date on the command line is local, as the dates of the table are", async () => {
  await using place = await stocked();
  // At one instant it is still yesterday in Honolulu and already tomorrow in Kiritimati.
  for (const TZ of ["Pacific/Honolulu", "Pacific/Kiritimati"]) {
    const now = new Date();
    const today = new Intl.DateTimeFormat("sv-SE", { timeZone: TZ }).format(now);
    const { stdout } = await place.run(["sessions", "list", "--since", today], { env: { TZ } });
    assert.match(stdout, new RegExp(`^a .* ${today} \\d\\d:\\d\\d:\\d\\d`, "m"));
  }
});

test("every value a session can hold shows as JSON", async () => {
  await using place = await stocked();
  const { stdout } = await place.run(["sessions", "show", "a", "--json"]);
  const shown = JSON.parse(stdout) as Record<string, unknown>;
  assert.deepEqual(shown["metadata"], { big: "10", when: "1970-01-01T00:00:00.000Z" });
  assert.deepEqual([shown["id"], shown["user"], shown["lease"], shown["turns"]], ["a", "ada", null, []]);
});

test("text from other users cannot move the terminal's cursor", async () => {
  await using place = await Workplace.open();
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const session = await sessions.create({ id: "s" });
  await session.append({ input: "\u001b[2Jgone\nnext", output: "\u009b31mred" });
  const { stdout } = await place.run(["sessions", "show", "s"]);
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what must not be there
  assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  assert.match(stdout, /user: \\u001b\[2Jgone\\nnext/);
});

test("a table keeps its columns where a name is wider than its characters", async () => {
  await using place = await Workplace.open();
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  await sessions.create({ id: "會議", agent: "ceo" });
  await sessions.create({ id: "abcd", agent: "ceo" });
  const { stdout } = await place.run(["sessions", "list"]);
  assert.match(stdout, /^會議 {5}ceo/m);
  assert.match(stdout, /^abcd {5}ceo/m);
});

test("a change of a session prints one object, and a repeated change is no failure", async () => {
  await using place = await stocked();
  const json = async (args: readonly string[]): Promise<unknown> =>
    JSON.parse((await place.run(["sessions", ...args, "--json"])).stdout);
  assert.deepEqual(await json(["end", "a"]), { session: "a", state: "ended" });
  assert.deepEqual(await json(["end", "a"]), { session: "a", state: "ended" });
  assert.deepEqual(await json(["break-lease", "a"]), { session: "a", broken: false });
  assert.deepEqual(await json(["remove", "a"]), { session: "a", removed: true });
  assert.equal((await place.run(["sessions", "remove", "a"])).code, 3);
  assert.deepEqual(await json(["sweep"]), {
    expired: 1,
    handoffs: 0,
    archived: 0,
    removed: 0,
    events: 0,
    documents: 0,
    looked: 1,
    failed: 0,
    failures: [],
    complete: true,
  });
});

test("a session is archived, shown, brought back, put under hold and released", async () => {
  await using place = await stocked();
  {
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    await (await sessions.get("a")).append({ input: "Hello", output: "a long answer ".repeat(50) });
  }
  const json = async (args: readonly string[]): Promise<Record<string, unknown>> =>
    JSON.parse((await place.run(["sessions", ...args, "--json"])).stdout) as Record<string, unknown>;
  const { archived, bytes, packedBytes } = await json(["archive", "a"]);
  assert(archived === true && Number(packedBytes) * 2 < Number(bytes));
  assert.equal((await json(["archive", "a"]))["archived"], false);
  const shown = (await place.run(["sessions", "show", "a"])).stdout;
  assert.match(shown, /tokens +0 \(0 in, 0 out\) in 0 model calls/, "no model answered the appended turn");
  assert.match(shown, /archived +\d+ bytes.*\n[^]*assistant: a long answer/);
  assert.deepEqual(await json(["unarchive", "a"]), { session: "a", unarchived: true, state: "active" });
  assert.equal((await place.run(["sessions", "legal-hold", "a"])).code, 2);
  assert.equal((await place.run(["sessions", "legal-hold", "a", "--reason", "case 4711"])).code, 0);
  const refused = await place.run(["sessions", "remove", "a"]);
  assert.deepEqual([refused.code, /case 4711.*\[legal_hold\]/.test(refused.stderr)], [4, true]);
  assert.match((await place.run(["sessions", "show", "a"])).stdout, /legal hold +since .*: case 4711/);
  assert.deepEqual(await json(["legal-hold", "a", "--clear"]), { session: "a", cleared: true });
  assert.equal((await place.run(["sessions", "remove", "a"])).code, 0);
});

test("a session is forked at a turn, under a name of one's own, and shown as a fork", async () => {
  await using place = await stocked();
  {
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    const session = await sessions.get("a");
    for (const input of ["one", "two", "three"]) await session.append({ input, output: "so be it" });
  }
  const forked = await place.run(["sessions", "fork", "a", "--at", "2", "--as", "what-if", "--json"]);
  assert.deepEqual(JSON.parse(forked.stdout), { session: "what-if", parent: "a", turn: 2 });
  assert.equal((await place.run(["sessions", "fork", "a", "--as", "what-if"])).code, 4);
  assert.equal((await place.run(["sessions", "fork", "a", "--at", "9"])).code, 2);
  assert.equal((await place.run(["sessions", "remove", "a"])).code, 0);
  const shown = (await place.run(["sessions", "show", "what-if"])).stdout;
  assert.match(shown, /turns +2 with 4 messages\n[^]*user: one\n[^]*user: two\n/);
});

test("the sweep follows the policies of the agents file, and shows in a dry run what would go", async () => {
  await using place = await stocked();
  await writeFile(
    join(place.folder, "perdure.agents.json"),
    '{"cto":{"retention":[{"state":"ended","after":1,"do":"archive"}]}}',
  );
  const dry = await place.run(["sessions", "sweep", "--dry-run"]);
  assert.match(dry.stdout, /^SESSION +TENANT +WOULD\nc +default +expire\nb +default +archive\n$/);
  assert.match(dry.stderr, /^nothing changed.*: 1 expired, 0 handoffs ended, 1 archived/);
  const swept = JSON.parse((await place.run(["sessions", "sweep", "--json"])).stdout) as object;
  assert.deepEqual(swept, {
    expired: 1,
    handoffs: 0,
    archived: 1,
    removed: 0,
    events: 0,
    documents: 0,
    looked: 2,
    failed: 0,
    failures: [],
    complete: true,
  });
});

test("retention counts from the expiry of a session, also of one that no sweep has marked", async () => {
  await using place = await Workplace.open();
  const clock = forwardClock();
  clock.forward(-3_600_000);
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false, clock });
  await sessions.create({ id: "expired", ttl: "59m" });
  await sessions.create({ id: "lives" });
  const sweep = async (...args: string[]): Promise<SweepReport> =>
    JSON.parse((await place.run(["sessions", "sweep", "--json", ...args])).stdout) as SweepReport;
  const early = await sweep("--retention", "1h", "--dry-run");
  assert.deepEqual([early.expired, early.removed], [1, 0]);
  const swept = await sweep("--retention", "2s");
  assert.deepEqual([swept.expired, swept.removed, swept.complete], [1, 1, true]);
  assert.deepEqual(await idsOf(place, []), ["lives"]);
});

test("a sweep by age removes what expired or ended before, and says how many", async () => {
  await using place = await stocked();
  const { stderr, code } = await place.run(["sessions", "sweep", "--older-than", "1ms"]);
  assert.match(stderr, /^1 expired, 0 handoffs ended, 0 archived, 2 removed, /);
  assert.equal(code, 0);
  assert.deepEqual(await idsOf(place, []), ["a"]);
  const both = await place.run(["sessions", "sweep", "--older-than", "1d", "--retention", "1d"]);
  assert.equal(both.code, 2);
  assert.match(both.stderr, /olderThan does not go with retention/);
});

test("a sweep names the session that it could not work on, sweeps the others, and exits with 1", async () => {
  await using place = await Workplace.open();
  const store = await openStore(place.storeUrl);
  const sessions = await openSessions({ store, sweep: false });
  await sessions.create({ id: "bad" });
  await sessions.create({ id: "good", ttl: 1 });
  await damage(store, { tenant: "default", id: "bad" });
  await sessions.close();
  const { code, stderr } = await place.run(["sessions", "sweep"]);
  assert.equal(code, 1);
  assert.match(stderr, /^could not expire session bad of tenant default: .* \[store_invalid\]$/m);
  assert.match(stderr, /^1 expired, .*, 1 failed$/m);
});

test("a leased session is not ended", async () => {
  await using place = await stocked();
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const lease = await (await sessions.get("a")).lease();
  const { code, stderr } = await place.run(["sessions", "end", "a"]);
  assert.equal(code, 4, stderr);
  await lease.release();
});

test("the store is the one of --store, PERDURE_STORE or DATABASE_URL, in this order", async () => {
  await using place = await stocked();
  const env = { DATABASE_URL: place.storeUrl };
  assert.equal((await place.run(["sessions", "show", "a"], { env })).code, 0);
  assert.equal((await place.run(["sessions", "show", "a"], { env: { ...env, PERDURE_STORE: "memory:" } })).code, 3);
  const chosen = await place.run(["sessions", "show", "a", "--store", place.storeUrl], {
    env: { PERDURE_STORE: "memory:" },
  });
  assert.equal(chosen.code, 0);
});

test("a reader that closes the pipe of a list is no failure", async () => {
  await using place = await Workplace.open();
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  // Together less than a page, and more than a pipe holds.
  const metadata = { text: "x".repeat(2000) };
  await Promise.all(Array.from({ length: 200 }, (_, index) => sessions.create({ id: `s${index}`, metadata })));
  const child = place.start(["sessions", "list", "--json", "--limit", "200"]);
  child.stdout?.once("data", () => child.stdout?.destroy());
  const { code, stderr } = await finish(child);
  assert.deepEqual([code, stderr], [0, ""]);
});

test("show has the instructions of a session and the reason of its end", async () => {
  await using context = await setUp();
  const { place } = context;
  const sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const session = await sessions.create({ id: "s", instructions: "Be brief." });
  await session.end({ reason: "the order was delivered" });
  await sessions.close();
  const { stdout } = await place.run(["sessions", "show", "s"]);
  assert.match(stdout, /^instructions +Be brief\.$/m);
  assert.match(stdout, /^ended +\d{4}-.*: the order was delivered$/m);
  const shown = JSON.parse((await place.run(["sessions", "show", "s", "--json"])).stdout) as Record<string, unknown>;
  assert.equal(shown["instructions"], "Be brief.");
  assert.partialDeepStrictEqual(shown["ended"], { reason: "the order was delivered" });
});
