import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "../../src/open.ts";
import { damagedSessionSuite } from "./damaged-sessions.ts";

damagedSessionSuite("damaged sessions in memory", async () => {
  const store = await openStore("memory:");
  return { store, [Symbol.asyncDispose]: () => store.close() };
});

damagedSessionSuite("damaged sessions on SQLite", async () => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-damaged-"));
  const store = await openStore(`sqlite:${join(folder, "s.db")}`);
  return {
    store,
    async [Symbol.asyncDispose]() {
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
});
