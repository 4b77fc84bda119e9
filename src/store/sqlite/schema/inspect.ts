import { DatabaseSync } from "node:sqlite";
import type { StoreProblem } from "../../store.ts";
import type { Migration } from "../../migrations.ts";
import { migrations } from "./schema.ts";
import { missingSteps } from "./schema-version.ts";
import { emptiedSearch } from "./search-tables.ts";
import { readOnlyErrorOf } from "../connection/database-file.ts";
import { isMissing, isRefused } from "../connection/sqlite-error.ts";
import { counted } from "../../../errors/counted.ts";

/** The problems of the file: the check of SQLite, tables and indexes that differ from the schema, entries without a session. */
export function problemsIn(database: DatabaseSync, store: string): readonly StoreProblem[] {
  const outdated = outdatedProblems(missingSteps(database, store), false);
  const rights = rightsProblems(store);
  // The parts of the missing steps are missing on purpose.
  if (outdated.length > 0) return [...rights, ...damage(database), ...outdated];
  return [
    ...rights,
    ...damage(database),
    ...schemaProblems(database, false),
    ...whereThere(() => orphans(database)),
    ...whereThere(() => unreadable(database)),
    ...whereThere(() => labelProblems(database, false)),
    ...whereThere(() => searchProblems(database)),
  ];
}

/** A file, or a folder, that this user may read and not write; a store in memory has neither. */
function rightsProblems(store: string): StoreProblem[] {
  const found = store === ":memory:" ? undefined : readOnlyErrorOf(store);
  if (found === undefined) return [];
  const what = `this user may read the store and not write it: ${found.message}; the owner grants the right`;
  return [{ kind: "rights", what, ...unrepairable }];
}

/** The problems with a repair, repaired where that is possible. `found`: the problems. The caller holds the write lock. */
export function repairedProblems(database: DatabaseSync, found: readonly StoreProblem[]): readonly StoreProblem[] {
  const ofSearch = found.filter(({ fix: way }) => way === searchFix);
  return [
    ...schemaProblems(database, true),
    ...whereThere(() => labelProblems(database, true)),
    ...ofSearch.map((problem) => ({ ...problem, ...built(database, { what: problem.what, sql: emptiedSearch }) })),
  ];
}

const searchFix = "the index of search is emptied, and the next search makes it anew";

/** Messages of the index without words, and words without their message. `pragma integrity_check` finds damaged words. */
function searchProblems(database: DatabaseSync): StoreProblem[] {
  const rows = database
    .prepare(`
      select count(*) as count from (
        select place from search_messages where place not in (select id from search_words_docsize)
        union all
        select id from search_words_docsize where id not in (select place from search_messages)
      )`)
    .all();
  const count = Number(rows[0]?.["count"]);
  if (count === 0) return [];
  const what = `the index of search has ${counted(count, "message")} without words, or words without their message`;
  return [{ kind: "damage", what, fix: searchFix, repaired: false }];
}

/** The problem of an older schema; none without missing steps. */
export function outdatedProblems(steps: readonly Migration[], repaired: boolean): readonly StoreProblem[] {
  if (steps.length === 0) return [];
  const known = migrations.length;
  const what = `the schema is at step ${known - steps.length}, this version of perdure needs ${known}`;
  const fix = `"perdure migrate" takes it there: ${steps.map(({ title }) => title).join("; ")}`;
  return [{ kind: "schema", what, fix, repaired }];
}

/** A missing table has no rows to check; the schema check reports it. */
function whereThere(look: () => StoreProblem[]): StoreProblem[] {
  try {
    return look();
  } catch (error) {
    if (!isMissing(error)) throw error;
    return [];
  }
}

const unrepairable = { fix: null, repaired: false } as const;

/** Of more than this, one problem says how many there are. */
const listedMax = 100;

function damage(database: DatabaseSync): StoreProblem[] {
  const rows = database.prepare(`pragma integrity_check(${listedMax})`).all();
  const says = rows.map((row) => String(row["integrity_check"]));
  const isCut = says.length === listedMax;
  return [...says, ...(isCut ? [`the check of SQLite stops after ${listedMax} findings, so there may be more`] : [])]
    .filter((what) => what !== "ok")
    .map((what) => ({ kind: "damage", what, fix: what.includes("search_words") ? searchFix : null, repaired: false }));
}

/**
 * A missing index costs time; an index that is not unique lets a key in twice. `repair` builds missing indexes, triggers and all
 * views.
 */
function schemaProblems(database: DatabaseSync, repair: boolean): StoreProblem[] {
  using expected = new DatabaseSync(":memory:");
  for (const { sql } of migrations) expected.exec(sql);
  const there = partsOf(database);
  return [...partsOf(expected)].flatMap(([name, sql]): StoreProblem[] => {
    const found = there.get(name);
    if (found === sql) return [];
    const isView = name.startsWith("view ");
    if (found !== undefined && !isView)
      return [{ kind: "schema", what: `${name} is not as this version makes it: ${found}`, ...unrepairable }];
    const what = found === undefined ? `${name} is missing` : `${name} is not as this version makes it`;
    if (isView) {
      const remade = `drop ${name.replace(" ", " if exists ")}; ${sql}`;
      return [
        { kind: "schema", ...(repair ? built(database, { what, sql: remade }) : { what, repaired: false }), fix },
      ];
    }
    const table = tableOf(sql);
    // The missing table is reported.
    if (table !== undefined && !there.has(`table ${table}`)) return [];
    if (table === undefined) return [{ kind: "schema", what, ...unrepairable }];
    // Without a trigger the index of search has missed changes; the next search makes it anew.
    const rebuilt = name.startsWith("trigger ") ? `${sql}; ${emptiedSearch}` : sql;
    return [{ kind: "schema", ...(repair ? built(database, { what, sql: rebuilt }) : { what, repaired: false }), fix }];
  });
}

const fix = "it is built";

/** A unique index cannot be built over two entries with one key, which were written without it, or without a column. */
function built(
  database: DatabaseSync,
  { what, sql }: { what: string; sql: string },
): Pick<StoreProblem, "what" | "repaired"> {
  try {
    database.exec(sql);
    return { what, repaired: true };
  } catch (error) {
    if (!isRefused(error) && !isMissing(error)) throw error;
    return { what: `${what}; the repair failed: ${error.message}`, repaired: false };
  }
}

/** The table of an index or a trigger. */
function tableOf(sql: string): string | undefined {
  return /^create (?:(?:unique )?index \w+|trigger \w+ after [\w ]+?) on (\w+)/i.exec(sql)?.[1];
}

function partsOf(database: DatabaseSync): ReadonlyMap<string, string> {
  const rows = database
    .prepare("select type || ' ' || name as name, sql from sqlite_schema where sql is not null")
    .all();
  return new Map(rows.map(({ name, sql }) => [String(name), String(sql).replaceAll(/\s+/g, " ")]));
}

/** Rows of labels that differ from the labels of their session, which lists would find by them. */
function labelProblems(database: DatabaseSync, repair: boolean): StoreProblem[] {
  const wrong = database
    .prepare(`
      select no, tenant, id from sessions
      where json_valid(labels) and (
        (select count(*) from labels where session = no) <> (select count(*) from json_each(sessions.labels))
        or exists (
          select 1 from json_each(sessions.labels) one where not exists (
            select 1 from labels row
            where row.session = no and row.name = one.key and row.value = one.value
              and row.tenant = sessions.tenant and row.created_at = sessions.created_at
          )
        )
      )
      union all
      select distinct row.session, sessions.tenant, sessions.id from labels row left join sessions on no = row.session
      where sessions.labels is null
      order by tenant, id`)
    .iterate();
  const numbers: number[] = [];
  const whats: string[] = [];
  for (const { no, tenant, id } of wrong) {
    if (numbers.push(Number(no)) > listedMax) continue;
    whats.push(
      id === null
        ? `labels of a session number ${String(no)}, which there is not`
        : `lists do not find session ${String(id)} of tenant ${String(tenant)} by its labels`,
    );
  }
  if (repair) for (const no of numbers) writeLabels(database, no);
  const more = numbers.length - whats.length;
  if (more > 0)
    whats.push(`lists do not find ${counted(more, "more session")} by ${more === 1 ? "its" : "their"} labels`);
  return whats.map((what) => ({
    kind: "damage",
    what,
    fix: "the rows of its labels are written again",
    repaired: repair,
  }));
}

function writeLabels(database: DatabaseSync, no: number): void {
  database.prepare("delete from labels where session = ?").run(no);
  database
    .prepare(`
      insert into labels (session, name, value, tenant, created_at)
      select no, key, value, tenant, created_at from sessions, json_each(sessions.labels) where no = ?`)
    .run(no);
}

function orphans(database: DatabaseSync): StoreProblem[] {
  const rows = database
    .prepare(`
      select session, count(*) as count, count(*) over () as sessions, sum(count(*)) over () as entries from entries
      where session not in (select no from sessions) and session not in (select session from removed)
      group by session order by session limit ${listedMax}`)
    .all();
  const orphan = (entries: number, sessions: string): StoreProblem => {
    return { kind: "orphans", what: `${counted(entries, "entry")} of ${sessions}`, ...unrepairable };
  };
  const listed = rows.map(({ session, count }) =>
    orphan(Number(count), `a session number ${String(session)}, which there is not`),
  );
  const more = Number(rows[0]?.["sessions"] ?? 0) - rows.length;
  if (more === 0) return listed;
  const others = Number(rows[0]?.["entries"]) - rows.reduce((sum, { count }) => sum + Number(count), 0);
  return [...listed, orphan(others, `${counted(more, "more session")}, which there ${more === 1 ? "is" : "are"} not`)];
}

function unreadable(database: DatabaseSync): StoreProblem[] {
  const rows = database
    .prepare(`
      select tenant, id, count(*) over () as sessions from sessions where not json_valid(data) or not json_valid(labels)
      order by tenant, id limit ${listedMax}`)
    .all();
  const problem = (what: string): StoreProblem => ({ kind: "damage", what, ...unrepairable });
  const listed = rows.map(({ tenant, id }) =>
    problem(`the record of session ${String(id)} of tenant ${String(tenant)} cannot be read`),
  );
  const more = Number(rows[0]?.["sessions"] ?? 0) - rows.length;
  const records = `the ${more === 1 ? "record" : "records"} of ${counted(more, "more session")} cannot be read`;
  return more === 0 ? listed : [...listed, problem(records)];
}
