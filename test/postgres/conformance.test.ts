/** The conformance suite on PostgreSQL: with own connections, in a pool of the caller, in partitions, and behind PgBouncer. */
import { after, before, test } from "node:test";
import { storeConformance } from "../../src/testing/conformance.ts";
import { openPostgres } from "../../src/store/postgres/open.ts";
import { missingPgBouncer, PgBouncer } from "./pgbouncer.ts";
import { Pool, someDatabase } from "./server.ts";
import { isThorough } from "../support/rounds.ts";

let database: Awaited<ReturnType<typeof someDatabase>>;
let bouncer: PgBouncer;
let pool: Pool;
const missing =
  process.env["PERDURE_TEST_POSTGRES_URL"] === undefined
    ? missingPgBouncer()
    : "PERDURE_TEST_POSTGRES_URL names a server, which this test would have to configure";
before(async () => {
  database = await someDatabase();
  pool = new Pool({ connectionString: database.url });
  if (database.server !== undefined && missing === undefined) bouncer = await PgBouncer.start(database.server);
});
after(async () => {
  await pool.end();
  if (missing === undefined) await bouncer[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

// A quick run takes each way to open a store once, some of them together.
const oddSchema = `our "agents'; $body$ --`;
if (isThorough || missing !== undefined)
  storeConformance({ name: "the PostgreSQL store", open: () => openPostgres({ url: database.url }) });
if (isThorough) {
  storeConformance({
    name: "the PostgreSQL store in a schema of another name, on a pool of the caller",
    open: () => openPostgres({ pool, schema: oddSchema }),
  });
  storeConformance({
    name: "the PostgreSQL store with its entries in 8 partitions, on a pool of the caller",
    open: () => openPostgres({ pool, schema: "parts", partitions: 8 }),
  });
} else {
  storeConformance({
    name: "the PostgreSQL store with its entries in 8 partitions of a schema of another name, on a pool of the caller",
    open: () => openPostgres({ pool, schema: oddSchema, partitions: 8 }),
  });
}
storeConformance({
  name: "the PostgreSQL store without prepared statements and with standard_conforming_strings off",
  open: () => openPostgres({ url: nonConforming(database.url), schema: "unprepared", prepare: false }),
});
if (missing === undefined) {
  storeConformance({
    name: "the PostgreSQL store behind PgBouncer in transaction mode",
    open: () => openPostgres({ url: bouncer.url(), schema: "bounced" }),
  });
} else {
  test("the PostgreSQL store behind PgBouncer in transaction mode", (context) => {
    if (process.env["CI"] === "true") throw new Error(missing);
    context.skip(missing);
  });
}

/** The URL of connections that read a backslash in a literal as an escape. */
function nonConforming(url: string): string {
  const changed = new URL(url);
  changed.searchParams.set("options", "-c standard_conforming_strings=off");
  return changed.href;
}
