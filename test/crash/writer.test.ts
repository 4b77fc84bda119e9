/** Kills a writer at random points: acknowledged turns are stored once, whole and in order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { countAll } from "../../src/domain/turns/counters.ts";
import { openSessions, type Session, type Turn } from "../../src/index.ts";
import { openPlace, WorkerProcess } from "../processes/worker-process.ts";
import { streamedText } from "../processes/worker.ts";
import { rounds } from "../support/rounds.ts";
import { untilStored } from "../support/stored-text.ts";

async function wholeLog(session: Session): Promise<Turn[]> {
  await session.refresh();
  const turns = await Array.fromAsync(session.turns());
  assert.deepEqual(
    turns.map(({ seq }) => seq),
    turns.map((_, index) => index + 1),
    "no gap",
  );
  assert.deepEqual(session.info.counters, countAll(turns), "counters agree with the log");
  return turns;
}

const appendKills = rounds(32, 8);
const crowdKills = rounds(12, 2);
const answerKills = rounds(28, 7);

test(`a writer killed ${appendKills} times while appending loses nothing it acknowledged and doubles nothing it retried`, async () => {
  await using place = await openPlace();
  await using sessions = await openSessions({ store: place.store, sweep: false });
  const session = await sessions.create({ id: "s" });
  const acknowledged = new Map<string, number>();
  for (let round = 0; round < appendKills; round++) {
    // The successor repeats the last acknowledged turn, and a turn whose acknowledgement may be lost.
    const from = Math.max(0, acknowledged.size - 1);
    const writer = new WorkerProcess({ store: place.store, task: { kind: "append", session: "s", from } });
    await writer.hear("seq");
    await sleep(Math.random() * 15);
    await writer.kill();
    for (const { key, seq } of writer.reports) {
      const earlier = acknowledged.get(String(key));
      assert(earlier === undefined || earlier === seq, `${key} was turn ${earlier}, its retry is turn ${seq}`);
      acknowledged.set(String(key), Number(seq));
    }
  }
  const turns = await wholeLog(session);
  for (const [key, seq] of acknowledged) {
    assert.equal(turns[seq - 1]?.key, key, `${key} is turn ${seq}`);
    assert.deepEqual(turns[seq - 1]?.input, [{ role: "user", content: `question ${key.slice(1)}` }]);
  }
  assert.equal(new Set(turns.map(({ key }) => key)).size, turns.length, "each key once");
  assert(turns.length <= acknowledged.size + 1, "at most the last one landed unheard");
});

test(`a process killed ${crowdKills} times while a hundred sessions append at once loses nothing it acknowledged`, async () => {
  await using place = await openPlace();
  await using sessions = await openSessions({ store: place.store, sweep: false });
  const ids = Array.from({ length: 100 }, (_, index) => `s${index}`);
  const all = await Promise.all(ids.map((id) => sessions.create({ id })));
  const acknowledged = new Map<string, number>();
  for (let round = 0; round < crowdKills; round++) {
    const writer = new WorkerProcess({ store: place.store, task: { kind: "crowd", sessions: ids } });
    // The writer thread has begun by then.
    await writer.hear("seq", ids.length * 10);
    await sleep(Math.random() * 15);
    await writer.kill();
    for (const { session, seq } of writer.reports) acknowledged.set(String(session), Number(seq));
    for (const session of all) {
      const turns = await wholeLog(session);
      const last = acknowledged.get(session.id) ?? 0;
      assert(turns.length === last || turns.length === last + 1, "at most the last one landed unheard");
      acknowledged.set(session.id, turns.length);
    }
  }
});

test(`a writer killed ${answerKills} times while answering: its successor seals the open turn with the beginning of its output`, async () => {
  await using place = await openPlace();
  await using sessions = await openSessions({ store: place.store, sweep: false });
  const session = await sessions.create({ id: "s" });
  const began = new Set<number>();
  const sealed = new Set<number>();
  for (let round = 0; round < answerKills; round++) {
    const writer = new WorkerProcess({ store: place.store, task: { kind: "stream", session: "s" } });
    await writer.hear("began");
    // The first one is killed once the beginning of its answer is stored.
    if (round === 0) await untilStored(await sessions.get("s"), "piece 0");
    else await sleep(Math.random() * 450);
    await writer.kill();
    for (const reports of writer.reports) {
      if (reports["began"] !== undefined) began.add(Number(reports["began"]));
      if (reports["sealed"] !== undefined) sealed.add(Number(reports["sealed"]));
    }
  }
  // A last writer on the same machine finds the open turn of the killed one at once.
  await session.refresh();
  await session.append({ input: "the end" });

  const turns = await wholeLog(session);
  assert.equal(session.info.lease, null);
  let kept = 0;
  for (const seq of began) {
    const turn = turns[seq - 1];
    const text = turn?.output.map(({ content }) => String(content)).join("") ?? "";
    const whole = streamedText(seq).join("");
    if (turn?.status === "done") {
      assert.equal(text, whole);
    } else {
      assert.equal(turn?.status, "interrupted");
      assert(!sealed.has(seq), "an acknowledged seal stands");
      assert(whole.startsWith(text), `${JSON.stringify(text)} begins what was written`);
      if (text !== "") kept++;
    }
  }
  assert(kept > 0, "some broken answers kept what had arrived");
});
