/** Summaries that questions make. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { once } from "node:events";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { inMemory } from "../../../test/support/in-memory.ts";
import { shownTurn } from "../../domain/request/shown-turn.ts";
import { openMemory } from "../../store/memory.ts";
import { sessionsOn } from "../sessions.ts";
import { refusal } from "../../../test/support/strict-endpoint.ts";
import { assertSound, contents, fill, naming, recording, shownTo } from "../../../test/support/summarizing.ts";
import type { Model, Session, SummaryRequest } from "../../index.ts";

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

test("neither large kept turns nor large new ones make a summary before each question", async () => {
  for (const { keep, atTokens, covered } of [
    {
      keep: 4,
      atTokens: 800,
      covered: [
        [1, 4],
        [5, 8],
      ],
    },
    {
      keep: 1,
      atTokens: 50,
      covered: [
        [1, 2],
        [3, 4],
        [5, 6],
        [7, 8],
        [9, 10],
        [11, 12],
        [13, 14],
      ],
    },
  ]) {
    const { model, asked } = recording();
    const { summarizer, requests } = naming();
    await using place = inMemory({ model, compaction: { atTokens, keep, summarizer } });
    const session = await place.sessions.create({ id: "s" });
    for (let turn = 1; turn <= 16; turn++) await (await session.consult(`q${turn} ${"word ".repeat(160)}`)).done;
    assert.ok(
      shownTo(asked[1]).length > 2 * 800,
      "two questions have half of the tokens of the larger threshold, four have all",
    );
    assert.deepEqual(
      requests.map(({ from, to }) => [from, to]),
      covered,
    );
  }
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
  const agents = { a: { default: true }, blind: { window: 0 }, mute: { window: { tokens: 0 } } };
  await using place = inMemory({ model, agents, compaction: { atTokens: 100, keep: 4, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "x".repeat(2000), output: "y" });
  await fill(session, 2, 7);
  await (
    await session.consult("q8", { agent: "blind" })
  ).done;
  assert.deepEqual([requests.length, contents(asked[0]!)], [0, ["q8"]]);
  await (
    await session.consult("q9", { agent: "mute" })
  ).done;
  assert.deepEqual([requests.length, contents(asked[1]!)], [0, ["q9"]]);
  await session.summarize({ to: 8 });
  await session.append({ input: "z".repeat(2000), output: "y" });
  await (
    await session.consult("q11")
  ).done;
  assert.equal(requests.length, 1, "the summary by hand covers more than the one that a question makes");
  const other = await place.sessions.create({ id: "hidden" });
  await fill(other, 1, 6);
  for (const turn of [1, 2]) await other.leaveOut(turn);
  await assert.rejects(other.summarize({ to: 2 }), {
    code: "summary_empty",
    message: /^models are shown none of the turns 1 to 2 of session hidden: they are left out/,
  });
  assert.deepEqual(await Array.fromAsync(other.summaries()), []);
  assert.equal(requests.length, 1, "no turn is shown to models");
  assert.deepEqual([(await other.summarize({ to: 3 }))?.to, requests.at(-1)?.turns.map(({ seq }) => seq)], [3, [3]]);
  await other.leaveOut(4);
  const same = await other.summarize({ to: 4 });
  assert.deepEqual([same?.to, requests.length], [4, 2], "the earlier summary says all");
  const asides = await place.sessions.create({ id: "asides" });
  await asides.append({ input: "q1", output: "y" });
  for (let turn = 2; turn <= 10; turn++) {
    await asides.append({ input: "x".repeat(2000), output: "y" });
    await asides.leaveOut(turn);
  }
  await (
    await asides.consult("q11")
  ).done;
  assert.deepEqual([await Array.fromAsync(asides.summaries()), requests.length], [[], 2], "none is due by itself");
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

test("turns that do not fit into half of the window are not kept: each is in the summary or shown", async () => {
  const words = "word ".repeat(100);
  for (const window of [{ turns: 200, tokens: 500 }, { turns: 3 }]) {
    const { model, asked } = recording();
    let made = 0;
    const summarizer = (): Promise<string> => (made++, Promise.resolve("said"));
    await using place = inMemory({ model, window, compaction: { atTokens: 100_000, keep: 4, summarizer } });
    const session = await place.sessions.create({ id: "s" });
    for (let turn = 1; turn <= 20; turn++) {
      await (
        await session.consult(`q${turn} ${words}`)
      ).done;
      const summary = (await Array.fromAsync(session.summaries())).find(({ to }) => to < turn);
      const shown = contents(asked.at(-1)!);
      for (let one = (summary?.to ?? 0) + 1; one < turn; one++)
        assert.ok(shown.includes(`q${one} ${words}`), `turn ${one} before question ${turn}, summary to ${summary?.to}`);
    }
    assert.ok(made >= 5 && made <= 10, `${made} summaries before 20 questions`);
  }
});

test("the last turn is kept also where it does not fit into half of the window", async () => {
  const { model, asked } = recording();
  const { summarizer, requests } = naming();
  await using place = inMemory({
    model,
    window: { tokens: 500 },
    compaction: { atTokens: 10_000, keep: 4, summarizer },
  });
  const session = await place.sessions.create({ id: "s" });
  for (const word of ["first", "last"]) await session.append({ input: `${word} ${"x ".repeat(500)}`, output: "y" });
  await (
    await session.consult("q")
  ).done;
  assert.deepEqual(
    requests.map(({ from, to }) => [from, to]),
    [[1, 1]],
  );
  assert.match(shownTo(asked[0]), /last x/);
});

test("small turns before large kept ones make no summary until they have half of the tokens of the threshold", async () => {
  const { model } = recording();
  const { summarizer, requests } = naming();
  await using place = inMemory({ model, compaction: { atTokens: 800, keep: 2, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 4);
  for (let turn = 5; turn <= 6; turn++) await session.append({ input: "x".repeat(4000), output: "y" });
  await (
    await session.consult("q7")
  ).done;
  assert.deepEqual(requests, []);
});

/** The tokens of a turn that {@link fill} appends. */
async function tokensOf(session: Session): Promise<number> {
  const [turn] = await Array.fromAsync(session.turns({ from: 1, to: 1 }));
  return shownTurn(turn ?? assert.fail()).tokens;
}

test("a summary is due at the exact tokens of the threshold, and beyond the exact turns and tokens of the window", async () => {
  for (const { window, atTokens, more = 0, turns, isDue } of [
    { window: undefined, atTokens: 4, turns: 4, isDue: true },
    { window: undefined, atTokens: 4, more: 1, turns: 4, isDue: false },
    { window: { turns: 4 }, atTokens: 100, turns: 4, isDue: false },
    { window: { turns: 3 }, atTokens: 100, turns: 4, isDue: true },
    { window: { tokens: 4 }, atTokens: 100, turns: 4, isDue: true },
    { window: { tokens: 4 }, atTokens: 100, more: 1, turns: 4, isDue: false },
  ]) {
    await using measured = inMemory();
    const sample = await measured.sessions.create({ id: "s" });
    await fill(sample, 1, 1);
    const each = await tokensOf(sample);
    const { model } = recording();
    const { summarizer, requests } = naming();
    const compaction = { atTokens: each * atTokens + more, keep: 0, summarizer };
    const bounds = window?.tokens === undefined ? window : { tokens: window.tokens * each + more };
    await using place = inMemory({ model, compaction, ...(bounds && { window: bounds }) });
    const session = await place.sessions.create({ id: "s" });
    await fill(session, 1, turns);
    await (
      await session.consult("q")
    ).done;
    assert.equal(requests.length, isDue ? 1 : 0, JSON.stringify({ window, atTokens, more }));
  }
});

test("turns that no model is shown fill no window, and a summary by hand is continued", async () => {
  const { model } = recording();
  const { summarizer, requests } = naming();
  await using place = inMemory({ model, window: { turns: 2 }, compaction: { atTokens: 10_000, keep: 4, summarizer } });
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 8; turn++) await session.append({ input: "unanswered", status: "failed" });
  await (
    await session.consult("q9")
  ).done;
  assert.deepEqual(await Array.fromAsync(session.summaries()), [], "failed turns");
  const other = await place.sessions.create({ id: "covered" });
  await fill(other, 1, 9);
  await other.summarize({ to: 9 });
  await fill(other, 10, 12);
  await (
    await other.consult("q13")
  ).done;
  assert.deepEqual(
    requests.map(({ from, to }) => [from, to]),
    [
      [1, 9],
      [10, 11],
    ],
  );
});

test("a question to the fallback makes no summary", async () => {
  const { model } = recording();
  const { summarizer, requests } = naming();
  const options = { model, compaction: { atTokens: 10, keep: 0, summarizer } };
  await using place = inMemory();
  const sessions = sessionsOn(place.shared, { ...options, clock: place.clock, sweep: false }, openMemory());
  place.loadsFail = true;
  const session = await sessions.ensure("s");
  await fill(session, 1, 6);
  await (
    await session.consult("q")
  ).done;
  assert.deepEqual(requests, []);
  await assert.rejects(sessions.close(), { code: "outbox_unsent" });
});
