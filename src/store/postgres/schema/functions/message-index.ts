import { keptBeginning } from "../../../../domain/record/entry.ts";
import { quoteBody } from "../../connection/names.ts";
import { nowMs } from "./load-sessions.ts";
import { planOnce } from "./parts.ts";

/** What one step reads in a fraction of a second. */
const stepMax = { sessions: 200, entries: 500, bytes: 4 * 1024 * 1024 } as const;
/** The lease of a process that indexes, ms. A process that was killed holds the others up for this time. */
const leaseMs = 5000;

/**
 * The index of search. `search_messages` has the words of each message of a turn, and of each title, with seq 0. It is built
 * when the first search asks for it.
 *
 * Each commit that writes the row of a session also writes `is_indexed = false` in it. The row is rewritten anyway, and only
 * the first commit after the session was indexed changes an index by that. The transaction that wrote an entry (`xmin`) says
 * which turns of a changed session are new.
 *
 * - `due_messages` takes or renews the lease of the one process that indexes, and returns sessions that are not indexed with
 *   their new turns.
 * - `put_messages` writes their words, deletes those of turns that are no more, and marks the sessions.
 *
 * Races:
 * - A session changes between the two calls: it is not marked, and the next step looks at it again. Its rows stay, so writers
 *   that never rest do not keep their messages out of the index.
 * - A session is removed meanwhile: its rows are deleted. A share lock on its key, which appends do not wait for, keeps the
 *   removal from committing before the rows are; the removal then deletes them with the logs.
 * - `put_messages` waits for no row: a session whose row is locked is not marked.
 */
export function messageIndex(schema: string): string {
  return `
create function ${schema}.due_messages(_holder text) returns json language plpgsql ${planOnce}
as ${quoteBody(dueMessages(schema))};
${putMessages(schema)}
create function ${schema}.forget_messages() returns void language plpgsql ${planOnce}
as ${quoteBody(forgetMessages(schema))};`;
}

/** The condition that an entry is of the turns of any branch. The range is that of an index. */
export const isTurn: string = `entry.log >= 'turns' and entry.log < 'turns$'
          and (entry.log = 'turns' or entry.log like '${keptBeginning}%')`;

/** The number that stands for the text of a title, in the place of the transaction of an entry. */
const titleMark = (title: string): string => `hashtextextended(${title}, 0)`;

const dueMessages = (schema: string): string => `
declare
  _now bigint := ${nowMs};
  _session record;
  _fresh record;
  _due json[] := '{}';
  _entries int := ${stepMax.entries};
  _bytes bigint := ${stepMax.bytes};
  _isLast boolean := true;
  _left bigint;
begin
  select count(*) into _left from (
    select from ${schema}.sessions session where not session.is_indexed limit 100000
  ) found;
  if _left = 0 then return null; end if;
  insert into ${schema}.search_state as state (id, holder, until) values (1, _holder, _now + ${leaseMs})
  on conflict (id) do update set holder = excluded.holder, until = excluded.until
  where state.holder = _holder or state.until <= _now;
  if not found then return json_build_object('left', _left); end if;

  for _session in
    select session.tenant, session.id, session.logs, session.version, session.commit_id, session.title, session.created_at
    from ${schema}.sessions session where not session.is_indexed
    order by session.tenant, session.id limit ${stepMax.sessions + 1}
  loop
    if cardinality(_due) = ${stepMax.sessions} or _entries <= 0 or _bytes <= 0 then
      _isLast := false;
      exit;
    end if;
    select json_agg(json_build_array(fresh.log, fresh.seq, fresh.at, fresh.xid, fresh.data) order by fresh.log, fresh.seq) as turns,
      count(*) as count, coalesce(sum(fresh.size), 0) as bytes
    into _fresh
    from (
      select next.*, sum(next.size) over (order by next.log, next.seq) - next.size as ahead
      from (
        select entry.log, entry.seq, entry.at, entry.xmin::text::bigint as xid, entry.data, octet_length(entry.data) as size
        from ${schema}.entries entry
        where entry.tenant = _session.tenant and entry.session = _session.id and entry.logs = _session.logs
          and ${isTurn} and not exists (
            select from ${schema}.search_messages message
            where message.tenant = _session.tenant and message.session = _session.id and message.logs = _session.logs
              and message.log = entry.log and message.seq = entry.seq and message.xid = entry.xmin::text::bigint
          )
        order by entry.log, entry.seq limit _entries + 1
      ) next
    ) fresh
    where fresh.ahead < _bytes;
    _due := _due || json_build_object(
      'tenant', _session.tenant, 'id', _session.id, 'logs', _session.logs::text, 'version', _session.version,
      'commit_id', _session.commit_id, 'title', _session.title, 'titleMark', ${titleMark("_session.title")}::text,
      'createdAt', _session.created_at, 'turns', coalesce(_fresh.turns, '[]'),
      'isWhole', _fresh.count <= _entries and _fresh.bytes < _bytes
    );
    _isLast := _isLast and _fresh.count <= _entries and _fresh.bytes < _bytes;
    _entries := _entries - _fresh.count;
    _bytes := _bytes - _fresh.bytes;
  end loop;
  return json_build_object('left', _left, 'isLast', _isLast, 'sessions', array_to_json(_due));
end`;

/** The given sessions, as the caller read them. */
const given = (of: string): string =>
  `json_to_recordset(${of}) as given(tenant text, id text, logs bigint, version bigint, commit_id text, title_mark bigint, is_whole boolean)`;

/** The condition that a row of the index has no turn or title of a session any more; \`logs\` and \`titleMark\` are those of the session. */
const isGone = (schema: string, logs: string, mark: string): string => `(
      message.logs <> ${logs}
      or (message.seq = 0 and message.xid is distinct from ${mark})
      or (message.seq > 0 and not exists (
        select from ${schema}.entries entry
        where entry.tenant = message.tenant and entry.session = message.session and entry.logs = message.logs
          and entry.log = message.log and entry.seq = message.seq and entry.xmin::text::bigint = message.xid
      ))
    )`;

/**
 * The last step with new rows leaves at most so many KiB of words in the list of pending entries of the index, each of which a search of a rare word
 * compares. Steps before it leave up to 4 MiB, by the default of the server, which takes less processor time. A last step without a
 * new row leaves the list as it is, until a later step adds one or the server vacuums the table.
 */
const pendingKb = 256;

/** The function `put_messages`, which a step replaces. Rights on it stay. */
export function putMessages(schema: string): string {
  return `create or replace function ${schema}.put_messages(_sessions json, _messages json, _isLast boolean) returns int language plpgsql ${planOnce}
  set lock_timeout = '5s'
as ${quoteBody(putBody(schema))};`;
}

const putBody = (schema: string): string => `
declare
  _given record;
  _marked int := 0;
begin
  for _given in select * from ${given("_sessions")} loop
    delete from ${schema}.search_messages message
    where message.tenant = _given.tenant and message.session = _given.id
      and ${isGone(schema, "_given.logs", "_given.title_mark")};
  end loop;
  if _isLast then perform set_config('gin_pending_list_limit', '${pendingKb}', true); end if;
  begin
    ${insertMessages(schema)};
  exception when unique_violation then
    -- Another process took over a lease that had ended, and wrote some of these rows meanwhile.
    ${insertMessages(schema)}
    on conflict do nothing;
  end;
  for _given in select * from ${given("_sessions")} loop
    perform from ${schema}.sessions session
    where session.tenant = _given.tenant and session.id = _given.id and session.version = _given.version
      and session.commit_id = _given.commit_id and _given.is_whole
    for no key update skip locked;
    if found then
      update ${schema}.sessions session set is_indexed = true
      where session.tenant = _given.tenant and session.id = _given.id;
      _marked := _marked + 1;
      continue;
    end if;
    perform from ${schema}.sessions session
    where session.tenant = _given.tenant and session.id = _given.id and session.logs = _given.logs
    for key share skip locked;
    if not found then
      delete from ${schema}.search_messages message
      where message.tenant = _given.tenant and message.session = _given.id and message.logs = _given.logs;
    end if;
  end loop;
  if _isLast then update ${schema}.search_state state set until = 0 where state.id = 1; end if;
  return _marked;
end`;

/**
 * Without `on conflict` the server looks for each row once, not twice. A title is given with each change of its session, and usually
 * its row stands already. The scalar subquery, unlike `exists`, is always a lookup by the key.
 */
const insertMessages = (
  schema: string,
): string => `insert into ${schema}.search_messages (tenant, session, logs, log, seq, message, at, xid, words)
    select added.tenant, added.id, added.logs, added.log, added.seq, added.message, added.at, added.xid,
      array_to_tsvector(string_to_array(added.words, ' '))
    from json_to_recordset(_messages)
      as added(tenant text, id text, logs bigint, log text, seq bigint, message int, at bigint, xid bigint, words text)
    where added.seq > 0 or added.xid is distinct from (
      select titled.xid from ${schema}.search_messages titled
      where titled.tenant = added.tenant and titled.session = added.id and titled.logs = added.logs
        and titled.log = added.log and titled.seq = added.seq and titled.message = added.message
    )`;

/** Deletes the words of turns and titles that are no more, before a step does. */
const forgetMessages = (schema: string): string => `
declare
  _session record;
begin
  if not exists (select from ${schema}.search_messages limit 1) then return; end if;
  for _session in
    select session.tenant, session.id, session.logs, session.title from ${schema}.sessions session
    where not session.is_indexed
  loop
    delete from ${schema}.search_messages message
    where message.tenant = _session.tenant and message.session = _session.id
      and ${isGone(schema, "_session.logs", titleMark("_session.title"))};
  end loop;
end`;
