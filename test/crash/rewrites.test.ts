/** The end of a log is rewritten in one commit: no reader and no crash ever meets the moment between truncation and replacement. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions, type Session, type Turn } from "../../src/index.ts";
import { turnsAfter } from "../processes/log-writers.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { chanceOf } from "../support/chance.ts";
import { rounds } from "../support/rounds.ts";
import { assertSound, engineNames, Engines } from "./engines.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

/** Three calls of the store in each of three operations, each with a place before and one behind it. */
const places = 18;

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

for (const name of engineNames) {
  test(`regenerate and pop, killed between any two calls of the store: the earlier turn or the later one, never a gap, never both: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const store = (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const session = await sessions.create({ id: "s" });
    await session.write({ turns: { turns: turnsAfter(0).map((input) => ({ input })) } });
    const reader = await sessions.get("s");
    let isOver = false;
    let looks = 0;
    const reading = (async () => {
      for (let seen = 0; !isOver; looks++) {
        const now = await opsSeen(reader);
        assert.ok(now >= seen, "no operation is lost");
        seen = now;
      }
    })();
    for (let round = 0; round < rounds(40); round++) {
      // Every place in turn, far ones first; each sixth process is killed at a moment of chance.
      const stallAt = round % 6 === 5 ? undefined : ((round * 5) % places) + 1;
      const task = { kind: "rewrite", session: "s", ...(stallAt === undefined ? {} : { stallAt }) } as const;
      const worker = new WorkerProcess({ store, task });
      if (stallAt === undefined) {
        await worker.hear("did", 5);
        await sleep(chance() * 5);
      } else {
        await worker.hear("stalled");
      }
      await worker.kill();
      const acknowledged = Number((await worker.hear("did"))["did"]);
      const landed = await opsSeen(session);
      assert.ok(landed === acknowledged || landed === acknowledged + 1, `${landed} after ${acknowledged}`);
    }
    isOver = true;
    await reading;
    context.diagnostic(`${looks} looks`);
    assert.ok(looks >= rounds(40));
    const types = new Set((await Array.fromAsync(session.events())).map(({ type }) => type));
    assert.deepEqual([...types], ["created"]);
    await assertSound(sessions);
  });
}
