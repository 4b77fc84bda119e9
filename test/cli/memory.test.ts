/** The commands of summaries, marks and ratings against a store: what they print, what they change, and how they refuse. */
import assert from "node:assert/strict";
import { chmodSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { defined } from "../../src/domain/values/defined.ts";
import { openSessions } from "../../src/index.ts";
import { jsonLines, setUp, workplaceOfFile, type Finished, type Workplace } from "./command-line.ts";

const { place, sessions } = await workplaceOfFile();
const run = (...args: string[]): Promise<Finished> => place.run(["sessions", ...args]);

function errorOf({ stderr }: Finished): unknown {
  return (JSON.parse(stderr.split("\n").find((line) => line.startsWith("{")) ?? "{}") as { error?: { code?: unknown } })
    .error?.code;
}

async function fill({ storeUrl }: Workplace, id: string): Promise<void> {
  await using writer = await openSessions({ store: storeUrl, sweep: false });
  const session = await writer.create({ id });
  for (let turn = 1; turn <= 6; turn++) await session.append({ input: `word${turn}`, output: "reply" });
}

test("summarize asks the model of the environment, or that of --model, and summaries lists what is stored", async () => {
  await using context = await setUp(({ model }) => ({
    kind: "answer",
    texts: [`by ${model}\n`, "\u001b[2J", " and more"],
    usage: [10, 2],
  }));
  const { place: own, server } = context;
  await fill(own, "s");
  const one = await own.run(["sessions", "summarize", "s"]);
  assert.deepEqual([one.code, one.stdout], [0, ""]);
  assert.equal(one.stderr, "turns 1 to 2, 12 tokens: by m\\n\\u001b[2J and more\n");
  const [two] = jsonLines(await own.run(["sessions", "summarize", "s", "--to", "3", "--model", "small", "--json"]));
  const { at, ...rest } = two ?? {};
  assert.match(String(at), /^\d{4}-\d\d-\d\dT.*Z$/);
  const usage = { inputTokens: 10, outputTokens: 2, totalTokens: 12 };
  const text = "by small\n\u001b[2J and more";
  assert.deepEqual(rest, { session: "s", from: 1, to: 3, text, agent: "assistant", model: "small", usage });
  assert.deepEqual(
    server.requests.map(({ model }) => model),
    ["m", "small"],
  );
  const listed = await own.run(["sessions", "summaries", "s"]);
  assert.match(listed.stdout, /^turns 1 to 3, 12 tokens: by small\\n[^\n]+\nturns 1 to 2, 12 tokens: by m\\n[^\n]+\n$/);
  const { session: _, ...stored } = two ?? {};
  assert.deepEqual(jsonLines(await own.run(["sessions", "summaries", "s", "--json"]))[0], stored);
});

test("a session that is too short has no summary, and no model is asked", async () => {
  await using context = await setUp();
  const { place: own, server } = context;
  await using writer = await openSessions({ store: own.storeUrl, sweep: false });
  await writer.create({ id: "short" });
  const none = await own.run(["sessions", "summarize", "short"]);
  assert.deepEqual([none.code, none.stderr], [0, "session short is too short for a summary\n"]);
  const listed = await own.run(["sessions", "summaries", "short"]);
  assert.deepEqual([listed.code, listed.stdout, listed.stderr], [0, "", "session short has no summaries\n"]);
  assert.equal(server.requests.length, 0);
});

test("pin and leave-out set marks, --undo removes them, and a mark that stands is no change", async () => {
  await fill(place, "marks");
  const session = await sessions.get("marks");
  const pinned = await run("pin", "marks", "2");
  assert.deepEqual(
    [pinned.code, pinned.stdout, pinned.stderr],
    [0, "", "session marks: pinned turns 2; left out none\n"],
  );
  assert.deepEqual(jsonLines(await run("pin", "marks", "2", "--json")), [
    { session: "marks", changed: false, pinned: [2], leftOut: [] },
  ]);
  assert.equal((await run("leave-out", "marks", "3")).stderr, "session marks: pinned turns 2; left out 3\n");
  assert.deepEqual(await session.memory(), { pinned: [2], leftOut: [3] });
  assert.equal((await run("pin", "marks", "2", "--undo")).code, 0);
  assert.deepEqual(jsonLines(await run("leave-out", "marks", "3", "--undo", "--json")), [
    { session: "marks", changed: true, pinned: [], leftOut: [] },
  ]);
  assert.deepEqual(await session.memory(), { pinned: [], leftOut: [] });
});

test("rate stores a word or a number, also a negative one, replaces the rater's last, and none removes it", async () => {
  await fill(place, "rated");
  const none = await run("ratings", "rated");
  assert.deepEqual([none.code, none.stdout, none.stderr], [0, "", "session rated has no ratings\n"]);
  const up = await run("rate", "rated", "1", "up", "--by", "ana", "--comment", "good\u001b[2J");
  assert.deepEqual([up.code, up.stdout, up.stderr], [0, "", "turn 1 of session rated is rated up by ana\n"]);
  assert.deepEqual(jsonLines(await run("rate", "rated", "2", "-0.5", "--json")), [
    { session: "rated", turn: 2, rating: -0.5, by: null },
  ]);
  assert.equal((await run("ratings", "rated")).stdout, "turn 1: up by ana: good\\u001b[2J\nturn 2: -0.5\n");
  assert.equal((await run("rate", "rated", "1", "none", "--by", "ana")).code, 0);
  const [left, ...others] = jsonLines(await run("ratings", "rated", "--json"));
  assert.deepEqual([left?.["turn"], left?.["rating"], left?.["by"], others], [2, -0.5, null, []]);
  assert.equal((await run("ratings", "rated", "--turn", "1")).stderr, "turn 1 of session rated has no ratings\n");
});

test("wrong ids, turns, ratings and environments are refused with their exit codes, and nothing is written", async () => {
  await fill(place, "wrong");
  const { version } = (await sessions.get("wrong")).info;
  for (const [args, code, error] of [
    [["summarize", "wrong"], 2, "usage"],
    [["summaries", "missing"], 3, "session_not_found"],
    [["pin", "missing", "1"], 3, "session_not_found"],
    [["pin", "wrong", "7"], 2, "range_invalid"],
    [["rate", "wrong", "0", "up"], 2, "range_invalid"],
    [["rate", "wrong", "1", "great"], 2, "usage"],
    [["rate", "wrong", "1", "up", "--comment", "x".repeat(2001)], 2, "argument_invalid"],
    [["ratings", "wrong", "--turn", "0"], 2, "argument_invalid"],
  ] as const) {
    const finished = await run(...args, "--json");
    assert.deepEqual([finished.code, finished.stdout, errorOf(finished)], [code, "", error], args.join(" "));
  }
  assert.equal((await (await sessions.get("wrong")).refresh()).version, version);
  const far = await place.run(["sessions", "summarize", "wrong", "--to", "0"], {
    env: { OPENAI_API_KEY: "k", PERDURE_MODEL: "m" },
  });
  assert.equal(far.code, 2);
  assert.match(far.stderr, /to is 0, expected a whole number from 1 to 6, the last turn of the session/);
});

test("summaries and ratings list those of a store that this user may only read, and marks are refused", async (t) => {
  await using context = await setUp();
  const { place: own } = context;
  // Nothing is read-only to the superuser: there, the user nobody reads.
  const uid = process.getuid?.() === 0 ? 65534 : undefined;
  await fill(own, "s");
  await using writer = await openSessions({ store: own.storeUrl, sweep: false });
  const session = await writer.get("s");
  await session.summarize({ to: 2, summarizer: () => Promise.resolve("said") });
  await session.rate(1, { rating: "up" });
  await writer.close();
  chmodSync(join(own.folder, "perdure.db"), 0o444);
  chmodSync(own.folder, 0o555);
  try {
    if ((await own.run(["--version"], defined({ uid }))).code !== 0) return t.skip("nobody may not read this checkout");
    assert.equal((await own.run(["sessions", "summaries", "s"], defined({ uid }))).stdout, "turns 1 to 2: said\n");
    assert.equal((await own.run(["sessions", "ratings", "s"], defined({ uid }))).stdout, "turn 1: up\n");
    for (const args of [
      ["pin", "s", "1"],
      ["rate", "s", "1", "up"],
      ["summarize", "s"],
    ])
      assert.match((await own.run(["sessions", ...args], defined({ uid }))).stderr, /\[store_read_only\]/);
    assert.deepEqual(readdirSync(own.folder), ["perdure.db"]);
  } finally {
    chmodSync(own.folder, 0o755);
  }
});
