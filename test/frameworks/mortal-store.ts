/** The store of a process that ends by SIGKILL before one of its commits. */
import { callStore, storeBefore } from "../../src/store/calls/forwarding-store.ts";
import { openPostgres } from "../../src/store/postgres/open.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import type { Store } from "../../src/store/store.ts";

/** Opens a store that lets this many commits pass, and kills the process before the next one. */
export async function mortalStore(url: string, commitsMax: number): Promise<Store> {
  const store = await (url.startsWith("sqlite:") ? openSqlite({ url }) : openPostgres({ url }));
  let commits = 0;
  return storeBefore(store, (method, args) => {
    if (method === "commit" && ++commits > commitsMax) process.kill(process.pid, "SIGKILL");
    return callStore(store, method, args);
  });
}
