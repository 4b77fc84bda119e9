/** What is made from options refuses one that does not exist: a misspelt limit would be its default, in silence. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startHost } from "../../src/host/index.ts";
import { createManager, openSessions, type Sessions } from "../../src/index.ts";
import { createServer, listen } from "../../src/server/index.ts";
import { inMemory } from "../support/in-memory.ts";

/** An option of a JavaScript caller, which no compiler checks. */
// oxlint-disable-next-line typescript/no-explicit-any -- the option is wrong on purpose
const misspelt: any = { rigt: "read" };
const token = "k".repeat(40);

const makers: Readonly<Record<string, (sessions: Sessions) => unknown>> = {
  createServer: (sessions) => createServer({ sessions, ...misspelt }),
  "createServer({ rates })": (sessions) => createServer({ sessions, rates: misspelt }),
  "createServer({ streams })": (sessions) => createServer({ sessions, streams: misspelt }),
  "createServer({ deviceBudgets })": (sessions) => createServer({ sessions, deviceBudgets: misspelt }),
  "createServer({ deviceBudgets: { all } })": (sessions) =>
    createServer({ sessions, deviceBudgets: { all: misspelt } }),
  "createServer({ keys })": (sessions) => createServer({ sessions, keys: [{ token, ...misspelt }] }),
  listen: async (sessions) => await listen(createServer({ sessions }), { port: 0, ...misspelt }),
  createManager: (sessions) => createManager({ sessions, ...misspelt }),
  startHost: async (sessions) => await startHost(sessions, { runtime: { onMessage: () => 1 }, ...misspelt }),
  "startHost({ restart })": async (sessions) =>
    await startHost(sessions, { runtime: { onMessage: () => 1 }, restart: misspelt }),
  "openSessions({ sweep })": async () => await openSessions({ store: "memory:", sweep: misspelt }),
  "openSessions({ window })": async () => await openSessions({ store: "memory:", window: misspelt }),
  "openSessions({ agents })": async () => await openSessions({ store: "memory:", agents: { a: misspelt } }),
  "openSessions({ agents: { window } })": async () =>
    await openSessions({ store: "memory:", agents: { a: { window: misspelt } } }),
};

for (const [name, make] of Object.entries(makers)) {
  test(`${name} refuses an option that does not exist`, async () => {
    await using place = inMemory({ agents: { a: { description: "answers" } } });
    await assert.rejects(async () => await make(place.sessions), { code: "argument_invalid", message: /"rigt"/ });
  });
}

test("a question refuses a window with a bound that does not exist", async () => {
  await using place = inMemory({
    model: async function* () {
      yield { type: "text", text: "a" };
    },
  });
  const session = await place.sessions.create();
  await assert.rejects(session.consult("q", { window: misspelt }), { code: "argument_invalid", message: /"rigt"/ });
  assert.equal((await session.refresh()).turn, 0);
});
