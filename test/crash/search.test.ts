/** Processes that build the index of search are killed at random: what the others continue has each message once. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { erase } from "../../src/admin.ts";
import { openSessions } from "../../src/index.ts";
import { chanceOf } from "../support/chance.ts";
import { endsWithTest } from "../support/ends-with-test.ts";
import { rounds } from "../support/rounds.ts";
import { Engines, enginesOfRun } from "./engines.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

const erasedTurns = 20;
const messages = 2 * (9 * 200 + erasedTurns);
const program = `
  import { openSessions } from ${JSON.stringify(new URL("../../src/index.ts", import.meta.url).href)};
  const sessions = await openSessions({ store: process.argv[1], sweep: false });
  await sessions.search({ text: "word", onProgress: () => console.log("step") });
  await sessions.close();
`;

/** A process that indexes, killed after so many steps unless it has ended. */
async function indexed(store: string, steps: number): Promise<void> {
  const child = endsWithTest(
    spawn(process.execPath, ["--input-type=module", "--eval", program, store], {
      stdio: ["ignore", "pipe", "inherit"],
    }),
  );
  const ended = once(child, "exit");
  let done = 0;
  for await (const _ of createInterface({ input: child.stdout })) if (++done === steps) child.kill("SIGKILL");
  await ended;
}

for (const engine of enginesOfRun("SQLite")) {
  test(`an index that killed processes build has each message once, and no erased word (${engine})`, async (context) => {
    const chance = chanceOf(context);
    const running = await engines.get(engine);
    const store = await running.fresh();
    await using sessions = await openSessions({ store, sweep: false, secret: "a secret for tests" });
    for (let n = 0; n < 10; n++) {
      const session = await sessions.create({ id: `s${n}`, user: n === 0 ? "ada" : "bob" });
      // SQLite itself forgets what is a tenth of the index.
      const turns = Array.from({ length: n === 0 ? erasedTurns : 200 }, (_, turn) => ({
        input: `word ${n === 0 ? "qzxjvkone" : "question"} ${turn}`,
        output: "word of an answer",
      }));
      await session.write({ turns: { turns } });
    }
    for (let round = 0; round < rounds(8, 1); round++) {
      const steps = (): number => 1 + Math.floor(chance() * 6);
      await Promise.all([indexed(store, steps()), indexed(store, steps())]);
    }
    const found = new Set<string>();
    let count = 0;
    let after: string | undefined;
    do {
      const query = { text: "word", limit: 1000, waitMs: 60_000, ...(after === undefined ? {} : { after }) };
      const page = await sessions.search(query);
      assert.equal(page.isCurrent, true);
      count += page.items.length;
      for (const { session, turn, message } of page.items) found.add(`${session} ${turn} ${message}`);
      after = page.next;
    } while (after !== undefined);
    assert.deepEqual([found.size, count], [messages, messages]);
    assert.equal(await running.holds(store, "qzxjvkone"), true);
    await erase(sessions, { user: "ada" });
    assert.deepEqual((await sessions.search({ text: "qzxjvkone" })).items, []);
    assert.equal(await running.holds(store, "qzxjvkone"), false);
  });
}
