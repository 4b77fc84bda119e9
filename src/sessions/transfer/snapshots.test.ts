import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { createConversations, createNasty } from "../../../test/support/nasty-sessions.ts";
import { countAll } from "../../domain/turns/counters.ts";
import { openSessions, type Sessions } from "../../index.ts";
import { sweep, removeSession } from "../../admin.ts";

const root = mkdtempSync(join(tmpdir(), "perdure-snapshots-"));
after(() => rmSync(root, { recursive: true }));

const open = async (store: string): Promise<Sessions> => await openSessions({ store, sweep: false });

test("store to snapshot to store to snapshot is the same, byte for byte, from every store to every store", async () => {
  const kinds = { memory: () => open("memory:"), sqlite: (name: string) => open(`sqlite:${join(root, name)}`) };
  for (const from of ["memory", "sqlite"] as const) {
    await using source = await kinds[from](`source-${from}.db`);
    const ids = [...(await createNasty(source)), ...(await createConversations(source, 30))];
    for (const to of ["memory", "sqlite"] as const) {
      await using target = await kinds[to](`${from}-${to}.db`);
      for (const id of ids) {
        const before = JSON.stringify(await source.snapshot(id));
        await target.restore(before);
        assert.equal(JSON.stringify(await target.snapshot(id)), before, `${id} from ${from} to ${to}`);
      }
    }
  }
});

test("a restored session has its numbers, keys, times, usage, counters, deadlines and instructions, and continues", async () => {
  await using from = inMemory();
  await using to = inMemory();
  const session = await from.sessions.create({
    id: "s",
    agent: "ceo",
    ttl: "1h",
    instructions: "Be brief.",
    budget: { tokens: 1e6, turns: 9 },
  });
  const usage = { inputTokens: 3, outputTokens: 4, totalTokens: 7 };
  await session.append({ input: "one", output: "1", usage, durationMs: 20 }, { key: "a" });
  await from.clock.advance(1000);
  await session.append({ input: "two", output: "2" }, { key: "b" });
  await to.clock.advance(5000);
  const restored = await to.sessions.restore(await from.sessions.snapshot("s"));
  const { version, commitId, seen, ...info } = restored.info;
  const { version: before, commitId: commitIdBefore, seen: seenBefore, ...infoBefore } = session.info;
  assert.deepEqual(info, infoBefore);
  assert.ok(commitId !== commitIdBefore && seen.commitId !== seenBefore.commitId);
  assert.notEqual(version, before, "a handle of the one knows nothing of the other");
  const turns = await Array.fromAsync(restored.turns());
  assert.deepEqual(turns, await Array.fromAsync(session.turns()));
  assert.deepEqual(restored.info.counters, countAll(turns));
  assert.equal(await restored.instructions(), "Be brief.");
  assert.equal((await restored.append({ input: "one", output: "1", usage, durationMs: 20 }, { key: "a" })).seq, 1);
  assert.equal((await restored.append({ input: "three" })).seq, 3);
});

test("a snapshot holds no secret and nothing of its store or machine", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const lease = await session.lease();
  const snapshot = await place.sessions.snapshot("s");
  const text = JSON.stringify(snapshot);
  for (const name of ["lease", "fence", "waiters", "mark", "version", "tenant", "sweepAt", "instance"]) {
    assert(!text.includes(`"${name}"`), name);
  }
  await lease.release();
});

test("a running answer in a snapshot is sealed as interrupted by the next writer, with the received output", async () => {
  await using from = inMemory();
  await using to = inMemory();
  const session = await from.sessions.create({ id: "s" });
  const turn = await session.begin("long?");
  const text = "half an ans".repeat(1000);
  await turn.write({ text }); // long enough to be written down at once
  const restored = await to.sessions.restore(await from.sessions.snapshot("s"));
  assert.equal((await restored.append({ input: "next" })).seq, 2);
  const [sealed] = await Array.fromAsync(restored.turns());
  assert.deepEqual([sealed?.status, sealed?.output], ["interrupted", [{ role: "assistant", content: text }]]);
  assert.deepEqual(restored.info.counters, countAll(await Array.fromAsync(restored.turns())));
});

test("an existing session is kept, replaced, or joined by one under another id, as requested; a snapshot is restored into the caller's tenant", async () => {
  await using place = inMemory();
  const { sessions } = place;
  const session = await sessions.create({ id: "s", agent: "ceo" });
  await session.append({ input: "one" });
  const snapshot = await sessions.snapshot("s");
  await session.append({ input: "two" });
  await assert.rejects(sessions.restore(snapshot), { code: "session_exists" });
  const beside = await sessions.restore(snapshot, { onExists: "new-id" });
  assert.match(beside.id, /^ceo_/);
  assert.equal((await sessions.restore(snapshot, { as: "t" })).id, "t");
  assert.equal((await sessions.for("other").restore(snapshot)).info.tenant, "other");

  const replaced = await sessions.restore(snapshot, { onExists: "replace" });
  assert.equal(replaced.info.turn, 1);
  assert.deepEqual(await sessions.snapshot("s"), snapshot);
  await assert.rejects(session.append({ input: "stale" }), { code: "conflict" });
  const lease = await replaced.lease();
  await assert.rejects(sessions.restore(snapshot, { onExists: "replace" }), { code: "busy" });
  await lease.release();
});

test("a handle of a session that was removed and restored is stale", async () => {
  await using place = inMemory();
  const { sessions } = place;
  const session = await sessions.create({ id: "s" });
  await session.append({ input: "one" });
  const snapshot = await sessions.snapshot("s");
  const stale = await place.another().get("s");
  await place.clock.advance(1000);
  await removeSession(sessions, "s");
  await sessions.restore(snapshot);
  await assert.rejects(stale.append({ input: "two" }), { code: "conflict" });
});

test("a fork and an archived session are whole in their snapshots, and a legal hold is kept", async () => {
  await using from = inMemory();
  await using to = inMemory();
  const session = await from.sessions.create({ id: "s" });
  for (const input of ["one", "two", "three"]) await session.append({ input });
  const fork = await session.fork({ at: 2, as: "f" });
  await fork.append({ input: "instead" });
  await session.archive();
  await session.setLegalHold("a lawsuit");
  for (const id of ["s", "f"]) await to.sessions.restore(await from.sessions.snapshot(id));
  const restored = await to.sessions.get("s");
  assert.deepEqual([restored.info.state, restored.info.legalHold?.reason], ["archived", "a lawsuit"]);
  assert.deepEqual(await Array.fromAsync(restored.turns()), await Array.fromAsync(session.turns()));
  assert.deepEqual(await Array.fromAsync((await to.sessions.get("f")).turns()), await Array.fromAsync(fork.turns()));
  assert.equal((await to.sessions.get("f")).info.parent, null);
  assert.deepEqual(await from.sessions.snapshot("s"), await to.sessions.snapshot("s"));
  assert.equal(await restored.archive(), true);
});

test("no snapshot takes the place of a session under hold; forks of one that is replaced stay whole", async () => {
  await using place = inMemory();
  const { sessions } = place;
  const session = await sessions.create({ id: "s" });
  for (const input of ["one", "two", "three"]) await session.append({ input });
  const snapshot = await sessions.snapshot("s");
  const fork = await session.fork({ at: 3 });
  await session.append({ input: "four" });
  await session.setLegalHold("a lawsuit");
  await assert.rejects(sessions.restore(snapshot, { onExists: "replace" }), { code: "legal_hold" });
  await session.clearLegalHold();
  await sessions.restore(snapshot, { onExists: "replace" });
  await removeSession(sessions, "s");
  assert.equal((await Array.fromAsync(fork.turns())).length, 3);
});

test("a snapshot with a log that a store keeps for itself is refused", async () => {
  await using place = inMemory();
  await (await place.sessions.create({ id: "s" })).append({ input: "one" });
  const { logs, ...rest } = await place.sessions.snapshot("s");
  for (const log of ["archive", "forks"]) {
    const forged = { ...rest, logs: { ...logs, [log]: [{ seq: 1, key: null, at: 1, data: {} }] } };
    await assert.rejects(place.sessions.restore(forged, { as: log }), {
      code: "snapshot_invalid",
      message: `snapshot is not a valid snapshot: logs.${log} is "${log}"; expected a log of the conversation; the store keeps this one for itself`,
    });
  }
});

test("a session whose old events are deleted is saved with the others, and their numbers continue", async () => {
  await using place = inMemory();
  await using to = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await place.clock.advance(60_000);
  await session.handOff("cfo");
  await session.endHandoff();
  assert.equal((await sweep(place.sessions, { eventRetention: "30s" })).events, 1);
  const snapshot = await place.sessions.snapshot("s");
  assert.deepEqual(
    snapshot.logs["events"]?.map(({ seq }) => seq),
    [1, 2],
  );
  const restored = await to.sessions.restore(snapshot);
  assert.deepEqual(await to.sessions.snapshot("s"), snapshot);
  await restored.handOff("cto");
  assert.equal((await to.sessions.snapshot("s")).logs["events"]?.at(-1)?.seq, 3);
  await place.clock.advance(60_000);
  await sweep(place.sessions, { eventRetention: "30s" });
  assert.equal((await place.sessions.snapshot("s")).logs["events"], undefined, "all of them");
});
