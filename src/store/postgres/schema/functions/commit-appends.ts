import { quoteBody } from "../../connection/names.ts";
import { isFollowed, newsTenant, notedSession } from "./news.ts";
import { entriesLeft, findNumber, followed, keepNumber, laneRow, planOnce } from "./parts.ts";

/** Separates the values of a column. */
export const separator = "\u001e";
/** Stands for null in a column. */
export const nullText = "\u001f";

/** The columns of a change, in the order of the parameters. */
const columns = [
  ["n", "int"],
  ["tenant", "text"],
  ["id", "text"],
  ["expected_version", "bigint"],
  ["expected_commit", "text"],
  ["version", "bigint"],
  ["commit_id", "text"],
  ["state", "text"],
  ["agent", "text"],
  ["user_id", "text"],
  ["created_at", "bigint"],
  ["last_activity_at", "bigint"],
  ["active_minute", "bigint"],
  ["state_since", "bigint"],
  ["expires_at", "bigint"],
  ["sweep_at", "bigint"],
  ["data", "text"],
  ["title", "text"],
  ["labels", "text"],
  ["log", "text"],
  ["seq", "bigint"],
  ["key", "text"],
  ["at", "bigint"],
  ["entry", "text"],
] as const;

/** The columns of `sessions` that it writes: those from `version` to `labels`. */
const written = columns.slice(5, 19).map(([name]) => name);

/**
 * `commit_appends` is `commit_sessions` for a batch of which each transaction adds one entry behind the end of a log of one
 * session. A parameter has the values of a column for all sessions, so the server splits them instead of parsing JSON, and
 * updates all rows in one statement. An entry that has the number or the key of another one fails the batch with
 * `unique_violation`, and the caller sends it to `commit_sessions`.
 *
 * Races with other writers are those of `commit_sessions`: an update finds another version or commit id, perhaps after a wait
 * for the row, and is refused. The rows are updated in the order of the parameters, so two batches never wait for each other.
 * Each row is looked up by its key first, and updated by its place: the planner cannot turn such a join around. The update
 * compares the key too, in a form that no index serves: parts of a divided table may each have a row at that place.
 */
export function commitAppends(schema: string): string {
  return `
create function ${schema}.commit_appends(
  _lane uuid, _number bigint, ${columns.map(([name]) => `_${name} text`).join(", ")}
) returns json language plpgsql ${planOnce}
  set lock_timeout = '5s'
as ${quoteBody(body(schema))};`;
}

function valuesOf([name, type]: (typeof columns)[number]): string {
  return `string_to_array(_${name}, e'\\x1e', e'\\x1f')${type === "text" ? "" : `::${type}[]`}`;
}

const body = (schema: string): string => `
declare
  ${laneRow}
  ${entriesLeft}
  ${followed}
  _count int := cardinality(string_to_array(_id, e'\\x1e'));
  _moved int[];
  _refused int[] := '{}';
begin
${findNumber(schema)}
  with given as materialized (
    select change.*, session.place
    from unnest(
      ${columns.map(valuesOf).join(",\n      ")}
    ) as change(${columns.map(([name]) => name).join(", ")})
    cross join lateral (
      select found.ctid as place from ${schema}.sessions found
      where found.tenant = change.tenant and found.id = change.id limit 1
    ) session
  ), moved as (
    update ${schema}.sessions session set ${written.map((name) => `${name} = given.${name}`).join(", ")}
    from given
    where session.ctid = given.place and session.version = given.expected_version
      and session.commit_id = given.expected_commit
      and session.tenant is not distinct from given.tenant and session.id is not distinct from given.id
    returning given.n, given.tenant, given.id, session.logs, given.log, given.seq, given.key, given.at, given.entry
  ), added as (
    insert into ${schema}.entries (tenant, session, logs, log, seq, key, at, data)
    select moved.tenant, moved.id, moved.logs, moved.log, moved.seq, moved.key, moved.at, moved.entry from moved
  )
  select array_agg(moved.n) into _moved from moved;

  if coalesce(cardinality(_moved), 0) < _count then
    select array_agg(n) into _refused from generate_series(0, _count - 1) n where _moved is null or n <> all (_moved);
  end if;
  if cardinality(_refused) < _count then
    ${keepNumber(schema, { refused: "_refused", isFollowed: isFollowed(schema, "true") }).replaceAll("\n", "\n  ")}
  end if;
  if _isFollowed then
    insert into ${schema}.news (tenant, kind, scope, id)
    select ${notedSession("change.tenant", "change.id")}
    from unnest(
      ${columns.slice(0, 3).map(valuesOf).join(",\n      ")}
    ) as change(n, tenant, id)
    where change.n <> all (_refused)
      and ${isFollowed(schema, `subscription.tenant = ${newsTenant("change.tenant")}`)};
  end if;
  if cardinality(_refused) = 0 and not _left then return null; end if;
  return ${schema}.refusal_reasons(
    _refused,
    (
      select json_agg(json_build_object('n', change.n, 'place', 0, 'tenant', change.tenant, 'id', change.id,
        'expected_version', change.expected_version, 'expected_commit', change.expected_commit))
      from unnest(
        ${columns.slice(0, 5).map(valuesOf).join(",\n        ")}
      ) as change(n, tenant, id, expected_version, expected_commit)
      where change.n = any (_refused)
    ),
    null, null, null, _left
  );
end`;
