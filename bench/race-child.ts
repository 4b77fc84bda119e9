/** One of several processes that append to one session at the same time: through Perdure, or by hand in SQL. */
import { subscribe } from "node:diagnostics_channel";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode, openSessions, type Session } from "../src/index.ts";
import { Pool } from "../test/postgres/server.ts";
import { turn } from "./workload.ts";

export interface RaceTask {
  /** `append` refreshes and retries after a conflict; `write` has no `onto`, so it has no conflict; `queue` is exclusive. */
  readonly how: "append" | "write" | "queue" | "hand";
  readonly url: string;
  /** The file of the rows written by hand, for SQLite. */
  readonly file?: string;
  /** Writers of a process, each with a session object of its own. */
  readonly writers: number;
  /** Turns of a writer. */
  readonly times: number;
}

export interface RaceResult {
  /** Each turn from its first try on, ms. */
  readonly ms: readonly number[];
  readonly refused: number;
  /** Calls of the store meanwhile, heartbeats and polls included. */
  readonly calls: number;
}

const task = JSON.parse(process.argv[2] ?? "") as RaceTask;
process.once("message", () => void main());
const writers = await opened();
process.send?.("ready");

async function main(): Promise<void> {
  const ms: number[] = [];
  let refused = 0;
  let calls = 0;
  subscribe("tracing:perdure:store:start", () => calls++);
  const write = async (writer: Appending): Promise<void> => {
    for (let index = 0; index < task.times; index++) {
      const started = performance.now();
      refused += await writer.once();
      ms.push(performance.now() - started);
    }
  };
  await Promise.all(writers.all.map(write));
  process.send?.({ ms, refused, calls } satisfies RaceResult);
  await writers.close();
  process.disconnect();
}

/** Appends a turn with retries; resolves with the number of conflicts. */
interface Appending {
  once(): Promise<number>;
}

interface Writers {
  readonly all: readonly Appending[];
  close(): Promise<void>;
}

async function opened(): Promise<Writers> {
  const each = <T>(make: () => T): T[] => Array.from({ length: task.writers }, make);
  if (task.how === "hand") {
    const all = await Promise.all(
      each(async () => (task.file === undefined ? await postgresByHand() : sqliteByHand(task.file))),
    );
    return { all, close: async () => void (await Promise.all(all.map((one) => one.close()))) };
  }
  const sessions = await openSessions({ store: task.url, sweep: false });
  const all = await Promise.all(each(async () => ({ once: appending(await sessions.get("s")) })));
  return { all, close: () => sessions.close() };
}

function appending(session: Session): () => Promise<number> {
  switch (task.how) {
    case "write":
      return async () => {
        await session.write({ turns: { turns: [turn] } });
        return 0;
      };
    case "queue":
      return async () => {
        await session.exclusive((inside) => inside.append(turn), { busy: "queue" });
        return 0;
      };
    default:
      return async () => {
        for (let refused = 0; ; refused++) {
          try {
            await session.append(turn);
            return refused;
          } catch (error) {
            if (!hasCode(error, "conflict")) throw error;
            await session.refresh();
          }
        }
      };
  }
}

/** The same with `update … where version`: a refused update reads the row and retries. */
async function postgresByHand(): Promise<Appending & { close(): Promise<void> }> {
  const pool = new Pool({ connectionString: task.url, max: 1 });
  const look = async (): Promise<number> =>
    Number((await pool.query("select version from hand where id = 's'")).rows[0]?.["version"]);
  let version = await look();
  const data = JSON.stringify(turn);
  const text = `with moved as (update hand set version = version + 1 where id = 's' and version = $1 returning version)
    insert into hand_turns (session, seq, data) select 's', version, $2 from moved returning seq`;
  const once = async (): Promise<number> => {
    for (let refused = 0; ; refused++) {
      const { rows } = await pool.query(text, [version, data]);
      if (rows.length === 1) {
        version++;
        return refused;
      }
      version = await look();
    }
  };
  return { once, close: () => pool.end() };
}

function sqliteByHand(file: string): Appending & { close(): Promise<void> } {
  const database = new DatabaseSync(file);
  database.exec("pragma journal_mode = wal; pragma synchronous = full; pragma busy_timeout = 0");
  const select = database.prepare("select version from hand where id = 's'");
  const update = database.prepare("update hand set version = version + 1 where id = 's' and version = ?");
  const insert = database.prepare("insert into hand_turns (session, seq, data) values ('s', ?, ?)");
  const data = JSON.stringify(turn);
  const look = (): number => Number(select.get()?.["version"]);
  let version = look();
  const once = async (): Promise<number> => {
    for (let refused = 0; ;) {
      try {
        database.exec("begin immediate");
      } catch {
        await sleep(1); // another process writes
        continue;
      }
      const fits = Number(update.run(version).changes) === 1;
      if (fits) insert.run(version + 1, data);
      database.exec(fits ? "commit" : "rollback");
      if (fits) {
        version++;
        return refused;
      }
      refused++;
      version = look();
    }
  };
  return { once, close: async () => database.close() };
}
