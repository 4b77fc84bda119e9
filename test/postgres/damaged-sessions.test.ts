import { after, before } from "node:test";
import { openStore } from "../../src/open.ts";
import { damagedSessionSuite } from "../conformance/damaged-sessions.ts";
import { someDatabase } from "./server.ts";

let database: Awaited<ReturnType<typeof someDatabase>>;
let opened = 0;
before(async () => {
  database = await someDatabase();
});
after(async () => {
  await database[Symbol.asyncDispose]();
});

damagedSessionSuite("damaged sessions on PostgreSQL", async () => {
  const store = await openStore(`${database.url}?schema=damaged_${process.pid}_${++opened}`);
  return { store, [Symbol.asyncDispose]: () => store.close() };
});
