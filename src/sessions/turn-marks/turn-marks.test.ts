/** Pins, turns that are left out, and ratings. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { refusal } from "../../../test/support/strict-endpoint.ts";
import { assertSound, contents, fill, naming, recording } from "../../../test/support/summarizing.ts";
import { putRatings } from "../../domain/memory/feedback.ts";
import { marked, putMemory } from "../../domain/memory/turn-memory.ts";
import { Handle } from "../handle/handle.ts";
import { coreOf } from "../sessions.ts";
import { draftOf } from "../../domain/record/change.ts";
import type { Session, SessionError } from "../../index.ts";

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

test("marks and ratings of one object are made in the order of their calls", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 2);
  const marks = [session.pin(1), session.unpin(1), session.leaveOut(2), session.takeIn(2), session.pin(2)];
  assert.deepEqual(await Promise.all(marks), [true, true, true, true, true]);
  assert.deepEqual(await session.memory(), { pinned: [2], leftOut: [] });
  for (const ratings of [
    ["up", null],
    [null, "down"],
    ["down", "up", 0.5],
  ] as const) {
    await Promise.all(ratings.map((rating) => session.rate(1, { rating })));
    const last = ratings.at(-1);
    assert.deepEqual(
      (await session.ratings()).map(({ rating }) => rating),
      last === null ? [] : [last],
    );
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

test("a session has at most 20 pins and 1000 ratings", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 21);
  for (let turn = 1; turn <= 20; turn++) await session.pin(turn);
  const pinned = { part: "pinnedTurns", count: 21, countMax: 20, sessionId: "s", tenant: "default" };
  await assert.rejects(session.pin(21), (error: SessionError) => {
    assert.deepEqual(
      [error.code, error.message],
      ["write_too_large", "session s would have 21 pinned turns, the limit is 20; unpin one"],
    );
    assert.partialDeepStrictEqual(error.details, pinned);
    return true;
  });
  const draft = draftOf(
    (await place.store.load([{ key: { tenant: "default", id: "s" }, tails: [] }])).sessions[0]!.record,
  );
  const rating = { turn: 1, rating: "up", by: null, at: new Date(0) } as const;
  const ratings = Array.from({ length: 1001 }, () => ({ rating, identity: "x" }));
  const context = undefined as never;
  assert.throws(() => putRatings(draft, { ratings, kept: 0 }, context), { code: "write_too_large" });
  assert.ok(putRatings(draft, { ratings: ratings.slice(1), kept: 0 }, context) !== null);
});

test("a mark is of one turn with its number: that of another branch stays", () => {
  const turns = [
    [3, "a"],
    [3, "b"],
    [4, "a"],
  ] as const;
  const memory = { pinned: turns, leftOut: [] };
  assert.deepEqual(marked(memory, { mark: "pinned", isSet: false, turn: [3, "a"] }), {
    pinned: turns.slice(1),
    leftOut: [],
  });
  assert.deepEqual(marked(memory, { mark: "leftOut", isSet: true, turn: [3, "b"] }), {
    pinned: [turns[0], turns[2]],
    leftOut: [[3, "b"]],
  });
  assert.equal(marked(memory, { mark: "pinned", isSet: true, turn: [4, "a"] }), undefined);
});

test("a session has at most 200 turns that are left out, and marks and ratings of deleted turns give way to new ones", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 2);
  const { record } = (await place.store.load([{ key: { tenant: "default", id: "s" }, tails: [] }])).sessions[0]!;
  const gone = Array.from({ length: 201 }, (_, index) => [9, `gone${index}`] as const);
  const context = { now: 0 } as never;
  const put = (leftOut: typeof gone, pinned: typeof gone = []) =>
    putMemory(draftOf(record), { memory: { pinned, leftOut }, summarized: undefined }, context);
  assert.throws(() => put(gone), { code: "write_too_large" });
  assert.throws(() => put([], gone.slice(180)), { code: "write_too_large" });
  // As an earlier version left them, whose questions did not delete the marks of the turns that they replaced.
  const handle = new Handle(coreOf(place.sessions), record);
  for (const memory of [
    { pinned: gone.slice(181), leftOut: [] },
    { pinned: [], leftOut: gone.slice(1) },
  ]) {
    await handle.peek();
    await handle.write((draft, at) => putMemory(draft, { memory, summarized: undefined }, at));
    await session.refresh();
    await session.pin(1);
    await session.leaveOut(2);
    assert.deepEqual(await session.memory(), { pinned: [1], leftOut: [2] });
  }
  const old = { rating: { turn: 9, rating: "up", by: null, at: new Date(0) } as const, identity: "gone" };
  const ratings = Array.from({ length: 1000 }, () => old);
  await handle.peek();
  await handle.write((draft, at) => putRatings(draft, { ratings, kept: 0 }, at));
  await session.refresh();
  await session.rate(2, { rating: "up", by: "ana" });
  assert.deepEqual(
    (await session.ratings()).map(({ by }) => by),
    ["ana"],
  );
  const { version } = await session.refresh();
  await session.rate(2, { rating: null, by: "ben" });
  assert.equal((await session.refresh()).version, version, "a rating that is not there is removed without a commit");
});

test("an expired session takes ratings, and one that a reset archived takes none", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 1);
  await place.clock.advance(24 * 3_600_000);
  await session.rate(1, { rating: "up" });
  await place.sessions.ensure("s", { onExpired: "reset" });
  const [kept] = (await place.sessions.list({ state: "archived" })).items;
  const archived = await place.sessions.get(kept?.id ?? "");
  await assert.rejects(archived.rate(1, { rating: "down" }), { code: "session_archived" });
  await assert.rejects(archived.pin(1), { code: "session_archived" });
  assert.equal((await archived.ratings()).length, 1);
});
