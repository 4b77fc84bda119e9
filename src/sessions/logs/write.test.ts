import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import { doctor } from "../../admin.ts";
import { SessionError } from "../../errors.ts";
import type { Message, Turn } from "../../domain/turns/turn.ts";
import type { Session } from "../session/session.ts";
import type { LogEntryInput, SessionWrite, WriteOutcome, WriteResult } from "./session-write.ts";
import { truncatedUsageLog } from "../../domain/record/entry.ts";
import { inputsOf } from "../../../test/support/inputs-of.ts";

async function written(session: Session, write: SessionWrite): Promise<WriteResult> {
  const outcome = await session.write(write);
  assert.ok(outcome.status === "ok", outcome.status);
  return outcome;
}

async function values(session: Session, log = "notes"): Promise<unknown[]> {
  return (await Array.fromAsync(session.log(log).entries())).map(({ value }) => value);
}

function notes(...items: readonly (string | LogEntryInput)[]): SessionWrite {
  return { logs: { notes: { entries: items.map((item) => (typeof item === "string" ? { value: item } : item)) } } };
}

async function eventTypes(session: Session): Promise<string[]> {
  return (await Array.fromAsync(session.events())).map(({ type }) => type);
}

async function assertSound({ sessions }: InMemory): Promise<void> {
  assert.equal((await doctor(sessions)).findings, 0);
}

test("turns, named logs and fields are written in one commit, and the answer says what was written", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", agent: "ceo" });
  let commits = 0;
  const commit = place.store.commit.bind(place.store);
  place.store.commit = async (batch) => {
    commits += batch.length;
    return await commit(batch);
  };
  const outcome = await written(session, {
    turns: {
      turns: [
        { input: "one", output: "first", key: "k1", usage: { inputTokens: 1, outputTokens: 2 } },
        { input: "two" },
      ],
    },
    logs: {
      notes: { entries: [{ key: "a", value: { n: 1n } }, { value: "b" }] },
      marks: { entries: [{ value: new Date(0) }] },
    },
    set: { metadata: { seen: true }, user: "u" },
  });
  assert.equal(commits, 1);
  assert.deepEqual(
    outcome.turns.map(({ seq, key, agent, status }) => ({ seq, key, agent, status })),
    [
      { seq: 1, key: "k1", agent: "ceo", status: "done" },
      { seq: 2, key: null, agent: "ceo", status: "done" },
    ],
  );
  assert.deepEqual(outcome.logs, { notes: { seqs: [1, 2], end: 2 }, marks: { seqs: [1], end: 1 } });
  assert.equal(outcome.version, session.info.version);
  const again = await place.another().get("s");
  assert.deepEqual(await values(again), [{ n: 1n }, "b"]);
  assert.deepEqual(await values(again, "marks"), [new Date(0)]);
  const { user, metadata, logs, counters } = again.info;
  assert.deepEqual(
    { user, metadata, logs },
    { user: "u", metadata: { seen: true }, logs: { notes: { end: 2 }, marks: { end: 1 } } },
  );
  assert.deepEqual([counters.turns, counters.messages, counters.totalTokens], [2, 3, 3]);
  await assertSound(place);
});

test("a write without onto is never a conflict, whatever other writers wrote, and makes no event", async () => {
  await using place = inMemory();
  const one = await place.sessions.create({ id: "s" });
  const other = await place.another().get("s");
  await one.append({ input: "1" });
  await written(other, notes("a"));
  await written(one, { turns: { turns: [{ input: "2" }] }, ...notes("b") });
  await written(other, { turns: { turns: [{ input: "3" }] } });
  await other.update({ metadata: { a: 1 } });
  await written(one, {
    turns: { from: 1, turns: [{ input: "all" }] },
    logs: { notes: { from: 1, entries: [{ value: "c" }] } },
  });
  assert.deepEqual(await inputsOf(one), ["all"]);
  assert.deepEqual(await values(other), ["c"]);
  assert.deepEqual(await eventTypes(one), ["created"]);
  await assertSound(place);
});

test("writes of one process to one session at once keep their order; those that wait for a commit share the next one", async () => {
  await using place = inMemory();
  const sessions = await Promise.all(Array.from({ length: 20 }, () => place.sessions.ensure("s")));
  const outcomes: string[] = [];
  const commit = place.store.commit.bind(place.store);
  place.store.commit = async (batch) => {
    const all = await commit(batch);
    outcomes.push(...all.map(({ status }) => status));
    return all;
  };
  await Promise.all(sessions.map((session, index) => written(session, notes(String(index)))));
  assert.ok(outcomes.length <= 2 && outcomes.every((status) => status === "ok"), outcomes.join());
  const [first] = sessions;
  assert.ok(first);
  assert.deepEqual(
    await values(first),
    sessions.map((_, index) => String(index)),
  );
});

test("after an own write a session has seen all turns only if it had seen them before", async () => {
  await using place = inMemory();
  const one = await place.sessions.create({ id: "s" });
  const other = await place.another().get("s");
  await written(one, { turns: { turns: [{ input: "1" }] } });
  await one.append({ input: "2" });
  await written(other, { turns: { turns: [{ input: "3" }] } });
  await assert.rejects(other.append({ input: "4" }), { code: "conflict" });
  await other.refresh();
  await other.append({ input: "4" });
  assert.deepEqual(await inputsOf(one), ["1", "2", "3", "4"]);
});

test("a session is opened and looked at in one round trip, and an amendment of the turn that was seen reads nothing", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "1" });
  await session.append({ input: "2", usage: { inputTokens: 1, outputTokens: 2 } });
  let reads: string[] = [];
  for (const method of ["load", "read"] as const) {
    const call = place.store[method].bind(place.store) as (...args: unknown[]) => Promise<never>;
    place.store[method] = async (...args: unknown[]) => {
      reads.push(method);
      return await call(...args);
    };
  }
  const { session: opened, look } = await place.another().look("s", [{ log: "turns", last: 1 }]);
  assert.deepEqual(reads, ["load"]);
  assert.deepEqual([look.version, look.tails[0]?.[0]?.seq, opened.info.turn], [session.info.version, 2, 2]);
  const answered = { turns: { from: 2, amends: true, turns: [{ input: "2", output: "two" }] } };
  await written(opened, { ...answered, onto: look });
  assert.deepEqual(reads, ["load"]);
  const last = async (): Promise<Turn | undefined> => (await Array.fromAsync(session.turns({ last: 1 })))[0];
  assert.deepEqual((await last())?.usage, { inputTokens: 1, outputTokens: 2, totalTokens: 3 });

  // What was seen before another writer has changed the turn is read again, and refused where the write was decided on it.
  const seen = await opened.look([{ log: "turns", last: 1 }]);
  await place.clock.advance(1);
  const { version } = await session.look();
  const counted = { input: "2", output: "two", usage: { inputTokens: 5, outputTokens: 5 } };
  await written(session, { turns: { from: 2, amends: true, turns: [counted] }, onto: version });
  await assert.rejects(opened.write({ ...answered, onto: seen }), { code: "conflict" });
  reads = [];
  await written(opened, { ...answered, onto: (await opened.look()).version });
  assert.ok(reads.includes("read"));
  assert.equal((await last())?.usage?.inputTokens, 5);

  await assert.rejects(place.sessions.look("none"), { code: "session_not_found" });
  await assert.rejects(place.sessions.look("s", [{ log: "events", last: 1 }]), { code: "log_reserved" });
  assert.deepEqual((await place.sessions.look("s")).look.tails, []);
});

test("onto a look: a change of a log that was looked at or is written is a conflict, a touch or a lease is none", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const other = await place.another().get("s");
  await written(session, { ...notes("a"), turns: { turns: [{ input: "1" }] } });
  const look = await session.look([{ log: "notes", last: 1 }]);
  assert.deepEqual(
    look.tails.map((tail) => tail.map(({ value }) => value)),
    [["a"]],
  );
  assert.deepEqual(Object.keys(look.marks), ["notes"]);
  await other.touch();
  await other.update({ metadata: { x: 1 } });
  const lease = await other.lease();
  await assert.rejects(session.write({ ...notes("b"), onto: look }), { code: "busy" });
  await lease.release();
  // Neither the turns nor the other log were looked at, and this write does not write to them.
  await written(other, { turns: { turns: [{ input: "2" }] }, logs: { others: { entries: [{ value: 1 }] } } });
  await written(session, { ...notes("b"), onto: look });
  assert.deepEqual(await values(session), ["a", "b"]);

  const before = await session.look([{ log: "notes", last: 0 }]);
  await written(other, notes("c"));
  for (const write of [notes("d"), { turns: { turns: [{ input: "3" }] } }, { set: { user: "u" } }]) {
    await assert.rejects(session.write({ ...write, onto: before }), (error) => {
      assert.ok(error instanceof SessionError && error.code === "conflict");
      const { log, seenVersion } = error.details as { log?: string; seenVersion?: number };
      assert.deepEqual([log, seenVersion], ["notes", before.version]);
      return true;
    });
  }
  // A log that was not looked at is compared where it is written.
  const blind = await session.look();
  await written(other, notes("e"));
  await assert.rejects(session.write({ ...notes("f"), onto: blind }), { code: "conflict" });
  await written(session, { logs: { others: { entries: [{ value: 2 }] } }, onto: blind });
  assert.deepEqual(await values(session), ["a", "b", "c", "e"]);
  assert.deepEqual(await eventTypes(session), ["created"]);
});

test("onto a version: a later change of any log is a conflict", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const { version } = await written(session, notes("a"));
  await session.touch();
  const next = await written(session, { ...notes("b"), onto: version });
  await session.append({ input: "1" });
  await assert.rejects(session.write({ ...notes("c"), onto: next.version }), { code: "conflict" });
  const after = await written(session, { logs: { others: { entries: [{ value: 1 }] } }, onto: session.info.version });
  await assert.rejects(session.write({ ...notes("c"), onto: next.version }), { code: "conflict" });
  await written(session, { ...notes("c"), onto: after.version });
  assert.deepEqual(await values(session), ["a", "b", "c"]);
});

test("a write onto a version that never was, or in another session of the id, writes nothing", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const look = await session.look([{ log: "notes", last: 1 }]);
  const { version } = session.info;
  for (const onto of [0, -1, 1.5, Number.NaN, version + 1, version + 1_000_000, { version: version + 1, marks: {} }])
    await assert.rejects(session.write({ ...notes("a"), onto }), { code: "argument_invalid" }, JSON.stringify(onto));
  await assert.rejects(session.write({ ...notes("a"), onto: 1 }), { code: "conflict" });
  await session.remove();
  await place.clock.advance(10);
  const next = await place.sessions.create({ id: "s" });
  await assert.rejects(next.write({ ...notes("a"), onto: look }), { code: "conflict" });
  await assert.rejects(next.write({ ...notes("a"), onto: look.version }), { code: "conflict" });
  assert.deepEqual(await values(next), []);
});

test("a tail is rewritten in one commit: regenerate, pop and clear", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (const key of ["1", "2", "3"])
    await session.append({ input: key, output: "x", usage: { inputTokens: 10, outputTokens: 0 } }, { key });
  const look = await session.look([{ log: "turns", last: 1 }]);
  const last = look.tails[0]?.[0];
  assert.deepEqual([last?.seq, last?.key], [3, "3"]);
  const rewritten = await written(session, {
    turns: { from: 3, turns: [{ input: "3", output: "again", key: "3b" }] },
    logs: { notes: { entries: [{ value: "regenerated" }] } },
    onto: look,
  });
  assert.deepEqual(
    rewritten.turns.map(({ seq }) => seq),
    [3],
  );
  await assert.rejects(session.write({ turns: { from: 3, turns: [] }, onto: look }), { code: "conflict" });
  const popped = await session.look([{ log: "turns", last: 1 }]);
  await written(session, { turns: { from: 3, turns: [] }, onto: popped });
  assert.deepEqual(await inputsOf(session), ["1", "2"]);
  assert.deepEqual([session.info.counters.turns, session.info.counters.totalTokens], [2, 30], "usage stays counted");
  await session.append({ input: "3" }, { key: "3" });
  await written(session, { turns: { from: 1, turns: [] } });
  assert.deepEqual(await inputsOf(session), []);
  await assertSound(place);
});

test("a retry of a write whose key stands is a duplicate, also where the write was decided on a look", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "1" });
  const look = await session.look([{ log: "turns", last: 1 }]);
  const write = {
    turns: { from: 1, turns: [{ input: "again", key: "op" }] },
    ...notes({ key: "n", value: 1 }),
    onto: look,
  };
  place.store.plan({ [place.store.commits + 1]: { fails: "after" } });
  await written(session, {
    turns: { from: 1, turns: [{ input: "again", key: "op" }] },
    ...notes({ key: "n", value: 1 }),
    onto: look,
  });
  const again = await session.write(write);
  assert.ok(again.status === "duplicate");
  assert.deepEqual([again.log, again.entry.seq, again.entry.key], ["turns", 1, "op"]);
  const { turns: _, ...onlyNotes } = write;
  const noted = await session.write(onlyNotes);
  assert.ok(noted.status === "duplicate");
  assert.deepEqual([noted.log, noted.entry.value], ["notes", 1]);
  assert.deepEqual(await inputsOf(session), ["again"]);
});

test("one duplicate key refuses the whole write, is skipped, or is replaced, as each entry says", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await written(
    session,
    notes({ key: "a", value: "a1" }, { key: "b", value: "b1" }, "plain", { key: "c", value: "c1" }),
  );

  const refused = await session.write({
    ...notes("new", { key: "b", value: "b2" }),
    turns: { turns: [{ input: "1" }] },
  });
  assert.deepEqual(refused, {
    status: "duplicate",
    log: "notes",
    entry: (refused as Extract<WriteOutcome, { status: "duplicate" }>).entry,
  });
  assert.ok(refused.status === "duplicate");
  assert.deepEqual([refused.entry.seq, refused.entry.value], [2, "b1"]);
  assert.deepEqual(await inputsOf(session), []);

  const skipped = await written(
    session,
    notes({ key: "b", value: "b2", ifPresent: "skip" }, { key: "d", value: "d1", ifPresent: "skip" }, "more"),
  );
  assert.deepEqual(skipped.logs["notes"], { seqs: [null, 5, 6], end: 6 });
  const replaced = await written(
    session,
    notes(
      { key: "b", value: "b3", ifPresent: "replace" },
      { key: "e", value: "e1", ifPresent: "replace" },
      { key: "a", value: "a2", ifPresent: "skip" },
    ),
  );
  assert.deepEqual(replaced.logs["notes"], { seqs: [2, 7, null], end: 7 });
  assert.deepEqual(await values(session), ["a1", "b3", "plain", "c1", "d1", "more", "e1"]);
  assert.deepEqual(
    (await session.log("notes").get(["b", "e", "zz", "a"])).map(({ seq, key }) => [seq, key]),
    [
      [1, "a"],
      [2, "b"],
      [7, "e"],
    ],
  );
  const mixed = await session.write(notes({ key: "a", value: "a3", ifPresent: "replace" }, { key: "c", value: "c2" }));
  assert.ok(mixed.status === "duplicate");
  assert.equal(mixed.entry.value, "c1");
  assert.equal((await values(session))[0], "a1");
  await assertSound(place);
});

test("keys and turns that change between their reading and the commit are read again", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const other = await place.another().get("s");
  const race = async (write: SessionWrite, meanwhile: SessionWrite): Promise<WriteOutcome> => {
    const read = place.store.read.bind(place.store);
    place.store.read = async (...args) => {
      place.store.read = read;
      const entries = await read(...args);
      await written(other, meanwhile);
      return entries;
    };
    return await session.write(write);
  };
  const rewritten = (...items: LogEntryInput[]): SessionWrite => ({ logs: { notes: { from: 1, entries: items } } });
  await written(session, notes({ key: "a", value: 1 }, { key: "b", value: 2 }));
  // The entry to replace has another number by then.
  await race(
    notes({ key: "b", value: 3, ifPresent: "replace" }),
    rewritten({ value: 0 }, { value: 1 }, { key: "b", value: 2, ifPresent: "replace" }),
  );
  assert.deepEqual(await values(session), [0, 1, 3]);
  // The entry to skip is gone by then, and the log is as long as before.
  const skipped = await race(
    notes({ key: "b", value: 4, ifPresent: "skip" }),
    rewritten({ key: "c", value: 5 }, { value: 6 }, { value: 7 }),
  );
  assert.ok(skipped.status === "ok");
  assert.deepEqual(skipped.logs["notes"], { seqs: [4], end: 4 });
  assert.deepEqual(await values(session), [5, 6, 7, 4]);
  // There are more turns to clear than were read.
  await session.append({ input: "1", output: "x" });
  await race({ turns: { from: 1, turns: [{ input: "all" }] } }, { turns: { turns: [{ input: "2" }, { input: "3" }] } });
  assert.deepEqual(await inputsOf(session), ["all"]);
  assert.deepEqual([session.info.counters.turns, session.info.counters.messages], [1, 1]);
  await assertSound(place);
});

test("a session object that has not seen that a log became shorter replaces an entry of it by its key, and amends no turn", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await written(session, notes(...["a", "b", "c", "d"].map((key) => ({ key, value: key }))));
  const other = await place.another().get("s");
  await written(other, { logs: { notes: { from: 3, entries: [] } }, onto: other.info.version });
  await written(session, notes({ key: "a", value: "A", ifPresent: "replace" }));
  assert.deepEqual(await values(session), ["A", "b"]);

  await written(session, { turns: { turns: [{ input: "one" }, { input: "two" }] } });
  await (await place.another().get("s")).truncate(1);
  const amends: SessionWrite = { turns: { from: 2, amends: true, turns: [{ input: "two", output: "done" }] } };
  await assert.rejects(session.write({ ...amends, onto: session.info.version }), { code: "conflict" });
});

test("two entries of one write with one key follow the rule of the later one", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const twice = (ifPresent: "refuse" | "skip" | "replace"): SessionWrite =>
    notes({ key: "k", value: 1 }, "between", { key: "k", value: 2, ifPresent });
  const refused = await session.write(twice("refuse"));
  assert.ok(refused.status === "duplicate");
  assert.deepEqual([refused.log, refused.entry.seq, refused.entry.value], ["notes", 1, 1]);
  assert.deepEqual(await values(session), []);
  const skipped = await written(session, twice("skip"));
  assert.deepEqual(skipped.logs["notes"], { seqs: [1, 2, null], end: 2 });
  await written(session, { logs: { notes: { from: 1, entries: [] } } });
  const replaced = await written(session, twice("replace"));
  assert.deepEqual(replaced.logs["notes"], { seqs: [null, 2, 1], end: 2 });
  assert.deepEqual(await values(session), [2, "between"]);
  const turns = await session.write({
    turns: {
      turns: [
        { input: "1", key: "t" },
        { input: "2", key: "t" },
      ],
    },
  });
  assert.ok(turns.status === "duplicate");
  assert.deepEqual([turns.log, await inputsOf(session)], ["turns", []]);
});

test("a log of one value is set again and again under one key", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (const value of [1, 2, 3]) {
    const set = await written(session, {
      logs: { state: { from: 1, entries: [{ key: "state", value, ifPresent: "replace" }] } },
    }).catch((error: unknown) => error);
    assert.ok(set instanceof SessionError && set.code === "log_reserved");
    const outcome = await written(session, {
      logs: { draft: { from: 1, entries: [{ key: "it", value, ifPresent: "replace" }] } },
    });
    assert.deepEqual(outcome.logs["draft"], { seqs: [1], end: 1 });
  }
  assert.deepEqual(await values(session, "draft"), [3]);
});

test("an amended turn takes the place of the last one: its key stays, counters change by the difference", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: "0", output: "x" });
  const { at } = await session.append(
    { input: "1", status: "interrupted", usage: { inputTokens: 5, outputTokens: 0 }, durationMs: 10 },
    { key: "k" },
  );
  await place.clock.advance(5);
  const look = await session.look([{ log: "turns", last: 1 }]);
  const amended = await written(session, {
    turns: {
      from: 2,
      amends: true,
      turns: [
        { input: "1", output: "answer", status: "done", usage: { inputTokens: 5, outputTokens: 7 }, durationMs: 30 },
        { input: "2", key: "next" },
      ],
    },
    onto: look,
  });
  assert.deepEqual(
    amended.turns.map(({ seq, key, status, requests }) => ({ seq, key, status, requests })),
    [
      { seq: 2, key: "k", status: "done", requests: 1 },
      { seq: 3, key: "next", status: "done", requests: 0 },
    ],
  );
  assert.deepEqual(amended.turns[0]?.at, at);
  const { counters } = session.info;
  assert.deepEqual(counters, {
    turns: 3,
    messages: 5,
    requests: 1,
    inputTokens: 5,
    outputTokens: 7,
    totalTokens: 12,
    durationMs: 30,
    longestMs: 30,
  });
  await assertSound(place);
  // Fields that are not named stay, and usage never falls.
  await session.truncate(2);
  const { version } = session.info;
  const kept = await written(session, {
    turns: { from: 2, amends: true, turns: [{ input: "1", usage: { inputTokens: 1, outputTokens: 1 } }] },
    onto: version,
  });
  const [turn] = kept.turns;
  assert.deepEqual([turn?.output.length, turn?.usage?.totalTokens, turn?.durationMs, turn?.key], [1, 12, 30, "k"]);
  const same = { input: "1", output: "answer", usage: { inputTokens: 5, outputTokens: 7 } };
  assert.equal((await session.append(same, { key: "k" })).seq, 2, "the key is that of the turn");
  for (const write of [
    { from: 1, amends: true, turns: [{ input: "1" }] },
    { from: 3, amends: true, turns: [{ input: "1" }] },
  ])
    await assert.rejects(session.write({ turns: write, onto: session.info.version }), { code: "range_invalid" });
  const other = { from: 2, amends: true, turns: [{ input: "1", key: "another" }] };
  await assert.rejects(session.write({ turns: other, onto: session.info.version }), { code: "argument_invalid" });
  await assertSound(place);
});

test("the last turn of a write waits, in one commit, and another process resumes it with its output", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", agent: "a" });
  await session.append({ input: "Pay", usage: { inputTokens: 1, outputTokens: 2 } });
  const { version } = await session.refresh();
  const output: readonly Message[] = [
    { role: "assistant", tool_calls: [{ id: "c1", function: { name: "pay", arguments: "{}" } }] },
  ];
  const outcome = await written(session, {
    turns: {
      from: 1,
      turns: [{ input: "Pay", output, usage: { inputTokens: 3, outputTokens: 4 } }],
      wait: { state: { run: 1 }, reason: "approval", expires: "1h" },
    },
    onto: version,
  });
  assert.equal(outcome.version, version + 1);
  assert.deepEqual(outcome.waiting, await session.waiting());
  assert.deepEqual(
    outcome.turns.map(({ seq, status }) => [seq, status]),
    [[1, "waiting"]],
  );
  assert.deepEqual(
    [outcome.waiting?.state, outcome.waiting?.output, outcome.waiting?.expiresAt?.getTime()],
    [{ run: 1 }, output, place.clock.now() + 3_600_000],
  );
  await assertSound(place);
  await assert.rejects(session.write({ turns: { turns: [{ input: "More" }] } }), { code: "turn_waiting" });
  assert.equal((await written(session, notes("a"))).status, "ok");
  const other = await place.another().get("s");
  const token = outcome.waiting?.token ?? "";
  await using resumed = await other.resume(token);
  assert.deepEqual(resumed.output, output);
  await resumed.write({ message: { role: "tool", tool_call_id: "c1", content: "paid" } });
  const turn = await resumed.seal({ usage: { inputTokens: 5, outputTokens: 6 } });
  assert.deepEqual([turn.status, turn.output.length, turn.usage?.totalTokens, turn.requests], ["done", 2, 18, 2]);
  const { counters } = await session.refresh();
  assert.deepEqual([counters.turns, counters.messages, counters.totalTokens], [1, 3, 21]);
  assert.deepEqual((await eventTypes(session)).slice(-2), ["turn_waiting", "turn_resumed"]);
  const again = { turns: [{ input: "Again", output }], wait: { state: 2, reason: "approval" } };
  await written(session, { turns: again });
  assert.equal(await other.cancel(), true);
  const [, left] = await Array.fromAsync(session.turns());
  assert.deepEqual([left?.status, left?.output.map(({ role }) => role)], ["interrupted", ["assistant", "tool"]]);
  await assertSound(place);
});

test("a write whose last turn waits is refused with its place where it cannot wait, and writes nothing", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", agent: "a" });
  const { version } = session.info;
  const wait = { state: 1, reason: "approval" };
  const refused = [
    { turns: [], wait },
    { turns: [{ input: "a", status: "done" as const }], wait },
    { turns: [{ input: "a", durationMs: 1 }], wait },
    { turns: [{ input: "a", finish: "stop" }], wait },
    { from: 1, amends: true, turns: [{ input: "a" }], wait },
    { turns: [{ input: "a" }], wait: { ...wait, reason: "" } },
    { turns: [{ input: "a" }], wait: { ...wait, usage: {} } },
    { turns: [{ input: "a" }], wait: { reason: "approval" } as never },
  ];
  for (const turns of refused)
    await assert.rejects(session.write({ turns }), { code: "argument_invalid" }, JSON.stringify(turns));
  await assert.rejects(session.write({ turns: { turns: [{ input: "a" }], wait: { ...wait, expires: "soon" } } }), {
    code: "duration_invalid",
  });
  assert.equal((await session.refresh()).version, version);
  await assertSound(place);
});

test("a legal hold refuses what deletes: truncation, clearing, replacing; a turn may grow", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await written(session, { ...notes({ key: "a", value: 1 }), turns: { turns: [{ input: "1", output: "first" }] } });
  await session.setLegalHold("court");
  const onto = session.info.version;
  const growing: readonly Message[] = [
    { role: "assistant", content: "first" },
    { role: "assistant", content: "more" },
  ];
  const refused: readonly SessionWrite[] = [
    { turns: { from: 1, turns: [] } },
    { logs: { notes: { from: 1, entries: [] } } },
    notes({ key: "a", value: 2, ifPresent: "replace" }),
    { turns: { from: 1, amends: true, turns: [{ input: "1", output: "another" }] }, onto },
  ];
  for (const write of refused) await assert.rejects(session.write(write), { code: "legal_hold" });
  await written(session, notes("b"));
  await written(session, {
    turns: { from: 1, amends: true, turns: [{ input: "1", output: growing }] },
    onto: session.info.version,
  });
  assert.equal(session.info.counters.messages, 3);
});

test("leases, deadlines and ends hold for writes as for turns", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", ttl: "1h" });
  const other = await place.another().get("s");
  const lease = await session.lease();
  await assert.rejects(other.write(notes("a")), { code: "busy" });
  await written(session, notes("b"));
  const begun = await session.begin("question");
  await written(session, notes("while it answers"));
  await assert.rejects(session.write({ turns: { turns: [{ input: "2" }] } }), { code: "turn_open" });
  await begun.seal({ output: [{ role: "assistant", content: "answer" }] });
  await other.breakLease();
  await assert.rejects(session.write(notes("late")), { code: "fenced" });
  await lease.release().catch(() => undefined);
  await place.clock.advance(50 * 60_000);
  await written(other, notes("c"));
  await place.clock.advance(50 * 60_000);
  await written(other, notes("d"));
  await place.clock.advance(70 * 60_000);
  await assert.rejects(other.write(notes("e")), { code: "session_expired" });
  await place.sessions.ensure("s");
  await other.end();
  await assert.rejects(other.write(notes("f")), { code: "session_ended" });
  assert.deepEqual(await values(other), ["b", "while it answers", "c", "d"]);
});

test("bad input is a typed error, and nothing is written", async () => {
  await using place = inMemory({ limits: { logsMax: 2, writeEntriesMax: 5, entryBytesMax: 100, writeBytesMax: 200 } });
  const session = await place.sessions.create({ id: "s" });
  await written(session, { logs: { notes: { entries: [{ key: "first", value: 1 }] } } });
  const { version } = session.info;
  const entry = (value: unknown): SessionWrite => ({ logs: { notes: { entries: [value] } } }) as SessionWrite;
  const cases: readonly [write: unknown, code: string][] = [
    [null, "argument_invalid"],
    [[], "argument_invalid"],
    [{ other: 1 }, "argument_invalid"],
    [{ logs: [] }, "argument_invalid"],
    ...["turns", "events", "chunks", "archive", truncatedUsageLog, "replaced-keys", "perdure", "perdure-x"].map(
      (log) => [{ logs: { [log]: { entries: [] } } }, "log_reserved"] as [unknown, string],
    ),
    ...["Notes", "", "1a", "a b", "x".repeat(33), "__proto__x"].map(
      (log) => [{ logs: { [log]: { entries: [] } } }, "id_invalid"] as [unknown, string],
    ),
    [{ logs: { notes: {} } }, "argument_invalid"],
    [{ logs: { notes: { entries: [], more: 1 } } }, "argument_invalid"],
    [entry(null), "argument_invalid"],
    [entry({ value: () => 1 }), "value_unstorable"],
    [entry({ value: undefined }), "value_unstorable"],
    [entry({ value: 1, key: "x".repeat(257) }), "id_invalid"],
    [entry({ value: 1, key: "" }), "id_invalid"],
    [entry({ value: 1, key: "a\u0000" }), "id_invalid"],
    [entry({ value: 1, ifPresent: "keep" }), "argument_invalid"],
    [entry({ value: "x".repeat(101) }), "write_too_large"],
    [{ logs: { notes: { entries: [1, 2, 3].map(() => ({ value: "x".repeat(90) })) } } }, "write_too_large"],
    [{ logs: { notes: { entries: [1, 2, 3, 4, 5, 6].map((value) => ({ value })) } } }, "write_too_large"],
    [{ logs: { notes: { from: 0, entries: [] } } }, "argument_invalid"],
    [{ logs: { notes: { from: 2, entries: [] } } }, "argument_invalid"],
    [{ logs: { notes: { from: 3, entries: [] } }, onto: version }, "range_invalid"],
    [{ turns: { from: 2, turns: [] }, onto: version }, "range_invalid"],
    [{ turns: { from: 2, turns: [] } }, "argument_invalid"],
    [{ turns: { turns: [{ input: 1 }] } }, "message_invalid"],
    [{ turns: { turns: [null] } }, "argument_invalid"],
    [{ turns: { turns: [], amends: true } }, "argument_invalid"],
    [{ turns: { from: 1, turns: [], amends: true } }, "argument_invalid"],
    [{ onto: "1" }, "argument_invalid"],
    [{ onto: { version: 1 } }, "argument_invalid"],
    [{ onto: { version: 1, marks: { notes: 1 } } }, "argument_invalid"],
    [{ set: { metadata: 1 } }, "argument_invalid"],
    [{ set: null }, "argument_invalid"],
    [{ documents: {} }, "argument_invalid"],
  ];
  for (const [write, code] of cases)
    await assert.rejects(session.write(write as SessionWrite), { code }, JSON.stringify(write));
  assert.throws(() => session.log("turns"), { code: "log_reserved" });
  assert.throws(() => session.log("perdure.x"), { code: "id_invalid" });
  await assert.rejects(session.look([{ log: "events", last: 1 }]), { code: "log_reserved" });
  await assert.rejects(session.look([{ log: "notes", last: -1 }]), { code: "argument_invalid" });
  await assert.rejects(session.look([null as never]), { code: "argument_invalid" });
  const document = { scope: "a", key: "b", value: 1 };
  for (const one of [null, 1, { id: "s", documents: document }, { id: "s", documents: "text" }])
    await assert.rejects(place.sessions.write([one as never]), SessionError, JSON.stringify(one));
  assert.equal(await place.sessions.documents("a").count(), 0);
  assert.equal((await session.refresh()).version, version);
  await written(session, { logs: { two: { entries: [{ value: 1 }] } } });
  await assert.rejects(session.write({ logs: { three: { entries: [{ value: 1 }] } } }), { code: "write_too_large" });
  // A replaced entry is written with all entries behind it.
  for (let index = 0; index < 5; index++) await written(session, { logs: { notes: { entries: [{ value: index }] } } });
  const first = { logs: { notes: { entries: [{ key: "first", value: 2, ifPresent: "replace" as const }] } } };
  await assert.rejects(session.write(first), { code: "write_too_large" });
  assert.deepEqual(await values(session), [1, 0, 1, 2, 3, 4]);
});

test("entries are read by number in both directions, page by page", async () => {
  await using place = inMemory({ limits: { readMax: 3 } });
  const session = await place.sessions.create({ id: "s" });
  await written(session, notes("1", "2", "3", "4", "5", "6", "7", "8", "9", "10"));
  const seqs = async (range: object): Promise<number[]> =>
    (await Array.fromAsync(session.log("notes").entries(range))).map(({ seq }) => seq);
  const all = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  for (const archived of [false, true]) {
    if (archived) await session.archive();
    assert.deepEqual(await seqs({}), all);
    assert.deepEqual(await seqs({ order: "descending" }), all.toReversed());
    assert.deepEqual(await seqs({ from: 3, to: 8 }), [3, 4, 5, 6, 7, 8]);
    assert.deepEqual(await seqs({ from: 3, to: 8, order: "descending" }), [8, 7, 6, 5, 4, 3]);
    assert.deepEqual(await seqs({ last: 4 }), [7, 8, 9, 10]);
    assert.deepEqual(await seqs({ last: 4, order: "descending" }), [10, 9, 8, 7]);
    assert.deepEqual(await seqs({ last: 0 }), []);
    assert.deepEqual(await seqs({ last: 99 }), all);
    assert.deepEqual(await seqs({ from: 11 }), []);
    assert.deepEqual(await Array.fromAsync(session.log("empty").entries()), []);
  }
  await assert.rejects(seqs({ from: 5, to: 4 }), { code: "range_invalid" });
  await assert.rejects(seqs({ from: 0 }), { code: "range_invalid" });
  await assert.rejects(seqs({ last: 1, from: 1 }), { code: "argument_invalid" });
  await assert.rejects(seqs({ order: "up" }), { code: "argument_invalid" });
});

test("entries that are larger than a read of a log are read and followed, none is left out", async () => {
  await using place = inMemory({ limits: { readBytesMax: 50 } });
  const session = await place.sessions.create({ id: "s" });
  const sizes = [10, 100, 10, 10, 200, 300, 1];
  for (const [index, size] of sizes.entries())
    await written(session, notes({ key: `k${index}`, value: String(index).repeat(size) }));
  const log = session.log("notes");
  const seqsOf = async (entries: AsyncIterable<{ readonly seq: number }>): Promise<number[]> =>
    (await Array.fromAsync(entries)).map(({ seq }) => seq);
  for (const archived of [false, true]) {
    if (archived) await session.archive();
    assert.deepEqual(await seqsOf(log.entries()), [1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual(await seqsOf(log.entries({ order: "descending" })), [7, 6, 5, 4, 3, 2, 1]);
    assert.deepEqual(await seqsOf(log.entries({ last: 3 })), [5, 6, 7]);
    assert.deepEqual(await seqsOf(log.between({ prefix: "k" })), [1, 2, 3, 4, 5, 6, 7]);
  }
  await session.unarchive();
  const got: number[] = [];
  for await (const { seq } of log.follow()) {
    got.push(seq);
    if (seq === 7) break;
  }
  assert.deepEqual(got, [1, 2, 3, 4, 5, 6, 7]);
});

test("entries are read by ranges and prefixes of their keys, also from an archive", async () => {
  await using place = inMemory({ limits: { readMax: 2 } });
  const session = await place.sessions.create({ id: "s" });
  const keys = ["b/2", "a", "b/10", "c", "b/\u{1f600}", "b/\uffff", "b0", "b"];
  await written(session, notes("no key", ...keys.map((key) => ({ key, value: key }))));
  const found = async (range: object, options = {}): Promise<unknown[]> =>
    (await Array.fromAsync(session.log("notes").between(range, options))).map(({ key }) => key);
  for (const archived of [false, true]) {
    if (archived) await session.archive();
    assert.deepEqual(await found({ prefix: "b/" }), ["b/10", "b/2", "b/\uffff", "b/\u{1f600}"]);
    assert.deepEqual(await found({ prefix: "b/" }, { order: "descending", limit: 3 }), [
      "b/\u{1f600}",
      "b/\uffff",
      "b/2",
    ]);
    assert.deepEqual(await found({ from: "b", to: "b/2" }), ["b", "b/10"]);
    assert.deepEqual(await found({ from: "b0" }), ["b0", "c"]);
    assert.deepEqual(await found({ to: "b" }), ["a"]);
    assert.deepEqual(await found({}), ["a", "b", "b/10", "b/2", "b/\uffff", "b/\u{1f600}", "b0", "c"]);
    assert.deepEqual(await found({ prefix: "" }, { limit: 1 }), ["a"]);
    assert.deepEqual(await found({ prefix: "zz" }), []);
  }
  await assert.rejects(found({ prefix: "a", from: "b" }), { code: "argument_invalid" });
  await assert.rejects(found({ after: "a" }), { code: "argument_invalid" });
  await assert.rejects(found({ prefix: 1 }), { code: "id_invalid" });
  await assert.rejects(found({}, { limit: 0 }), { code: "argument_invalid" });
});

test("a reader whose session object is stale finds entries that moved into an archive, or out of it", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const stale = await place.another().get("s");
  await written(session, notes({ key: "a", value: 1 }, { key: "b", value: 2 }));
  await session.archive();
  assert.deepEqual(await values(stale), [1, 2]);
  assert.equal((await (await place.another().get("s")).log("notes").get(["b"]))[0]?.value, 2);
  const whileArchived = await place.another().get("s");
  await session.unarchive();
  assert.deepEqual((await whileArchived.log("notes").get(["a"])).length, 1);
  await written(whileArchived, {
    ...notes("c"),
    onto: (await whileArchived.look([{ log: "notes", last: 0 }])).version,
  });
  assert.deepEqual(await values(whileArchived), [1, 2, "c"]);
});

test("marks outlive archiving, so a look from before is still good", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await written(session, notes("a"));
  const look = await session.look([{ log: "notes", last: 1 }]);
  await session.archive();
  assert.deepEqual((await session.look([{ log: "notes", last: 1 }])).tails, look.tails);
  await session.unarchive();
  await written(session, { ...notes("b"), onto: look });
  assert.deepEqual(await values(session), ["a", "b"]);
});

test("a follower gets each entry once and in order, whichever process writes it, and ends with its signal", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const other = await place.another().get("s");
  await written(session, notes("a", "b"));
  const stop = new AbortController();
  const got: unknown[] = [];
  const followed = (async () => {
    for await (const { value } of other.log("notes").follow({ after: 1, signal: stop.signal })) {
      got.push(value);
      if (value === "d") stop.abort();
      else await written(session, notes(value === "b" ? "c" : "d"));
    }
  })();
  await followed;
  assert.deepEqual(got, ["b", "c", "d"]);
  assert.equal(place.watches, 0);
});

test("a follower ends with the session, and with a conflict where what it has given is gone", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await written(session, notes("a", "b"));
  const reader = session.log("notes").follow()[Symbol.asyncIterator]();
  assert.equal((await reader.next()).value?.value, "a");
  assert.equal((await reader.next()).value?.value, "b");
  await written(session, { logs: { notes: { from: 1, entries: [{ value: "x" }, { value: "y" }, { value: "z" }] } } });
  await assert.rejects(Promise.resolve(reader.next()), { code: "conflict" });
  const other = session.log("notes").follow({ after: 2 })[Symbol.asyncIterator]();
  assert.equal((await other.next()).value?.value, "z");
  await session.end();
  assert.equal((await other.next()).done, true);
});

test("writes to several sessions land together or not at all", async () => {
  await using place = inMemory();
  const { sessions } = place;
  const [a, b] = [await sessions.create({ id: "a" }), await sessions.create({ id: "b" })];
  const look = await b.look([{ log: "notes", last: 1 }]);
  const outcome = await sessions.write([
    { id: "a", ...notes({ key: "k", value: 1 }), turns: { turns: [{ input: "1" }] } },
    { id: "b", ...notes({ key: "k", value: 2 }), onto: look },
  ]);
  assert.ok(outcome.status === "ok");
  assert.deepEqual(
    outcome.writes.map(({ logs, turns }) => [logs["notes"]?.end, turns.length]),
    [
      [1, 1],
      [1, 0],
    ],
  );
  const again = await sessions.write([
    { id: "a", ...notes("more") },
    { id: "b", ...notes({ key: "k", value: 3 }) },
  ]);
  assert.ok(again.status === "duplicate");
  assert.deepEqual([again.id, again.log, again.entry.value], ["b", "notes", 2]);
  await assert.rejects(
    sessions.write([
      { id: "a", ...notes("x") },
      { id: "b", ...notes("y"), onto: look },
    ]),
    { code: "conflict" },
  );
  await assert.rejects(
    sessions.write([
      { id: "a", ...notes("x") },
      { id: "none", ...notes("y") },
    ]),
    { code: "session_not_found" },
  );
  await assert.rejects(sessions.write([{ id: "a" }, { id: "a" }]), { code: "argument_invalid" });
  await assert.rejects(sessions.write([]), { code: "argument_invalid" });
  // The handles of before are stale, and their keys go on.
  const skipped = await sessions.write([
    { id: "b", ...notes({ key: "k", value: 4, ifPresent: "skip" }, { key: "l", value: 5 }) },
    { id: "a", turns: { from: 1, turns: [] }, ...notes({ key: "k", value: 6, ifPresent: "replace" }) },
  ]);
  assert.ok(skipped.status === "ok");
  assert.deepEqual(await values(b), [2, 5]);
  assert.deepEqual(await values(a), [6]);
  assert.deepEqual(await inputsOf(a), []);
  await assertSound(place);
});

test("a dead writer's open turn is sealed by the write that follows", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const dead = place.another({ staleAfter: 10_000 });
  await (await dead.get("s")).begin("question");
  await place.clock.advance(60_000);
  const survivor = await place.another().get("s");
  await written(survivor, { turns: { from: 1, turns: [{ input: "instead" }] }, ...notes("a") });
  assert.deepEqual(await inputsOf(survivor), ["instead"]);
  assert.equal(survivor.info.counters.turns, 1);
  await session.refresh();
  await assertSound(place);
});

test("entries that are larger than a page are read and followed in both directions", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const sizes = [1, 300_000, 400_000, 2, 500_000];
  await written(session, notes(...sizes.map((size) => "x".repeat(size))));
  const log = session.log("notes");
  const seqs = async (entries: AsyncIterable<{ readonly seq: number }>): Promise<number[]> =>
    (await Array.fromAsync(entries)).map(({ seq }) => seq);
  await session.end();
  assert.deepEqual(await seqs(log.follow()), [1, 2, 3, 4, 5]);
  assert.deepEqual(await seqs(log.entries()), [1, 2, 3, 4, 5]);
  assert.deepEqual(await seqs(log.entries({ order: "descending" })), [5, 4, 3, 2, 1]);
  assert.deepEqual(await seqs(log.entries({ last: 4 })), [2, 3, 4, 5]);
});

test("an unknown field of a turn is refused, and so is a `set` that is no object", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (const write of [
    { turns: { turns: [{ input: "x", ouput: "y" }] } },
    { turns: { turns: [{ input: "x", at: 1 }] } },
    { set: 7 },
    { set: [] },
  ])
    await assert.rejects(session.write(write as SessionWrite), { code: "argument_invalid" });
  assert.equal((await session.refresh()).turn, 0);
});

test("a hole in an array of a write is refused like undefined, and nothing is written", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  // oxlint-disable-next-line no-sparse-arrays -- the hole is what is refused
  const holes = [,] as never[];
  const refused = { code: "argument_invalid" };
  await assert.rejects(session.write({ logs: { jobs: { entries: holes } } }), refused);
  await assert.rejects(session.write({ turns: { turns: holes } }), refused);
  await assert.rejects(place.sessions.write(holes), refused);
  const run = await place.sessions.streams.acquireToken("run");
  const token = run.role === "producer" ? run.token : assert.fail();
  await assert.rejects(place.sessions.streams.append("run", { token, after: 0, parts: holes }), refused);
  const { info } = await session.look([]);
  assert.deepEqual([info.counters.turns, info.logs], [0, {}]);
});
