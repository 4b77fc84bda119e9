import { quoteBody } from "../../connection/names.ts";
import { storedText } from "./entry-bytes.ts";
import { isFollowed, notedSession, newsTenant } from "./news.ts";
import {
  isRelabelled,
  laneRow,
  lockLane,
  planOnce,
  putLabelled,
  relabelled,
  returnSettled,
  takeNumber,
  taken,
} from "./parts.ts";

/**
 * `commit_session` is `commit_batch` for one update of one session. Its arguments are plain values, which cost the server
 * less than JSON, but for its lists: cuts of logs, entries, keys. Absent values and empty lists are null. A refused update
 * writes nothing.
 */
export function commitChange(schema: string): string {
  return made(schema, "commit_session", anywhere(schema));
}

/**
 * `commit_entry` and `commit_two_entries` are `commit_session` for the most frequent changes: one or two entries behind the ends
 * of logs, whose keys, if any, no other entry may have. The server does not look for entries to replace. An entry that has the
 * number of another one, or a key that another transaction adds at the same time, fails with `unique_violation`, and the caller
 * sends the change to `commit_session`.
 */
export function commitEntries(schema: string): string {
  return made(schema, "commit_entry", atEnds(schema, [1])) + made(schema, "commit_two_entries", atEnds(schema, [1, 2]));
}

/** What a function writes of the logs. */
interface LogParts {
  readonly parameters: string;
  readonly variables: string;
  /** Sets `_isClaimed` if a key of the change is in its log. */
  readonly judge: string;
  /** Rows `claim (log, key)`: the keys of the change. Null is no key. */
  readonly claims: string;
  readonly write: string;
}

/** For as many entries as there are numbers. A look for each key costs the server less than a join of the keys. */
const atEnds = (schema: string, numbers: readonly number[]): LogParts => ({
  parameters: numbers
    .map((n) => `_log_${n} text, _seq_${n} bigint, _key_${n} text, _at_${n} bigint, _entry_${n} text`)
    .join(", "),
  variables: "",
  judge: numbers
    .map(
      (n) => `
  if _key_${n} is not null and not _isClaimed then
    _isClaimed := exists (
      select from ${schema}.entries found
      where found.tenant = _tenant and found.session = _id and found.log = _log_${n} and found.key = _key_${n}
        and found.logs = (
          select session.logs from ${schema}.sessions session where session.tenant = _tenant and session.id = _id
        )
    );
  end if;`,
    )
    .join(""),
  claims: `(values ${numbers.map((n) => `(_log_${n}, _key_${n})`).join(", ")}) as claim(log, key)`,
  write: `
  insert into ${schema}.entries (tenant, session, logs, log, seq, key, at, data)
  values ${numbers.map((n) => `(_tenant, _id, _logs, _log_${n}, _seq_${n}, _key_${n}, _at_${n}, _entry_${n})`).join(",\n    ")};`,
});

const anywhere = (schema: string): LogParts => ({
  parameters: "_cuts json, _entries json, _claims json",
  variables: "\n  _cut record;",
  judge: `
  if _claims is not null then
    _isClaimed := exists (
      select from json_to_recordset(_claims) as claim(log text, key text)
      cross join lateral (
        select from ${schema}.sessions session
        join lateral (
          select from ${schema}.entries found
          where found.tenant = _tenant and found.session = _id and found.logs = session.logs and found.log = claim.log
            and found.key = claim.key
          limit 1
        ) entry on true
        where session.tenant = _tenant and session.id = _id
        limit 1
      ) standing
    );
  end if;`,
  claims: "json_to_recordset(_claims) as claim(log text, key text)",
  write: `
  if _cuts is not null then
    for _cut in
      select cut.log, cut."from" from json_to_recordset(_cuts) as cut(log text, "from" bigint)
      cross join lateral (
        select from ${schema}.entries entry
        where entry.tenant = _tenant and entry.session = _id and entry.logs = _logs and entry.log = cut.log
          and entry.seq >= cut."from"
        limit 1
      ) standing
    loop
      perform ${schema}.cut_log(_tenant, _id, _logs, _cut.log, _cut."from");
    end loop;
  end if;
  if _entries is not null then
    insert into ${schema}.entries (tenant, session, logs, log, seq, key, at, data, bytes)
    select _tenant, _id, _logs, entry.log, entry.seq, entry.key, entry.at, ${storedText("entry.data", "kept.bytes")}, kept.bytes
    from json_to_recordset(_entries) as entry(log text, seq bigint, key text, at bigint, data text)
    cross join lateral (
      select case when entry.log = 'archive' and entry.key is null then ${schema}.text_bytes(entry.data) end as bytes
      offset 0
    ) kept;
  end if;`,
});

function made(schema: string, name: string, log: LogParts): string {
  return `
create function ${schema}.${name}(
  _lane uuid, _number bigint, _tenant text, _id text, _expected_version bigint, _expected_commit text,
  _version bigint, _commit_id text, _state text, _agent text, _user_id text, _created_at bigint, _last_activity_at bigint,
  _active_minute bigint, _state_since bigint, _expires_at bigint, _sweep_at bigint, _data text, _title text, _labels text,
  ${log.parameters}
) returns json language plpgsql ${planOnce}
  set lock_timeout = '5s'
as ${quoteBody(body(schema, log))};`;
}

const ofParameter = (column: string): string => `_${column}`;

const body = (schema: string, { variables, judge, claims, write }: LogParts): string => `
declare
  ${laneRow}
  ${taken}
  _isClaimed boolean := false;
  _logs bigint;
  ${relabelled}${variables}
begin
${lockLane}${judge}

  if not _isClaimed then
    update ${schema}.sessions session set
      version = _version, commit_id = _commit_id, state = _state, agent = _agent, user_id = _user_id,
      last_activity_at = _last_activity_at, active_minute = _active_minute, state_since = _state_since,
      expires_at = _expires_at, sweep_at = _sweep_at, data = _data, title = _title, is_indexed = false
    where session.tenant = _tenant and session.id = _id
      and session.version = _expected_version and session.commit_id = _expected_commit
    returning session.logs, ${isRelabelled(ofParameter)} into _logs, _isRelabelled;
  end if;

  if _isRelabelled is null then
  ${returnSettled(schema).replaceAll("\n", "\n  ")}
    return ${schema}.refusal_reasons(
      '{0}',
      json_build_array(json_build_object('n', 0, 'place', 0, 'tenant', _tenant, 'id', _id,
        'expected_version', _expected_version, 'expected_commit', _expected_commit)),
      null, null,
      (
        select json_agg(json_build_object('n', 0, 'place', claim.place, 'tenant', _tenant, 'id', _id,
          'log', claim.log, 'key', claim.key))
        from (select claim.*, row_number() over () as place from ${claims}) claim
      ),
      false
    );
  elsif _isRelabelled then
    ${putLabelled(schema, ofParameter)}
  end if;
${write}
  ${takeNumber(schema, { refused: "null", isFollowed: isFollowed(schema, `subscription.tenant = ${newsTenant("_tenant")}`) })}
  if _isFollowed then
    insert into ${schema}.news (tenant, kind, scope, id) values (${notedSession("_tenant", "_id")});
  end if;
  return case when _left then json_build_object('left', true) end;
end`;
