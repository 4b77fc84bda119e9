/** Marks and ratings of turns that are deleted, replaced or amended. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import { assertSound, fill, naming, recording } from "../../../test/support/summarizing.ts";
import { sessionChanges } from "../../domain/record/change.ts";
import { feedbackLog, memoryLog } from "../../domain/record/entry.ts";
import { putMemory } from "../../domain/memory/turn-memory.ts";
import type { Model, Session } from "../../index.ts";
import { Handle } from "../handle/handle.ts";
import { coreOf } from "../sessions.ts";

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

/** The turns and comments of the stored marks and ratings, those that no list shows too. */
async function storedMarks({ sessions }: InMemory): Promise<readonly (string | number)[]> {
  const { logs } = await sessions.snapshot("s");
  const { pinned, leftOut } = (logs["#memory"]?.[0]?.data ?? { pinned: [], leftOut: [] }) as {
    readonly pinned: readonly [number, string][];
    readonly leftOut: readonly [number, string][];
  };
  const ratings = (logs["#feedback"] ?? []).map(({ data }) => (data as { readonly comment: string }).comment);
  return [...pinned, ...leftOut].map(([turn]): number | string => turn).concat(ratings);
}

/** Four turns: the second one has a pin and a rating, the third one a rating, the fourth one is left out. */
async function marked(place: InMemory): Promise<Session> {
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 4);
  await session.pin(2);
  await session.rate(2, { rating: "up", comment: "stays" });
  await session.rate(3, { rating: "down", comment: "goes" });
  await session.leaveOut(4);
  await place.clock.advance(1);
  return session;
}

/** The logs of each commit that is made from now on. */
function committedLogs({ store }: InMemory): string[][] {
  const commits: string[][] = [];
  const commit = store.commit.bind(store);
  store.commit = async (batch) => {
    const outcomes = await commit(batch);
    for (const [index, transaction] of batch.entries())
      if (outcomes[index]?.status === "ok")
        commits.push(sessionChanges(transaction).flatMap(({ splices }) => splices.map(({ log }) => log)));
    return outcomes;
  };
  return commits;
}

test("a question that replaces turns deletes their marks and ratings in the commit that seals its answer", async () => {
  const held = Promise.withResolvers<void>();
  const model: Model = async function* () {
    await held.promise;
    yield { type: "text", text: "another answer" };
  };
  await using place = inMemory({ model });
  const session = await marked(place);
  const { done } = await session.consult("again", { after: 2 });
  assert.deepEqual(await storedMarks(place), [2, 4, "stays", "goes"], "the answer may fail");
  await session.pin(3);
  await session.rate(3, { rating: "up", comment: "of the open turn" });
  const commits = committedLogs(place);
  held.resolve();
  await done;
  assert.deepEqual(
    commits.filter((logs) => logs.includes(feedbackLog) || logs.includes(memoryLog)).map((logs) => logs.toSorted()),
    [[feedbackLog, memoryLog, "replaced", "turns"].toSorted()],
  );
  assert.deepEqual(await storedMarks(place), [2, 3, "stays", "of the open turn"]);
  await assertSound(place);
});

test("a question that fails before its first word gives way to the marked turns, and its own marks go", async () => {
  const held = Promise.withResolvers<void>();
  const model: Model = async function* () {
    await held.promise;
    if (place.clock.now() > 0) throw new Error("away");
    yield { type: "text", text: "none" };
  };
  await using place = inMemory({ model });
  const session = await marked(place);
  const { done } = await session.consult("again", { after: 2 });
  await session.pin(3);
  await session.rate(3, { rating: "up", comment: "of the open turn" });
  held.resolve();
  await assert.rejects(done);
  assert.deepEqual(await storedMarks(place), [2, 4, "stays", "goes"]);
  assert.deepEqual(await session.memory(), { pinned: [2], leftOut: [4] });
  await session.append({ input: "same", output: "reply" });
  await session.pin(5);
  await assert.rejects((await session.consult("same", { after: 4 })).done);
  assert.deepEqual(await storedMarks(place), [2, 5, 4, "stays", "goes"], "one of the same millisecond stays");
  await assertSound(place);
});

test("a rating that comes while the answer is sealed is of the question, and the marks of replaced turns go", async () => {
  const { model } = recording();
  await using place = inMemory({ model });
  const session = await marked(place);
  const other = await place.another().get("s");
  const commit = place.store.commit.bind(place.store);
  let isLate = true;
  place.store.commit = async (batch) => {
    const isSeal = batch.flatMap(sessionChanges).some(({ splices }) => splices.some(({ log }) => log === feedbackLog));
    if (isSeal && isLate) {
      isLate = false;
      await other.rate(3, { rating: 5, comment: "late" });
    }
    return await commit(batch);
  };
  await (
    await session.consult("again", { after: 2 })
  ).done;
  assert.deepEqual([isLate, await storedMarks(place)], [false, [2, "stays", "late"]]);
  await assertSound(place);
});

test("a question that a branch keeps the replaced turns of keeps their marks, and one that fails keeps all", async () => {
  let isAway = false;
  const model: Model = async function* () {
    if (isAway) throw new Error("away");
    yield { type: "text", text: "another answer" };
  };
  await using place = inMemory({ model });
  const session = await marked(place);
  await (
    await session.consult("again", { after: 2, keep: true })
  ).done;
  assert.deepEqual(await storedMarks(place), [2, 4, "stays", "goes"]);
  isAway = true;
  await session.pin(3);
  await assert.rejects((await session.consult("again", { after: 2, keep: true })).done);
  assert.deepEqual(await storedMarks(place), [2, 3, 4, "stays", "goes"]);
  assert.deepEqual(await session.memory(), { pinned: [2, 3], leftOut: [] });
  await session.switchTo("1");
  assert.deepEqual(await session.memory(), { pinned: [2], leftOut: [4] });
  await assertSound(place);
});

test("a question whose writer is gone, and one that waits and is sealed, delete the marks of the replaced turns", async () => {
  for (const end of ["recovered", "sealed while it waits", "its wait is over"]) {
    await using place = inMemory();
    const session = await marked(place);
    const turn = await session.begin("again", { after: 2, flush: { ms: 1 } });
    await turn.write({ text: "another answer" });
    if (end === "recovered") {
      const other = await place.another().get("s");
      while ((await place.sessions.snapshot("s")).logs["chunks"] === undefined) await setImmediate();
      await other.breakLease();
      await other.append({ input: "next", output: "reply" });
    } else {
      const { token } = await turn.wait({ state: null, reason: "approval", expires: "1h" });
      if (end === "sealed while it waits") await session.sealWaiting(token, {});
      else {
        await place.clock.advance(3_600_000);
        await session.recover();
      }
    }
    assert.deepEqual(await storedMarks(place), [2, "stays"], end);
    assert.ok((await Array.fromAsync(session.turns({ from: 3, to: 3 })))[0]?.input[0]?.content === "again", end);
  }
});

test("a question that is asked again under its key deletes the marks of its first try", async () => {
  let isAway = true;
  const model: Model = async function* () {
    if (isAway) throw new Error("away");
    yield { type: "text", text: "an answer" };
  };
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 1);
  await session.rate(1, { rating: "up", comment: "stays" });
  await assert.rejects((await session.consult("q", { key: "k" })).done);
  await session.pin(2);
  await session.rate(2, { rating: "down", comment: "goes" });
  isAway = false;
  await place.clock.advance(1);
  await (
    await session.consult("q", { key: "k" })
  ).done;
  assert.deepEqual(await storedMarks(place), ["stays"]);
  await assertSound(place);
});

test("a mark of a turn that another writer deletes meanwhile is not stored", async () => {
  for (const mark of ["pin", "rate"] as const) {
    await using place = inMemory();
    const session = await place.sessions.create({ id: "s" });
    await fill(session, 1, 2);
    const other = await place.another().get("s");
    const commit = place.store.commit.bind(place.store);
    let isLate = true;
    place.store.commit = async (batch) => {
      if (isLate) {
        isLate = false;
        await other.truncate(1);
      }
      return await commit(batch);
    };
    const marking = mark === "pin" ? session.pin(2) : session.rate(2, { rating: "up", comment: "late" });
    await assert.rejects(marking, { code: "range_invalid" });
    assert.deepEqual(await storedMarks(place), []);
  }
});

test("ratings without marks, and marks without ratings, go with their turns too", async () => {
  for (const mark of [
    (session: Session) => session.rate(2, { rating: "up", comment: "goes" }),
    (session: Session) => session.pin(2),
    (session: Session) => session.leaveOut(2),
  ]) {
    await using place = inMemory();
    const session = await place.sessions.create({ id: "s" });
    await fill(session, 1, 2);
    await mark(session);
    await session.truncate(1);
    assert.deepEqual(await storedMarks(place), []);
  }
});

test("a truncation deletes the marks of its branch, and those of turns that no branch has any more", async () => {
  await using place = inMemory({ model: recording().model });
  const session = await marked(place);
  await (
    await session.edit(3, "edited3")
  ).done;
  await session.pin(3);
  await session.rate(3, { rating: "up", comment: "of the second branch" });
  assert.deepEqual(await storedMarks(place), [2, 3, 4, "stays", "goes", "of the second branch"]);
  await session.truncate(2);
  assert.deepEqual(await storedMarks(place), [2, 4, "stays", "goes"], "those of the first branch stay");

  await using plain = inMemory();
  const old = await marked(plain);
  // As an earlier version left them, whose questions did not delete the marks of the turns that they replaced.
  const handle = new Handle(
    coreOf(plain.sessions),
    (await coreOf(plain.sessions).find({ tenant: "default", id: "s" }))!.record,
  );
  const memory = { pinned: [[4, "gone"]], leftOut: [[1, "gone"]] } as const;
  await handle.write((draft, context) => putMemory(draft, { memory, summarized: undefined }, context));
  await old.refresh();
  await old.truncate(2);
  assert.deepEqual(await storedMarks(plain), [1, "stays"]);
});

test("the removal of a branch leaves the marks of the branches that are not shown", async () => {
  await using place = inMemory({ model: recording().model });
  const session = await place.sessions.create({ id: "s" });
  await fill(session, 1, 2);
  for (const branch of [1, 2, 3]) {
    await session.rate(2, { rating: "up", comment: `of branch ${branch}` });
    await place.clock.advance(1);
    if (branch < 3) await (await session.edit(2, `edited ${branch}`)).done;
  }
  await session.removeBranch("2");
  assert.deepEqual(await storedMarks(place), ["of branch 1", "of branch 3"]);
});

test("a truncation that deletes no marked turn writes no marks and no ratings", async () => {
  await using place = inMemory();
  const session = await marked(place);
  await session.append({ input: "word5", output: "reply5" });
  const commits = committedLogs(place);
  await session.truncate(4);
  assert.deepEqual(
    commits.flat().filter((log) => log === memoryLog || log === feedbackLog),
    [],
  );
  await session.truncate(3);
  assert.deepEqual(
    commits.at(-1)?.filter((log) => log === memoryLog || log === feedbackLog),
    [memoryLog],
  );
});
