import type { Store } from "../store.ts";
import { openPostgres } from "./open.ts";
import { resolveOptions } from "./options.ts";
import { importDriver } from "./pool.ts";
import { sessionErrorOf } from "./postgres-error.ts";

/** A store in which time stands still. */
export interface Moment extends AsyncDisposable {
  readonly store: Store;
}

/**
 * The store in a PostgreSQL database as it is at this moment: whatever is read from it, and however long that takes, others'
 * writes do not show. It cannot be written.
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
  // A connection that ends takes its transaction along; the next statement says so.
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query("begin transaction isolation level repeatable read, read only");
    const pool = { query: (text: string, values?: unknown[]) => client.query(text, values) };
    const store = await openPostgres({ pool, schema, migrate: false, attempt: "10m", deadline: "10m" });
    return {
      store,
      async [Symbol.asyncDispose]() {
        await store.close();
        await client.end();
      },
    };
  } catch (error) {
    await client.end().catch(() => undefined); // the first error says what is wrong
    throw sessionErrorOf(error, { store: name, pool: "" });
  }
}
