/** Stores whose server cancels statements that write many rows. */
import { setTimeout as sleep } from "node:timers/promises";
import { openPostgres, type PostgresOptions } from "../../src/store/postgres/index.ts";
import type { Store } from "../../src/store/store.ts";
import { query, type PostgresServer } from "./server.ts";

/** The most rows that a statement may write. */
export const rowsMax = 2000;

/** A schema for {@link openBounded}. */
export interface BoundedPlace {
  readonly url: string;
  /** The rows of a table or view of the schema. */
  readonly count: (table: string) => Promise<number>;
}

/** Makes a schema in which the server cancels a statement that writes more rows, as it does after the statement timeout. */
export async function boundedPlace(server: PostgresServer, schema: string): Promise<BoundedPlace> {
  const url = `${server.url()}?schema=${schema}`;
  await (await openPostgres({ url })).close();
  const triggers = [
    ["insert", "new"],
    ["update", "new"],
    ["delete", "old"],
  ].map(
    ([work, rows]) => `
     create trigger cancel_${work} after ${work} on ${schema}.entries referencing ${rows} table as written
       for each statement execute function ${schema}.cancel();`,
  );
  await query(
    server.url(),
    `create function ${schema}.cancel() returns trigger language plpgsql as $$
     begin
       if (select count(*) from written) > ${rowsMax} then raise query_canceled using message = 'too slow'; end if;
       return null;
     end $$;
     ${triggers.join("")}`,
  );
  const count = async (table: string): Promise<number> =>
    Number((await query(server.url(), `select count(*)::int as count from ${schema}.${table}`))[0]?.["count"]);
  return { url, count };
}

/** Opens a store that gives up well before its test does. A busy machine takes seconds for a statement. */
export async function openBounded(options: PostgresOptions): Promise<Store & AsyncDisposable> {
  const store = await openPostgres({ deadline: "30s", ...options });
  return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() });
}

export async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(10);
}
