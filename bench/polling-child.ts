/** One of several processes that append to one session at the same time: through Perdure, or by hand in SQL. */
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode, openSessions } from "../src/index.ts";
import { Pool } from "../test/postgres/server.ts";
import { turn } from "./workload.ts";

export interface Task {
  readonly how: "perdure" | "queue" | "hand";
  readonly url: string;
  /** The file of the rows written by hand, for SQLite. */
  readonly file?: string;
  readonly times: number;
}

export interface Told {
  /** Each turn from its first try on, ms. */
  readonly ms: readonly number[];
  readonly refused: number;
}

const task = JSON.parse(process.argv[2] ?? "") as Task;
process.once("message", () => void main());
const append = await opened();
process.send?.("ready");

async function main(): Promise<void> {
  const ms: number[] = [];
  let refused = 0;
  for (let index = 0; index < task.times; index++) {
    const started = performance.now();
    refused += await append.once();
    ms.push(performance.now() - started);
  }
  process.send?.({ ms, refused } satisfies Told);
  await append.close();
  process.disconnect();
}

/** Appends a turn with retries; resolves with the number of conflicts. */
interface Appending {
  once(): Promise<number>;
  close(): Promise<void>;
}

async function opened(): Promise<Appending> {
  if (task.how === "hand") return task.file === undefined ? postgresByHand() : sqliteByHand(task.file);
  const sessions = await openSessions({ store: task.url, sweep: false });
  const session = await sessions.get("s");
  const close = (): Promise<void> => sessions.close();
  if (task.how === "queue") {
    const once = async (): Promise<number> => {
      await session.exclusive((inside) => inside.append(turn), { busy: "queue" });
      return 0;
    };
    return { once, close };
  }
  const once = async (): Promise<number> => {
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
  return { once, close };
}

/** The same with `update … where version`: a refused update reads the row and retries. */
async function postgresByHand(): Promise<Appending> {
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

function sqliteByHand(file: string): Appending {
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
