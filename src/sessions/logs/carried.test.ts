/** Named logs wherever a session goes: forks, snapshots, exports, copies, archives, erasures, the doctor. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import {
  copySessions,
  doctor,
  erase,
  exportSessions,
  findReferences,
  importSessions,
  sweep,
  type Finding,
} from "../../admin.ts";
import { sessionChanges } from "../../domain/record/change.ts";
import { stagedScope } from "../../domain/copies/staged.ts";
import type { Session } from "../session/session.ts";
import type { SessionWrite, WriteResult } from "./session-write.ts";

const day = 86_400_000;

async function written(session: Session, write: SessionWrite): Promise<WriteResult> {
  const outcome = await session.write(write);
  assert.ok(outcome.status === "ok", outcome.status);
  return outcome;
}

/** A session with turns and two named logs, one of them keyed. */
async function filled(session: Session, entries = 3): Promise<void> {
  for (let index = 1; index <= 3; index++)
    await written(session, {
      turns: { turns: [{ input: `turn ${index}`, key: `t${index}` }] },
      logs: { marks: { entries: [{ value: { turn: index, at: new Date(0), big: 1n } }] } },
    });
  for (let index = 1; index <= entries; index++)
    await written(session, { logs: { notes: { entries: [{ key: `k${index}`, value: `note ${index}` }] } } });
}

async function everything(session: Session): Promise<unknown> {
  const logs: Record<string, unknown> = {};
  for (const log of ["notes", "marks"]) logs[log] = await Array.fromAsync(session.log(log).entries());
  const turns = await Array.fromAsync(session.turns());
  return { logs, inputs: turns.map(({ seq, key, input }) => [seq, key, input[0]?.content]), info: session.info.logs };
}

async function values(session: Session, log: string): Promise<unknown[]> {
  return (await Array.fromAsync(session.log(log).entries())).map(({ value }) => value);
}

async function notes(session: Session): Promise<unknown[]> {
  return await values(session, "notes");
}

test("a fork has copies of the named logs at its moment, whatever turn it shares; both go on apart", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await filled(session);
  const before = await everything(session);
  for (const [id, at] of [
    ["f", 3],
    ["g", 1],
    ["h", 0],
  ] as const) {
    const fork = await session.fork({ as: id, at });
    assert.deepEqual(
      ((await everything(fork)) as { logs: unknown }).logs,
      (before as { logs: unknown }).logs,
      `at ${at}`,
    );
    assert.deepEqual(fork.info.logs, session.info.logs);
  }
  const fork = await place.another().get("g");
  const again = await fork.write({ logs: { notes: { entries: [{ key: "k1", value: "again" }] } } });
  assert.equal(again.status, "duplicate", "keys go with the entries");
  const look = await fork.look([{ log: "notes", last: 1 }]);
  await written(fork, { logs: { notes: { from: 3, entries: [{ value: "instead" }] } }, onto: look });
  await written(session, { logs: { notes: { entries: [{ value: "more" }] } } });
  assert.deepEqual(await notes(fork), ["note 1", "note 2", "instead"]);
  assert.deepEqual(await notes(session), ["note 1", "note 2", "note 3", "more"]);
  // A fork of the fork, whose parents are archived and removed in between.
  await session.archive();
  await fork.archive();
  const grandchild = await fork.fork({ as: "gg" });
  const ofArchived = await session.fork({ as: "i", at: 2 });
  assert.deepEqual(await notes(grandchild), ["note 1", "note 2", "instead"]);
  assert.deepEqual(await notes(ofArchived), ["note 1", "note 2", "note 3", "more"]);
  await session.remove();
  await fork.remove();
  await written(grandchild, { logs: { notes: { entries: [{ value: "last" }] } } });
  assert.deepEqual(await notes(await place.another().get("gg")), ["note 1", "note 2", "instead", "last"]);
  assert.equal((await Array.fromAsync(grandchild.turns())).length, 1);
  assert.equal((await doctor(place.sessions)).findings, 0);
});

test("named logs of any size are copied into a fork, in bounded commits that no reader sees", async () => {
  await using place = inMemory({ limits: { readMax: 5, readBytesMax: 400 } });
  const session = await place.sessions.create({ id: "s", user: "ada" });
  await filled(session, 60);
  const before = await everything(session);
  const most = { entries: 0 };
  const commit = place.store.commit.bind(place.store);
  place.store.commit = async (batch) => {
    for (const transaction of batch)
      for (const { splices } of sessionChanges(transaction))
        for (const { entries } of splices) most.entries = Math.max(most.entries, entries.length);
    assert.equal(
      (await place.shared.load([{ key: { tenant: "default", id: "f" }, tails: [] }])).sessions[0],
      undefined,
    );
    return await commit(batch);
  };
  const fork = await session.fork({ as: "f", at: 2 });
  place.store.commit = commit;
  assert.ok(most.entries > 1 && most.entries <= 20, `${most.entries} entries in one splice`);
  assert.deepEqual((before as { logs: unknown }).logs, ((await everything(fork)) as { logs: unknown }).logs);
  assert.deepEqual(
    (await place.store.find({ order: "key", tenant: stagedScope("default"), now: 0, limit: 9 })).records,
    [],
  );
  await written(fork, { logs: { notes: { entries: [{ value: "own" }] } } });
  assert.equal((await doctor(place.sessions)).findings, 0);
});

test("a session that is written to while a fork copies its logs: the fork has one moment of them", async () => {
  for (const at of [3, 0])
    for (const rewrites of [{}, { from: 1 }])
      for (let moment = 1; moment <= 7; moment++) {
        await using place = inMemory({ limits: { readMax: 5, readBytesMax: 400 } });
        const session = await place.sessions.create({ id: "s" });
        await filled(session, 60);
        const writer = await place.another().get("s");
        let steps = 0;
        const commit = place.store.commit.bind(place.store);
        place.store.commit = async (batch) => {
          const isStaging = batch.some((changes) =>
            sessionChanges(changes).some(({ key }) => key.tenant === stagedScope("default")),
          );
          if (isStaging && ++steps === moment) {
            const late = (count: number): { value: string }[] =>
              Array.from({ length: count }, () => ({ value: "late" }));
            const [marks, entries] = "from" in rewrites ? [late(3), late(60)] : [late(1), late(1)];
            await written(writer, {
              logs: { marks: { ...rewrites, entries: marks }, notes: { ...rewrites, entries } },
            });
          }
          return await commit(batch);
        };
        const fork = await session.fork({ as: "f", at });
        place.store.commit = commit;
        const kinds = [...(await values(fork, "notes")), ...(await values(fork, "marks"))].map(
          (value) => value === "late",
        );
        const late = kinds.filter(Boolean).length;
        const known = "from" in rewrites ? [0, 63] : [0, 2];
        assert.ok(known.includes(late) && kinds.length === (late === 2 ? 65 : 63), `${late} of ${kinds.length}`);
        assert.equal((await doctor(place.sessions)).findings, 0);
      }
});

test("a fork with large named logs has the summaries of its turns, and none that were deleted while it copied", async () => {
  for (const isDeleted of [false, true]) {
    await using place = inMemory({ limits: { readMax: 5, readBytesMax: 400 } });
    const session = await place.sessions.create({ id: "s" });
    await filled(session, 60);
    const summarizer = ({ to }: { readonly to: number }): Promise<string> => Promise.resolve(`up to ${to}`);
    for (const to of [1, 2, 3]) await session.summarize({ to, summarizer });
    const writer = await place.another().get("s");
    const commit = place.store.commit.bind(place.store);
    let steps = 0;
    place.store.commit = async (batch) => {
      // The logs are staged in steps: the summaries are read before the last of them.
      const staging = batch.flatMap((changes) => sessionChanges(changes)).filter(({ splices }) => splices.length > 0);
      const hasSummary = staging.some(
        ({ key, splices }) =>
          key.tenant === stagedScope("default") && splices.some(({ log }) => log.startsWith("#summary:")),
      );
      if (isDeleted && hasSummary && ++steps === 1) await writer.leaveOut(2);
      return await commit(batch);
    };
    const fork = await session.fork({ as: "f", at: 2 });
    place.store.commit = commit;
    const texts = (await Array.fromAsync(fork.summaries())).map(({ text }) => text);
    assert.deepEqual(texts, isDeleted ? ["up to 1"] : ["up to 2", "up to 1"]);
    const stored = JSON.stringify(await place.sessions.snapshot("f"));
    assert.deepEqual([stored.includes("up to 3"), stored.includes("up to 2")], [false, !isDeleted]);
    assert.equal(steps, isDeleted ? 2 : 0);
    assert.equal((await doctor(place.sessions)).findings, 0);
  }
});

test("a fork that fails leaves nothing of the logs that it staged", async () => {
  await using place = inMemory({ limits: { readMax: 5, readBytesMax: 400 } });
  const session = await place.sessions.create({ id: "s" });
  await filled(session, 60);
  await place.sessions.create({ id: "f" });
  await assert.rejects(session.fork({ as: "f" }), { code: "session_exists" });
  await assert.rejects(session.fork({ as: "g", at: 99 }), { code: "range_invalid" });
  assert.deepEqual(
    (await place.store.find({ order: "key", tenant: stagedScope("default"), now: 0, limit: 9 })).records,
    [],
  );
});

test("snapshots, exports, imports and copies carry named logs, and a look from before is stale in their place", async () => {
  await using place = inMemory();
  await using other = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await filled(session);
  const before = await everything(session);
  const look = await session.look([{ log: "notes", last: 1 }]);
  const snapshot = await place.sessions.snapshot("s");
  assert.deepEqual(Object.keys(snapshot.logs).toSorted(), ["events", "marks", "notes", "turns"]);
  const restored = await other.sessions.restore(snapshot);
  assert.deepEqual(await everything(restored), before);

  await written(session, { logs: { later: { entries: [{ value: 1 }] } } });
  const replaced = await place.sessions.restore(snapshot, { onExists: "replace" });
  assert.deepEqual(await everything(replaced), before);
  assert.deepEqual(Object.keys(replaced.info.logs).toSorted(), ["marks", "notes"]);
  const stale = { ...look, version: replaced.info.version };
  await assert.rejects(replaced.write({ logs: { notes: { entries: [{ value: 2 }] } }, onto: stale }), {
    code: "conflict",
  });

  await using third = inMemory();
  await copySessions(place.sessions, third.sessions);
  const copied = await third.sessions.get("s");
  assert.deepEqual(await everything(copied), before);
  await written(replaced, { logs: { notes: { from: 1, entries: [{ value: "x" }] } } });
  await copySessions(place.sessions, third.sessions);
  assert.deepEqual(await notes(await third.sessions.get("s")), ["x"]);

  const lines = await Array.fromAsync(exportSessions(place.sessions));
  await using fourth = inMemory();
  await importSessions(fourth.sessions, lines);
  assert.deepEqual(await notes(await fourth.sessions.get("s")), ["x"]);
  for (const one of [place, other, third, fourth]) assert.equal((await doctor(one.sessions)).findings, 0);
});

test("a log that is named like a property of every object is as any other", async () => {
  await using place = inMemory();
  await using other = inMemory();
  const session = await place.sessions.create({ id: "s" });
  const write = (value: string): SessionWrite => ({ logs: { constructor: { entries: [{ value }] } } });
  const look = await session.look([{ log: "constructor", last: 1 }]);
  assert.equal(look.marks["constructor"], (await session.look([{ log: "never", last: 1 }])).marks["never"]);
  await written(session, { ...write("a"), onto: look });
  await assert.rejects(session.write({ ...write("b"), onto: look }), { code: "conflict" });
  const restored = await other.sessions.restore(await place.sessions.snapshot("s"));
  assert.deepEqual(await values(restored, "constructor"), ["a"]);
  const fork = await session.fork();
  await session.archive();
  for (const one of [session, fork]) assert.deepEqual(await values(one, "constructor"), ["a"]);
  for (const one of [place, other]) assert.equal((await doctor(one.sessions)).findings, 0);
});

test("a reset begins with empty named logs, and keeps the earlier ones with the earlier session", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s", ttl: "1h" });
  await filled(session);
  await place.clock.advance(2 * 3_600_000);
  const fresh = await place.sessions.ensure("s", { onExpired: "reset" });
  assert.deepEqual(await notes(fresh), []);
  assert.deepEqual(fresh.info.logs, {});
  await written(fresh, { logs: { notes: { entries: [{ key: "k1", value: "new" }] } } });
  await assert.rejects(session.write({ logs: { notes: { entries: [] } }, onto: session.info.version }), {
    code: "conflict",
  });
  const { items } = await place.sessions.list({ state: "archived" });
  const [archived] = items;
  assert.ok(archived);
  assert.deepEqual(await notes(await place.sessions.get(archived.id)), ["note 1", "note 2", "note 3"]);
});

test("an erasure deletes the named logs of a user, and finds them in sessions that others have now", async () => {
  await using place = inMemory({ secret: "a secret of sixteen characters" });
  const { sessions } = place;
  const own = await sessions.create({ id: "own", user: "ada" });
  await filled(own);
  const given = await sessions.create({ id: "given", user: "ada" });
  await written(given, { logs: { notes: { entries: [{ value: "words of ada" }] } } });
  await place.clock.advance(3_600_000);
  await given.update({ user: "bob" });
  // Bob's fork shares no turn, and has a copy of the log that Ada began.
  await given.fork({ as: "fork", at: 0 });
  await place.clock.advance(3_600_000);
  const clean = await sessions.create({ id: "clean", user: "bob" });
  await written(clean, { logs: { notes: { entries: [{ value: "words of bob" }] } } });
  const references = await findReferences(sessions, "ada");
  assert.deepEqual(references.sharedForks.ids.toSorted(), ["fork", "given"]);
  const receipt = await erase(sessions, { user: "ada" });
  assert.deepEqual(receipt.sharedForks.ids.toSorted(), ["fork", "given"]);
  await assert.rejects(sessions.get("own"), { code: "session_not_found" });
  const kept = await sessions.get("given");
  await written(kept, { logs: { notes: { from: 1, entries: [] } } });
  assert.deepEqual((await findReferences(sessions, "ada")).sharedForks.ids, ["fork"]);
  await erase(sessions, { user: "ada", forks: "erase" });
  await assert.rejects(sessions.get("fork"), { code: "session_not_found" });
  assert.deepEqual(await notes(await sessions.get("clean")), ["words of bob"]);
});

test("the doctor finds a named log whose record is wrong, and a repair makes earlier looks stale", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await filled(session);
  const look = await session.look([{ log: "notes", last: 1 }]);
  const key = { tenant: "default", id: "s" };
  const { sessions: loaded } = await place.shared.load([{ key, tails: [] }]);
  const record = loaded[0]?.record;
  assert.ok(record);
  const damaged = { ...record, heads: { ...record.heads, notes: 9 }, version: record.version + 1, commitId: "damage" };
  const { version, commitId } = record;
  await place.shared.commit([[{ key, expected: { version, commitId }, record: damaged, splices: [], claims: [] }]]);
  const findings: Finding[] = [];
  await doctor(place.sessions, { repair: true, onFinding: (finding) => void findings.push(finding) });
  assert.deepEqual(
    findings.map(({ kind }) => kind),
    ["head"],
  );
  const repaired = await place.another().get("s");
  assert.deepEqual(repaired.info.logs["notes"], { end: 3 });
  await assert.rejects(repaired.write({ logs: { notes: { entries: [{ value: 1 }] } }, onto: look }), {
    code: "conflict",
  });
});

test("the sweep archives and purges sessions with named logs as others", async () => {
  const policies = [{ state: "ended" as const, after: "1d" as const, do: "archive" as const }];
  await using place = inMemory({ retention: policies });
  const session = await place.sessions.create({ id: "s" });
  await filled(session);
  const before = await everything(session);
  await session.end();
  await place.clock.advance(2 * day);
  await sweep(place.sessions);
  const archived = await place.another().get("s");
  assert.equal(archived.info.state, "archived");
  assert.deepEqual(await everything(archived), before);
});
