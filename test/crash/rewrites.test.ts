/**
 * A write of several parts is one commit: no reader and no crash meets the moment between the truncation and the replacement of a
 * log, between two sessions, or between a session and its documents.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { defined } from "../../src/domain/values/defined.ts";
import { openSessions, type Session, type Sessions, type Turn } from "../../src/index.ts";
import { turnsAfter } from "../processes/log-writers.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { chanceOf } from "../support/chance.ts";
import { rounds } from "../support/rounds.ts";
import { assertSound, Engines, enginesOfRun } from "./engines.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

/** Three calls of the store in each of three operations, each with a place before and one behind it. */
const places = 18;

interface Kill {
  readonly worker: WorkerProcess;
  readonly chance: () => number;
  /** The place where the worker stops. Absent: the test kills the worker at a moment of chance. */
  readonly stallAt: number | undefined;
  /** Looks once at what the worker writes. */
  readonly look: () => Promise<void>;
}

/** Kills a worker. A reader looks without pause while the worker works, and waits while the worker starts. */
async function killWhileRead({ worker, chance, stallAt, look }: Kill): Promise<void> {
  await worker.hear("began");
  let isOver = false;
  const reading = (async () => {
    do await look();
    while (!isOver);
  })();
  if (stallAt === undefined) {
    await worker.hear("did", 5);
    await sleep(chance() * 5);
  } else {
    await worker.hear("stalled");
  }
  await worker.kill();
  isOver = true;
  await reading;
}

/** Looks once, and returns the number of operations that have landed. */
async function opsSeen(session: Session): Promise<number> {
  const { tails, info } = await session.look([
    { log: "turns", last: 9 },
    { log: "ops", last: 9 },
  ]);
  const [turns = [], ops = []] = tails;
  const landed = info.logs["ops"]?.end ?? 0;
  const inputs = turns.map(({ value }) => (value as unknown as Turn).input[0]?.content);
  assert.deepEqual(inputs, turnsAfter(landed), `after ${landed} operations`);
  assert.equal(info.counters.turns, inputs.length);
  assert.equal(ops.at(-1)?.value ?? 0, landed);
  return landed;
}

for (const name of enginesOfRun("SQLite")) {
  test(`regenerate and pop, killed between any two calls of the store: the earlier turn or the later one, never a gap, never both: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const session = await sessions.create({ id: "s" });
    await session.write({ turns: { turns: turnsAfter(0).map((input) => ({ input })) } });
    const reader = await sessions.get("s");
    let [seen, looks] = [0, 0];
    const look = async (): Promise<void> => {
      const now = await opsSeen(reader);
      assert.ok(now >= seen, "no operation is lost");
      seen = now;
      looks++;
    };
    for (let round = 0; round < rounds(24, 5); round++) {
      // Every place in turn, far ones first; each sixth process is killed at a moment of chance.
      const stallAt = round % 6 === 5 ? undefined : ((round * 5) % places) + 1;
      const task = { kind: "rewrite", session: "s", ...(stallAt === undefined ? {} : { stallAt }) } as const;
      const worker = new WorkerProcess({ store, task });
      await killWhileRead({ worker, chance, stallAt, look });
      const acknowledged = Number((await worker.hear("did"))["did"]);
      const landed = await opsSeen(session);
      assert.ok(landed === acknowledged || landed === acknowledged + 1, `${landed} after ${acknowledged}`);
    }
    context.diagnostic(`${looks} looks`);
    assert.ok(looks >= rounds(24, 5));
    const types = new Set((await Array.fromAsync(session.events())).map(({ type }) => type));
    assert.deepEqual([...types], ["created"]);
    await assertSound(sessions);
  });
}

interface Seen {
  /** The operations in both sessions. */
  readonly one: number;
  readonly two: number;
}

/** The operations in a session, by its log, its turns, its counters and its metadata of one moment. */
async function opsIn(session: Session): Promise<number> {
  const { tails, info } = await session.look([{ log: "ops", last: 1 }]);
  const end = info.logs["ops"]?.end ?? 0;
  const last = Number(tails[0]?.[0]?.value ?? 0);
  assert.deepEqual([info.counters.turns, Number(info.metadata["op"] ?? 0)], [end, last]);
  return end;
}

/** Looks at both sessions and the documents between two looks at the first session. */
async function seenTogether(sessions: Sessions, one: Session, two: Session): Promise<Seen> {
  const before = await opsIn(one);
  const documents = await sessions.documents("ops").getMany(["a", "b"]);
  const inTwo = await opsIn(two);
  const after = await opsIn(one);
  const [a = 0, b = 0] = ["a", "b"].map((key) => Number(documents.get(key)?.value ?? 0));
  assert.equal(a, b, "both documents, or none");
  assert.ok(before <= a && a <= after, `${before} <= ${a} <= ${after}`);
  assert.ok(Math.floor(before / 2) <= inTwo && inTwo <= Math.floor(after / 2), `${inTwo} of ${before} to ${after}`);
  return { one: after, two: inTwo };
}

for (const name of enginesOfRun("SQLite")) {
  test(`turns, logs, fields, documents and a second session in one commit, killed between any two calls of the store: all or nothing: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const [one, two] = [await sessions.create({ id: "one" }), await sessions.create({ id: "two" })];
    const [readerOne, readerTwo] = [await sessions.get("one"), await sessions.get("two")];
    const look = async (): Promise<void> => void (await seenTogether(sessions, readerOne, readerTwo));
    for (let round = 0; round < rounds(24, 4); round++) {
      const stallAt = round % 6 === 5 ? undefined : ((round * 5) % 10) + 1;
      const worker = new WorkerProcess({ store, task: { kind: "together", ...defined({ stallAt }) } });
      await killWhileRead({ worker, chance, stallAt, look });
      const acknowledged = Number((await worker.hear("did"))["did"]);
      const seen = await seenTogether(sessions, one, two);
      assert.ok(seen.one === acknowledged || seen.one === acknowledged + 1, `${seen.one} after ${acknowledged}`);
      assert.equal(seen.two, Math.floor(seen.one / 2));
    }
    await assertSound(sessions);
  });
}
