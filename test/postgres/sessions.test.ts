/** What sessions promise, on PostgreSQL. */
import { openSessions } from "../../src/index.ts";
import { sessionSuite } from "../conformance/session-suite.ts";
import { databaseOfFile } from "./of-file.ts";

const database = await databaseOfFile();

sessionSuite("sessions on PostgreSQL", async (options) => {
  const sessions = await openSessions({ store: await database.freshStore(), ...options });
  return { sessions, [Symbol.asyncDispose]: () => sessions.close() };
});
