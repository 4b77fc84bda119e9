/**
 * The PostgreSQL store with options of its own, and its migration.
 *
 * @module perdure/postgres
 */
export { openPostgres } from "./open.ts";
export type { PostgresOptions } from "./options.ts";
export type { PostgresPool, QueryResult } from "./connection/pool.ts";
export type { MigrationReport } from "../migrations.ts";
export { migratePostgres, postgresSchemaScript } from "./administration.ts";
