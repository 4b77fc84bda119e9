/** The version of the schema in a file, and the steps to the newest one. */
import type { DatabaseSync } from "node:sqlite";
import { SessionError } from "../../../errors.ts";
import { stepsFrom, type Migration } from "../../migrations.ts";
import { isFault } from "../connection/sqlite-error.ts";
import { applicationId, migrations } from "./schema.ts";

/**
 * The missing steps of the schema. The caller holds a transaction, so no migration of another process falls between the reads.
 * @throws SessionError `store_invalid` for a database that has tables and is not marked as Perdure's, `store_schema_newer`
 */
export function missingSteps(database: DatabaseSync, store: string): readonly Migration[] {
  if (pragma(database, "application_id") !== applicationId) {
    const { count } = database.prepare("select count(*) as count from sqlite_schema").get() as { count: number };
    if (count > 0) {
      throw new SessionError("store_invalid", { store, problem: "foreign_file" });
    }
  }
  return stepsFrom(pragma(database, "user_version"), migrations, store);
}

/**
 * Refuses a store that would have to be created or migrated first. The caller holds a transaction.
 * @throws SessionError as {@link missingSteps}, and `store_invalid` for an empty database and for an older schema
 */
export function guardCurrent(database: DatabaseSync, store: string): void {
  const known = migrations.length;
  const found = known - missingSteps(database, store).length;
  if (found === 0) throw new SessionError("store_invalid", { store, problem: "no_sessions" });
  if (found < known) {
    throw new SessionError("store_invalid", { store, problem: "migration_pending", found, known, breaking: true });
  }
}

/**
 * Takes the missing steps. The caller holds the write lock.
 * @throws SessionError as {@link missingSteps}, and `store_invalid` for objects of another program that a step cannot replace
 */
export function migrate(database: DatabaseSync, store: string): readonly Migration[] {
  // Another process may have migrated the file before this one had the lock.
  const steps = missingSteps(database, store);
  for (const { sql, version } of steps) {
    try {
      database.exec(sql);
    } catch (error) {
      if (!isFault(error)) throw error;
      throw new SessionError("store_invalid", { store, problem: "refused" }, { cause: error });
    }
    database.exec(`pragma user_version = ${version}; pragma application_id = ${applicationId}`);
  }
  return steps;
}

function pragma(database: DatabaseSync, name: "user_version" | "application_id"): number {
  return Number(database.prepare(`pragma ${name}`).get()?.[name]);
}
