/** The rights that a role lacks on a schema, and the grants that help. */
import { counted } from "../../../errors/counted.ts";
import { grantsOf, type Right } from "../../../errors/grants.ts";

/** The rights that a role lacks. */
export interface MissingRights {
  readonly role: string;
  readonly rights: readonly Right[];
}

const tableRights: readonly Right[] = ["select", "insert", "update", "delete"];

/**
 * The statement and its values, with one row for a schema that exists. Programs never write the list of migrations, and a
 * table that is divided has the rights of the whole.
 */
export function missingRightsQuery(schema: string): readonly [text: string, values: readonly unknown[]] {
  const lacking = tableRights.map(
    (right) => `exists (
      select from pg_class c where c.relnamespace = n.oid and c.relkind in ('r', 'p') and not c.relispartition
        and ${right === "select" ? "" : "c.relname <> 'migrations' and "}not has_table_privilege(c.oid, '${right}')
    ) as "${right}"`,
  );
  return [
    `select current_user as role, not has_schema_privilege(n.oid, 'usage') as "usage", ${lacking.join(", ")},
      exists (
        select from pg_proc f where f.pronamespace = n.oid and not has_function_privilege(f.oid, 'execute')
      ) as "execute"
    from pg_namespace n where n.nspname = $1`,
    [schema],
  ];
}

/** The rights in the row of {@link missingRightsQuery}. */
export function missingRightsOf(row: Readonly<Record<string, unknown>> | undefined): MissingRights | undefined {
  if (row === undefined) return undefined;
  const rights = (["usage", ...tableRights, "execute"] as const).filter((right) => row[right] === true);
  return rights.length === 0 ? undefined : { role: String(row["role"]), rights };
}

/** True if the role may not read either. */
export function keepsFromReading({ rights }: MissingRights): boolean {
  return rights.some((right) => ["usage", "select", "execute"].includes(right));
}

/** The problem for the doctor, with the grants. */
export function describeMissing({ role, rights }: MissingRights, schema: string): string {
  return `the role ${role} lacks ${counted(rights.length, "right")}: ${rights.join(", ")}; the owner of the schema runs: ${grantsOf({ role, rights, schema })}`;
}
