import { quoteBody } from "../../connection/names.ts";
import { isFollowed, notedSession, newsTenant } from "./news.ts";
import { entriesLeft, findNumber, followed, keepNumber, laneRow, planOnce } from "./parts.ts";

/**
 * `commit_session` is `commit_sessions` for the most frequent batch: one update of one session that touches at most one
 * log, at or near its end, and adds at most one entry. Its arguments are plain values, which saves a third of the cost of
 * Perdure for a single writer. Absent values are null. A refused update writes nothing.
 */
export function commitChange(schema: string): string {
  return made(schema, "commit_session", {
    parameters: ", _title text, _labels text",
    assignments: ", title = _title, labels = _labels",
  });
}

/** `commit_session` for programs of an earlier version. */
export function earlierCommitChange(schema: string): string {
  return made(schema, "commit_update", { parameters: "", assignments: "" });
}

interface RowParts {
  readonly parameters: string;
  readonly assignments: string;
}

function made(schema: string, name: string, { parameters, assignments }: RowParts): string {
  return `
create or replace function ${schema}.${name}(
  _lane uuid, _number bigint, _tenant text, _id text, _expected_version bigint, _expected_commit text,
  _version bigint, _commit_id text, _state text, _agent text, _user_id text, _created_at bigint, _last_activity_at bigint,
  _active_minute bigint, _state_since bigint, _expires_at bigint, _sweep_at bigint, _data text${parameters},
  _log text, _from bigint, _key text, _at bigint, _entry text, _claim text
) returns json language plpgsql ${planOnce}
  set lock_timeout = '5s'
as ${quoteBody(body(schema, assignments))};`;
}

const body = (schema: string, assignments: string): string => `
declare
  ${laneRow}
  ${entriesLeft}
  ${followed}
  _refused boolean := false;
  _logs bigint;
begin
${findNumber(schema)}
  if _claim is not null then
    select session.logs into _logs from ${schema}.sessions session where session.tenant = _tenant and session.id = _id;
    _refused := exists (
      select from ${schema}.entries entry
      where entry.tenant = _tenant and entry.session = _id and entry.logs = _logs and entry.log = _log
        and entry.key = _claim
    );
  end if;

  if not _refused then
    update ${schema}.sessions session set
      version = _version, commit_id = _commit_id, state = _state, agent = _agent, user_id = _user_id,
      created_at = _created_at, last_activity_at = _last_activity_at, active_minute = _active_minute,
      state_since = _state_since, expires_at = _expires_at, sweep_at = _sweep_at, data = _data${assignments}
    where session.tenant = _tenant and session.id = _id
      and session.version = _expected_version and session.commit_id = _expected_commit
    returning session.logs into _logs;
    _refused := not found;
  end if;

  if _refused then
    return ${schema}.refusal_reasons(
      '{0}',
      json_build_array(json_build_object('n', 0, 'place', 0, 'tenant', _tenant, 'id', _id,
        'expected_version', _expected_version, 'expected_commit', _expected_commit)),
      null, null,
      case when _claim is not null then
        json_build_array(json_build_object('n', 0, 'place', 0, 'tenant', _tenant, 'id', _id, 'log', _log, 'key', _claim))
      end,
      false
    );
  end if;

  if _log is not null then
    if exists (
      select from ${schema}.entries entry
      where entry.tenant = _tenant and entry.session = _id and entry.logs = _logs and entry.log = _log
        and entry.seq >= _from
    ) then
      perform ${schema}.cut_log(_tenant, _id, _logs, _log, _from);
    end if;
    if _entry is not null then
      insert into ${schema}.entries (tenant, session, logs, log, seq, key, at, data)
      values (_tenant, _id, _logs, _log, _from, _key, _at, _entry);
    end if;
  end if;
  ${keepNumber(schema, { refused: "null", isFollowed: isFollowed(schema, `subscription.tenant = ${newsTenant("_tenant")}`) })}
  if _isFollowed then
    insert into ${schema}.news (tenant, kind, scope, id) values (${notedSession("_tenant", "_id")});
  end if;
  return case when _left then json_build_object('left', true) end;
end`;
