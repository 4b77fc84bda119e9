import { SessionError } from "../../../errors.ts";
import type { StoreProblem } from "../../store.ts";
import { standingParts } from "./catalogue.ts";
import type { Database } from "../connection/database.ts";
import { migrate, schemaState, type SchemaState } from "./migrate.ts";
import { SchemaComparison, type SchemaProblem } from "./schema-problems.ts";
import { isTurn } from "./functions/message-index.ts";
import { isKept } from "./functions/removed-logs.ts";
import type { Layout } from "./schema.ts";
import { tables } from "./expected-schema.ts";
import { counted } from "../../../errors/counted.ts";

/**
 * Returns the problems of the schema and of its rows. A repair adds a part or replaces a function of the same name; it never
 * removes a part.
 * @throws SessionError `store_schema_newer`
 */
export async function problemsIn(
  database: Database,
  layout: Layout,
  repair: boolean,
): Promise<readonly StoreProblem[]> {
  const state = await schemaState(database, layout);
  const steps = [...(await rightsProblems(database)), ...stepProblems(state)];
  const outdated = state.pending.length > 0 ? [await outdatedProblem(database, layout, { state, repair })] : [];
  // The parts of the pending steps are missing on purpose.
  if (outdated.some(({ repaired }) => !repaired)) return [...steps, ...outdated];
  const parts = await standingParts(database, layout, Object.keys(tables));
  const comparison = new SchemaComparison(parts, { layout, isNewer: state.found > state.known });
  const schema: StoreProblem[] = [];
  for (const problem of comparison.problems())
    schema.push(await repaired(database, problem, repair && state.found <= state.known));
  const areReadable = comparison.hasTable("sessions") && comparison.hasTable("entries");
  const rows = areReadable ? await orphans(database, layout) : [];
  const isMade = schema.some(({ what, repaired: isRepaired }) => isRepaired && what === "table labels is missing");
  const areLabelled = areReadable && (comparison.hasTable("labels") || isMade);
  const labels = areLabelled ? await labelProblems(database, layout, repair) : [];
  const search =
    areReadable && comparison.hasTable("search_messages") ? await searchProblems(database, layout, repair) : [];
  return [...steps, ...outdated, ...schema, ...rows, ...labels, ...search];
}

/** The role of the doctor is usually that of the programs. */
async function rightsProblems(database: Database): Promise<readonly StoreProblem[]> {
  const missing = await database.missingRights();
  return missing === undefined ? [] : [{ kind: "rights", what: missing, fix: null, repaired: false }];
}

function stepProblems({ found, known, skipped }: SchemaState): StoreProblem[] {
  const newer = `the schema is at step ${found}, this version of perdure knows them up to ${known}: what came later is not looked at`;
  const whats = [
    ...(found > known ? [newer] : []),
    ...skipped.map((step) => `step ${step} of the schema is not recorded, though later ones are`),
  ];
  return whats.map((what) => ({ kind: "schema", what, fix: null, repaired: false }));
}

async function outdatedProblem(
  database: Database,
  layout: Layout,
  { state: { found, known, pending }, repair }: { state: SchemaState; repair: boolean },
): Promise<StoreProblem> {
  const what = `the schema is at step ${found}, this version of perdure needs ${known}`;
  const fix = `"perdure migrate" takes it there: ${pending.map(({ title }) => title).join("; ")}`;
  return await tried({ what, fix }, repair, () => migrate(database, layout));
}

async function repaired(database: Database, { what, repair }: SchemaProblem, repairs: boolean): Promise<StoreProblem> {
  if (repair === undefined) return { kind: "schema", what, fix: null, repaired: false };
  return await tried({ what, fix: repair.fix }, repairs, () => database.administer(repair.sql));
}

/** The problem, repaired if requested and possible, or with the error of the repair. */
async function tried(
  { what, fix }: { readonly what: string; readonly fix: string },
  repair: boolean,
  work: () => Promise<unknown>,
): Promise<StoreProblem> {
  if (!repair) return { kind: "schema", what, fix, repaired: false };
  try {
    await work();
    return { kind: "schema", what, fix, repaired: true };
  } catch (error) {
    if (!(error instanceof SessionError) || error.code === "store_unavailable") throw error;
    return { kind: "schema", what: `${what}; the repair failed: ${error.message}`, fix, repaired: false };
  }
}

/** Rows of labels that differ from the labels of their session, which lists would find by them. */
async function labelProblems(database: Database, layout: Layout, repair: boolean): Promise<readonly StoreProblem[]> {
  return await problemsOfSessions({
    next: (after) => wrongLabels(database, layout, after),
    ...(repair ? { repair: (key) => writeLabels(database, layout.schema, key) } : {}),
    what: (sessions, their) => `lists do not find ${sessions} by ${their} labels`,
    fix: "the rows of its labels are written again",
  });
}

/** The next sessions whose rows of labels differ, in the order of their keys. */
function wrongLabels(
  database: Database,
  { schema }: Layout,
  after: readonly unknown[],
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const stored = `${schema}.readable_or_null(session.labels)`;
  return database.administer(
    `
    select session.tenant, session.id from ${schema}.sessions session
    where (session.tenant, session.id) > ($1, $2)
      and session.labels is not null and jsonb_typeof(${stored}) = 'object' and (
      (select count(*) from ${schema}.labels label where label.tenant = session.tenant and label.session = session.id)
        <> (select count(*) from jsonb_each_text(${stored}))
      or exists (
        select from jsonb_each_text(${stored}) one where not exists (
          select from ${schema}.labels label
          where label.tenant = session.tenant and label.session = session.id and label.name = one.key
            and label.value = one.value and label.created_at = session.created_at
        )
      )
    )
    union
    select label.tenant, label.session from ${schema}.labels label
    where (label.tenant, label.session) > ($1, $2) and not exists (
      select from ${schema}.sessions session
      where session.tenant = label.tenant and session.id = label.session and session.labels is not null
    )
    order by 1, 2 limit ${pageMax}`,
    after,
  );
}

/** A writer of the session between the two statements writes the same rows; a lock keeps one away from the second. */
async function writeLabels(database: Database, schema: string, key: readonly unknown[]): Promise<void> {
  await database.administer(`delete from ${schema}.labels where tenant = $1 and session = $2`, key);
  await database.administer(
    `insert into ${schema}.labels (tenant, session, name, value, created_at)
     select session.tenant, session.id, one.key, one.value, session.created_at
     from ${schema}.sessions session cross join lateral json_each_text(session.labels::json) one
     where session.tenant = $1 and session.id = $2 for no key update of session
     on conflict do nothing`,
    key,
  );
}

/** Of more sessions than this, one problem says how many there are. */
const listedMax = 100;
/** The most sessions that one statement returns. */
const pageMax = 10_000;

/** A kind of problem that sessions have. */
interface ProblemOfSessions {
  /** The next ones with the problem, at most `pageMax`, behind this key. */
  readonly next: (after: readonly unknown[]) => Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Undefined: it is reported only. */
  readonly repair?: (key: readonly unknown[]) => Promise<unknown>;
  /** The problem of one session, or of several. `their`: "its" or "their". */
  readonly what: (sessions: string, their: string) => string;
  readonly fix: string;
}

/**
 * Looks at all sessions with a problem. Each page begins after the last session of the page before, so a session that changes
 * meanwhile is not looked at again.
 */
async function problemsOfSessions({ next, repair, what, fix }: ProblemOfSessions): Promise<readonly StoreProblem[]> {
  const problem = (sessions: string, their = "its"): StoreProblem => {
    return { kind: "damage", what: what(sessions, their), fix, repaired: repair !== undefined };
  };
  const listed: StoreProblem[] = [];
  let others = 0;
  let after: readonly unknown[] = ["", ""];
  for (;;) {
    const wrong = await next(after);
    for (const { tenant, id } of wrong) {
      after = [tenant, id];
      await repair?.(after);
      if (listed.length < listedMax) listed.push(problem(`session ${String(id)} of tenant ${String(tenant)}`));
      else others++;
    }
    if (wrong.length < pageMax) break;
  }
  return others === 0 ? listed : [...listed, problem(counted(others, "more session"), others === 1 ? "its" : "their")];
}

/** Indexed sessions with turns that the index lacks. A turn without a word has a row as well. */
async function searchProblems(database: Database, layout: Layout, repair: boolean): Promise<readonly StoreProblem[]> {
  const forget = `update ${layout.schema}.sessions set is_indexed = false where tenant = $1 and id = $2 and is_indexed`;
  return await problemsOfSessions({
    next: (after) => lostWords(database, layout, after),
    ...(repair ? { repair: (key) => database.administer(forget, key) } : {}),
    what: (sessions) => `a search does not find turns of ${sessions}`,
    fix: "the next search looks at its turns again",
  });
}

/** The next sessions with turns that the index lacks, in the order of their keys. */
function lostWords(
  database: Database,
  { schema }: Layout,
  after: readonly unknown[],
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return database.administer(
    `
    select session.tenant, session.id from ${schema}.sessions session
    where session.is_indexed and (session.tenant, session.id) > ($1, $2) and exists (
      select from ${schema}.entries entry
      where entry.tenant = session.tenant and entry.session = session.id and entry.logs = session.logs and ${isTurn}
        and not exists (
          select from ${schema}.search_messages message
          where message.tenant = entry.tenant and message.session = entry.session and message.logs = entry.logs
            and message.log = entry.log and message.seq = entry.seq
        )
    )
    order by 1, 2 limit ${pageMax}`,
    after,
  );
}

/** Entries without a session. The server finds other damage itself: `pg_amcheck`, checksums. */
async function orphans(database: Database, { schema }: Layout): Promise<readonly StoreProblem[]> {
  const rows = await database.administer(`
    select entry.tenant, entry.session, count(*) as count, count(*) over () as sessions, sum(count(*)) over () as entries
    from ${schema}.entries entry
    where not exists (
      select from ${schema}.sessions session
      where session.tenant = entry.tenant and session.id = entry.session and session.logs = entry.logs
    ) and ${isKept(schema)}
    group by entry.tenant, entry.session order by 1, 2 limit ${listedMax}`);
  const orphan = (entries: number, sessions: string): StoreProblem => {
    return { kind: "orphans", what: `${counted(entries, "entry")} of ${sessions}`, fix: null, repaired: false };
  };
  const listed = rows.map(({ tenant, session, count }) =>
    orphan(Number(count), `session ${String(session)} of tenant ${String(tenant)}, which there is not`),
  );
  const more = Number(rows[0]?.["sessions"] ?? 0) - rows.length;
  if (more === 0) return listed;
  const others = Number(rows[0]?.["entries"]) - rows.reduce((sum, { count }) => sum + Number(count), 0);
  return [...listed, orphan(others, `${counted(more, "more session")}, which there ${more === 1 ? "is" : "are"} not`)];
}
