/** A commit whose answer was lost is settled by asking the store; a store that is away leaves nothing behind for good. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { countAll } from "../../domain/turns/counters.ts";
import type { Model } from "../options/model.ts";

const away = { code: "store_unavailable" };

const sayYes: Model = async function* sayYes() {
  yield { type: "text", text: "yes" };
};

test("an append with a lost response is no error, and the handle continues", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  place.store.plan({ [place.store.commits + 1]: { fails: "after" } });
  assert.equal((await session.append({ input: "one" })).seq, 1);
  assert.equal((await session.append({ input: "two" })).seq, 2);
  const turns = await Array.fromAsync(session.turns());
  assert.equal(turns.length, 2);
  assert.deepEqual(session.info.counters, countAll(turns));
});

test("an append that did not land is an error, and the handle continues", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  place.store.plan({ [place.store.commits + 1]: { fails: "before" } });
  await assert.rejects(session.append({ input: "one" }), away);
  assert.equal((await session.append({ input: "one" })).seq, 1);
});

test("a keyed append is the same turn whichever way its first try was lost", async () => {
  for (const fails of ["before", "after"] as const) {
    await using place = inMemory();
    const session = await place.sessions.create({ id: "s" });
    place.store.plan({ [place.store.commits + 1]: { fails } });
    const append = () => session.append({ input: "one" }, { key: "k" });
    const first = await append().catch(() => undefined);
    assert.equal((await append()).seq, 1);
    assert.equal(first?.seq, fails === "after" ? 1 : undefined);
    assert.equal((await session.append({ input: "two" })).seq, 2);
  }
});

test("an append that did not land, while another process's landed in its place, is not taken for landed", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const other = await place.another().get("s");
  const plan = place.store.commits;
  place.store.plan({ [plan + 1]: { fails: "before" } });
  const failing = session.append({ input: "mine" });
  const landing = other.append({ input: "theirs" });
  await assert.rejects(failing, away);
  await landing;
  await assert.rejects(session.append({ input: "mine" }), { code: "conflict" });
  await session.refresh();
  assert.equal((await session.append({ input: "mine" })).seq, 2);
});

test("a create with a lost response returns the session", async () => {
  await using place = inMemory();
  place.store.plan({ 1: { fails: "after" }, 2: { fails: "before" } });
  const session = await place.sessions.create({ id: "s" });
  await assert.rejects(place.sessions.create({ id: "t" }), away);
  assert.equal((await session.append({ input: "one" })).seq, 1);
  await assert.rejects(place.sessions.create({ id: "s" }), { code: "session_exists" });
});

test("a begin with a lost response begins the turn", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  place.store.plan({ [place.store.commits + 1]: { fails: "after" } });
  const turn = await session.begin("one");
  await turn.write({ text: "yes" });
  assert.equal((await turn.seal()).status, "done");
  assert.equal((await session.append({ input: "two" })).seq, 2);
});

test("a seal with a lost response returns the sealed turn", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("one");
  await turn.write({ text: "yes" });
  place.store.plan({ [place.store.commits + 1]: { fails: "after" } });
  assert.equal((await turn.seal()).status, "done");
  assert.equal(session.info.lease, null);
  assert.equal((await session.append({ input: "two" })).seq, 2);
});

test("a lease that is taken or released with a lost response has its stored state", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  place.store.plan({ [place.store.commits + 1]: { fails: "after" } });
  const lease = await session.lease();
  await session.append({ input: "one" });
  place.store.plan({ [place.store.commits + 1]: { fails: "after" } });
  await lease.release();
  await session.refresh();
  assert.equal(session.info.lease, null);
});

test("a lease of unknown outcome does not hold its session after the store was away", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  place.store.plan({ [place.store.commits + 1]: { fails: "after" } });
  place.loadsFail = true;
  await assert.rejects(session.lease());
  place.loadsFail = false;
  await session.refresh();
  assert.notEqual(session.info.lease, null, "it landed");
  await session.append({ input: "one" });
  assert.equal(session.info.lease, null);
});

test("a begin of unknown outcome leaves a turn that the next writer seals", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  place.store.plan({ [place.store.commits + 1]: { fails: "after" } });
  place.loadsFail = true;
  await assert.rejects(session.begin("one"));
  place.loadsFail = false;
  await session.refresh();
  await session.append({ input: "two" });
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ status }) => status),
    ["interrupted", "done"],
  );
  assert.deepEqual(session.info.counters, countAll(turns));
});

test("a lease that could not be released blocks no caller once the store is back", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const lease = await session.lease();
  place.store.plan(() => ({ fails: "before" }));
  await assert.rejects(lease.release(), away);
  place.store.plan({});
  await (await place.sessions.get("s")).append({ input: "here" });
});

test("a lease of unknown outcome blocks no other process once the store is back", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const other = await place.another().get("s");
  place.store.plan({ [place.store.commits + 1]: { fails: "after" } });
  place.loadsFail = true;
  await assert.rejects(session.begin("one"));
  context.mock.timers.tick(2000);
  await place.clock.advance(1); // still away: it is tried again
  place.loadsFail = false;
  await other.refresh();
  await assert.rejects(other.append({ input: "two" }), { code: "busy" });
  await place.clock.advance(1000); // the breaker lets it try
  context.mock.timers.tick(2000);
  await place.clock.advance(1);
  await other.refresh();
  assert.equal((await other.append({ input: "two" })).seq, 2);
});

test("a seal that failed for good leaves a turn that the next writer seals", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const turn = await session.begin("one");
  place.store.plan(() => ({ fails: "before", error: new Error("a bug of the store") }));
  await assert.rejects(turn.seal(), /a bug/);
  place.store.plan({});
  await session.append({ input: "two" });
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ status }) => status),
    ["interrupted", "done"],
  );
});

test("a live lease of the same process excludes its other handles, also while it is being taken", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const other = await place.sessions.get("s");
  const taking = session.lease();
  const codes = await Promise.all(
    Array.from({ length: 10 }, async () => {
      try {
        await (await place.sessions.get("s")).lease();
        return "taken";
      } catch (error) {
        return (error as { code: string }).code;
      }
    }),
  );
  const lease = await taking.catch(() => undefined);
  assert.equal(codes.filter((code) => code === "taken").length, lease === undefined ? 1 : 0);
  assert(
    codes.every((code) => code === "taken" || code === "busy"),
    codes.join(),
  );
  await assert.rejects(other.append({ input: "not mine to write" }), { code: "busy" });
});

test("an answer that could not be sealed is sealed once the store is back", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  await using place = inMemory({ model: sayYes });
  const session = await place.sessions.create({ id: "s" });
  let answering = false;
  place.store.plan(() => (answering ? { fails: "before" } : undefined));
  const answer = await session.consult("one");
  answering = true;
  await assert.rejects(answer.done, away);
  answering = false;
  await assert.rejects(session.append({ input: "two" }), { code: "busy" }, "the turn is still this process's");
  context.mock.timers.tick(2000);
  await place.clock.advance(1);
  await session.refresh();
  const [turn] = await Array.fromAsync(session.turns());
  assert.equal(turn?.status, "done");
  assert.deepEqual(turn?.output, [{ role: "assistant", content: "yes" }]);
});

test("a finished answer that waits for its store is sealed as finished, also when its process closes meanwhile", async () => {
  await using place = inMemory();
  const other = place.another();
  const turn = await (await other.create({ id: "s" })).begin("one");
  await turn.write({ text: "yes" });
  place.store.plan(() => ({ fails: "before" }));
  await assert.rejects(turn.seal(), away);
  place.store.plan({});
  await other.close();
  const [sealed] = await Array.fromAsync((await place.sessions.get("s")).turns());
  assert.equal(sealed?.status, "done");
});
