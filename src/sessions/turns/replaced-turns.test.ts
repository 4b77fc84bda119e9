import assert from "node:assert/strict";
import { replacedLog } from "../../domain/turns/replaced-turns.ts";
import { changeOf, draftOf, identityOf, splice } from "../../domain/record/change.ts";
import { truncatedUsageLog, type Splice } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { test } from "node:test";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import { countAll } from "../../domain/turns/counters.ts";
import { entryOfTurn, type Turn } from "../../domain/turns/turn.ts";
import { doctor, stats } from "../../admin.ts";
import { encode } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import { coreOf, type Sessions } from "../sessions.ts";
import type { Model } from "../options/model.ts";
import type { Session } from "../session/session.ts";

/** A model that says the number of its call; while it is down it fails, after `words` of its answer. */
interface Numbered {
  readonly model: Model;
  isDown: boolean;
  words: string;
  shown: string[];
  calls: number;
}

function numbered(): Numbered {
  const state: Numbered = {
    isDown: false,
    words: "",
    calls: 0,
    shown: [],
    model: async function* ({ messages }) {
      state.calls++;
      state.shown = messages.map(({ content }) => String(content));
      yield { type: "usage", usage: { inputTokens: 5, outputTokens: 1 } };
      if (state.isDown) {
        if (state.words !== "") yield { type: "text", text: state.words };
        throw new SessionError("model_failed", { reported: "overloaded" });
      }
      yield { type: "text", text: `answer ${state.calls}` };
    },
  };
  return state;
}

async function turnsOf(session: Session): Promise<Turn[]> {
  return await Array.fromAsync(session.turns());
}

async function saidIn(session: Session): Promise<string[]> {
  return (await turnsOf(session)).map(
    ({ input, output, status }) =>
      `${String(input[0]?.content)} → ${status === "done" ? String(output[0]?.content) : status}`,
  );
}

/** `doctor` finds no problem. */
async function guardSound(sessions: Sessions): Promise<void> {
  const findings: unknown[] = [];
  await doctor(sessions, { onFinding: (finding) => findings.push(finding) });
  assert.deepEqual(findings, []);
}

/** The counters agree with the log, and `tokens` were used in all. */
async function guardCounters(session: Session, tokens: number): Promise<void> {
  const { counters } = await session.refresh();
  const counted = countAll(await turnsOf(session));
  assert.deepEqual([counters.turns, counters.messages], [counted.turns, counted.messages]);
  assert.equal(counters.inputTokens, tokens);
}

test("a question after a turn replaces the later ones, in one commit", async () => {
  const model = numbered();
  await using place = inMemory({ model: model.model });
  const session = await place.sessions.create({ id: "s" });
  for (const question of ["one", "two", "three"]) await (await session.consult(question)).done;
  const answer = await session.consult("two, differently", { after: 1 });
  assert.equal(answer.seq, 2);
  assert.equal((await answer.done).status, "done");
  assert.deepEqual(await saidIn(session), ["one → answer 1", "two, differently → answer 4"]);
  assert.deepEqual(model.shown, ["one", "answer 1", "two, differently"]);
  await guardCounters(session, 20);
  await (
    await session.consult("from the beginning", { after: 0 })
  ).done;
  assert.deepEqual(await saidIn(session), ["from the beginning → answer 5"]);
  await (
    await session.consult("next", { after: 1 })
  ).done;
  assert.deepEqual(await saidIn(session), ["from the beginning → answer 5", "next → answer 6"]);
  await guardCounters(session, 30);
  await guardSound(place.sessions);
});

test("the replaced turns come back where the answer fails before its first word", async () => {
  const model = numbered();
  await using place = inMemory({ model: model.model });
  const session = await place.sessions.create({ id: "s" });
  await (
    await session.consult("one", { key: "k1" })
  ).done;
  await (
    await session.consult("two", { key: "k2" })
  ).done;
  const before = await turnsOf(session);
  model.isDown = true;
  for (const after of [0, 1]) {
    const answer = await session.consult("again", { after, key: "k3" });
    await assert.rejects(answer.done, { code: "model_failed" });
    assert.deepEqual(await turnsOf(session), before);
  }
  await guardCounters(session, 20);
  assert.equal(
    (await stats(place.sessions)).turns.inputTokens,
    20,
    "the usage of the failed tries stays counted, that of the turns once",
  );
  model.isDown = false;
  assert.equal((await (await session.consult("again", { after: 1, key: "k3" })).done).seq, 2);
  assert.deepEqual(await saidIn(session), ["one → answer 1", "again → answer 5"]);
  const calls = model.calls;
  await (
    await session.consult("again", { after: 1, key: "k3" })
  ).done;
  assert.equal(model.calls, calls, "a retry under the key of a done turn is the same turn");
  await assert.rejects(session.consult("again", { after: 0, key: "k3" }), { code: "key_reused" });
  await guardSound(place.sessions);
});

test("an answer that has begun stays, and the replaced turns go", async () => {
  const model = numbered();
  await using place = inMemory({ model: model.model });
  const session = await place.sessions.create({ id: "s" });
  await (
    await session.consult("one")
  ).done;
  Object.assign(model, { isDown: true, words: "Well" });
  await assert.rejects((await session.consult("again", { after: 0 })).done, { code: "model_failed" });
  assert.deepEqual(await saidIn(session), ["again → failed"]);
  await guardCounters(session, 10);
});

for (const words of ["", "Well"]) {
  test(`a writer that dies after ${words === "" ? "no word" : "a word"} leaves the ${words === "" ? "replaced turns" : "new turn"}`, async () => {
    const model = numbered();
    await using place = inMemory({ model: model.model });
    const session = await place.sessions.create({ id: "s" });
    for (const question of ["one", "two"]) await (await session.consult(question)).done;
    const turn = await (await place.another({ model: model.model }).get("s")).begin("again", { after: 0 });
    // A write of this length is durable once it resolves.
    if (words !== "") await turn.write({ text: words.repeat(4096) });
    await session.refresh();
    assert.deepEqual(await saidIn(session), ["again → open"]);
    assert.equal(await session.breakLease(), true);
    assert.deepEqual(
      await saidIn(session),
      words === "" ? ["one → answer 1", "two → answer 2"] : ["again → interrupted"],
    );
    await session.refresh();
    await (
      await session.consult("three")
    ).done;
    const { counters } = await session.refresh();
    const counted = countAll(await turnsOf(session));
    assert.deepEqual([counters.turns, counters.messages], [counted.turns, counted.messages]);
    await guardSound(place.sessions);
  });
}

test("a question cannot replace turns that do not exist, are too many, or are under legal hold", async () => {
  const model = numbered();
  await using place = inMemory({ model: model.model, limits: { turnBytesMax: 2000 } });
  const session = await place.sessions.create({ id: "s" });
  for (let n = 0; n < 20; n++) await session.append({ input: `question ${n}`, output: "x".repeat(100) });
  for (const call of [
    () => session.consult("x", { after: 21 }),
    () => session.begin("x", { after: 21 }),
    () => session.truncate(21),
  ]) {
    await assert.rejects(call(), (error: SessionError<"range_invalid">) => {
      assert.equal(error.code, "range_invalid");
      assert.partialDeepStrictEqual(error.details, { name: "after", from: 21, to: 20 });
      assert.match(error.message, /^after is 21, expected a whole number from 0 to 20, the last turn of the session/);
      return true;
    });
  }
  for (const after of [-1, 0.5, Number.NaN, "1" as never, null as never])
    await assert.rejects(session.consult("x", { after }), { code: "argument_invalid" });
  await assert.rejects(session.consult("x", { after: 0 }), { code: "replaced_too_large" });
  await session.setLegalHold("a case");
  await assert.rejects(session.consult("x", { after: 19 }), { code: "legal_hold" });
  assert.equal((await turnsOf(session)).length, 20);
  assert.equal(model.calls, 0);
});

for (const busy of ["queue", "interrupt", "take-over", "reject"] as const)
  test(`under the policy ${busy}, a question replaces no turn that its caller has not seen`, async () => {
    const gate = Promise.withResolvers<void>();
    const model: Model = async function* ({ signal }) {
      signal.addEventListener("abort", () => gate.reject(signal.reason as Error));
      await gate.promise;
      yield { type: "text", text: "an answer" };
    };
    await using place = inMemory({ model });
    const session = await place.sessions.create({ id: "s" });
    await session.append({ input: "one" });
    const seen = await place.sessions.get("s");
    const running = await session.consult("two");
    const asked = seen.consult("one, differently", { after: 0, busy });
    gate.resolve();
    await assert.rejects(asked, { code: "conflict" });
    await running.done.catch(() => undefined);
    assert.deepEqual(
      (await turnsOf(session)).map(({ input }) => input[0]?.content),
      ["one", "two"],
    );
    assert.equal((await session.consult("one, differently", { after: 0, busy })).seq, 1, "its own answer is seen");
  });

for (const busy of ["queue", "interrupt", "take-over", "reject"] as const)
  test(`under the policy ${busy}, a question does not replace another edit of the same turn`, async () => {
    const gate = Promise.withResolvers<void>();
    const model: Model = async function* ({ signal }) {
      signal.addEventListener("abort", () => gate.reject(signal.reason as Error));
      yield { type: "text", text: "an answer" };
      await gate.promise;
    };
    await using place = inMemory({ model });
    const session = await place.sessions.create({ id: "s" });
    for (const input of ["one", "two"]) await session.append({ input });
    const other = await place.sessions.get("s");
    const running = await session.consult("two, by one", { after: 1 });
    const asked = other.consult("two, by another", { after: 1, busy });
    gate.resolve();
    await assert.rejects(asked, { code: "conflict" });
    await running.done.catch(() => undefined);
    assert.deepEqual(
      (await turnsOf(session)).map(({ input }) => input[0]?.content),
      ["one", "two, by one"],
    );
    await other.refresh();
    assert.equal((await other.consult("two, by another", { after: 1, busy })).seq, 2, "now it has seen the edit");
  });

for (const after of [undefined, 0])
  test(`a retry of a question that a dead writer left without a word is asked, ${after === undefined ? "behind the turns that came back" : "in their place"}`, async () => {
    const model = numbered();
    await using place = inMemory({ model: model.model });
    const session = await place.sessions.create({ id: "s" });
    for (const question of ["one", "two"]) await (await session.consult(question)).done;
    await (await place.another().get("s")).begin("again", { after: 0, key: "k" });
    await place.clock.advance(60_000);
    const next = await place.another({ model: model.model }).get("s");
    await (
      await next.consult("again", defined({ key: "k", after }))
    ).done;
    await session.refresh();
    const came = after === undefined ? ["one → answer 1", "two → answer 2"] : [];
    assert.deepEqual(await saidIn(session), [...came, "again → answer 3"]);
    await guardSound(place.sessions);
  });

test("the key of a replaced turn stays its key where a dead writer's question gives the place back", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (const key of ["k1", "k2", "k3"]) await session.append({ input: key }, { key });
  await (await place.another().get("s")).begin("again", { after: 0, key: "k" });
  await place.clock.advance(60_000);
  const next = await place.another().get("s");
  assert.equal((await next.append({ input: "k2" }, { key: "k2" })).seq, 2);
  await assert.rejects(next.append({ input: "another" }, { key: "k3" }), { code: "key_reused" });
  assert.equal((await next.refresh()).counters.turns, 3);
  await guardSound(place.sessions);
});

for (const end of ["done", "failed", "interrupted by a crash"] as const)
  test(`a legal hold waits for the end of a question that replaces turns, which is ${end}`, async () => {
    const model = numbered();
    await using place = inMemory({ model: model.model });
    const session = await place.sessions.create({ id: "s" });
    for (const question of ["one", "two"]) await (await session.consult(question)).done;
    const writer = place.another();
    const turn = await (await writer.get("s")).begin("again", { after: 0 });
    await assert.rejects(session.setLegalHold("a case"), { code: "turn_open" });
    if (end === "interrupted by a crash") await place.clock.advance(60_000);
    else if (end === "done") await turn.seal({ output: [{ role: "assistant", content: "Well" }] });
    else await turn.seal({ status: "failed", error: { code: "model_failed", message: "overloaded" } });
    await session.setLegalHold("a case");
    const kept = end === "done" ? ["again → Well"] : ["one → answer 1", "two → answer 2"];
    await session.refresh();
    assert.deepEqual(await saidIn(session), kept);
    const plain = await session.begin("a question that replaces nothing");
    await session.setLegalHold("another case");
    await plain.seal();
  });

test("a fork of a session whose turns are replaced keeps them", async () => {
  const model = numbered();
  await using place = inMemory({ model: model.model });
  const session = await place.sessions.create({ id: "s" });
  for (const question of ["one", "two"]) await (await session.consult(question)).done;
  const fork = await session.fork({ as: "f" });
  await session.refresh();
  await (
    await session.consult("again", { after: 0 })
  ).done;
  await fork.refresh();
  assert.deepEqual(await saidIn(fork), ["one → answer 1", "two → answer 2"]);
  model.isDown = true;
  const other = await fork.fork({ as: "g" });
  await assert.rejects((await other.consult("again", { after: 1 })).done, { code: "model_failed" });
  await other.refresh();
  assert.deepEqual(await saidIn(other), ["one → answer 1", "two → answer 2"]);
  await guardSound(place.sessions);
});

test("a fork at 0 shares no turns, and begins as its parent began", async () => {
  const model = numbered();
  await using place = inMemory({ model: model.model });
  const session = await place.sessions.create({ id: "s", instructions: "Be brief.", metadata: { title: "x" } });
  const ofNothing = await session.fork({ as: "n" });
  assert.equal(ofNothing.info.counters.turns, 0);
  await (
    await session.consult("one")
  ).done;
  const turn = await (await place.sessions.create({ id: "o" })).begin("a first question");
  const whileOpen = await (await place.sessions.get("o")).fork({ as: "w" });
  assert.equal(whileOpen.info.counters.turns, 0);
  await turn.seal();
  const fork = await session.fork({ at: 0, as: "f" });
  assert.equal(await fork.instructions(), "Be brief.");
  assert.deepEqual([fork.info.metadata, fork.info.parent, fork.info.counters.turns], [{ title: "x" }, null, 0]);
  await (
    await fork.consult("one, differently")
  ).done;
  assert.deepEqual(await saidIn(fork), ["one, differently → answer 2"]);
  await assert.rejects(session.fork({ at: 0, as: "f" }), { code: "session_exists" });
  await session.refresh();
  await session.truncate(0);
  await guardSound(place.sessions);
});

test("a watch reports the replacement, and the restored turns", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (const input of ["one", "two", "three"]) await session.append({ input });
  const watching = (await place.another().get("s")).watch({ after: 0 })[Symbol.asyncIterator]();
  const take = async (count: number): Promise<string[]> => {
    const taken: string[] = [];
    while (taken.length < count) {
      const { value: news } = await watching.next();
      if (news === undefined) break;
      if (news.type === "turn") taken.push(`${news.turn.status} ${String(news.turn.input[0]?.content)}`);
      else taken.push(news.type === "truncated" ? `truncated ${news.after}` : news.type);
    }
    return taken;
  };
  await take(3);
  await place.clock.advance(1);
  const turn = await session.begin("again", { after: 1 });
  assert.deepEqual(await take(2), ["truncated 1", "open again"]);
  await turn.seal({ status: "failed", error: { code: "model_failed", message: "overloaded" } });
  assert.deepEqual(await take(3), ["truncated 1", "done two", "done three"]);
  await watching.return?.();
});

test("turns that a lost question had replaced take the place of no later turn", async () => {
  const model = numbered();
  await using place = inMemory({ model: model.model });
  const session = await place.sessions.create({ id: "s" });
  await (
    await session.consult("one")
  ).done;
  const core = coreOf(place.sessions);
  const { record } = await core.load({ tenant: "default", id: "s" });
  const draft = draftOf(record);
  const lost = entryOfTurn({ ...(await turnsOf(session))[0]!, seq: 2 });
  splice(draft, replacedLog, 1, [
    { seq: 1, key: null, at: 0, data: encode({ inherited: 0, [truncatedUsageLog]: 0 }) },
    lost,
  ]);
  assert.equal((await core.commit([changeOf(draft)])).status, "ok");
  await session.refresh();
  model.isDown = true;
  await assert.rejects((await session.consult("two")).done, { code: "model_failed" });
  assert.deepEqual(await saidIn(session), ["one → answer 1", "two → failed"]);
});

test("a late retry of a question whose turn was replaced cuts nothing and is asked no more", async () => {
  const model = numbered();
  await using place = inMemory({ model: model.model });
  const ask = async (question: string, options: object): Promise<unknown> =>
    await (
      await (await place.sessions.get("s")).consult(question, options)
    ).done;
  const session = await place.sessions.create({ id: "s" });
  for (const question of ["one", "two"]) await ask(question, { key: `k ${question}` });
  await ask("edit A", { after: 1, key: "A" });
  await ask("edit B", { after: 1, key: "B" });
  await ask("three", { key: "k three" });
  const expected = ["one → answer 1", "edit B → answer 4", "three → answer 5"];
  const { calls } = model;
  for (const [question, options] of [
    ["edit A", { after: 1, key: "A" }],
    ["two", { key: "k two" }],
    ["two", { after: 1, key: "k two" }],
  ] as const)
    await assert.rejects(ask(question, options), { code: "key_reused" });
  assert.equal(model.calls, calls);
  assert.deepEqual(await saidIn(session), expected);
  model.isDown = true;
  await assert.rejects(ask("edit C", { after: 0, key: "C" }), { code: "model_failed" });
  model.isDown = false;
  assert.deepEqual(await saidIn(session), expected);
  await ask("three", { key: "k three" });
  assert.equal(model.calls, calls + 1, "the keys of turns that came back are known");
  await guardSound(place.sessions);
});

test("a question whose withdrawal came first is not asked", async () => {
  const model = numbered();
  await using place = inMemory({ model: model.model });
  const session = await place.sessions.create({ id: "s" });
  await assert.rejects(session.consult("gone", { withdraw: AbortSignal.abort() }), { code: "aborted" });
  assert.deepEqual([model.calls, (await turnsOf(session)).length], [0, 0]);
});

/** The findings of the doctor: kind, repair, and whether it was repaired. */
async function examined(place: InMemory, repair = false): Promise<unknown[]> {
  const found: unknown[] = [];
  await doctor(place.sessions, { repair, onFinding: ({ kind, fix, repaired }) => found.push([kind, fix, repaired]) });
  return found;
}

/** Write past all rules, as a mistake or a bad repair would. */
async function damage(place: InMemory, fields: Partial<SessionRecord>, splices: readonly Splice[] = []): Promise<void> {
  const key = { tenant: "default", id: "s" };
  const { record } = await coreOf(place.sessions).load(key);
  const written = { ...record, ...fields, version: record.version + 1 };
  const change = { key, expected: identityOf(record), record: written, splices, claims: [] };
  assert.deepEqual(await place.store.commit([[change]]), [{ status: "ok" }]);
}

/** A session of two turns, and a dead writer that left a question in their place. */
async function abandoned(place: InMemory, words = ""): Promise<Session> {
  const session = await place.sessions.create({ id: "s" });
  const usage = { inputTokens: 5, outputTokens: 1, totalTokens: 6 };
  for (const [question, output] of [
    ["one", "answer 1"],
    ["two", "answer 2"],
  ] as const)
    await session.append({ input: question, output, usage }, { key: question });
  const turn = await (await place.another().get("s")).begin("again", { after: 0, key: "k" });
  if (words !== "") await turn.write({ text: words.repeat(4096) });
  await place.clock.advance(60_000);
  return session;
}

const end = "turn 1 is sealed with what had arrived; if nothing had, 2 turns that it replaced are put back";

for (const holder of ["dead", "none"] as const)
  for (const words of ["", "Well"])
    test(`the doctor ends a question that replaced turns after ${words === "" ? "no word" : "a word"}, with ${holder === "none" ? "no" : "a dead"} holder`, async () => {
      await using place = inMemory();
      const session = await abandoned(place, words);
      if (holder === "none") await damage(place, { lease: null });
      const [kind, fix] = holder === "dead" ? ["lease", `the lease is cleared, ${end}`] : ["open_turn", end];
      assert.deepEqual(await examined(place), [[kind, fix, false]]);
      assert.deepEqual(await examined(place, true), [[kind, fix, true]]);
      await guardSound(place.sessions);
      await session.refresh();
      const came = words === "" ? ["one → answer 1", "two → answer 2"] : ["again → interrupted"];
      assert.deepEqual(await saidIn(session), came);
      const { record } = await coreOf(place.sessions).load({ tenant: "default", id: "s" });
      assert.deepEqual([record.heads[replacedLog], record.openTurn, record.lease], [0, null, null]);
    });

for (const known of [true, false])
  test(`the doctor puts replaced turns back where their question was lost${known ? "" : ", also after the record forgot it"}`, async () => {
    await using place = inMemory();
    const session = await abandoned(place);
    const lost = [{ log: "turns", from: 1, entries: [] }];
    const none = { ...(await coreOf(place.sessions).load({ tenant: "default", id: "s" })).record.heads, turns: 0 };
    await damage(place, { lease: null, ...(known ? {} : { openTurn: null, heads: none }) }, lost);
    const before = await examined(place);
    assert.deepEqual(before[0], ["replaced", "they are put back", false]);
    assert.deepEqual((await examined(place, true))[0], ["replaced", "they are put back", true]);
    await guardSound(place.sessions);
    await session.refresh();
    assert.deepEqual(await saidIn(session), ["one → answer 1", "two → answer 2"]);
    const { counters } = session.info;
    assert.deepEqual([counters.turns, counters.totalTokens], [2, 12]);
    const usage = { inputTokens: 5, outputTokens: 1, totalTokens: 6 };
    const retry = session.append({ input: "two", output: "answer 2", usage }, { key: "two" });
    assert.equal((await retry).seq, 2, "its key is known");
  });

test("the doctor reports replaced turns whose place another turn has, and leaves both", async () => {
  await using place = inMemory();
  const session = await abandoned(place);
  const { record } = await coreOf(place.sessions).load({ tenant: "default", id: "s" });
  const heads = { ...record.heads, turns: 0 };
  await damage(place, { lease: null, openTurn: null, heads }, [{ log: "turns", from: 1, entries: [] }]);
  await session.refresh();
  await session.append({ input: "later" });
  for (const repair of [false, true])
    assert.deepEqual(
      (await examined(place, repair)).find((finding) => (finding as unknown[])[0] === "replaced"),
      ["replaced", null, false],
    );
  await session.refresh();
  assert.deepEqual(
    (await turnsOf(session)).map(({ input }) => input[0]?.content),
    ["later"],
  );
});
