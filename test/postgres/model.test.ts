/** Random steps have the same outcomes on PostgreSQL as on the reference, also where every commit loses its connection once. */
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import * as fc from "../support/fast-check.ts";
import { openMemory } from "../../src/store/memory.ts";
import { openPostgres } from "../../src/store/postgres/index.ts";
import type { Store } from "../../src/store/store.ts";
import { broken } from "../conformance/broken-stores/breakage.ts";
import { compareStores, steps } from "../property/compare-stores.ts";
import { cuts, Proxy } from "./proxy.ts";
import { serverOfFile } from "./of-file.ts";
import { someDatabase } from "./server.ts";
import { rounds } from "../support/rounds.ts";

const server = await serverOfFile();

async function compare(store: Store, runs: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(steps, async (steps) => {
      await compareStores({ model: openMemory(), store, scope: `${randomUUID()} ` }, steps);
    }),
    { numRuns: rounds(runs) },
  );
}

test("PostgreSQL does what the reference does", async () => {
  await using database = await someDatabase();
  const store = await openPostgres({ url: database.url });
  await compare(store, 64);
  await store.close();
});

test("PostgreSQL does what the reference does though each commit's connection is cut", async () => {
  await using proxy = await Proxy.before(server.port);
  const store = await openPostgres({ url: proxy.url(), schema: "cut" });
  let count = 0;
  const cutting = broken(store, (whole) => ({
    async commit(batch) {
      const cut = proxy.cutAt(cuts[count++ % cuts.length]!);
      const [outcomes] = await Promise.all([whole.commit(batch), batch.length > 0 ? cut : undefined]);
      return outcomes;
    },
  }));
  await compare(cutting, 24);
  await store.close();
});
