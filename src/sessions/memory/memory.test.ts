import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import { refusal } from "../../../test/support/strict-endpoint.ts";
import { doctor, stats } from "../../admin.ts";
import { putRatings, readRating } from "../../domain/memory/feedback.ts";
import { contentIdentity } from "../../domain/memory/turn-identity.ts";
import { remembered, summaryMessages } from "../../domain/request/memory.ts";
import { shownTurn } from "../../domain/request/shown-turn.ts";
import { estimateTokens } from "../../domain/turns/usage.ts";
import { readSummary } from "../../domain/memory/summary.ts";
import { memoryOf } from "../../domain/memory/turn-memory.ts";
import { draftOf, sessionChanges } from "../../domain/record/change.ts";
import { feedbackLog, memoryLog } from "../../domain/record/entry.ts";
import type { Model, ModelRequest, Session, SummaryRequest, Turn } from "../../index.ts";

/** A model that keeps each request, and answers with `answer <question>`. */
function recording(): { model: Model; asked: ModelRequest[] } {
  const asked: ModelRequest[] = [];
  const model: Model = async function* (request) {
    asked.push(request);
    const isSummary = String(request.messages[0]?.content).startsWith("You write the memory");
    yield { type: "text", text: isSummary ? "a summary" : "an answer" };
    yield { type: "usage", usage: { inputTokens: 10, outputTokens: 1 } };
  };
  return { model, asked };
}

const contents = ({ messages }: Pick<ModelRequest, "messages">): readonly unknown[] =>
  messages.map(({ content }) => content);
const shownTo = (request: ModelRequest | undefined): string => JSON.stringify(request?.messages ?? []);

/** A summarizer that keeps each request and names the turns. */
function naming(): { summarizer: (request: SummaryRequest) => Promise<string>; requests: SummaryRequest[] } {
  const requests: SummaryRequest[] = [];
  const summarizer = (request: SummaryRequest): Promise<string> => {
    requests.push(request);
    const words = request.turns.map(({ input }) => String(input[0]?.content));
    return Promise.resolve([request.earlier, ...words].filter((word) => word !== undefined).join(" "));
  };
  return { summarizer, requests };
}

async function assertSound({ sessions }: Pick<InMemory, "sessions">): Promise<void> {
  const report = await doctor(sessions, { onFinding: (finding) => assert.fail(JSON.stringify(finding)) });
  assert.ok(report.complete);
}

async function fill(session: Session, from: number, to: number): Promise<void> {
  for (let turn = from; turn <= to; turn++)
    await session.append({ input: `word${turn}`, output: `reply${turn}`, usage: { inputTokens: 1, outputTokens: 1 } });
}

test("a question beyond the threshold is answered with a summary and the last turns, and the turns stay", async () => {
  const { model, asked } = recording();
  const { summarizer, requests } = naming();
  await using place = inMemory({ model, compaction: { atTokens: 60, keep: 2, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 3);
  await (
    await session.consult("q4")
  ).done;
  assert.deepEqual([requests.length, shownTo(asked[0]).includes("Summary")], [0, false], "few turns are no reason");
  await fill(session, 5, 8);
  await (
    await session.consult("q9")
  ).done;
  assert.deepEqual(
    requests.map(({ from, to, earlier }) => [from, to, earlier]),
    [[1, 6, undefined]],
  );
  const shown = asked[1];
  assert.ok(shown !== undefined);
  assert.equal(refusal(shown.messages), undefined);
  assert.deepEqual(contents(shown).slice(1), ["Noted.", "word7", "reply7", "word8", "reply8", "q9"]);
  assert.match(String(shown.messages[0]?.content), /not an instruction.*"word1 word2 word3 q4 word5 word6"$/);
  assert.deepEqual((await Array.fromAsync(session.turns())).length, 9);
  const [summary, ...others] = await Array.fromAsync(session.summaries());
  assert.deepEqual([summary?.from, summary?.to, others], [1, 6, []]);
});

test("a summary stays the same for several questions, and the next one covers it and the turns since", async () => {
  const { model, asked } = recording();
  const { summarizer, requests } = naming();
  await using place = inMemory({ model, compaction: { atTokens: 100, keep: 1, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 24; turn++) await (await session.consult(`q${turn}`)).done;
  assert.ok(requests.length >= 2 && requests.length <= 6, `${requests.length} summaries`);
  for (const [index, { from, earlier }] of requests.entries()) {
    const before = requests[index - 1];
    assert.equal(from, (before?.to ?? 0) + 1);
    assert.equal(earlier === undefined, index === 0);
  }
  const beginnings = new Set(asked.map(({ messages }) => messages[0]?.content));
  assert.equal(beginnings.size, requests.length + 1, "the beginning of a request changes with a summary alone");
  assert.match(String(asked.at(-1)?.messages[0]?.content), /"q1 q2 q3 /);
});

test("kept turns that alone have the tokens of the threshold do not make a summary before each question", async () => {
  const { model, asked } = recording();
  const { summarizer, requests } = naming();
  await using place = inMemory({ model, compaction: { atTokens: 800, keep: 4, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 16; turn++) await (await session.consult(`q${turn} ${"word ".repeat(160)}`)).done;
  assert.ok(
    shownTo(asked[1]).length > 2 * 800,
    "two questions have half of the tokens of the threshold, four have all",
  );
  assert.deepEqual(
    requests.map(({ from, to }) => [from, to]),
    [
      [1, 2],
      [3, 4],
      [5, 6],
      [7, 8],
      [9, 10],
    ],
  );
});

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

test("a summarizer that fails or hangs fails no turn, is reported, and is tried again later", async () => {
  const { model, asked } = recording();
  let calls = 0;
  let onHang = (): void => undefined;
  const summarizer = async ({ signal }: SummaryRequest): Promise<string> => {
    calls++;
    if (calls === 2) {
      const hanging = once(signal, "abort");
      onHang();
      await hanging;
    }
    throw new Error("no summary");
  };
  await using place = inMemory({ model, compaction: { atTokens: 10, keep: 1, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 4);
  const failures: unknown[] = [];
  const onError = (message: unknown): void => void failures.push((message as { readonly error?: unknown }).error);
  subscribe("tracing:perdure:summary:error", onError);
  assert.equal(await (await session.consult("a")).text(), "an answer");
  assert.equal(await (await session.consult("b")).text(), "an answer");
  assert.equal(calls, 1, "no second try at once");
  await place.clock.advance(60_000);
  const hangs = Promise.withResolvers<void>();
  onHang = hangs.resolve;
  const answer = await session.consult("c");
  const text = answer.text();
  await hangs.promise;
  await place.clock.advance(120_000);
  assert.equal(await text, "an answer");
  unsubscribe("tracing:perdure:summary:error", onError);
  assert.deepEqual([calls, failures.length], [2, 2]);
  assert.ok(shownTo(asked.at(-1)).includes("word4"));
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

test("pins, left-out turns, ratings and summaries survive an archive, a snapshot and a restore", async () => {
  const { summarizer } = naming();
  await using place = inMemory({ compaction: { atTokens: 1000, keep: 0, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 5);
  await session.summarize({ to: 4 });
  assert.deepEqual([await session.pin(2), await session.pin(2)], [true, false]);
  await session.leaveOut(5);
  await session.rate(2, { rating: "up", comment: "helpful", by: "ana" });
  await session.rate(2, { rating: 0.5 });
  const state = async (of: Session): Promise<unknown> => [
    await of.memory(),
    await of.ratings(),
    await Array.fromAsync(of.summaries()),
  ];
  const before = await state(session);
  await session.archive();
  assert.deepEqual(await state(session), before);
  await assert.rejects(session.pin(1), { code: "session_archived" });
  await assert.rejects(session.rate(1, { rating: "up" }), { code: "session_archived" });
  await session.unarchive();
  assert.deepEqual(await state(session), before);
  const text = JSON.stringify(await place.sessions.snapshot("s"));
  await session.remove();
  const restored = await place.sessions.restore(text);
  assert.deepEqual(await state(restored), before);
  await assertSound(place);
  for (const [log, broken] of [
    ["#memory", { pinned: "all", leftOut: [] }],
    ["#feedback", { turn: 2, identity: "x", rating: "great", by: null }],
    ["#summary:4", { turn: "x", text: 4, agent: "a" }],
  ] as const) {
    const snapshot = JSON.parse(text) as { logs: Record<string, { data: unknown }[]> };
    snapshot.logs[log]![0]!.data = broken;
    await assert.rejects(place.sessions.restore(JSON.stringify(snapshot), { onExists: "replace" }), {
      code: "snapshot_invalid",
    });
  }
});

test("a model is shown pinned turns behind the summary and no turn that is left out", async () => {
  const { summarizer } = naming();
  const { model, asked } = recording();
  await using place = inMemory({ model, compaction: { atTokens: 1000, keep: 0, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 8);
  await session.pin(2);
  await session.summarize({ to: 5 });
  await session.leaveOut(7);
  await (
    await session.consult("now?")
  ).done;
  const shown = asked[0];
  assert.ok(shown !== undefined);
  assert.equal(refusal(shown.messages), undefined);
  assert.deepEqual(contents(shown).slice(1), [
    "Noted.",
    "word2",
    "reply2",
    "word6",
    "reply6",
    "word8",
    "reply8",
    "now?",
  ]);
  await session.leaveOut(2);
  assert.deepEqual(await session.memory(), { pinned: [], leftOut: [2, 7] });
  await (
    await session.consult("none", { window: 0 })
  ).done;
  assert.deepEqual(contents(asked[1]!), ["none"], "a window of no turns shows no memory");
  const [turn] = await Array.fromAsync(session.turns({ from: 7, to: 7 }));
  assert.equal(turn?.input[0]?.content, "word7", "users still see it");
});

test("marks and ratings are of one turn: after a truncation another turn with its number has none", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 3);
  await session.pin(3);
  await session.rate(3, { rating: "down", comment: "a secret" });
  await session.rate(1, { rating: "up" });
  await session.truncate(2);
  assert.ok(!JSON.stringify(await place.sessions.snapshot("s")).includes("a secret"));
  await session.append({ input: "other", output: "turn" });
  assert.deepEqual(
    [await session.memory(), (await session.ratings()).map(({ turn }) => turn)],
    [{ pinned: [], leftOut: [] }, [1]],
  );
  await session.rate(1, { rating: "down" });
  await session.rate(1, { rating: 3, by: "judge" });
  assert.deepEqual(
    (await session.ratings({ turn: 1 })).map(({ rating, by }) => [rating, by]),
    [
      ["down", null],
      [3, "judge"],
    ],
  );
  await session.rate(1, { rating: null });
  assert.deepEqual(
    (await session.ratings()).map(({ by }) => by),
    ["judge"],
  );
});

test("marks and ratings of deleted turns go in the commit that deletes these, and a mark set meanwhile is kept or goes too", async () => {
  for (const isBranch of [true, false]) {
    await using place = inMemory({ model: recording().model });
    const session = await place.sessions.create({ id: "s" });
    await fill(session, 1, 3);
    await session.pin(1);
    await session.leaveOut(2);
    await session.rate(1, { rating: "up", comment: "stays" });
    await session.rate(2, { rating: "down", comment: "of the first branch" });
    await place.clock.advance(1);
    if (isBranch) {
      await (
        await session.edit(2, "edited2")
      ).done;
      await session.pin(2);
      await session.rate(2, { rating: "up", comment: "of the second branch" });
      assert.deepEqual(await session.memory(), { pinned: [1, 2], leftOut: [] });
    }
    const other = await place.another().get("s");
    const commit = place.store.commit.bind(place.store);
    let deletions = 0;
    place.store.commit = async (batch) => {
      // Another writer rates between the read and the commit.
      if (++deletions === 1) await other.rate(1, { rating: 0.5, by: "late", comment: "late" });
      return await commit(batch);
    };
    if (isBranch) await session.removeBranch("1");
    else await session.truncate(1);
    place.store.commit = commit;
    assert.equal(deletions, 3, "the rating, the refused deletion and the one that was made");
    const { logs } = await place.sessions.snapshot("s");
    const stored = JSON.stringify(logs);
    assert.ok(!stored.includes("of the first branch"));
    assert.deepEqual(
      (await session.ratings()).map(({ comment }) => comment),
      isBranch ? ["stays", "late", "of the second branch"] : ["stays", "late"],
    );
    assert.deepEqual(await session.memory(), { pinned: isBranch ? [1, 2] : [1], leftOut: [] });
    assert.deepEqual(
      (logs["#memory"]?.[0]?.data as { leftOut?: unknown } | undefined)?.leftOut,
      [],
      "no mark is left behind",
    );
    await assertSound(place);
  }
});

test("marks, ratings and summaries conflict with no writer of turns", async () => {
  const { summarizer } = naming();
  await using place = inMemory({ compaction: { atTokens: 1000, keep: 0, summarizer } });
  const writer = await place.sessions.create({ id: "s" });
  await fill(writer, 1, 2);
  const other = await place.another({ compaction: { atTokens: 1000, keep: 0, summarizer } }).get("s");
  await other.pin(1);
  await other.rate(2, { rating: "up" });
  await other.summarize({ to: 2 });
  await writer.append({ input: "word3", output: "reply3" });
  await Promise.all([1, 2, 3].map((turn) => writer.pin(turn).then(() => other.rate(turn, { rating: "up", by: "b" }))));
  assert.deepEqual((await other.memory()).pinned, [1, 2, 3]);
  assert.equal((await writer.ratings()).length, 4);
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

test("a session or a day without tokens left makes no summary, and its turns go on as they may", async () => {
  const { summarizer, requests } = naming();
  const { model } = recording();
  await using place = inMemory({ model, compaction: { atTokens: 10, keep: 1, summarizer }, budget: { tokens: 13 } });
  const session = await place.sessions.create({ id: "s", user: "u" });
  await fill(session, 1, 6);
  await (
    await session.consult("q")
  ).done;
  assert.equal(requests.length, 1);
  await assert.rejects(session.consult("q"), { code: "budget_exceeded" });
  await assert.rejects(session.summarize({ to: 6, summarizer }), { code: "budget_exceeded" });
  assert.equal(requests.length, 1);
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

test("each turn is in the summary or shown, also beside a long summary", async () => {
  const { model, asked } = recording();
  const words = "word ".repeat(20);
  const compaction = { atTokens: 800, keep: 2, summarizer: () => Promise.resolve("s".repeat(800)) };
  await using place = inMemory({ model, window: { turns: 200, tokens: 800 }, compaction });
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 60; turn++) {
    await (
      await session.consult(`q${turn} ${words}`)
    ).done;
    const summary = (await Array.fromAsync(session.summaries())).find(({ to }) => to < turn);
    const shown = contents(asked.at(-1)!);
    for (let one = (summary?.to ?? 0) + 1; one < turn; one++)
      assert.ok(shown.includes(`q${one} ${words}`), `turn ${one} before question ${turn}, summary to ${summary?.to}`);
  }
  assert.ok((await Array.fromAsync(session.summaries())).length > 0);
});

test("a model with tools that a question names is asked for summaries without its tools", async () => {
  const { model } = recording();
  await using place = inMemory({ compaction: { atTokens: 10, keep: 1 } });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 4);
  const looping: Model = Object.assign((...given: Parameters<Model>) => model(...given), {
    runsTools: true,
    withoutTools: model,
  });
  await (
    await session.consult("q", { model: looping })
  ).done;
  assert.equal((await Array.fromAsync(session.summaries())).length, 1);
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

test("a truncation deletes the ratings of replaced turns too, and gone pins are not in the way of new ones", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "first", output: "reply" });
  for (let round = 1; round <= 21; round++) {
    await session.append({ input: `round ${round}`, output: "reply" });
    await session.pin(2);
    await session.truncate(1);
  }
  assert.deepEqual((await session.memory()).pinned, []);
  for (let round = 1; round <= 2; round++) {
    const turns = [{ input: `other ${round}`, output: "reply" }];
    await session.write({ turns: { from: 1, turns }, onto: session.info.version });
    await session.rate(1, { rating: "up", comment: "a secret" });
  }
  await session.truncate(0);
  assert.ok(!JSON.stringify(await place.sessions.snapshot("s")).includes("a secret"));
});

test("a rating of a session under legal hold is not removed", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 1);
  await session.rate(1, { rating: "up", by: "ana" });
  await session.setLegalHold("a case");
  await assert.rejects(session.rate(1, { rating: null, by: "ana" }), { code: "legal_hold" });
  await session.rate(1, { rating: "down", by: "ben" });
  assert.equal((await session.ratings()).length, 2);
});

test("the pause after failures doubles up to an hour, ends with a summary, and no stop or budget begins one", async () => {
  const { model } = recording();
  let calls = 0;
  let answer: () => Promise<string> = () => Promise.reject(new Error("no summary"));
  const summarizer = (): Promise<string> => {
    calls++;
    return answer();
  };
  await using place = inMemory({ model, ttl: "30d", compaction: { atTokens: 10, keep: 1, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 4);
  /** True where the question tried to summarize. */
  const tried = async (afterMs: number): Promise<boolean> => {
    await place.clock.advance(afterMs);
    const before = calls;
    await (
      await session.consult("q")
    ).done;
    return calls > before;
  };
  const minute = 60_000;
  assert.deepEqual([await tried(0), await tried(minute - 1), await tried(1)], [true, false, true]);
  assert.deepEqual([await tried(minute), await tried(minute)], [false, true], "after two minutes");
  for (const minutes of [4, 8, 16, 32, 60, 60]) {
    const pause = minutes * minute;
    assert.deepEqual([await tried(pause - 1), await tried(1)], [false, true], `after ${minutes} minutes`);
  }
  answer = () => Promise.resolve("said");
  assert.equal(await tried(60 * minute), true);
  answer = () => Promise.reject(new Error("no summary"));
  await fill(session, session.info.turn + 1, session.info.turn + 6);
  assert.deepEqual([await tried(0), await tried(minute)], [true, true], "the next failure is the first one again");
  await place.clock.advance(60 * minute);
  const stop = new AbortController();
  const asked = Promise.withResolvers<void>();
  answer = () => {
    asked.resolve();
    return new Promise(() => undefined);
  };
  const stopped = (await session.consult("q", { signal: stop.signal })).done.catch(() => undefined);
  await asked.promise;
  stop.abort();
  await stopped;
  answer = () => Promise.resolve("said");
  assert.equal(await tried(0), true, "a question that was stopped is no failure, also of a summarizer that goes on");
});

test("a summarizer is called for no window without turns, no turns that a summary covers, and none that are left out", async () => {
  const { model, asked } = recording();
  const { summarizer, requests } = naming();
  const agents = { a: { default: true }, blind: { window: 0 } };
  await using place = inMemory({ model, agents, compaction: { atTokens: 100, keep: 4, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "x".repeat(2000), output: "y" });
  await fill(session, 2, 7);
  await (
    await session.consult("q8", { agent: "blind" })
  ).done;
  assert.deepEqual([requests.length, contents(asked[0]!)], [0, ["q8"]]);
  await session.summarize({ to: 7 });
  await session.append({ input: "z".repeat(2000), output: "y" });
  await (
    await session.consult("q10")
  ).done;
  assert.equal(requests.length, 1, "the summary by hand covers more than the one that a question makes");
  const other = await place.sessions.create({ id: "hidden" });
  await fill(other, 1, 6);
  for (const turn of [1, 2]) await other.leaveOut(turn);
  assert.equal((await other.summarize({ to: 2 }))?.text, "(no messages)");
  assert.equal(requests.length, 1, "no turn is shown to models");
});

test("a turn of any size is summarized, and a question waits for four steps at most", async () => {
  const { model } = recording();
  const { summarizer, requests } = naming();
  await using place = inMemory({ model, compaction: { atTokens: 100, keep: 0, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 6; turn++) await session.append({ input: "x".repeat(120_000), output: "y" });
  await (
    await session.consult("q")
  ).done;
  assert.deepEqual(
    requests.map(({ from, to }) => [from, to]),
    [1, 2, 3, 4].map((turn) => [turn, turn]),
  );
});

test("a pinned turn that a question replaces is not shown before it", async () => {
  const { model, asked } = recording();
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 4);
  for (const turn of [1, 4]) await session.pin(turn);
  await (
    await session.consult("again", { after: 2, window: 1 })
  ).done;
  assert.deepEqual(contents(asked[0]!), ["word1", "reply1", "word2", "reply2", "again"]);
});

test("a model that runs tools and has no form without them makes no summary", async () => {
  const { model, asked } = recording();
  const looping: Model = Object.assign((...given: Parameters<Model>) => model(...given), { runsTools: true });
  await using place = inMemory({ model: looping, compaction: { atTokens: 10, keep: 1 } });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 4);
  await assert.rejects(session.summarize({ to: 3 }), { code: "model_missing" });
  await (
    await session.consult("q")
  ).done;
  assert.equal(asked.length, 1, "the question alone");
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

test("a session has at most 20 pins and 1000 ratings", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 21);
  for (let turn = 1; turn <= 20; turn++) await session.pin(turn);
  await assert.rejects(session.pin(21), { code: "write_too_large" });
  const draft = draftOf(
    (await place.store.load([{ key: { tenant: "default", id: "s" }, tails: [] }])).sessions[0]!.record,
  );
  const rating = { turn: 1, rating: "up", by: null, at: new Date(0) } as const;
  const ratings = Array.from({ length: 1001 }, () => ({ rating, identity: "x" }));
  const context = undefined as never;
  assert.throws(() => putRatings(draft, { ratings, kept: 0 }, context), { code: "write_too_large" });
  assert.ok(putRatings(draft, { ratings: ratings.slice(1), kept: 0 }, context) !== null);
});

test("a superseded lease holder stores no summary", async () => {
  const { model } = recording();
  const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  // The summarizer does not listen to its signal.
  const summarizer = async (): Promise<string> => {
    asked.resolve();
    await gate.promise;
    return "said";
  };
  await using place = inMemory({ model, compaction: { atTokens: 10, keep: 1, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 4);
  const done = (await session.consult("q")).done.then(
    () => "done",
    (error: unknown) => String(error),
  );
  await asked.promise;
  await (await place.another().get("s")).breakLease();
  gate.resolve();
  assert.notEqual(await done, "done");
  assert.deepEqual(await Array.fromAsync(session.summaries()), []);
  await assertSound(place);
});

test("marks and ratings are of one turn: one that takes its place has none, also in the same millisecond", async () => {
  const { summarizer } = naming();
  await using place = inMemory({ compaction: { atTokens: 1000, keep: 0, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 3);
  await session.summarize({ to: 3 });
  await session.leaveOut(3);
  assert.deepEqual(await Array.fromAsync(session.summaries()), [], "a summary up to a turn that is left out");
  await session.rate(3, { rating: "up" });
  for (const turn of [
    { input: "other", output: "turn" },
    { input: "other", output: "turn", key: "k" },
  ]) {
    const { version } = (await session.look()).info;
    await session.write({ turns: { from: 3, turns: [turn] }, onto: version });
    assert.deepEqual([await session.memory(), await session.ratings()], [{ pinned: [], leftOut: [] }, []]);
    await session.pin(3);
    await session.rate(3, { rating: "up" });
  }
});

test("a truncation of one branch leaves the marks and ratings of another one", async () => {
  await using place = inMemory({ model: recording().model });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 3);
  await session.pin(3);
  await session.rate(3, { rating: "up" });
  await place.clock.advance(1);
  await (
    await session.edit(2, "edited2")
  ).done;
  await session.leaveOut(2);
  await session.truncate(1);
  await session.switchTo("1");
  assert.deepEqual(await session.memory(), { pinned: [3], leftOut: [] });
  assert.equal((await session.ratings()).length, 1);
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

test("an amended turn keeps its marks and ratings, also where its question is another one", async () => {
  for (const isLate of [false, true]) {
    await using place = inMemory();
    const session = await place.sessions.create({ id: "s" });
    await fill(session, 1, 2);
    await session.pin(2);
    await session.rate(2, { rating: "up", by: "ana" });
    await session.rate(1, { rating: "down", by: "ben" });
    const { version } = (await session.look()).info;
    const other = await place.another().get("s");
    const commit = place.store.commit.bind(place.store);
    let count = 0;
    // Another writer marks the turn between the read and the commit.
    place.store.commit = async (batch) => {
      if (isLate && ++count === 1) await other.rate(2, { rating: 5, by: "late" });
      return await commit(batch);
    };
    const turns = [{ input: "amended question", output: "amended reply" }];
    const written = await session.write({ turns: { from: 2, amends: true, turns }, onto: version });
    place.store.commit = commit;
    assert.equal(written.status, "ok");
    const [turn] = await Array.fromAsync(session.turns({ from: 2 }));
    assert.equal(turn?.input[0]?.content, "amended question");
    assert.deepEqual((await session.memory()).pinned, [2]);
    assert.deepEqual(
      (await session.ratings()).map(({ turn: rated, by }) => [rated, by]),
      [[1, "ben"], [2, "ana"], ...(isLate ? [[2, "late"]] : [])],
    );
    await assertSound(place);
  }
});

for (const from of [1, 3])
  for (const isLate of [false, true])
    test(`a write that replaces the turns from ${from} deletes their marks and ratings${isLate ? ", also one that came meanwhile" : ""}`, async () => {
      await using place = inMemory();
      const session = await place.sessions.create({ id: "s" });
      await fill(session, 1, 4);
      await session.pin(2);
      await session.pin(3);
      await session.leaveOut(4);
      await session.rate(2, { rating: "up", by: "ana" });
      await session.rate(3, { rating: "down", by: "ben", comment: "secret comment" });
      const { version } = (await session.look()).info;
      const other = await place.another().get("s");
      const commit = place.store.commit.bind(place.store);
      let count = 0;
      place.store.commit = async (batch) => {
        if (isLate && ++count === 1) await other.rate(4, { rating: 5, by: "late", comment: "secret of another" });
        return await commit(batch);
      };
      const turns = [{ input: "other question", output: "other reply" }];
      assert.equal((await session.write({ turns: { from, turns }, onto: version })).status, "ok");
      place.store.commit = commit;
      const stay = from === 1 ? [] : [2];
      assert.deepEqual((await session.memory()).pinned, stay);
      assert.deepEqual(
        (await session.ratings()).map(({ turn }) => turn),
        stay,
      );
      const key = { tenant: "default", id: "s" };
      const range = { from: 1, to: 100, order: "ascending", limit: 100, bytesMax: 1e6 } as const;
      for (const log of [memoryLog, feedbackLog]) {
        const stored = (await place.shared.read(key, { log, ...range })).map(({ data }) => data).join(" ");
        assert.doesNotMatch(stored, /secret/);
        if (log === memoryLog) assert.doesNotMatch(stored, /\[[34],/);
      }
      await assertSound(place);
    });

test("a write that keeps the replaced turns on a branch keeps their marks and ratings", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 3);
  await session.pin(3);
  await session.rate(3, { rating: "down", comment: "kept" });
  const { version } = (await session.look()).info;
  const turns = [{ input: "other question", output: "other reply" }];
  await session.write({ turns: { from: 3, turns, keep: true }, onto: version });
  assert.deepEqual((await session.memory()).pinned, [], "of the other branch");
  await session.switchTo("1");
  assert.deepEqual((await session.memory()).pinned, [3]);
  assert.deepEqual(
    (await session.ratings()).map(({ comment }) => comment),
    ["kept"],
  );
  await assertSound(place);
});

test("an amendment of a turn that no mark names writes no marks and no ratings", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 2);
  await session.pin(1);
  await session.rate(1, { rating: "up" });
  const { version } = (await session.look()).info;
  const written: string[] = [];
  place.store.plan((_, batch) => {
    for (const change of batch.flatMap(sessionChanges)) written.push(...change.splices.map(({ log }) => log));
    return undefined;
  });
  const turns = [{ input: "amended question", output: "amended reply" }];
  await session.write({ turns: { from: 2, amends: true, turns }, onto: version });
  assert.ok(written.includes("turns"));
  assert.deepEqual(
    written.filter((log) => log === memoryLog || log === feedbackLog),
    [],
  );
});

test("damaged entries of memory are no marks, no ratings and no summaries", () => {
  for (const data of ["{", "null", "5", '{"pinned":"all"}', '{"pinned":[[1]],"leftOut":[["1","x"],null]}']) {
    const entry = { seq: 1, key: null, at: 0, data };
    assert.deepEqual(memoryOf(entry), { pinned: [], leftOut: [] });
    assert.deepEqual([readRating(entry), readSummary(4, entry)], [undefined, undefined]);
  }
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
  await assert.rejects(session.summarize({ to: 2 }), { code: "range_invalid" });
  await assert.rejects(session.summarize({ to: 1 }), { code: "model_missing" });
  await assert.rejects(session.summarize({ other: 1 } as never), { code: "argument_invalid" });
  assert.equal(await session.summarize(), null, "too short");
});
