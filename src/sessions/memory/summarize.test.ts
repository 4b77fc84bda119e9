/** Summaries that are made by hand, and what becomes of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { inMemory } from "../../../test/support/in-memory.ts";
import { refusal } from "../../../test/support/strict-endpoint.ts";
import { assertSound, fill, naming, recording, shownTo } from "../../../test/support/summarizing.ts";
import { stats } from "../../admin.ts";
import { readRating } from "../../domain/memory/feedback.ts";
import { readSummary } from "../../domain/memory/summary.ts";
import { contentIdentity } from "../../domain/memory/turn-identity.ts";
import { memoryOf } from "../../domain/memory/turn-memory.ts";
import { identityOf, type Change } from "../../domain/record/change.ts";
import { remembered, summaryMessages } from "../../domain/request/memory.ts";
import { shownTurn } from "../../domain/request/shown-turn.ts";
import { estimateTokens } from "../../domain/turns/usage.ts";
import type { Model, Session, Turn } from "../../index.ts";

test("the model summarizes without tools, and its tokens count in the session and in the stats", async () => {
  const { model, asked } = recording();
  await using place = inMemory({ model, agents: { ceo: {} } });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 6);
  const before = session.info.counters;
  const summary = await session.summarize();
  assert.deepEqual([summary?.to, summary?.text, summary?.usage?.totalTokens], [2, "a summary", 11]);
  assert.equal(asked[0]?.tools, undefined);
  assert.equal(refusal(asked[0]?.messages ?? []), undefined);
  const { counters } = await session.refresh();
  assert.deepEqual([counters.totalTokens - before.totalTokens, counters.requests - before.requests], [11, 1]);
  const { turns } = await stats(place.sessions, { by: "agent" });
  assert.deepEqual([turns.totalTokens, turns.turns], [counters.totalTokens, 6]);
  await assertSound(place);
  assert.equal(
    (await session.summarize({ to: 2 }))?.at.getTime(),
    summary?.at.getTime(),
    "the same summary is made once",
  );
  assert.equal(asked.length, 1);
});

test("the summary that is returned is the stored one, with its time", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 2);
  const onCommit = (): void => place.clock.set(place.clock.now() + 1);
  subscribe("tracing:perdure:store:start", onCommit);
  const summary = await session.summarize({ to: 2, summarizer: () => Promise.resolve("said") });
  unsubscribe("tracing:perdure:store:start", onCommit);
  assert.deepEqual(await Array.fromAsync(session.summaries()), [summary]);
});

test("a summary of deleted or changed turns is deleted in the same commit", async () => {
  const { summarizer } = naming();
  await using place = inMemory({ compaction: { atTokens: 1000, keep: 0, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  const covered = async (): Promise<readonly number[]> =>
    (await Array.fromAsync(session.summaries())).map(({ to }) => to);
  const stored = async (): Promise<string> => JSON.stringify(await place.sessions.snapshot("s"));
  await fill(session, 1, 6);
  for (const to of [2, 4, 6]) await session.summarize({ to });
  assert.deepEqual(await covered(), [6, 4, 2]);
  const { version } = (await session.look()).info;
  await session.write({
    turns: { from: 6, amends: true, turns: [{ input: "word6", output: "amended6" }] },
    onto: version,
  });
  assert.deepEqual(await covered(), [4, 2], "a summary of an amended turn is out of date");
  await session.summarize({ to: 6 });
  await session.refresh();
  await session.truncate(5);
  assert.deepEqual(await covered(), [4, 2]);
  assert.ok(!(await stored()).includes("word6"));
  await session.leaveOut(3);
  assert.deepEqual(await covered(), [2], "a summary must not repeat what no model is shown");
  assert.equal((await session.summarize({ to: 5 }))?.text, "word1 word2 word4 word5");
  await session.takeIn(3);
  assert.deepEqual(await covered(), [2]);
  assert.equal((await session.summarize({ to: 5 }))?.text, "word1 word2 word3 word4 word5");
  await assertSound(place);
});

test("each branch has the summaries of its own turns, and shares those of shared turns", async () => {
  const { summarizer } = naming();
  const { model, asked } = recording();
  await using place = inMemory({ model, compaction: { atTokens: 1000, keep: 0, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 4);
  for (const to of [2, 4]) await session.summarize({ to });
  const texts = async (): Promise<readonly string[]> =>
    (await Array.fromAsync(session.summaries())).map(({ text }) => text);
  place.clock.set(place.clock.now() + 1);
  await (
    await session.edit(4, "edited4")
  ).done;
  assert.deepEqual(await texts(), ["word1 word2"]);
  assert.ok(!shownTo(asked[0]).includes("word4"));
  await session.summarize({ to: 4 });
  assert.deepEqual(await texts(), ["word1 word2 word3 edited4", "word1 word2"]);
  await session.switchTo("1");
  assert.deepEqual(await texts(), ["word1 word2 word3 word4", "word1 word2"]);
  const fork = await session.fork({ at: 2 });
  assert.deepEqual(
    (await Array.fromAsync(fork.summaries())).map(({ to }) => to),
    [2],
  );
  assert.ok(
    !JSON.stringify(await place.sessions.snapshot(fork.id)).includes("word3"),
    "a fork has no words it does not share",
  );
  await session.removeBranch("2");
  assert.ok(!JSON.stringify(await place.sessions.snapshot("s")).includes("edited4"));
  await assertSound(place);
});

test("two processes that summarize at once store one summary, and the tokens of both are counted", async () => {
  const gate = Promise.withResolvers<void>();
  let calls = 0;
  const summarizer = async (): Promise<{ text: string; usage: { inputTokens: number; outputTokens: number } }> => {
    if (++calls === 2) gate.resolve();
    await gate.promise;
    return { text: `made ${calls}`, usage: { inputTokens: 10, outputTokens: 1 } };
  };
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 4);
  const other = await place.another().get("s");
  const { totalTokens } = session.info.counters;
  const [one, two] = await Promise.all([
    session.summarize({ to: 3, summarizer }),
    other.summarize({ to: 3, summarizer }),
  ]);
  assert.equal(one?.text, two?.text);
  assert.equal((await Array.fromAsync(session.summaries())).length, 1);
  assert.equal((await session.refresh()).counters.totalTokens - totalTokens, 22);
  await assertSound(place);
});

test("a summary of turns that were deleted while it was made is not stored, and is counted", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 4);
  const other = await place.another().get("s");
  const summarizer = async (): Promise<{ text: string; usage: { inputTokens: number; outputTokens: number } }> => {
    await other.truncate(2);
    return { text: "word1 to word3", usage: { inputTokens: 10, outputTokens: 1 } };
  };
  const { totalTokens } = session.info.counters;
  await assert.rejects(session.summarize({ to: 3, summarizer }), { code: "conflict" });
  assert.equal((await session.refresh()).counters.totalTokens - totalTokens, 11);
  assert.ok(!JSON.stringify(await place.sessions.snapshot("s")).includes("word3"));
  const leaving = async (): Promise<string> => {
    await other.leaveOut(1);
    return "word1 word2";
  };
  await assert.rejects(session.summarize({ to: 2, summarizer: leaving }), { code: "conflict" });
  assert.deepEqual(await Array.fromAsync(session.summaries()), []);
});

test("a summary is stored and continued, also where others cover more", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 3; turn++) await session.append({ input: "x".repeat(60_000), output: "y" });
  await fill(session, 4, 14);
  let calls = 0;
  const summarizer = (): Promise<string> =>
    calls++ < 30 ? Promise.resolve("said") : Promise.reject(new Error("called again and again"));
  for (let to = 5; to <= 12; to++) await session.summarize({ to, summarizer });
  const before = calls;
  assert.equal((await session.summarize({ to: 3, summarizer }))?.to, 3);
  assert.ok(calls - before <= 3, `${calls - before} calls for three steps`);
  assert.deepEqual(
    (await Array.fromAsync(session.summaries())).map(({ to }) => to),
    [12, 11, 10, 9, 8, 7, 6, 3],
    "those that cover most, and the last one that was made",
  );
});

test("a summarizer reads 24 000 tokens at once, and no more", async () => {
  const { summarizer, requests } = naming();
  await using place = inMemory();
  for (const [id, length, steps] of [
    ["within", 47_964, 1],
    ["over", 47_968, 2],
  ] as const) {
    const session = await place.sessions.create({ id });
    for (let turn = 1; turn <= 2; turn++) await session.append({ input: "x".repeat(length), output: "y" });
    const tokens = await tokensOf(session);
    assert.equal(tokens, steps === 1 ? 24_000 : 24_002);
    requests.length = 0;
    await session.summarize({ to: 2, summarizer });
    assert.equal(requests.length, steps);
  }
});

async function tokensOf(session: Session): Promise<number> {
  return (await Array.fromAsync(session.turns())).reduce((sum, turn) => sum + shownTurn(turn).tokens, 0);
}

test("a summary has the turns that are not left out, also where one with the same words is, or one of another branch", async () => {
  const { summarizer } = naming();
  await using place = inMemory({ model: recording().model });
  const session = await place.sessions.create({ id: "s" });
  for (const input of ["one", "twin", "twin", "four"]) await session.append({ input, output: "reply" });
  await session.leaveOut(3);
  await session.leaveOut(4);
  assert.equal((await session.summarize({ to: 4, summarizer }))?.text, "one twin");
  await (
    await session.edit(4, "instead")
  ).done;
  assert.equal((await session.summarize({ to: 4, summarizer }))?.text, "one twin instead");
});

test("a turn that cannot be read is left out of a summary", async () => {
  const { summarizer } = naming();
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 3);
  const key = { tenant: "default", id: "s" };
  const [loaded] = (await place.store.load([{ key, tails: [{ log: "turns", last: 2 }] }])).sessions;
  assert(loaded !== undefined);
  const { record, tails } = loaded;
  const entries = (tails[0] ?? []).map((entry) => (entry.seq === 2 ? { ...entry, data: "{" } : entry));
  const change: Change = {
    key,
    expected: identityOf(record),
    record: { ...record, version: record.version + 1 },
    splices: [{ log: "turns", from: 2, entries }],
    claims: [],
  };
  assert.deepEqual(await place.store.commit([[change]]), [{ status: "ok" }]);
  await session.refresh();
  assert.equal((await session.summarize({ to: 3, summarizer }))?.text, "word1 word3");
});

test("each step of a summary stops at a budget that is used up", async () => {
  await using place = inMemory({ budget: { tokens: 30_000 } });
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 5; turn++)
    await session.append({ input: "x".repeat(90_000), output: "y", usage: { inputTokens: 1, outputTokens: 1 } });
  let calls = 0;
  const summarizer = () => {
    calls++;
    return Promise.resolve({ text: "said", usage: { inputTokens: 20_000, outputTokens: 1 } });
  };
  await assert.rejects(session.summarize({ to: 5, summarizer }), { code: "budget_exceeded" });
  assert.equal(calls, 2);
});

test("a refusal of the model is no summary", async () => {
  const model: Model = async function* () {
    yield { type: "text", text: "I cannot help with that." };
    yield { type: "finish", reason: "refusal" };
  };
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 4);
  await assert.rejects(session.summarize({ to: 3 }), { code: "model_failed" });
  assert.deepEqual(await Array.fromAsync(session.summaries()), []);
});

test("a summary counts in the budget of a day, and a day without tokens left makes none", async () => {
  let calls = 0;
  const summarizer = (): Promise<{ text: string; usage: { inputTokens: number; outputTokens: number } }> => {
    calls++;
    return Promise.resolve({ text: "said", usage: { inputTokens: 1, outputTokens: 0 } });
  };
  await using place = inMemory({ budgets: { tenant: { tokens: 5, per: "day" } } });
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 4; turn++)
    await session.append({ input: "q", output: "a", usage: { inputTokens: 1, outputTokens: 0 } });
  assert.equal((await session.summarize({ to: 2, summarizer }))?.to, 2);
  await assert.rejects(session.summarize({ to: 3, summarizer }), { code: "daily_budget_exceeded" });
  assert.equal(calls, 1);
});

test("a model that summarizes is asked with the earlier summary and the turns that models are shown, each cut", async () => {
  const { model, asked } = recording();
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 2);
  await session.append({ input: "unanswered", status: "failed" });
  await session.append({ input: `${"x".repeat(5000)}end`, output: "reply4" });
  await session.summarize({ to: 2 });
  await session.summarize({ to: 4 });
  const [first, second] = asked.map(({ messages }) => String(messages.at(-1)?.content).split("\n"));
  assert.deepEqual(
    first?.map((line) => (JSON.parse(line) as { text: string }).text),
    ["word1", "reply1", "word2", "reply2"],
  );
  assert.deepEqual(JSON.parse(second?.[0] ?? ""), { earlier_summary: "a summary" });
  assert.ok(!second?.join("").includes("unanswered"), "a turn that no model is shown");
  const lengths = second?.slice(1).map((line) => (JSON.parse(line) as { text: string }).text.length);
  assert.ok(lengths?.length === 2 && lengths[0]! <= 4001, String(lengths));
});

test("a summary without text and an answer that a filter stopped are none, and a long summary is cut", async () => {
  const filtered: Model = async function* () {
    yield { type: "text", text: "half of" };
    yield { type: "finish", reason: "content_filter" };
  };
  await using place = inMemory({ model: filtered });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 4);
  await assert.rejects(session.summarize({ to: 3 }), { code: "model_failed" });
  for (const text of ["", " \n", 5, undefined])
    await assert.rejects(session.summarize({ to: 3, summarizer: () => Promise.resolve({ text } as never) }), {
      code: "model_failed",
    });
  const summary = await session.summarize({ to: 3, summarizer: () => Promise.resolve("x".repeat(20_000)) });
  assert.equal(summary?.text.length, 16_000);
});

test("a summary belongs to a turn with its status, its input and its output", () => {
  const turn: Turn = {
    seq: 1,
    key: "k",
    at: new Date(5),
    status: "done",
    agent: "a",
    input: [{ role: "user", content: "in" }],
    output: [{ role: "assistant", content: "out" }],
    requests: 1,
  };
  const others: readonly Turn[] = [
    { ...turn, at: new Date(6) },
    { ...turn, key: null },
    { ...turn, status: "interrupted" },
    { ...turn, input: [{ role: "user", content: "other" }] },
    { ...turn, output: [] },
  ];
  assert.equal(new Set([turn, ...others].map(contentIdentity)).size, 6);
  assert.equal(contentIdentity({ ...turn, agent: "b", requests: 2 }), contentIdentity(turn));
});

test("the summary and the pinned turns take a part of the window, and leave the rest to the turns", () => {
  const turns = [1, 2, 3, 4].map((seq) => ({
    seq,
    status: "done" as const,
    input: [{ role: "user" as const, content: "x".repeat(400) }],
    output: [],
    requests: 0,
  }));
  const { tokens } = shownTurn(turns[0]!);
  const window = { turns: 10, tokens: tokens * 4 };
  const memory = { summary: { to: 1, text: "s".repeat(10_000) }, pinned: turns, leftOut: new Set([4]) };
  const past = remembered(turns, { memory, window });
  assert.deepEqual(
    past.turns.map(({ seq }) => seq),
    [2, 3],
  );
  assert.deepEqual(
    past.memory?.pinned.map(({ seq }) => seq),
    [2, 3],
    "the newest that fit, without one that is left out",
  );
  assert.equal(past.memory?.summary?.text.length, window.tokens, "a character for each token");
  const summaryTokens = estimateTokens(summaryMessages("s".repeat(window.tokens), undefined));
  assert.equal(past.window.tokens, window.tokens - 2 * tokens - summaryTokens);
});

test("a window without turns shows no memory, a pinned turn that failed is not shown, and roles alternate", () => {
  const turn = { seq: 1, input: [{ role: "user" as const, content: "x" }], output: [], requests: 0 };
  const memory = {
    summary: { to: 1, text: "said" },
    pinned: [{ ...turn, status: "failed" as const }],
    leftOut: new Set<number>(),
  };
  for (const window of [
    { turns: 0, tokens: 100 },
    { turns: 10, tokens: 0 },
  ])
    assert.equal(remembered([], { memory, window }).memory, undefined);
  assert.deepEqual(remembered([], { memory, window: { turns: 10, tokens: 100 } }).memory?.pinned, []);
  const roles = (next: "user" | "assistant"): readonly string[] =>
    summaryMessages("said", { role: next, content: "" }).map(({ role }) => role);
  assert.deepEqual([roles("user"), roles("assistant")], [["user", "assistant"], ["user"]]);
});

test("a summary has the model and the usage that its summarizer names, and its time counts as that of a call", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 2);
  const usage = { inputTokens: 3, outputTokens: 1 };
  const summarizer = async () => {
    await place.clock.advance(700);
    return { text: "said", usage, model: "m" };
  };
  const before = session.info.counters;
  await session.summarize({ to: 2, summarizer });
  const [summary] = await Array.fromAsync(session.summaries());
  assert.deepEqual([summary?.model, summary?.usage], ["m", { ...usage, totalTokens: 4 }]);
  const { counters } = await session.refresh();
  assert.deepEqual([counters.longestMs, counters.durationMs - before.durationMs], [700, 700]);
  await session.summarize({ to: 1, summarizer: async () => ({ text: "said", usage }) });
  assert.equal((await session.refresh()).counters.longestMs, 700, "a shorter call");
});

test("while a question replaces turns no summary is made, and one that was begun before is not stored", async () => {
  const answer = Promise.withResolvers<void>();
  const model: Model = async function* () {
    await answer.promise;
    yield { type: "text", text: "another answer" };
  };
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 4);
  let calls = 0;
  const usage = { inputTokens: 3, outputTokens: 1 };
  let begun: { readonly done: Promise<unknown> } | undefined;
  const late = async () => {
    calls++;
    begun = await (await place.another({ model }).get("s")).consult("again", { after: 3 });
    return { text: "said", usage };
  };
  await assert.rejects(session.summarize({ to: 2, summarizer: late }), { code: "turn_open" });
  await session.refresh();
  await assert.rejects(session.summarize({ to: 2, summarizer: late }), { code: "turn_open" });
  assert.equal(calls, 1, "the second one is refused before the call");
  answer.resolve();
  await begun?.done;
  await session.refresh();
  assert.deepEqual(await Array.fromAsync(session.summaries()), []);
  await assertSound(place);
});

test("damaged entries of memory are no marks, no ratings and no summaries", () => {
  for (const data of ["{", "null", "5", '{"pinned":"all"}', '{"pinned":[[1]],"leftOut":[["1","x"],null]}']) {
    const entry = { seq: 1, key: null, at: 0, data };
    assert.deepEqual(memoryOf(entry), { pinned: [], leftOut: [] });
    assert.deepEqual([readRating(entry), readSummary(4, entry)], [undefined, undefined]);
  }
  const entryOf = (data: object, at = 0) => ({ seq: 1, key: null, at, data: JSON.stringify(data) });
  const summary = { turn: "x", text: "y", agent: "z" };
  assert.equal(readSummary(4, entryOf(summary))?.summary.text, "y");
  for (const field of ["turn", "text", "agent"])
    assert.equal(readSummary(4, entryOf({ ...summary, [field]: 5 })), undefined, field);
  assert.equal(readSummary(4, entryOf(summary, Number.NaN)), undefined);
  const rating = { turn: 1, identity: "x", rating: "up", by: null };
  assert.equal(readRating(entryOf(rating))?.rating.by, null);
  for (const [field, wrong] of Object.entries({ turn: 1.5, identity: 5, rating: "great", by: 5 }))
    assert.equal(readRating(entryOf({ ...rating, [field]: wrong })), undefined, field);
  assert.equal(readRating(entryOf(rating, Number.NaN)), undefined);
  const whole = [1, "x"];
  const marks = [whole, [1], [1, 2], ["1", "x"], [1, "x", 2], "1x", null];
  assert.deepEqual(memoryOf(entryOf({ pinned: "all", leftOut: marks })), { pinned: [], leftOut: [whole] });
  assert.deepEqual(memoryOf(undefined), { pinned: [], leftOut: [] });
});

test("wrong options of memory are refused before anything is written", async () => {
  await using place = inMemory({ agents: { a: {} } });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 1);
  for (const compaction of [
    {},
    { atTokens: 0 },
    { atTokens: 1, keep: -1 },
    { atTokens: 1, other: 1 },
    { atTokens: 1, summarizer: "x" },
    null,
  ])
    assert.throws(() => place.another({ compaction: compaction as never }), { code: "argument_invalid" });
  assert.throws(() => place.another({ agents: { a: { compaction: { atTokens: 1.5 } } } }), {
    code: "argument_invalid",
  });
  await assert.rejects(session.pin(2), { code: "range_invalid" });
  await assert.rejects(session.leaveOut(0), { code: "range_invalid" });
  await assert.rejects(session.rate(1, { rating: "good" as "up" }), { code: "argument_invalid" });
  await assert.rejects(session.rate(1, { rating: Number.NaN }), { code: "argument_invalid" });
  await assert.rejects(session.rate(1, { rating: "up", comment: "x".repeat(2001) }), { code: "argument_invalid" });
  for (const turn of [1.5, Number.NaN, -1, 2])
    for (const call of [session.pin(turn), session.rate(turn, { rating: "up" }), session.summarize({ to: turn })])
      await assert.rejects(call, { code: "range_invalid" });
  await assert.rejects(session.summarize({ to: 0 }), { code: "range_invalid" });
  await assert.rejects(session.summarize({ summarizer: "x" as never }), { code: "argument_invalid" });
  await assert.rejects(session.summarize({ agent: "unknown" }), { code: "agent_unknown" });
  await session.rate(1, { rating: "up", comment: "x".repeat(2000) });
  await assert.rejects(session.summarize({ to: 1 }), { code: "model_missing" });
  await assert.rejects(session.summarize({ other: 1 } as never), { code: "argument_invalid" });
  assert.equal(await session.summarize(), null, "too short");
});
