/** Many writers of one session that have read nothing: each write lands once, and no change of another writer refuses it. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { sweep } from "../../src/admin.ts";
import { openSessions } from "../../src/index.ts";
import { assertSound, engineNames, Engines } from "../crash/engines.ts";
import { WorkerProcess } from "../processes/worker-process.ts";
import { rounds } from "../support/rounds.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

for (const name of engineNames)
  for (const writers of [8, 16])
    test(`${writers} writers in two processes write turns and entries, plain and keyed, beside touches, updates and sweeps: ${name}`, async () => {
      const store = await (await engines.get(name)).fresh();
      await using sessions = await openSessions({ store, sweep: false });
      const session = await sessions.create({ id: "s" });
      const times = rounds(25);
      const processes = ["p", "q"].map(
        (process) =>
          new WorkerProcess({
            store,
            task: { kind: "write", session: "s", name: process, writers: writers / 2, times },
          }),
      );
      let isOver = false;
      const disturbing = (async () => {
        for (let round = 0; !isOver; round++) {
          await session.touch();
          await session.update({ metadata: { round } });
          await sweep(sessions);
          const { info, tails } = await session.look([{ log: "plain", last: 1 }]);
          assert.equal(tails[0]?.[0]?.seq ?? 0, info.turn, "turns and entries come together");
        }
      })();
      await Promise.all(processes.map((process) => process.ended()));
      isOver = true;
      await disturbing;

      const reports = processes.flatMap((process) => process.reports);
      assert.equal(reports.length, writers * times);
      const plain = await Array.fromAsync(session.log("plain").entries());
      const turns = await Array.fromAsync(session.turns());
      assert.deepEqual([plain.length, turns.length], [reports.length, reports.length]);
      for (const { mark, turn, plain: seq } of reports) {
        assert.equal(plain[Number(seq) - 1]?.value, mark);
        assert.equal(turns[Number(turn) - 1]?.input[0]?.content, mark);
      }
      const keyed = await Array.fromAsync(session.log("keyed").entries());
      const keys = Array.from({ length: times }, (_, index) => `k${index}`);
      assert.deepEqual(new Set(keyed.map(({ key }) => key)), new Set(keys));
      assert.equal(keyed.length, times);
      const winners = reports.filter((one) => one["keyed"] !== 0);
      assert.equal(winners.length, times, "each key was written once");
      for (const { mark, keyed: seq } of winners) assert.equal(keyed[Number(seq) - 1]?.value, mark);
      const types = new Set((await Array.fromAsync(session.events())).map(({ type }) => type));
      assert.deepEqual([...types], ["created"], "no conflict is an event");
      await assertSound(sessions);
    });
