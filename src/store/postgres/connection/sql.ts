/** A template of SQL, whose values are bound and never written into the text. */
export type Sql = (texts: TemplateStringsArray, ...values: readonly unknown[]) => string;

/** A writer of SQL that binds to `values`. */
export function sqlInto(values: unknown[]): Sql {
  return (texts, ...bound) => String.raw({ raw: texts }, ...bound.map((value) => `$${values.push(value)}`));
}

/** The number of the logs of the session with the tenant `$1` and the id `$2`; null if there is no such session. */
export function logsIn(schema: string): string {
  return `(select logs from ${schema}.sessions where tenant = $1 and id = $2)`;
}
