import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { inputsOf } from "../../../test/support/inputs-of.ts";
import { doctor } from "../../admin.ts";
import { sessionChanges } from "../../domain/record/change.ts";
import { hasCode } from "../../errors.ts";
import { openSessions } from "../../index.ts";
import { callStore, forwardingStore } from "../../store/calls/forwarding-store.ts";
import type { Model } from "../options/model.ts";
import type { Session } from "../session/session.ts";
import { coreOf, sessionsOn } from "../sessions.ts";

const model: Model = async function* ({ messages }) {
  yield { type: "text", text: `answer to ${String(messages.at(-1)?.content)}` };
};

// oxlint-disable-next-line require-yield -- it fails before its first word
const failing: Model = async function* () {
  throw new Error("no");
};

async function talk(session: Session, ...questions: readonly string[]): Promise<void> {
  for (const question of questions) await session.append({ input: question, output: "an answer" }, { key: question });
}

test("an edit keeps the earlier version as a branch, and a switch shows it again", async () => {
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, "one", "two", "three");
  await Array.fromAsync(await session.edit(2, "two, differently"));
  assert.deepEqual(await inputsOf(session), ["one", "two, differently"]);
  const versions = await session.branches({ at: 2 });
  assert.deepEqual(
    versions.map(({ id, index, count, isCurrent, turns }) => ({ id, index, count, isCurrent, turns })),
    [
      { id: "1", index: 1, count: 2, isCurrent: false, turns: 3 },
      { id: "2", index: 2, count: 2, isCurrent: true, turns: 2 },
    ],
  );
  for (const at of [0, 1.5, 3])
    await assert.rejects(session.branches({ at }), {
      code: "range_invalid",
      message: new RegExp(`^query\\.at is ${at}, expected a whole number from 1 to 2, the last turn`),
    });
  await session.switchTo("1");
  assert.deepEqual(await inputsOf(session), ["one", "two", "three"]);
  await talk(session, "four");
  assert.deepEqual(await inputsOf(await place.another().get("s")), ["one", "two", "three", "four"]);
  const { shared, a, b } = await session.compare("1", "2");
  assert.deepEqual([shared, a.length, b.length], [1, 3, 1]);
});

test("a question that is asked again keeps the earlier answer", async () => {
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, "one", "two");
  await assert.rejects((await place.sessions.create({ id: "empty" })).regenerate(), {
    code: "range_invalid",
    message: /^turn is 0, and the session has no finished turn yet/,
  });
  await Array.fromAsync(await session.regenerate());
  const [before, now] = await session.branches({ at: 2 });
  assert.deepEqual([before?.isCurrent, now?.isCurrent], [false, true]);
  const [turn] = await Array.fromAsync(session.turns({ branch: before!.id, last: 1 }));
  assert.equal(turn?.output[0]?.content, "an answer");
  const [again] = await Array.fromAsync(session.turns({ last: 1 }));
  assert.deepEqual([again?.input[0]?.content, again?.output[0]?.content], ["two", "answer to two"]);
});

test("an answer that fails before its first word gives its place back to the branch that keeps the turns", async () => {
  await using place = inMemory({ model: failing });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, "one", "two");
  const answer = await session.edit(1, "another");
  await assert.rejects(Array.fromAsync(answer));
  await session.refresh();
  assert.deepEqual(await inputsOf(session), ["one", "two"]);
  assert.equal((await session.branches()).length, 1);
});

test("a switch writes the record and one small entry, however long the branches are", async () => {
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, ...Array.from({ length: 50 }, (_, index) => `question ${index}`));
  const turns = [{ input: "instead", output: "an answer" }];
  const { version } = await session.look();
  await session.write({ turns: { from: 2, turns, keep: true }, onto: version });
  const written: string[] = [];
  place.store.plan((_, batch) => {
    const splices = batch.flatMap(sessionChanges).flatMap(({ splices }) => splices);
    written.push(...splices.map(({ log, entries }) => `${log} ${entries.length}`));
    return undefined;
  });
  await session.switchTo("1");
  assert.deepEqual(written, ["#branches 1"]);
  assert.equal((await inputsOf(session)).length, 50);
});

test("a switch of a session that was just opened reads the one entry of the tree, and loads no record", async () => {
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, "one", "two");
  await Array.fromAsync(await session.edit(2, "another"));
  const calls: string[] = [];
  const { shared } = place;
  const own = {
    capabilities: shared.capabilities,
    watch: shared.watch.bind(shared),
    close: () => Promise.resolve(),
  };
  const store = forwardingStore(own, (method, args) => {
    calls.push(method);
    return callStore(place.shared, method, args);
  });
  await using others = sessionsOn(store, { clock: place.clock, sweep: false });
  const opened = await others.get("s");
  calls.length = 0;
  await opened.switchTo("1");
  assert.deepEqual(calls, ["read", "commit"]);
  await opened.switchTo("2");
  assert.deepEqual(calls, ["read", "commit", "commit"]);
});

test("a switch that reads a newer tree than its record switches where the other process has left the branches", async () => {
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, "one", "two");
  await Array.fromAsync(await session.edit(2, "another"));
  await session.switchTo("1");
  const [late, stale] = [await place.another().get("s"), await place.another().get("s")];
  await Array.fromAsync(await session.edit(2, "a third"));
  await session.removeBranch("2");
  await session.switchTo("1");
  await assert.rejects(late.switchTo("2"), (error) => hasCode(error, "branch_not_found"));
  await stale.switchTo("3");
  assert.deepEqual(await inputsOf(stale), ["one", "a third"]);
  await session.refresh();
  await session.switchTo("1");
  assert.deepEqual(await inputsOf(session), ["one", "two"]);
});

test("a switch in another process is a conflict for a writer that has not seen it, and loses nothing", async () => {
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, "one", "two");
  await Array.fromAsync(await session.edit(1, "another"));
  const other = await place.another().get("s");
  await other.switchTo("1");
  await assert.rejects(talk(session, "three"), (error) => hasCode(error, "conflict"));
  await session.refresh();
  await talk(session, "three");
  assert.deepEqual(await inputsOf(session), ["one", "two", "three"]);
  assert.deepEqual(await inputsOf(session, { branch: "2" }), ["another"]);
});

test("a switch to the branch that was current here switches where another process has left it", async () => {
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, "one");
  await Array.fromAsync(await session.edit(1, "another"));
  const other = await place.another().get("s");
  await other.switchTo("1");
  await session.switchTo("2");
  assert.deepEqual(await inputsOf(session), ["another"]);
  await other.refresh();
  assert.deepEqual(await inputsOf(other), ["another"]);
});

test("a key of a turn in another branch is not written a second time", async () => {
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, "one", "two");
  await Array.fromAsync(await session.edit(2, "another"));
  await assert.rejects(talk(session, "two"), (error) => hasCode(error, "key_reused"));
  await talk(session, "one");
  assert.deepEqual(await inputsOf(session), ["one", "another"]);
});

test("under legal hold a branch can be begun and switched to, and none is removed", async () => {
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, "one", "two");
  await session.setLegalHold("a case");
  await Array.fromAsync(await session.edit(2, "another"));
  await session.switchTo("1");
  await assert.rejects(session.removeBranch("2"), (error) => hasCode(error, "legal_hold"));
});

test("the current branch is not removed, and the error says to switch first", async () => {
  await using place = inMemory({ model });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, "one", "two");
  await assert.rejects(
    session.removeBranch("1"),
    /^SessionError: branch is "1"; expected another branch than the current one, and the session has no other$/,
  );
  await Array.fromAsync(await session.edit(2, "another"));
  const current =
    /^SessionError: branch is "2"; expected another branch than the current one; switch to 1 first, then remove it$/;
  await assert.rejects(session.removeBranch("2"), current);
  await session.switchTo("1");
  await session.removeBranch("2");
});

test("a session with as many branches as the limit refuses another one, and writes nothing", async () => {
  await using place = inMemory({ model, limits: { branchesMax: 2 } });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, "one", "two");
  await Array.fromAsync(await session.edit(2, "another"));
  await assert.rejects(session.edit(2, "a third"), (error) => hasCode(error, "branches_exceeded"));
  assert.deepEqual(await inputsOf(session), ["one", "another"]);
  await session.removeBranch("1");
  await Array.fromAsync(await session.edit(2, "a third"));
  assert.deepEqual(await inputsOf(session), ["one", "a third"]);
  await assert.rejects(session.switchTo("1"), (error) => hasCode(error, "branch_not_found"));
});

test("a search finds the turns of the current branch, with an index and without", async () => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-branches-"));
  try {
    for (const store of ["memory:", `sqlite:${join(folder, "store.db")}`]) {
      await using sessions = await openSessions({ store, model });
      const session = await sessions.create({ id: "s" });
      await talk(session, "apples", "pears", "plums");
      const found = async (text: string): Promise<readonly unknown[]> => [
        ...new Set((await sessions.search({ text })).items.map(({ turn }) => turn)),
      ];
      assert.deepEqual(await found("pears"), [2]);
      await Array.fromAsync(await session.edit(2, "cherries"));
      await talk(session, "grapes");
      assert.deepEqual([await found("cherries"), await found("grapes"), await found("pears")], [[2], [3], []]);
      await session.switchTo("1");
      assert.deepEqual([await found("cherries"), await found("pears"), await found("apples")], [[], [2], [1]]);
      await session.removeBranch("2");
      assert.deepEqual(await found("grapes"), []);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a word that only a removed branch had is in no file of the store after a compaction, also where it was indexed", async () => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-branches-"));
  try {
    const store = `sqlite:${join(folder, "store.db")}`;
    await using sessions = await openSessions({ store, model });
    const holding = async (word: string): Promise<readonly string[]> => {
      const names = await readdir(folder);
      const files = await Promise.all(names.map((name) => readFile(join(folder, name))));
      return names.filter((_, index) => files[index]?.includes(word));
    };
    const session = await sessions.create({ id: "s" });
    await talk(session, "one", "apples");
    await Array.fromAsync(await session.edit(2, "qzxremoved"));
    await talk(session, "qzxfollowing");
    await session.switchTo("1");
    await Array.fromAsync(await session.edit(2, "qzxkept"));
    assert.equal((await sessions.search({ text: "qzxkept" })).items.length, 2);
    assert.notDeepEqual(await holding("qzxremoved"), []);
    await session.removeBranch("2");
    // The compaction of the command line.
    await coreOf(sessions).store.scrub();
    for (const word of ["qzxremoved", "qzxfollowing"]) assert.deepEqual(await holding(word), [], word);
    for (const word of ["qzxkept", "apples"]) assert.notDeepEqual(await holding(word), [], word);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a fork's shared turns are found once, in the session that wrote them, and in the fork if a search names it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-branches-"));
  try {
    for (const store of ["memory:", `sqlite:${join(folder, "store.db")}`]) {
      await using sessions = await openSessions({ store, model });
      const parent = await sessions.create({ id: "parent" });
      await talk(parent, "apples", "pears");
      const fork = await parent.fork({ as: "fork" });
      await talk(fork, "plums");
      const found = async (query: { text: string; session?: string }): Promise<readonly string[]> =>
        (await sessions.search(query)).items.map(({ session, turn }) => `${session} ${turn}`);
      assert.deepEqual(await found({ text: "pears" }), ["parent 2"]);
      assert.deepEqual(await found({ text: "plums" }), ["fork 3"]);
      assert.deepEqual(await found({ text: "pears", session: "fork" }), ["fork 2"]);
      // The parent leaves the shared turn, so the fork gets its own copy of it.
      await Array.fromAsync(await parent.edit(2, "cherries"));
      assert.deepEqual(await found({ text: "pears" }), ["fork 2"]);
      await parent.switchTo("1");
      assert.deepEqual((await found({ text: "pears" })).toSorted(), ["fork 2", "parent 2"]);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a fork that edits a turn of its parent keeps the parent's turns, and its copies count their usage nowhere", async () => {
  await using place = inMemory({ model });
  const parent = await place.sessions.create({ id: "parent" });
  const usage = { inputTokens: 1, outputTokens: 2 };
  for (const input of ["one", "two", "three"]) await parent.append({ input, output: "an answer", usage });
  const fork = await parent.fork({ as: "fork" });
  const { version } = await fork.look();
  const turns = [{ input: "another", output: "an answer", usage }];
  await fork.write({ turns: { from: 2, turns, keep: true }, onto: version });
  await parent.truncate(0);
  assert.deepEqual(await inputsOf(fork, { branch: "1" }), ["one", "two", "three"]);
  const copy = await place.sessions.restore(await place.sessions.snapshot("fork"), { as: "copy" });
  await fork.archive();
  await fork.unarchive();
  for (const session of [fork, copy]) {
    await session.refresh();
    assert.deepEqual(await inputsOf(session, { branch: "1" }), ["one", "two", "three"]);
    assert.equal(session.info.counters.totalTokens, 3);
  }
  const found: unknown[] = [];
  await doctor(place.sessions, { onFinding: (finding) => void found.push(finding) });
  assert.deepEqual(found, []);
});
