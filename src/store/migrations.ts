import { SessionError } from "../errors.ts";

/** One step of a store's schema. Numbers run from 1 without gaps; a released step is never edited. */
export interface Migration {
  readonly version: number;
  /** The purpose of the step, in a few words. */
  readonly title: string;
  readonly sql: string;
}

/** The result of a migration, or of a dry run. */
export interface MigrationReport {
  /** The version of the schema before; 0 without a schema. */
  readonly found: number;
  /** The newest version of this program. */
  readonly known: number;
  /** The steps between the two, in order. `breaking`: programs of the version before cannot work on the schema after it. */
  readonly steps: readonly { readonly version: number; readonly title: string; readonly breaking: boolean }[];
}

/**
 * The steps from the schema of the store to the newest one of this version, in order.
 * @throws SessionError `store_schema_newer` if a newer version of Perdure has migrated the store
 */
export function stepsFrom(found: number, migrations: readonly Migration[], store: string): readonly Migration[] {
  const known = migrations.length;
  if (found > known) throw new SessionError("store_schema_newer", { store, found, known });
  return migrations.slice(found);
}
