import { openStore } from "../../src/open.ts";
import { damagedSessionSuite } from "../conformance/damaged-sessions.ts";
import { databaseOfFile } from "./of-file.ts";

const database = await databaseOfFile();

damagedSessionSuite("damaged sessions on PostgreSQL", async () => {
  const store = await openStore(await database.freshStore());
  return { store, [Symbol.asyncDispose]: () => store.close() };
});
