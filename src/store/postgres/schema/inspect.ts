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
async function labelProblems(
  database: Database,
  { schema }: Layout,
  repair: boolean,
): Promise<readonly StoreProblem[]> {
  const stored = `${schema}.readable_or_null(session.labels)`;
  const wrong = await database.administer(`
    select session.tenant, session.id from ${schema}.sessions session
    where session.labels is not null and jsonb_typeof(${stored}) = 'object' and (
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
    where not exists (
      select from ${schema}.sessions session
      where session.tenant = label.tenant and session.id = label.session and session.labels is not null
    )
    order by 1, 2 limit 100`);
  if (repair) for (const { tenant, id } of wrong) await writeLabels(database, schema, [tenant, id]);
  return wrong.map(({ tenant, id }) => ({
    kind: "damage",
    what: `lists do not find session ${String(id)} of tenant ${String(tenant)} by its labels`,
    fix: "the rows of its labels are written again",
    repaired: repair,
  }));
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

/**
 * Indexed sessions with turns that the index lacks. A turn without a word has a row as well. Each page begins after the last session
 * of the page before, so a session that changes meanwhile is not looked at again.
 */
async function searchProblems(database: Database, layout: Layout, repair: boolean): Promise<readonly StoreProblem[]> {
  const fix = "the next search looks at its turns again";
  const listed: StoreProblem[] = [];
  let others = 0;
  let after: readonly unknown[] = ["", ""];
  for (;;) {
    const wrong = await lostWords(database, layout, after);
    for (const { tenant, id } of wrong) {
      after = [tenant, id];
      if (repair)
        await database.administer(
          `update ${layout.schema}.sessions set is_indexed = false where tenant = $1 and id = $2 and is_indexed`,
          after,
        );
      const what = `a search does not find turns of session ${String(id)} of tenant ${String(tenant)}`;
      if (listed.length < listedMax) listed.push({ kind: "damage", what, fix, repaired: repair });
      else others++;
    }
    if (wrong.length < listedMax) break;
  }
  if (others === 0) return listed;
  const what = `a search does not find turns of ${counted(others, "more session")}`;
  return [...listed, { kind: "damage", what, fix, repaired: repair }];
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
    order by 1, 2 limit ${listedMax}`,
    after,
  );
}

/** Entries without a session. The server finds other damage itself: `pg_amcheck`, checksums. */
async function orphans(database: Database, { schema }: Layout): Promise<readonly StoreProblem[]> {
  const rows = await database.administer(`
    select entry.tenant, entry.session, count(*) as count from ${schema}.entries entry
    where not exists (
      select from ${schema}.sessions session
      where session.tenant = entry.tenant and session.id = entry.session and session.logs = entry.logs
    ) and ${isKept(schema)}
    group by entry.tenant, entry.session order by 1, 2 limit 100`);
  return rows.map(({ tenant, session, count }) => ({
    kind: "orphans",
    what: `${counted(Number(count), "entry")} of session ${String(session)} of tenant ${String(tenant)}, which there is not`,
    fix: null,
    repaired: false,
  }));
}
