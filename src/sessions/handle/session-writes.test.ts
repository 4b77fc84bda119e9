import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { test } from "node:test";
import { setImmediate as turnOfTheLoop } from "node:timers/promises";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import { doctor, removeSession } from "../../admin.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { StoreCall } from "../../store/calls/store-call.ts";
import type { WriteOutcome } from "../logs/session-write.ts";
import type { Core } from "../core/core.ts";
import { correlated } from "../tracing/correlation.ts";
import { writesTo, type FoldingView } from "./session-writes.ts";
import { inputsOf } from "../../../test/support/inputs-of.ts";

/** The statuses of all transactions that are committed from here on. */
function statuses({ store }: InMemory): string[] {
  const all: string[] = [];
  const commit = store.commit.bind(store);
  store.commit = async (batch) => {
    const outcomes = await commit(batch);
    all.push(...outcomes.map(({ status }) => status));
    return outcomes;
  };
  return all;
}

/** The code of the error, or the result. */
async function settled<T>(work: Promise<T>): Promise<T | string> {
  return await work.catch((error: unknown) => (error instanceof SessionError ? error.code : String(error)));
}

async function assertSound({ sessions }: InMemory): Promise<void> {
  assert.equal((await doctor(sessions)).findings, 0);
}

test("8 writers of 25 turns each, on session objects of their own: about one commit for each round", async () => {
  await using place = inMemory();
  await place.sessions.create({ id: "s" });
  const writers = await Promise.all(Array.from({ length: 8 }, () => place.sessions.get("s")));
  const commits = statuses(place);
  const seqs: number[] = [];
  await Promise.all(
    writers.map(async (writer, name) => {
      for (let time = 0; time < 25; time++) {
        const outcome = await writer.write({ turns: { turns: [{ input: `${name} ${time}` }] } });
        assert.ok(outcome.status === "ok");
        seqs.push(...outcome.turns.map(({ seq }) => seq));
      }
    }),
  );
  assert.ok(commits.length <= 40, `${commits.length} commits`);
  assert.ok(commits.every((status) => status === "ok"));
  assert.deepEqual(
    seqs.toSorted((a, b) => a - b),
    Array.from({ length: 200 }, (_, index) => index + 1),
  );
  await assertSound(place);
});

test("200 appends at once on one session object land in their order, in a few commits", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const commits = statuses(place);
  const told: number[] = [];
  const onCommit = (call: unknown): void => {
    const { transactions, writes = transactions } = call as StoreCall;
    if (writes !== undefined) told.push(writes);
  };
  subscribe("tracing:perdure:store:start", onCommit);
  const wanted = Array.from({ length: 200 }, (_, index) => String(index));
  const turns = await Promise.all(wanted.map((input) => session.append({ input })));
  unsubscribe("tracing:perdure:store:start", onCommit);
  assert.ok(commits.length <= 5, `${commits.length} commits`);
  assert.equal(
    told.reduce((sum, writes) => sum + writes, 0),
    200,
    "the store's calls tell how many writes they commit",
  );
  assert.deepEqual(
    turns.map(({ seq }) => seq),
    wanted.map((_, index) => index + 1),
  );
  assert.deepEqual(await inputsOf(session), wanted);
  assert.equal(session.hasSeenAll, true);
  assert.equal(session.info.counters.turns, 200);
  await assertSound(place);
});

test("a write that fails in the middle fails alone, with its own error", async () => {
  await using place = inMemory({ limits: { turnBytesMax: 2000 } });
  const session = await place.sessions.create({ id: "s", budget: { turns: 4 } });
  const other = await place.sessions.get("s");
  const commits = statuses(place);
  const results = await Promise.all([
    settled(session.append({ input: "1" })),
    settled(session.append({ input: "2" })),
    settled(session.append({ input: "x".repeat(3000) })),
    settled(session.update({ metadata: { a: 1 } })),
    settled(other.append({ input: "stale" })),
    settled(session.append({ input: "3" })),
    settled(session.touch()),
    settled(session.append({ input: "4" })),
    settled(session.append({ input: "5" })),
  ]);
  const codes = results.map((result) => (typeof result === "object" && "seq" in result ? result.seq : result));
  assert.deepEqual(codes, [1, 2, "turn_too_large", undefined, "conflict", 3, undefined, 4, "budget_exceeded"]);
  assert.deepEqual(await inputsOf(session), ["1", "2", "3", "4"]);
  assert.deepEqual(session.info.metadata, { a: 1 });
  assert.ok(commits.length <= 3, `${commits.length} commits`);
  await assertSound(place);
});

test("a commit that another process refuses is judged again as a whole, and each write lands once", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const theirs = await place.another().get("s");
  const commit = place.store.commit.bind(place.store);
  let isDisturbed = false;
  place.store.commit = async (batch) => {
    if (!isDisturbed && batch.some(([change]) => change !== undefined && "writes" in change)) {
      isDisturbed = true;
      await theirs.write({ turns: { turns: [{ input: "theirs" }] } });
    }
    return await commit(batch);
  };
  const writes = ["1", "2", "3", "4"].map((input) => session.write({ turns: { turns: [{ input }] } }));
  const outcomes = await Promise.all(writes);
  assert.equal(isDisturbed, true);
  assert.deepEqual(await inputsOf(session), ["theirs", "1", "2", "3", "4"]);
  assert.deepEqual(
    outcomes.map((outcome) => outcome.status === "ok" && outcome.turns.map(({ seq }) => seq)),
    [[2], [3], [4], [5]],
  );
  await assertSound(place);
});

test("keys: of several writes at once with one key the first lands, and the others are told so", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await session.write({ logs: { notes: { entries: [{ key: "stored", value: 0 }] } } });
  const write = (key: string, value: number): Promise<WriteOutcome> =>
    session.write({ logs: { notes: { entries: [{ key, value }] } } });
  const outcomes = await Promise.all([
    write("a", 1),
    write("b", 2),
    write("stored", 3),
    write("b", 4),
    write("c", 5),
    write("a", 6),
  ]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ["ok", "ok", "duplicate", "duplicate", "ok", "duplicate"],
  );
  const entries = await Array.fromAsync(session.log("notes").entries());
  assert.deepEqual(
    entries.map(({ key, value }) => [key, value]),
    [
      ["stored", 0],
      ["a", 1],
      ["b", 2],
      ["c", 5],
    ],
  );
  await assertSound(place);
});

test("onto the version that a folded write made: a later write of the same commit is a conflict", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const write = (input: string, onto?: number): Promise<WriteOutcome> =>
    session.write({ turns: { turns: [{ input }] }, ...(onto === undefined ? {} : { onto }) });
  const [, second, third] = await Promise.all([write("1"), write("2"), write("3")]);
  assert.ok(second?.status === "ok" && third?.status === "ok");
  assert.equal(third.version, second.version + 1);
  await assert.rejects(write("x", second.version), { code: "conflict" });
  assert.equal((await write("4", third.version)).status, "ok");
});

test("a store that fails the commit fails all of its writes, each with the ids of its own call, and nothing is written", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  place.store.commit = () => Promise.reject(new SessionError("store_full", { store: "s" }));
  const writes = [session.append({ input: "1" }), session.append({ input: "2" }), session.update({ title: "t" })];
  const errors = await Promise.all(writes.map((write) => write.catch((error: unknown) => error)));
  assert.deepEqual(
    errors.map((error) => hasCode(error, "store_full") && error.details.command),
    ["append", "append", "update"],
  );
  assert.deepEqual(await inputsOf(session), []);
});

test("events of folded writes have the correlation of their own caller, and each turn is published once", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const published: number[] = [];
  const onTurn = (news: unknown): void => void published.push((news as { turn: { seq: number } }).turn.seq);
  subscribe("perdure:turn", onTurn);
  await Promise.all([
    session.append({ input: "1" }),
    ...["a", "b", "c"].map((name) =>
      correlated(name, async () => {
        await session.update({ user: name });
      }),
    ),
    session.append({ input: "2" }),
    session.append({ input: "3" }),
  ]);
  unsubscribe("perdure:turn", onTurn);
  const events = (await Array.fromAsync(session.events())).filter(({ type }) => type === "reassigned");
  assert.deepEqual(
    events.map((event) => [event.type === "reassigned" && event.user, event.correlation]),
    ["a", "b", "c"].map((name) => [name, name]),
  );
  assert.deepEqual(published, [1, 2, 3]);
  await assertSound(place);
});

/** The first commit of several writes lands, and its answer is lost; `meanwhile` runs before the store is asked again. */
function losing({ store }: InMemory, meanwhile = async (): Promise<void> => undefined): { readonly lost: number } {
  const commit = store.commit.bind(store);
  const count = { lost: 0 };
  store.commit = async (batch) => {
    const outcomes = await commit(batch);
    if (count.lost > 0 || !batch.flat().some((change) => "writes" in change && change.writes > 1)) return outcomes;
    count.lost++;
    await meanwhile();
    throw new SessionError("store_unavailable", { store: "test", problem: "unreachable" });
  };
  return count;
}

test("a folded commit whose answer is lost is settled by the store, for all of its writes", async () => {
  await using place = inMemory();
  await place.sessions.create({ id: "s" });
  const [one, other] = [await place.sessions.get("s"), await place.sessions.get("s")];
  const count = losing(place);
  const outcomes = await Promise.all([
    settled(one.append({ input: "a" })),
    settled(other.write({ turns: { turns: [{ input: "b", key: "k" }] } })),
    settled(one.update({ title: "t" })),
    settled(other.write({ logs: { notes: { entries: [{ value: 1 }] } } })),
  ]);
  assert.ok(
    outcomes.every((outcome) => typeof outcome !== "string"),
    JSON.stringify(outcomes),
  );
  assert.equal(count.lost, 1);
  assert.deepEqual(await inputsOf(one), ["a", "b"]);
  await assertSound(place);
});

test("behind a folded commit whose answer is lost and that another one followed, a key finds its turn, and the others fail", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const stranger = await place.another().get("s");
  const count = losing(place, async () => {
    await stranger.update({ title: "t" });
  });
  await session.write({ turns: { turns: [{ input: "first" }] } });
  const [plain, keyed] = await Promise.all([
    settled(session.write({ turns: { turns: [{ input: "a" }] } })),
    settled(session.write({ turns: { turns: [{ input: "b", key: "k" }] } })),
  ]);
  assert.equal(count.lost, 1);
  assert.equal(plain, "store_unavailable");
  assert.ok(typeof keyed === "object" && keyed.status === "duplicate", JSON.stringify(keyed));
  assert.deepEqual(await inputsOf(stranger), ["first", "a", "b"]);
  await assertSound(place);
});

test("a superseded lease holder is fenced, and the writes that fold with its own land", async () => {
  await using place = inMemory();
  await place.sessions.create({ id: "s" });
  const [holder, other] = [await place.sessions.get("s"), await place.sessions.get("s")];
  await holder.lease();
  await (await place.another().get("s")).breakLease();
  const outcomes = await Promise.all([
    settled(other.write({ turns: { turns: [{ input: "a" }] } })),
    settled(holder.append({ input: "stale" })),
    settled(holder.write({ turns: { turns: [{ input: "stale too" }] } })),
    settled(other.write({ turns: { turns: [{ input: "b" }] } })),
  ]);
  assert.deepEqual([outcomes[1], outcomes[2]], ["fenced", "fenced"]);
  assert.deepEqual(await inputsOf(other), ["a", "b"]);
  await assertSound(place);
});

test("writes to a session that is removed meanwhile all fail, and one that is created again gets none of them", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const stranger = place.another();
  await removeSession(stranger, "s");
  await stranger.create({ id: "s" });
  const writes = Array.from({ length: 3 }, (_, n) => settled(session.append({ input: `${n}` })));
  for (const outcome of await Promise.all(writes)) assert.equal(typeof outcome, "string");
  assert.deepEqual(await inputsOf(await stranger.get("s")), []);
});

test("close waits for the appends that it finds waiting", async () => {
  const place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const reader = await place.another().get("s");
  const appends = Array.from({ length: 300 }, (_, n) => settled(session.append({ input: `${n}` })));
  await place.sessions.close();
  for (const outcome of await Promise.all(appends)) assert.notEqual(typeof outcome, "string");
  assert.equal((await inputsOf(reader)).length, 300);
});

test("a conflict that is answered behind a newer record of the session is no restored store", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const other = await place.another().get("s");
  const { store } = place;
  const commit = store.commit.bind(store);
  store.commit = async (batch) => {
    store.commit = commit;
    await other.update({ title: "one" });
    const outcomes = await commit(batch); // a conflict, with this record
    await other.update({ title: "two" });
    await session.look([]);
    return outcomes;
  };
  await session.touch();
  assert.equal((await session.look([])).info.title, "two");
});

test("of the queues in which no write waits one stays", async () => {
  const core = {} as Core;
  const viewOf = (keyText: string): FoldingView =>
    ({ core, keyText, record: { version: 1, commitId: "c" }, learn: () => undefined }) as unknown as FoldingView;
  const use = async (view: FoldingView): Promise<unknown> => {
    const queue = writesTo(view);
    await queue.alone(view, async () => undefined);
    await turnOfTheLoop();
    return queue;
  };
  const [a, b] = [viewOf("a"), viewOf("b")];
  const first = await use(a);
  assert.equal(await use(a), first);
  const second = await use(b);
  assert.equal(writesTo(b), second);
  assert.notEqual(writesTo(a), first);
});
