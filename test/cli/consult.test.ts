import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions } from "../../src/index.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import { forwardClock } from "../support/forward-clock.ts";
import { untilStored } from "../support/stored-text.ts";
import { answers, counting, finish, outputUntil, setUp } from "./command-line.ts";

test("a session started by one process continues in the next", async () => {
  await using context = await setUp();
  const { place, server } = context;
  const first = await place.run(["consult", "ceo", "one?"]);
  assert.equal(first.code, 0, first.stderr);
  assert.equal(first.stdout, "saw 1\n");
  const id = /^session (ceo_[0-9a-z]{26}) · turn 1 · 12 tokens \(10 in, 2 out\) · /.exec(first.stderr)?.[1];
  assert(id !== undefined, first.stderr);

  const second = await place.run(["consult", "ceo", "two?", "--session", id, "--json"]);
  assert.deepEqual(
    { ...JSON.parse(second.stdout), durationMs: 0 },
    {
      session: id,
      turn: 2,
      answer: "saw 3",
      usage: { inputTokens: 10, outputTokens: 2, totalTokens: 12 },
      durationMs: 0,
      finish: "stop",
    },
  );
  assert.equal(second.stdout.split("\n").length, 2, "one line");
  assert.equal(second.stderr, "", "nothing but data");
  const third = await place.run(["consult", "ceo", "three?", "--session", id, "--window", "1"]);
  assert.equal(third.stdout, "saw 3\n", "a window of one turn and the question");
  assert.equal(server.requests.length, 3);
});

test("agents come from a file; an unknown one is wrong usage and the known ones are named", async () => {
  await using context = await setUp();
  const { place, server } = context;
  const agents = {
    ceo: { instructions: "Be brief.", model: "big", ttl: "1h" },
    constructor: { instructions: "Build." },
  };
  await writeFile(join(place.folder, "perdure.agents.json"), JSON.stringify(agents));
  assert.equal((await place.run(["consult", "ceo", "hi"])).stdout, "saw 2\n");
  assert.deepEqual([server.requests[0]?.model, server.requests[0]?.messages[0]?.content], ["big", "Be brief."]);
  assert.equal((await place.run(["consult", "constructor", "hi", "--model", "small"])).code, 0);
  assert.equal(server.requests[1]?.model, "small");
  const unknown = await place.run(["consult", "cto", "hi"]);
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /agent "cto" is not configured; configured agents: ceo, constructor/);
});

test("settings and the window come from options, ahead of those of the agent, and a question from stdin", async () => {
  await using context = await setUp();
  const { place, server } = context;
  const agents = { ceo: { settings: { temperature: 1, maxTokens: 5 }, window: { turns: 1 } } };
  await writeFile(join(place.folder, "perdure.agents.json"), JSON.stringify(agents));
  const options = ["--temperature", "0.5", "--effort", "high", "--timeout", "5m", "--body", '{"seed":7}'];
  const first = await place.run(["consult", "ceo", "-", "--json", ...options], { input: "What does\nthis mean?\n" });
  assert.equal(first.code, 0, first.stderr);
  const { messages, ...sent } = server.requests[0] as unknown as Record<string, unknown>;
  assert.deepEqual((messages as unknown[]).at(-1), { role: "user", content: "What does\nthis mean?" });
  assert.deepEqual([sent["temperature"], sent["reasoning_effort"], sent["seed"]], [0.5, "high", 7]);
  assert.equal(sent["max_completion_tokens"] ?? sent["max_tokens"], 5, "the agent's, where the command names none");
  const { session } = JSON.parse(first.stdout) as { session: string };
  for (const question of ["two", "three", "four"])
    assert.equal((await place.run(["consult", "ceo", question, "--session", session])).code, 0);
  assert.equal(server.requests.at(-1)?.messages.length, 3, "the window of the agent");
  await place.run(["consult", "ceo", "five", "--session", session, "--window", "3"]);
  assert.ok((server.requests.at(-1)?.messages.length ?? 0) >= 7, "three turns or more, which a window grows to");
  await place.run(["consult", "ceo", "six", "--session", session, "--window-tokens", "0"]);
  assert.equal(server.requests.at(-1)?.messages.length, 1);
  for (const wrong of [
    ["--temperature", "warm"],
    ["--max-tokens", "0"],
    ["--max-tokens", "1.5"],
    ["--timeout", "soon"],
    ["--body", "[1]"],
    ["--body", "{"],
    ["--effort", ""],
  ])
    assert.equal((await place.run(["consult", "ceo", "hi", ...wrong])).code, 2, wrong.join(" "));
  const empty = await place.run(["consult", "ceo", "-"], { input: "\n" });
  assert.deepEqual([empty.code, /the question is empty/.test(empty.stderr)], [2, true]);
  assert.equal(server.requests.length, 6);
});

test("Ctrl-C stops the answer, keeps what came, and exits with 130", async () => {
  await using context = await setUp(() => ({ kind: "hang", texts: ["so far", " so good"] }));
  const { place } = context;
  const child = place.start(["consult", "ceo", "long?"]);
  const finished = finish(child);
  let seen = "";
  while (!seen.includes("good")) seen += String((await once(child.stdout ?? child, "data"))[0]);
  child.kill("SIGINT");
  assert.equal((await finished).code, 130);
  await using sessions = await openSessions(place.storeUrl);
  const [info] = (await sessions.list()).items;
  const [turn] = await Array.fromAsync((await sessions.get(info?.id ?? "")).turns());
  assert.deepEqual([turn?.status, turn?.output[0]?.content, info?.lease], ["interrupted", "so far so good", null]);
});

test("a reader that closes its pipe is no failure, and the answer is stored whole", async () => {
  await using context = await setUp(() => ({
    kind: "answer",
    texts: Array.from({ length: 200 }, () => "x".repeat(1000)),
  }));
  const { place } = context;
  const child = place.start(["consult", "ceo", "hi"]);
  child.stdout?.once("data", () => child.stdout?.destroy());
  assert.equal((await finish(child)).code, 0);
  await using sessions = await openSessions(place.storeUrl);
  const [info] = (await sessions.list()).items;
  const [turn] = await Array.fromAsync((await sessions.get(info?.id ?? "")).turns());
  assert.deepEqual([turn?.status, turn?.output[0]?.content], ["done", "x".repeat(200_000)]);
});

for (const [name, code] of [
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  test(`${name} stops the answer in good order, too`, async () => {
    await using context = await setUp(() => ({ kind: "hang", texts: ["so far"] }));
    const { place } = context;
    const child = place.start(["consult", "ceo", "long?", "--json"]);
    const finished = finish(child);
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    let [info] = (await sessions.list()).items;
    for (; info === undefined || info.turn === 0; [info] = (await sessions.list()).items) await sleep(20);
    await untilStored(await sessions.get(info.id), "so far");
    child.kill(name);
    const { code: exited, stdout, stderr } = await finished;
    assert.equal(exited, code);
    assert.equal(stdout, "", "no half data");
    assert.equal((JSON.parse(stderr) as { error: { code: string } }).error.code, "interrupted");
    const [turn] = await Array.fromAsync((await sessions.get(info.id)).turns());
    assert.deepEqual([turn?.status, turn?.output[0]?.content], ["interrupted", "so far"]);
    assert.equal(turn?.usage?.estimated, true);
  });
}

test("a signal while a question waits in the queue leaves no trace of it", async () => {
  await using context = await setUp(() => ({ kind: "hang", texts: ["…"] }));
  const { place } = context;
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const session = await sessions.create({ id: "s", agent: "ceo" });
  const lease = await session.lease();
  const child = place.start(["consult", "ceo", "me?", "--session", "s", "--busy", "queue"]);
  const finished = finish(child);
  const store = await openSqlite({ url: place.storeUrl });
  const waiters = async (): Promise<number> => {
    const {
      sessions: [loaded],
    } = await store.load([{ key: { tenant: "default", id: "s" }, tails: [] }]);
    return loaded?.record.waiters.length ?? 0;
  };
  while ((await waiters()) === 0) await sleep(20);
  child.kill("SIGINT");
  const { code, stderr } = await finished;
  assert.equal(code, 130, stderr);
  assert.match(stderr, /stopped by SIGINT before anything was asked/);
  assert.equal((await session.refresh()).turn, 0);
  assert.equal(await waiters(), 0, "its place in the queue is given back");
  await lease.release();
  await store.close();
});

test("a question that queues is answered when the one before it is", async () => {
  await using context = await setUp(({ messages }) => ({
    ...counting({ messages }),
    kind: "answer",
    texts: ["saw ", "…", String(messages.length)],
    delayMs: 300,
  }));
  const { place } = context;
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  await sessions.create({ id: "s", agent: "ceo" });
  const ask = (question: string) => place.run(["consult", "ceo", question, "--session", "s", "--busy", "queue"]);
  const [one, two] = await Promise.all([ask("one?"), ask("two?")]);
  assert.deepEqual([one.stdout, two.stdout].sort(), ["saw …1\n", "saw …3\n"], one.stderr + two.stderr);
});

test("--busy interrupt stops the running answer, which is kept; its command fails", async () => {
  await using context = await setUp(answers({ "long?": { kind: "hang", texts: ["so far"] } }));
  const { place } = context;
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const session = await sessions.create({ id: "s", agent: "ceo" });
  const child = place.start(["consult", "ceo", "long?", "--session", "s"]);
  const finished = finish(child);
  await outputUntil(child, "far");
  const second = await place.run(["consult", "ceo", "short?", "--session", "s", "--busy", "interrupt"]);
  assert.equal(second.stdout, "saw 3\n", second.stderr);
  const { code, stderr } = await finished;
  assert.equal(code, 1);
  assert.match(stderr, /interrupted .*the text received so far is stored \[interrupted\]/);
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ status }) => status),
    ["interrupted", "done"],
  );
});

test("a killed process leaves a session that the next one continues with", async () => {
  await using context = await setUp(answers({ "long?": { kind: "hang", texts: ["so far"] } }));
  const { place } = context;
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  await sessions.create({ id: "s", agent: "ceo" });
  const child = place.start(["consult", "ceo", "long?", "--session", "s"]);
  const finished = finish(child);
  await outputUntil(child, "far");
  await untilStored(await sessions.get("s"), "so far");
  child.kill("SIGKILL");
  await finished;
  const shown = await place.run(["sessions", "show", "s"]);
  assert.match(shown.stdout, /lease holder .*the next writer takes over/);
  const next = await place.run(["consult", "ceo", "and now?", "--session", "s"]);
  assert.equal(next.stdout, "saw 3\n", next.stderr);
  const last = context.server.requests.at(-1)?.messages.map(({ content }) => content);
  assert.deepEqual(last, ["long?", "so far", "and now?"]);
});

test("instructions shape a new session, are kept with it, and are not changed by the way", async () => {
  await using context = await setUp();
  const { place, server } = context;
  const first = await place.run(["consult", "ceo", "hi", "--instructions", "Be kind.", "--json"]);
  const { session } = JSON.parse(first.stdout) as { session: string };
  await place.run(["consult", "ceo", "again", "--session", session]);
  assert.deepEqual(
    server.requests.map(({ messages }) => messages[0]),
    Array.from({ length: 2 }, () => ({ role: "system", content: "Be kind." })),
  );
  const wrong = await place.run(["consult", "ceo", "hi", "--session", session, "--instructions", "Be rude."]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /'--instructions <text>' cannot be used with option '--session <id>'/);
});

test("another agent answers in the same session with instructions of its own", async () => {
  await using context = await setUp();
  const { place, server } = context;
  const agents = { ceo: { instructions: "Lead." }, cto: { instructions: "Build." } };
  await writeFile(join(place.folder, "perdure.agents.json"), JSON.stringify(agents));
  const first = await place.run(["consult", "ceo", "hi", "--json"]);
  const { session } = JSON.parse(first.stdout) as { session: string };
  assert.equal((await place.run(["consult", "cto", "and you?", "--session", session])).stdout, "saw 4\n");
  assert.equal(server.requests[1]?.messages[0]?.content, "Build.");
});

test("an expired session continues, or refuses a question or starts anew on request", async () => {
  await using context = await setUp();
  const { place } = context;
  {
    const clock = forwardClock();
    clock.forward(-2 * 3_600_000);
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false, clock });
    for (const id of ["continues", "resets"])
      await (await sessions.create({ id, agent: "ceo", ttl: "1h" })).append({ input: "hi", output: "saw 1" });
  }
  const more = (id: string): readonly string[] => ["consult", "ceo", "more", "--session", id];
  const refused = await place.run([...more("continues"), "--on-expired", "fail"]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /expired at .*\[session_expired\]/);
  assert.equal((await place.run(more("continues"))).stdout, "saw 3\n");
  assert.equal((await place.run([...more("resets"), "--on-expired", "reset"])).stdout, "saw 1\n");
});

test("usage that the endpoint did not count is marked as estimated", async () => {
  await using context = await setUp(() => ({ kind: "answer", texts: ["ok"] }));
  const { stdout } = await context.place.run(["consult", "ceo", "hi", "--json"]);
  assert.equal((JSON.parse(stdout) as { usage: { estimated?: true } }).usage.estimated, true);
  assert.match((await context.place.run(["consult", "ceo", "hi"])).stderr, /· about \d+ tokens/);
});

test("the tool calls of an answer are shown", async () => {
  const toolCalls = [[{ index: 0, id: "c1", function: { name: "look_up", arguments: "{}" } }]];
  await using context = await setUp(() => ({ kind: "answer", texts: [], toolCalls }));
  const { code, stdout, stderr } = await context.place.run(["consult", "ceo", "hi"]);
  assert.deepEqual([code, stdout], [0, ""]);
  assert.match(stderr, /calls look_up/);
});
