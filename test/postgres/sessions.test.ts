/** What sessions promise, on PostgreSQL. */
import { after, before } from "node:test";
import { openSessions } from "../../src/index.ts";
import { sessionSuite } from "../conformance/session-suite.ts";
import { someDatabase } from "./server.ts";

let database: Awaited<ReturnType<typeof someDatabase>>;
let opened = 0;
before(async () => {
  database = await someDatabase();
});
after(async () => {
  await database[Symbol.asyncDispose]();
});

sessionSuite("sessions on PostgreSQL", async (options) => {
  const sessions = await openSessions({ store: `${database.url}?schema=suite_${process.pid}_${++opened}`, ...options });
  return { sessions, [Symbol.asyncDispose]: () => sessions.close() };
});
