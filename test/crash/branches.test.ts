/** Processes are killed while they begin branches, switch between them and remove them: each branch is whole, and one is current. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { openSessions, type Session } from "../../src/index.ts";
import { firstBranch, nextOperation, operationsOfRound, otherBranch } from "../processes/branches.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { chanceOf } from "../support/chance.ts";
import { inputsOf } from "../support/inputs-of.ts";
import { rounds } from "../support/rounds.ts";
import { assertSound, Engines, enginesOfRun } from "./engines.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

/** Calls of the store in two of the operations, each with a place before and one behind it. */
const places = 24;

/** One look: the turns of the current branch are those of one branch, also while an answer runs. */
async function assertOneBranch(session: Session): Promise<void> {
  const { tails, info } = await session.look([{ log: "turns", last: 9 }]);
  const inputs = (tails[0] ?? []).map(({ seq, value }, index) => {
    assert.equal(seq, index + 1);
    return (value as unknown as { readonly input: readonly { readonly content: unknown }[] }).input[0]?.content;
  });
  assert.deepEqual(inputs, inputs[1] === otherBranch[1] ? otherBranch : firstBranch);
  assert.equal(info.counters.turns, inputs.length);
}

async function assertWhole(session: Session): Promise<void> {
  for (const { id, turns, messages, isCurrent } of await session.branches()) {
    const expected = id === "1" ? firstBranch : otherBranch;
    assert.deepEqual(await inputsOf(session, { branch: id }), expected);
    const found = await Array.fromAsync(session.turns({ branch: id }));
    assert.equal(turns, expected.length);
    assert.equal(
      messages,
      found.reduce((sum, { input, output }) => sum + input.length + output.length, 0),
    );
    if (isCurrent) assert.deepEqual(await inputsOf(session), expected);
  }
}

for (const name of enginesOfRun("SQLite")) {
  test(`edit, regenerate, switchTo and removeBranch, killed between any two calls of the store: before or after, never a gap, both or neither: ${name}`, async (context) => {
    const chance = chanceOf(context);
    const store = await (await engines.get(name)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const session = await sessions.create({ id: "s" });
    await session.write({ turns: { turns: firstBranch.map((input) => ({ input, output: "an answer" })) } });
    const reader = await sessions.get("s");
    let far = Math.floor(chance() * places);
    for (let round = 0; round < rounds(24, 3); round++) {
      far = (far + 7) % places;
      const task = { kind: "branches", session: "s", stallAt: far + 1 } as const;
      const worker = new WorkerProcess({ store, task });
      await worker.hear("began");
      let isOver = false;
      const reading = (async () => {
        do await assertOneBranch(reader);
        while (!isOver);
      })();
      const stalled = await worker.hear("stalled").finally(() => (isOver = true));
      await reading;
      await worker.kill();
      const acknowledged = Number((await worker.hear("did"))["did"]);
      await session.refresh();
      await session.recover();
      await assertWhole(session);
      const done = ((await nextOperation(session)) + operationsOfRound - 1) % operationsOfRound;
      const after = (acknowledged + 1) % operationsOfRound;
      assert.ok([acknowledged, after].includes(done), `${done} after ${acknowledged}, at ${stalled["stalled"]}`);
    }
    await assertSound(sessions);
  });
}
