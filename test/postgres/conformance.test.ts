import { after, before, test } from "node:test";
import { storeConformance } from "../../src/testing/conformance.ts";
import { openPostgres } from "../../src/store/postgres/open.ts";
import { missingPgBouncer, PgBouncer } from "./pgbouncer.ts";
import { PostgresServer } from "./server.ts";

let server: PostgresServer;
let bouncer: PgBouncer;
const missing = missingPgBouncer();
before(async () => {
  server = await PostgresServer.start();
  if (missing === undefined) bouncer = await PgBouncer.start(server);
});
after(async () => {
  if (missing === undefined) await bouncer[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

storeConformance({ name: "the PostgreSQL store", open: () => openPostgres({ url: server.url() }) });
storeConformance({
  name: "the PostgreSQL store in a schema of another name",
  open: () => openPostgres({ url: server.url(), schema: `our "agents'; $body$ --` }),
});
storeConformance({
  name: "the PostgreSQL store with its entries in 8 parts",
  open: () => openPostgres({ url: server.url(), schema: "parts", partitions: 8 }),
});
storeConformance({
  name: "the PostgreSQL store with statements under names",
  open: () => openPostgres({ url: server.url(), schema: "prepared", prepare: true }),
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
