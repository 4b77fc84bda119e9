import { SessionError } from "../errors.ts";

/** One step of a store's schema. Numbers run from 1 without gaps; a released step is never edited. */
export interface Migration {
  readonly version: number;
  /** What it is for, in a few words. */
  readonly title: string;
  readonly sql: string;
}

/**
 * The steps from the schema that was found to the newest one known here, in order.
 * @throws SessionError `store_schema_newer` where a newer version of Perdure has been at work
 */
export function stepsFrom(found: number, migrations: readonly Migration[], store: string): readonly Migration[] {
  const known = migrations.length;
  if (found > known) throw new SessionError("store_schema_newer", { store, found, known });
  return migrations.slice(found);
}
