/** The store of the tests of chats: in memory or, where PERDURE_TEST_ENGINE names one, that of an engine. */
import { after } from "node:test";
import { sessionsOn, type Sessions } from "../../../src/sessions/sessions.ts";
import { openPostgres } from "../../../src/store/postgres/open.ts";
import { openSqlite } from "../../../src/store/sqlite/open.ts";
import { Engines, type EngineName } from "../../crash/engines.ts";
import { closable, inMemory } from "../../support/in-memory.ts";

/** A store for one test, and the processes on it. */
export interface Place extends AsyncDisposable {
  readonly sessions: Sessions;
  /** Sessions of another process. */
  another(): Sessions;
}

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

export async function somewhere(): Promise<Place> {
  const engine = process.env["PERDURE_TEST_ENGINE"] as EngineName | undefined;
  if (engine === undefined) return inMemory();
  const url = await (await engines.get(engine)).fresh();
  const store = await (engine === "SQLite" ? openSqlite({ url }) : openPostgres({ url }));
  const opened: Sessions[] = [];
  const another = (): Sessions => {
    const sessions = sessionsOn(closable(store), { sweep: false });
    opened.push(sessions);
    return sessions;
  };
  return {
    sessions: another(),
    another,
    async [Symbol.asyncDispose]() {
      for (const sessions of opened) await sessions.close();
      await store.close();
    },
  };
}
