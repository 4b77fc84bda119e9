import type { Store } from "../store.ts";
import { Database, type Connections } from "./connection/database.ts";
import { layoutOf, migrate, schemaState } from "./schema/migrate.ts";
import { resolveOptions, type PostgresOptions, type ResolvedOptions } from "./options.ts";
import { importDriver, openPool } from "./connection/pool.ts";
import { Hints } from "./notifications.ts";
import { Watchers } from "../watchers.ts";
import { PostgresStore } from "./postgres-store.ts";
import { SessionError } from "../../errors.ts";

/**
 * Opens a store in a PostgreSQL database, which any number of processes and machines may share.
 * @throws SessionError `store_unavailable` (no such host, database or user), `store_read_only` (no right to create the
 *   schema), `store_invalid` (the schema is of another program, or missing while `migrate` is false), `store_schema_newer`,
 *   `argument_invalid`; with `serverless` the first call throws the errors of the database
 */
export async function openPostgres(options: PostgresOptions): Promise<Store> {
  const resolved = resolveOptions(options);
  const database = await connect(resolved);
  let ensuring: Promise<void> | undefined;
  const ensureSchema = async (): Promise<void> => {
    ensuring ??= ensure(database, resolved).finally(() => {
      ensuring = undefined;
    });
    await ensuring;
  };
  try {
    if (!resolved.lazy) await ensureSchema();
  } catch (error) {
    await database.close();
    throw error;
  }
  // Half of the connections are for reads, which would otherwise wait for full batches.
  const lanes = Math.max(1, Math.floor((database.connectionsMax ?? resolved.max) / 2));
  const watchers = new Watchers();
  const hints = await hintsOf(database, { options: resolved, watchers });
  return new PostgresStore(database, { layout: layoutOf(resolved), lanes, ensureSchema, watchers, hints });
}

async function hintsOf(
  database: Database,
  { options, watchers }: { options: ResolvedOptions; watchers: Watchers },
): Promise<Hints | undefined> {
  const { source, listen, name, schema, applicationName } = options;
  if (!listen || "pool" in source) return undefined;
  const { Client } = await importDriver(name);
  const config = { connectionString: source.url, application_name: applicationName, keepAlive: true };
  return new Hints({ database, schema, watchers, openClient: () => new Client(config) });
}

/** The database of these options, without a connection yet. */
export async function connect(options: ResolvedOptions): Promise<Database> {
  const { name, schema, deadlineMs, attemptMs, statementTimeoutMs, prepare } = options;
  const connections = await connectionsOf(options);
  return new Database({ name, schema, connections, deadlineMs, attemptMs, statementTimeoutMs, prepare });
}

async function connectionsOf(options: ResolvedOptions): Promise<Connections> {
  const { source, name, max, applicationName, idleTimeoutMs, connectTimeoutMs } = options;
  if ("pool" in source) return { kind: "given", pool: source.pool };
  const driver = await importDriver(name);
  const { url } = source;
  return {
    kind: "own",
    open: (times) => openPool(driver, { url, max, applicationName, idleTimeoutMs, connectTimeoutMs, ...times }),
  };
}

async function ensure(database: Database, options: ResolvedOptions): Promise<void> {
  const layout = layoutOf(options);
  const { found, known, pending } = await schemaState(database, layout);
  if (pending.length === 0) return;
  if (options.migrate) {
    await migrate(database, layout);
    return;
  }
  const { name: store } = database;
  const { schema } = options;
  if (found === 0) throw new SessionError("store_invalid", { store, problem: "schema_missing", schema });
  const breaking = pending.some((step) => step.breaking);
  throw new SessionError("store_invalid", { store, problem: "migration_pending", schema, found, known, breaking });
}
