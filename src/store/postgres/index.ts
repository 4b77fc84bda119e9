export { openPostgres } from "./open.ts";
export type { PostgresOptions } from "./options.ts";
export type { PostgresPool, QueryResult } from "./connection/pool.ts";
export { migratePostgres, postgresSchemaScript, type MigrationReport } from "./administration.ts";
