import { openStore } from "../../src/open.ts";
import { damagedSessionSuite } from "../conformance/damaged-sessions.ts";
import { databaseOfFile } from "./of-file.ts";

const database = await databaseOfFile();
let opened = 0;

damagedSessionSuite("damaged sessions on PostgreSQL", async () => {
  const store = await openStore(`${database.url}?schema=damaged_${process.pid}_${++opened}`);
  return { store, [Symbol.asyncDispose]: () => store.close() };
});
