import { migrations, type Layout } from "./schema.ts";

/** A part of the schema, and the statement that makes it. */
export interface MadePart {
  readonly kind: "table" | "column" | "index" | "function" | "trigger" | "view";
  /** `table.column` for a column. */
  readonly name: string;
  readonly sql: string;
}

/** Every table, added column, index, function, trigger and view of the schema, with its last statement. */
export function madeParts(layout: Layout): readonly MadePart[] {
  const parts = migrations
    .flatMap(({ sql }) => statementsIn(sql(layout)))
    .map((sql) => partOf(sql, layout.schema))
    .filter((part) => part !== undefined);
  return [...new Map(parts.map((part) => [`${part.kind} ${part.name}`, part])).values()];
}

/** A statement ends at a semicolon outside of quotes. */
const pieces = /'(?:[^']|'')*'|"(?:[^"]|"")*"|(\$\w*\$)[\s\S]*?\1|;|[^;'"$]+|\$/g;

function statementsIn(sql: string): string[] {
  const statements = [""];
  for (const [piece] of sql.matchAll(pieces)) {
    if (piece === ";") statements.push("");
    else statements[statements.length - 1] += piece;
  }
  return statements.map((statement) => statement.trim());
}

function partOf(sql: string, schema: string): MadePart | undefined {
  const [, unscoped, unscopedName = ""] = /^create (?:unique )?(index|trigger) (\w+)\b/.exec(sql) ?? [];
  if (unscoped !== undefined) return { kind: unscoped as "index" | "trigger", name: unscopedName, sql };
  const [created, kind] = /^create (?:or replace )?(table|view|function) /.exec(sql) ?? [];
  const name = wordBehind(sql, `${created ?? "alter table "}${schema}.`);
  if (name === undefined) return undefined;
  if (kind !== undefined) return { kind: kind as "table" | "view" | "function", name, sql };
  const column = wordBehind(sql, `alter table ${schema}.${name} add column `);
  return column === undefined ? undefined : { kind: "column", name: `${name}.${column}`, sql };
}

function wordBehind(text: string, beginning: string): string | undefined {
  return text.startsWith(beginning) ? /^\w+/.exec(text.slice(beginning.length))?.[0] : undefined;
}

/** The body and the settings of the function that a statement makes, in the form of the server. */
export function functionOf(sql: string): { readonly body: string; readonly settings: readonly string[] } {
  const [, head = "", body = ""] =
    /^([\s\S]*?)\nas (?<tag>\$\w*\$)([\s\S]*)\k<tag>$/.exec(sql)?.filter((_, n) => n !== 2) ?? [];
  const settings = [...head.matchAll(/^ {2}set (\w+) = '?([^'\n]*)'?$/gm)].map(([, name, value]) => `${name}=${value}`);
  return { body, settings };
}
