/** The limit of attachments of one session, while several programs put some and write data in messages at once. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { hasCode, type Session } from "../../src/index.ts";
import { coreOf, sessionsOn, type Sessions } from "../../src/sessions/sessions.ts";
import { storeBefore } from "../../src/store/calls/forwarding-store.ts";
import { openPostgres } from "../../src/store/postgres/open.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import type { CountQuery, Store } from "../../src/store/store.ts";
import { Engines, enginesOfRun } from "../crash/engines.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

const attachmentsMax = 3;
const programs = 6;
const bytesOf = (program: number): Buffer => Buffer.alloc(1500, program);

for (const engine of enginesOfRun("SQLite"))
  test(`a session has as many attachments as its limit, however many programs add one at once (${engine})`, async () => {
    const url = await (await engines.get(engine)).fresh();
    const open = (): Promise<Store> => (engine === "SQLite" ? openSqlite({ url }) : openPostgres({ url }));
    await using first = sessionsOn(await open(), { sweep: false });
    await first.create({ id: "s", agent: "a" });
    const together = countedTogether(programs);
    const added = await Promise.all(
      Array.from({ length: programs }, async (_, program) => {
        const attachments = { inlineBytesMax: 1000 };
        const options = { sweep: false, limits: { attachmentsMax }, attachments } as const;
        await using sessions = sessionsOn(together(await open()), options);
        return await add(await sessions.get("s"), program);
      }),
    );
    assert.equal(await references(first), attachmentsMax, `puts that landed: ${added.join(" ")}`);
    const session = await first.get("s");
    const written = (await Array.fromAsync(session.log("pictures").entries())).map(({ value }) => String(value)).sort();
    const expected = [1, 3, 4, 5].map((program) => bytesOf(program).toString("base64")).sort();
    assert.deepEqual(written, expected, "data over the limit stays in its entry");
    assert.equal((await session.attachments.list()).length, added.filter((landed) => landed === "put").length);
  });

/** Programs 0 and 2 put an attachment, the others write data, which the store keeps beside the entry. */
async function add(session: Session, program: number): Promise<string> {
  if (program !== 0 && program !== 2) {
    const value = bytesOf(program).toString("base64");
    await session.write({ logs: { pictures: { entries: [{ value }] } } });
    return "written";
  }
  try {
    await session.attachments.put(bytesOf(program), { type: "image/png" });
    return "put";
  } catch (error) {
    assert(hasCode(error, "attachments_exceeded"), String(error));
    return "refused";
  }
}

/** Stores whose first counts wait for each other: every program has counted before one of them commits. */
function countedTogether(programsMax: number): (store: Store) => Store {
  const all = Promise.withResolvers<void>();
  let counts = 0;
  return (store) =>
    Object.assign(storeBefore(store), {
      count: async (query: CountQuery) => {
        const count = await store.count(query);
        if (++counts === programsMax) all.resolve();
        await all.promise;
        return count;
      },
    });
}

async function references(sessions: Sessions): Promise<number> {
  return await coreOf(sessions).store.count({ tenant: "default\u0001attachments", user: "s", now: 0 });
}
