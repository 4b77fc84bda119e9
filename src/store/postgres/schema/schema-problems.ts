import { defined } from "../../../domain/values/defined.ts";
import type { StandingPart } from "./catalogue.ts";
import { quoteBody } from "../connection/names.ts";
import type { Layout } from "./schema.ts";
import { indexes, tables } from "./expected-schema.ts";
import { functionOf, madeParts, type MadePart } from "./statements.ts";

/** A problem of a schema, with its repair if one exists that removes nothing. */
export interface SchemaProblem {
  readonly what: string;
  readonly repair?: { readonly fix: string; readonly sql: string };
}

/** Compares a schema with the one that the migrations make. */
export class SchemaComparison {
  readonly #parts: readonly StandingPart[];
  readonly #made: readonly MadePart[];
  readonly #layout: Layout;
  readonly #isNewer: boolean;

  /** `isNewer`: the schema has steps of a newer version, so it may have more parts. */
  constructor(parts: readonly StandingPart[], { layout, isNewer }: { layout: Layout; isNewer: boolean }) {
    this.#parts = parts;
    this.#made = madeParts(layout);
    this.#layout = layout;
    this.#isNewer = isNewer;
  }

  *problems(): Generator<SchemaProblem, void, undefined> {
    yield* this.#tableProblems();
    yield* this.#columnProblems();
    yield* this.#indexProblems();
    yield* this.#partProblems();
    yield* this.#functionProblems();
    yield* this.#triggerProblems();
    yield* this.#viewProblems();
    if (!this.#isNewer) yield* this.#strangers();
  }

  hasTable(name: string): boolean {
    return this.#named("table", name) !== undefined;
  }

  *#tableProblems(): Generator<SchemaProblem> {
    for (const table of Object.keys(tables)) {
      if (this.hasTable(table)) continue;
      // The rows of another missing table are only in a backup, and an empty table would hide the loss. Rows of labels are
      // written again.
      const holdsNothingThatLasts = [
        "instances",
        "labels",
        "lanes",
        "news",
        "news_subscriptions",
        "removed",
        "usage_sums",
      ].includes(table);
      const sql = holdsNothingThatLasts ? this.#makingAll(table) : undefined;
      yield { what: `table ${table} is missing`, ...repairedBy(sql, "an empty one is made") };
    }
  }

  *#columnProblems(): Generator<SchemaProblem> {
    for (const [table, columns] of this.#standingTables()) {
      for (const expected of columns) {
        const column = columnOf(expected);
        const there = this.#named("column", `${table}.${column}`);
        if (there?.text === expected) continue;
        const name = `column ${column} of ${table}`;
        if (there !== undefined) yield { what: `${name} is not as this version makes it: ${there.text}` };
        else
          yield {
            what: `${name} is missing`,
            ...repairedBy(this.#making("column", `${table}.${column}`)?.sql, "it is added"),
          };
      }
    }
  }

  *#indexProblems(): Generator<SchemaProblem> {
    for (const [index, expected] of Object.entries(indexes)) {
      const table = tableOf(expected);
      if (!this.hasTable(table)) continue;
      const isDivided = this.#of("part", table).length > 0;
      const there = this.#named("index", index);
      const sql = this.#making("index", index)?.sql;
      if (there === undefined)
        yield { what: `index ${index} is missing`, ...repairedBy(isDivided ? sql : concurrently(sql), "it is built") };
      else if (there.text !== expected) yield { what: `index ${index} is not as this version makes it: ${there.text}` };
      else if (!there.valid) {
        const rebuild = isDivided ? undefined : `reindex index concurrently ${this.#layout.schema}.${index}`;
        yield {
          what: `index ${index} is invalid: the server does not use it`,
          ...repairedBy(rebuild, "it is built again"),
        };
      }
    }
  }

  /** A hash assigns each session to one partition of the entries. Without that partition its entries cannot be written. */
  *#partProblems(): Generator<SchemaProblem> {
    const bounds = this.#of("part", "entries").map(({ text }) => /modulus (\d+), remainder (\d+)/i.exec(text));
    const count = Math.max(0, ...bounds.map((bound) => Number(bound?.[1] ?? 0)));
    const there = new Set(bounds.map((bound) => Number(bound?.[2])));
    for (let part = 0; part < count; part++)
      if (!there.has(part)) yield { what: `entries lacks the part ${part} of its ${count}` };
  }

  *#functionProblems(): Generator<SchemaProblem> {
    for (const { name, sql } of this.#makings("function")) {
      const { body, settings } = functionOf(sql);
      const there = this.#of("function", "").filter((part) => part.name === name);
      if (there.some((part) => part.text === body && part.settings.join() === settings.join())) continue;
      // A step of a newer version may have replaced it.
      if (there.length > 0 && this.#isNewer) continue;
      const replaces = sql.replace(/^create (or replace )?/, "create or replace ");
      if (there.length === 0) yield { what: `function ${name} is missing`, ...repairedBy(sql, "it is made") };
      else
        yield {
          what: `function ${name} is not as this version makes it`,
          ...repairedBy(replaces, "it becomes what this version makes"),
        };
    }
  }

  *#triggerProblems(): Generator<SchemaProblem> {
    for (const { name, sql } of this.#makings("trigger")) {
      const there = this.#named("trigger", name);
      if (there === undefined) yield { what: `trigger ${name} is missing`, ...repairedBy(sql, "it is made") };
      else if (!there.valid) {
        const on = `alter table ${this.#layout.schema}.${there.table} enable trigger ${name}`;
        yield { what: `trigger ${name} is switched off`, ...repairedBy(on, "it is switched on") };
      }
    }
  }

  *#viewProblems(): Generator<SchemaProblem> {
    for (const { name, sql } of this.#makings("view"))
      if (this.#named("view", name) === undefined)
        yield { what: `view ${name} is missing`, ...repairedBy(sql, "it is made") };
  }

  /** Parts of other programs that can refuse or change the writes of Perdure. */
  *#strangers(): Generator<SchemaProblem> {
    for (const [table, columns] of this.#standingTables()) {
      const known = new Set(columns.map(columnOf));
      for (const { name, text } of this.#of("column", table))
        if (!known.has(name.slice(table.length + 1)))
          yield { what: `column ${columnOf(text)} of ${table} is not Perdure's: ${text}` };
      for (const { name, text } of this.#of("index", table))
        if (text.startsWith("unique") && indexes[name] === undefined)
          yield { what: `index ${name} is not Perdure's, and may refuse what it writes: ${text}` };
      for (const { name } of this.#of("trigger", table))
        if (this.#making("trigger", name) === undefined)
          yield { what: `trigger ${name} of ${table} is not Perdure's, and may change what it writes` };
      for (const { name, text } of this.#of("constraint", table))
        yield { what: `constraint ${name} of ${table} is not Perdure's, and may refuse what it writes: ${text}` };
    }
  }

  #standingTables(): [string, readonly string[]][] {
    return Object.entries(tables).filter(([table]) => this.hasTable(table));
  }

  #named(kind: StandingPart["kind"], name: string): StandingPart | undefined {
    return this.#parts.find((part) => part.kind === kind && part.name === name);
  }

  #of(kind: StandingPart["kind"], table: string): readonly StandingPart[] {
    return this.#parts.filter((part) => part.kind === kind && part.table === table);
  }

  #makings(kind: MadePart["kind"]): readonly MadePart[] {
    return this.#made.filter((part) => part.kind === kind);
  }

  #making(kind: MadePart["kind"], name: string): MadePart | undefined {
    return this.#makings(kind).find((part) => part.name === name);
  }

  /** Creates a table with its later columns and its indexes, all or nothing. */
  #makingAll(table: string): string {
    const parts = this.#made.filter(
      ({ kind, name }) =>
        (kind === "table" && name === table) ||
        (kind === "column" && name.startsWith(`${table}.`)) ||
        (kind === "index" && tableOf(indexes[name]) === table),
    );
    return `do ${quoteBody(`begin\n${parts.map(({ sql }) => `${sql};`).join("\n")}\nend`)}`;
  }
}

function repairedBy(sql: string | undefined, fix: string): Pick<SchemaProblem, "repair"> {
  return defined({ repair: sql === undefined ? undefined : { fix, sql } });
}

function tableOf(index: string | undefined): string {
  return /\bon (\w+)/.exec(index ?? "")?.[1] ?? "";
}

function columnOf(text: string): string {
  return text.split(" ", 1)[0] ?? "";
}

/** The statement that builds an index while other transactions write. */
function concurrently(sql: string | undefined): string | undefined {
  return sql?.replace(/^create (unique )?index/, "create $1index concurrently");
}
