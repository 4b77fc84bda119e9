import { quoteBody } from "../../connection/names.ts";
import { isFollowed, newsTenant, notedSession } from "./news.ts";
import {
  isRelabelled,
  labelled,
  laneRow,
  lockLane,
  planOnce,
  putLabelled,
  returnSettled,
  takeNumber,
  taken,
} from "./parts.ts";

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

/** The numbers of a change that keeps the columns by which lists find a session, in their order in the list of all numbers. */
export const keptNumbers = [
  "n",
  "expected_version",
  "version",
  "last_activity_at",
  "active_minute",
  "expires_at",
  "sweep_at",
  "seq",
  "at",
] as const;
/** The texts of such a change, each a parameter with the texts of all changes. */
export const keptTexts = ["tenant", "id", "expected_commit", "commit_id", "data", "log", "key", "entry"] as const;

/** The columns of `sessions` that it writes: those from `version` to `title`, without those of {@link labelled}. */
const written = columns
  .slice(5, 18)
  .map(([name]) => name)
  .filter((name) => !labelled.includes(name));

/**
 * `commit_append_batch` is `commit_batch` for a batch of which each transaction adds one entry behind the end of a log of one
 * session. A parameter has the values of a column for all sessions, so the server splits them instead of parsing JSON, and
 * updates all rows in one statement. An entry that has the number or the key of another one fails the batch with
 * `unique_violation`, and the caller sends it to `commit_batch`. The statement has only the places of the changes as rows,
 * and takes each value from the array of its column: rows with all values would be copied at each step of the plan.
 *
 * Races with other writers are those of `commit_batch`: an update finds another version or commit id, perhaps after a wait
 * for the row, and is refused. The rows are updated in the order of the parameters, so two batches never wait for each other.
 * Each row is looked up by its key first, and updated by its place: the planner cannot turn such a join around. The update
 * compares the key too, in a form that no index serves: parts of a divided table may each have a row at that place.
 */
export function commitAppends(schema: string): string {
  return `
create function ${schema}.commit_append_batch(
  _lane uuid, _number bigint, ${columns.map(([name]) => `_${name} text`).join(", ")}
) returns json language plpgsql ${planOnce}
  set lock_timeout = '5s'
as ${quoteBody(body(schema, everyColumn))};`;
}

/**
 * `commit_kept_appends` is `commit_append_batch` for changes that keep the columns by which lists find a session. It has no
 * parameters for them, and all numbers in one list, which the server takes as it is.
 */
export function commitKeptAppends(schema: string): string {
  return `
create function ${schema}.commit_kept_appends(
  _lane uuid, _number bigint, _numbers bigint[], ${keptTexts.map((name) => `_${name} text`).join(", ")}
) returns json language plpgsql ${planOnce}
  set lock_timeout = '5s'
as ${quoteBody(body(schema, keptColumns))};`;
}

/** The variable with the values of a column: an array, of which the server finds each value at once. */
function arrayOf([name, type]: (typeof columns)[number]): string {
  return `_each_${name} ${type}[] := string_to_array(_${name}, e'\\x1e', e'\\x1f')${type === "text" ? "" : `::${type}[]`};`;
}

/** How a function gets the values of the changes, and what it writes. */
interface Values {
  /** Its variables for the values. */
  readonly variables: string;
  /** The value of a column for the change at a place. */
  readonly at: (place: string) => (column: string) => string;
  readonly written: readonly string[];
  readonly keepsListed: boolean;
}

const everyColumn: Values = {
  variables: columns.map(arrayOf).join("\n  "),
  at: (place) => (column) => `_each_${column}[${place}]`,
  written,
  keepsListed: false,
};

const numberAt = (place: string, column: string): string | undefined => {
  const index = keptNumbers.findIndex((name) => name === column);
  return index < 0 ? undefined : `_numbers[(${place}) * ${keptNumbers.length} - ${keptNumbers.length - 1 - index}]`;
};

const keptColumns: Values = {
  variables: keptTexts.map((name) => arrayOf([name, "text"])).join("\n  "),
  at: (place) => (column) => numberAt(place, column) ?? `_each_${column}[${place}]`,
  written: ["version", "commit_id", "last_activity_at", "active_minute", "expires_at", "sweep_at", "data"],
  keepsListed: true,
};

function body(schema: string, { variables, at, written: names, keepsListed }: Values): string {
  const given = at("given.place");
  const moved = at("moved.place");
  const placed = at("_place");
  const relabelled = `, array_agg(moved.place) filter (where moved.relabelled)`;
  return `
declare
  ${laneRow}
  ${taken}
  ${variables}
  _moved int[];${keepsListed ? "" : "\n  _relabelled int[];"}
  _refused int[] := '{}';${keepsListed ? "" : "\n  _place int;"}
begin
${lockLane}
  with given as materialized (
    select change.place, session.at
    from generate_subscripts(_each_id, 1) as change(place)
    cross join lateral (
      select found.ctid as at from ${schema}.sessions found
      where found.tenant = ${at("change.place")("tenant")} and found.id = ${at("change.place")("id")} limit 1
    ) session
  ), moved as (
    update ${schema}.sessions session set ${names.map((name) => `${name} = ${given(name)}`).join(", ")},
      is_indexed = false
    from given
    where session.ctid = given.at and session.version = ${given("expected_version")}
      and session.commit_id = ${given("expected_commit")}
      and session.tenant is not distinct from ${given("tenant")} and session.id is not distinct from ${given("id")}
    returning given.place, session.logs${keepsListed ? "" : `, ${isRelabelled(given)} as relabelled`}
  ), added as (
    insert into ${schema}.entries (tenant, session, logs, log, seq, key, at, data)
    select ${moved("tenant")}, ${moved("id")}, moved.logs, ${moved("log")}, ${moved("seq")}, ${moved("key")}, ${moved("at")},
      ${moved("entry")}
    from moved
  )
  select array_agg(moved.place)${keepsListed ? "" : relabelled} into _moved${keepsListed ? "" : ", _relabelled"} from moved;

  if coalesce(cardinality(_moved), 0) < cardinality(_each_id) then
    select array_agg(${at("place")("n")}) into _refused
    from generate_subscripts(_each_id, 1) as place
    where _moved is null or place <> all (_moved);
  end if;${
    keepsListed
      ? ""
      : `
  if _relabelled is not null then
    foreach _place in array _relabelled loop
      ${putLabelled(schema, placed)}
    end loop;
  end if;`
  }
  if _moved is null then
  ${returnSettled(schema).replaceAll("\n", "\n  ")}
  else
    ${takeNumber(schema, { refused: "_refused", isFollowed: isFollowed(schema, "true") }).replaceAll("\n", "\n  ")}
  end if;
  if _isFollowed then
    insert into ${schema}.news (tenant, kind, scope, id)
    select ${notedSession(moved("tenant"), moved("id"))}
    from unnest(_moved) as moved(place)
    where ${isFollowed(schema, `subscription.tenant = ${newsTenant(moved("tenant"))}`)};
  end if;
  if cardinality(_refused) = 0 and not _left then return null; end if;
  return ${schema}.refusal_reasons(
    _refused,
    (
      select json_agg(json_build_object('n', ${at("place")("n")}, 'place', 0, 'tenant', ${at("place")("tenant")},
        'id', ${at("place")("id")}, 'expected_version', ${at("place")("expected_version")},
        'expected_commit', ${at("place")("expected_commit")}))
      from generate_subscripts(_each_id, 1) as place
      where ${at("place")("n")} = any (_refused)
    ),
    null, null, null, _left
  );
end`;
}
