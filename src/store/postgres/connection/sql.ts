/** A template of SQL, whose values are bound and never written into the text. */
export type Sql = (texts: TemplateStringsArray, ...values: readonly unknown[]) => string;

/** A writer of SQL that binds to `values`. */
export function sqlInto(values: unknown[]): Sql {
  return (texts, ...bound) => String.raw({ raw: texts }, ...bound.map((value) => `$${values.push(value)}`));
}
