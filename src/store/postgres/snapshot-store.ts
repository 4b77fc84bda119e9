import { hasCode, SessionError } from "../../errors.ts";
import type { Store } from "../store.ts";
import { openPostgres } from "./open.ts";
import { resolveOptions } from "./options.ts";
import { importDriver, type PostgresPool } from "./connection/pool.ts";
import { sessionErrorOf } from "./connection/postgres-error.ts";

/** A read-only store at one moment. */
export interface Moment extends AsyncDisposable {
  readonly store: Store;
}

/** The store behind the pool has no name of its own. */
function named(error: unknown, store: string): unknown {
  if (hasCode(error, "store_invalid"))
    return new SessionError("store_invalid", { ...error.details, store }, { cause: error.cause });
  if (hasCode(error, "store_schema_newer")) return new SessionError("store_schema_newer", { ...error.details, store });
  return error;
}

/**
 * Opens the store in a PostgreSQL database as it is at this moment. All reads, however long they take, are from one snapshot. It
 * cannot be written.
 * @throws SessionError as `openPostgres`
 */
export async function openPostgresMoment(url: string): Promise<Moment> {
  const { name, source, schema, applicationName } = resolveOptions({ url });
  const { Client } = await importDriver(name);
  const client = new Client({
    connectionString: "url" in source ? source.url : url,
    application_name: applicationName,
    keepAlive: true,
  });
  // The transaction ends with its connection, and the next statement reports it.
  client.on("error", () => undefined);
  const failed = (error: unknown): unknown => sessionErrorOf(error, { store: name, pool: "" });
  // A failed statement ends the snapshot, so a retry cannot help; the store would retry errors of the driver.
  const pool: PostgresPool = {
    query: (text, values) =>
      client.query(text, values).catch((error: unknown) => {
        throw failed(error);
      }),
  };
  try {
    await client.connect();
    await client.query("begin transaction isolation level repeatable read, read only");
    const store = await openPostgres({ pool, schema, migrate: false, attempt: "10m", deadline: "10m" });
    return {
      store,
      async [Symbol.asyncDispose]() {
        await store.close();
        await client.end();
      },
    };
  } catch (error) {
    await client.end().catch(() => undefined); // the first error has the cause
    throw named(failed(error), name);
  }
}
