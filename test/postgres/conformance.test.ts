/** The conformance suite on PostgreSQL, with each way to open a store, some of them together. */
import { after, before, test } from "node:test";
import { storeConformance } from "../../src/testing/conformance.ts";
import { openPostgres } from "../../src/store/postgres/open.ts";
import { missingPgBouncer, PgBouncer } from "./pgbouncer.ts";
import { Pool, someDatabase, type SomeDatabase } from "./server.ts";
import { isThorough } from "../support/rounds.ts";

let database: SomeDatabase;
let bouncer: PgBouncer;
let nonConforming: Pool;
const missing =
  process.env["PERDURE_TEST_POSTGRES_URL"] === undefined
    ? missingPgBouncer()
    : "PERDURE_TEST_POSTGRES_URL names a server, which this test would have to configure";
before(async () => {
  database = await someDatabase();
  // Its connections read a backslash in a literal as an escape.
  const options = "-c standard_conforming_strings=off";
  nonConforming = new Pool({ connectionString: database.url, options });
  if (database.server !== undefined && missing === undefined) bouncer = await PgBouncer.start(database.server);
});
after(async () => {
  await nonConforming.end();
  if (missing === undefined) await bouncer[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

// A quick run has the connections behind PgBouncer where there is one, else those of its own.
const layout = { schema: `our "agents'; $body$ --`, partitions: 8 };
if (isThorough) {
  storeConformance({
    name: "the PostgreSQL store without prepared statements and with standard_conforming_strings off, on a pool of the caller",
    open: () => openPostgres({ pool: nonConforming, schema: "unprepared", prepare: false }),
  });
  storeConformance({ name: "the PostgreSQL store", open: () => openPostgres({ url: database.url }) });
}
if (missing === undefined) {
  storeConformance({
    name: "the PostgreSQL store behind PgBouncer in transaction mode, with its entries in 8 partitions of a schema of another name",
    open: () => openPostgres({ url: bouncer.url(), ...layout }),
  });
} else {
  test("the PostgreSQL store behind PgBouncer in transaction mode", (context) => {
    if (process.env["CI"] === "true") throw new Error(missing);
    context.skip(missing);
  });
  storeConformance({
    name: "the PostgreSQL store with its entries in 8 partitions of a schema of another name",
    open: () => openPostgres({ url: database.url, ...layout }),
  });
}
