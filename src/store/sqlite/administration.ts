import { resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { MigrationReport } from "../migrations.ts";
import { Patience } from "./connection/busy-retry.ts";
import { guardExisting, guardWritable, openToRead } from "./connection/database-file.ts";
import { sessionErrorOf } from "./connection/sqlite-error.ts";
import { Transactions } from "./connection/transactions.ts";
import { parseOptions } from "./open.ts";
import { migrations } from "./schema/schema.ts";
import { migrate, missingSteps } from "./schema/schema-version.ts";

/**
 * Updates the schema of an existing file; `dryRun` only returns the missing steps. Any number of programs may migrate at the
 * same time. A program of an older version can no longer open the file, so each step is `breaking`.
 * @throws SessionError as `openSqlite`
 */
export async function migrateSqlite(
  url: string,
  { dryRun = false }: { readonly dryRun?: boolean } = {},
): Promise<MigrationReport> {
  const { path, busyTimeoutMs } = parseOptions({ url });
  const file = resolve(path);
  guardExisting(file);
  if (!dryRun) guardWritable(file);
  const patience = new Patience({ store: file, busyTimeoutMs });
  let database: DatabaseSync | undefined;
  try {
    const opened = dryRun ? openToRead(file) : new DatabaseSync(file, { timeout: 0 });
    database = opened;
    const transactions = new Transactions(opened);
    const steps = await patience.when(() =>
      dryRun
        ? transactions.reading(() => missingSteps(opened, file))
        : transactions.writing(() => migrate(opened, file)),
    );
    const known = migrations.length;
    const found = known - steps.length;
    return { found, known, steps: steps.map(({ version, title }) => ({ version, title, breaking: true })) };
  } catch (error) {
    throw sessionErrorOf(error, file);
  } finally {
    database?.close();
  }
}
