/** Statements whose texts depend on a query. Each connection prepares a text once, and keeps those that were used last. */
import type { DatabaseSync, StatementSync } from "node:sqlite";

/** The most statements of one connection: filters of lists have few forms. */
const statementsMax = 64;

const statements = new WeakMap<DatabaseSync, Map<string, StatementSync>>();

/** The statement for this text. Its rows must be read before it is asked for again. */
export function prepared(database: DatabaseSync, sql: string): StatementSync {
  let known = statements.get(database);
  if (known === undefined) statements.set(database, (known = new Map()));
  const statement = known.get(sql) ?? database.prepare(sql);
  known.delete(sql);
  known.set(sql, statement);
  const [oldest] = known.keys();
  if (known.size > statementsMax && oldest !== undefined) known.delete(oldest);
  return statement;
}
