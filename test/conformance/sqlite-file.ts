/** Opens the SQLite file that the query of this module's URL names, for processes that the conformance suite kills. */
import { openSqlite } from "../../src/store/sqlite/open.ts";
import type { Store } from "../../src/store/store.ts";

const { searchParams } = new URL(import.meta.url);

export default async function open(): Promise<Store> {
  const store = await openSqlite({ url: `sqlite:${searchParams.get("file")}` });
  if (!searchParams.has("early")) return store;
  // A broken store: it acknowledges every other commit before it has written.
  let written: Promise<unknown> = Promise.resolve();
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (name !== "commit") return value.bind(target) as unknown;
      return async (batch: Parameters<Store["commit"]>[0]) => {
        written = written.then(async () => {
          await new Promise((resolve) => setTimeout(resolve, 5));
          await target.commit(batch);
        });
        return batch.map(() => ({ status: "ok" }));
      };
    },
  });
}
