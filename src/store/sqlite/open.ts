import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { systemClock, type Clock } from "../../clock.ts";
import { parseDuration, type Duration } from "../../domain/values/duration.ts";
import { canWrite, takesAnySchema, type Access } from "../access.ts";
import type { Store } from "../store.ts";
import { guardExisting, guardWritable, makeForOwner, openToRead } from "./connection/database-file.ts";
import { Patience } from "./connection/busy-retry.ts";
import { guardCurrent, migrate, missingSteps } from "./schema/schema-version.ts";
import { sessionErrorOf } from "./connection/sqlite-error.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { Transactions } from "./connection/transactions.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";

export interface SqliteOptions {
  /**
   * `sqlite:FILE`, relative to the working directory or absolute, or `sqlite::memory:`. Options may follow a question
   * mark: `sqlite:perdure.db?synchronous=normal&busyTimeout=10s`.
   */
  readonly url: string;
  /**
   * `full` syncs the disk at every commit. `normal` leaves that to the operating system: it is faster, and the file stays
   * consistent, but a power failure may lose the last moments. Neither loses anything when a process dies.
   * @default "full"
   */
  readonly synchronous?: "full" | "normal";
  /** The longest wait for the write lock of another process. @default "5s" */
  readonly busyTimeout?: Duration;
  /** @default the machine's clock */
  readonly clock?: Clock;
  /** @default "create" */
  readonly access?: Access;
}

/**
 * Opens a store in one SQLite file, which any number of processes of this machine may share.
 * @throws SessionError `store_unavailable` (no such folder, or no such file for an access that does not create it),
 *   `store_read_only`, `store_invalid` (not a database, damaged, of another program, of an older schema that is not to be
 *   migrated), `store_schema_newer`, `store_full`, `store_busy`, `argument_invalid`, `duration_invalid`
 */
export async function openSqlite(options: SqliteOptions): Promise<Store> {
  const { path, synchronous, busyTimeoutMs, clock } = parseOptions(options);
  const inMemory = path === ":memory:";
  const file = inMemory ? path : resolve(path);
  const access = inMemory ? "create" : (options.access ?? "create");
  const writes = canWrite(access);
  if (access !== "create") guardExisting(file);
  if (writes && !inMemory) guardWritable(file);
  if (access === "create" && !inMemory) makeForOwner(file);
  const patience = new Patience({ store: file, busyTimeoutMs });
  let database: DatabaseSync | undefined;
  try {
    const opened = writes ? new DatabaseSync(file, { timeout: 0 }) : openToRead(file);
    database = opened;
    const transactions = new Transactions(opened);
    // Checked before the first write: the file of another program stays unchanged, byte for byte.
    const outdated = await patience.when(() =>
      transactions.reading(() => {
        if (access === "create" || takesAnySchema(access)) return missingSteps(opened, file).length > 0;
        guardCurrent(opened, file);
        return false;
      }),
    );
    if (writes) {
      // Several processes may start on an empty file at the same time: each step waits for the others, then finds its work done.
      await patience.when(() => opened.exec("pragma journal_mode = wal"));
      opened.exec(`pragma synchronous = ${synchronous}`);
    }
    if (outdated && access === "create") await patience.when(() => transactions.writing(() => migrate(opened, file)));
    // SQLite keeps its log beside the file that a link leads to.
    const folder = inMemory ? null : dirname(process.getBuiltinModule("node:fs").realpathSync(file));
    return new SqliteStore(opened, { transactions, name: file, patience, clock, synchronous, folder });
  } catch (error) {
    database?.close();
    throw sessionErrorOf(error, file);
  }
}

/** The file of a URL; undefined for `:memory:`. @throws SessionError as {@link openSqlite} for a wrong URL */
export function fileOfUrl(url: string): string | undefined {
  const { path } = parseOptions({ url });
  return path === ":memory:" ? undefined : resolve(path);
}

/** The checked options, with defaults. @throws SessionError `argument_invalid`, `duration_invalid` */
export function parseOptions({ url, ...options }: SqliteOptions): {
  path: string;
  synchronous: "full" | "normal";
  busyTimeoutMs: number;
  clock: Clock;
} {
  const [path = "", query = ""] = url.replace(/^sqlite:(\/\/(?=\/))?/i, "").split(/\?(.*)/s);
  // The operating system ends a name at a NUL.
  if (path === "" || path.includes("\0")) {
    throw invalidArgument("store", url, { expected: "sqlite_url" });
  }
  const parameters = new Map(new URLSearchParams(query));
  const synchronous = options.synchronous ?? parameters.get("synchronous") ?? "full";
  const busyTimeout = options.busyTimeout ?? parameters.get("busyTimeout") ?? "5s";
  parameters.delete("synchronous");
  parameters.delete("busyTimeout");
  const [unknown] = parameters.keys();
  if (unknown !== undefined) {
    throw invalidArgument("store", url, { expected: "sqlite_url" });
  }
  if (synchronous !== "full" && synchronous !== "normal") {
    throw invalidArgument("synchronous", synchronous, { expected: "one_of", known: ["full", "normal"] });
  }
  const busyTimeoutMs = parseDuration(
    /^\d+$/.test(String(busyTimeout)) ? Number(busyTimeout) : busyTimeout,
    "busyTimeout",
  );
  return { path, synchronous, busyTimeoutMs, clock: options.clock ?? systemClock };
}
