import { quoteBody } from "../../connection/names.ts";
import { storedText } from "./entry-bytes.ts";
import { isFollowed, notedSession, newsTenant } from "./news.ts";
import {
  earlierLabelled,
  isRelabelled,
  labelled,
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
 * `commit_session` is `commit_sessions` for one update of one session that touches at most one log, at or near its end, and
 * adds at most one entry. Its arguments are plain values, which cost the server less than JSON.
 * Absent values are null. A refused update writes nothing.
 */
export function commitChange(schema: string): string {
  return made(schema, "commit_session", titled, anywhere(schema));
}

/** `commit_session` for programs of an earlier version. */
export function earlierCommitChange(schema: string): string {
  return made(schema, "commit_update", untitled, anywhere(schema));
}

/**
 * `commit_append` is `commit_session` for the most frequent change: one entry behind the end of a log, whose key, if any, no
 * other entry may have. The server does not look for entries to replace. An entry that has the number of another one, or a key
 * that another transaction adds at the same time, fails with `unique_violation`, and the caller sends it to `commit_sessions`.
 */
export function commitAppend(schema: string): string {
  return made(schema, "commit_append", titled, atEnd(schema));
}

/** What a version of Perdure writes of a record. */
interface RecordParts {
  readonly parameters: string;
  readonly assignments: string;
  readonly labelled: readonly string[];
}

const titled: RecordParts = { parameters: ", _title text, _labels text", assignments: ", title = _title", labelled };
const untitled: RecordParts = { parameters: "", assignments: "", labelled: earlierLabelled };

/** What a function writes of a log. */
interface LogParts {
  readonly parameters: string;
  /** The parameter with the key that must not be in the log; null for none. */
  readonly claim: string;
  readonly variables: string;
  readonly write: string;
}

const atEnd = (schema: string): LogParts => ({
  parameters: "_log text, _seq bigint, _key text, _at bigint, _entry text",
  claim: "_key",
  variables: "",
  write: `
  insert into ${schema}.entries (tenant, session, logs, log, seq, key, at, data)
  values (_tenant, _id, _logs, _log, _seq, _key, _at, _entry);`,
});

const anywhere = (schema: string): LogParts => ({
  parameters: "_log text, _from bigint, _key text, _at bigint, _entry text, _claim text",
  claim: "_claim",
  variables: "\n  _bytes bytea;",
  write: `
  if _log is not null then
    if exists (
      select from ${schema}.entries entry
      where entry.tenant = _tenant and entry.session = _id and entry.logs = _logs and entry.log = _log
        and entry.seq >= _from
    ) then
      perform ${schema}.cut_log(_tenant, _id, _logs, _log, _from);
    end if;
    if _entry is not null then
      if _log = 'archive' and _key is null then _bytes := ${schema}.text_bytes(_entry); end if;
      insert into ${schema}.entries (tenant, session, logs, log, seq, key, at, data, bytes)
      values (_tenant, _id, _logs, _log, _from, _key, _at, ${storedText("_entry", "_bytes")}, _bytes);
    end if;
  end if;`,
});

function made(schema: string, name: string, record: RecordParts, log: LogParts): string {
  return `
create or replace function ${schema}.${name}(
  _lane uuid, _number bigint, _tenant text, _id text, _expected_version bigint, _expected_commit text,
  _version bigint, _commit_id text, _state text, _agent text, _user_id text, _created_at bigint, _last_activity_at bigint,
  _active_minute bigint, _state_since bigint, _expires_at bigint, _sweep_at bigint, _data text${record.parameters},
  ${log.parameters}
) returns json language plpgsql ${planOnce}
  set lock_timeout = '5s'
as ${quoteBody(body(schema, record, log))};`;
}

const ofParameter = (column: string): string => `_${column}`;

const body = (schema: string, record: RecordParts, { claim, variables, write }: LogParts): string => `
declare
  ${laneRow}
  ${taken}
  _isClaimed boolean := false;
  _logs bigint;
  ${relabelled}${variables}
begin
${lockLane}
  if ${claim} is not null then
    select session.logs into _logs from ${schema}.sessions session where session.tenant = _tenant and session.id = _id;
    _isClaimed := exists (
      select from ${schema}.entries entry
      where entry.tenant = _tenant and entry.session = _id and entry.logs = _logs and entry.log = _log
        and entry.key = ${claim}
    );
  end if;

  if not _isClaimed then
    update ${schema}.sessions session set
      version = _version, commit_id = _commit_id, state = _state, agent = _agent, user_id = _user_id,
      last_activity_at = _last_activity_at, active_minute = _active_minute, state_since = _state_since,
      expires_at = _expires_at, sweep_at = _sweep_at, data = _data${record.assignments}
    where session.tenant = _tenant and session.id = _id
      and session.version = _expected_version and session.commit_id = _expected_commit
    returning session.logs, ${isRelabelled(ofParameter, record.labelled)} into _logs, _isRelabelled;
  end if;

  if _isRelabelled is null then
  ${returnSettled(schema).replaceAll("\n", "\n  ")}
    return ${schema}.refusal_reasons(
      '{0}',
      json_build_array(json_build_object('n', 0, 'place', 0, 'tenant', _tenant, 'id', _id,
        'expected_version', _expected_version, 'expected_commit', _expected_commit)),
      null, null,
      case when ${claim} is not null then
        json_build_array(json_build_object('n', 0, 'place', 0, 'tenant', _tenant, 'id', _id, 'log', _log, 'key', ${claim}))
      end,
      false
    );
  elsif _isRelabelled then
    ${putLabelled(schema, ofParameter, record.labelled)}
  end if;
${write}
  ${takeNumber(schema, { refused: "null", isFollowed: isFollowed(schema, `subscription.tenant = ${newsTenant("_tenant")}`) })}
  if _isFollowed then
    insert into ${schema}.news (tenant, kind, scope, id) values (${notedSession("_tenant", "_id")});
  end if;
  return case when _left then json_build_object('left', true) end;
end`;
