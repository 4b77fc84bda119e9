/** A right of PostgreSQL on a schema, or on the tables and functions in it. */
export type Right = "usage" | "select" | "insert" | "update" | "delete" | "execute";

/** The statements that grant rights on a schema to a role, with semicolons between them. */
export function grantsOf({
  schema,
  role,
  rights,
}: {
  readonly schema: string;
  readonly role: string;
  readonly rights: readonly string[];
}): string {
  const [on, to] = [nameInSql(schema), nameInSql(role)];
  const onTables = rights.filter((right) => ["select", "insert", "update", "delete"].includes(right));
  return [
    ...(rights.includes("usage") ? [`grant usage on schema ${on} to ${to}`] : []),
    ...(onTables.length > 0 ? [`grant ${onTables.join(", ")} on all tables in schema ${on} to ${to}`] : []),
    ...(rights.includes("execute") ? [`grant execute on all functions in schema ${on} to ${to}`] : []),
  ].join("; ");
}

function nameInSql(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
