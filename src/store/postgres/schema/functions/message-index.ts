import { keptBeginning } from "../../../../domain/record/entry.ts";
import { quoteBody } from "../../connection/names.ts";
import { nowMs } from "./load-sessions.ts";
import { planOnce } from "./parts.ts";

/** What one step reads in a fraction of a second. */
const stepMax = { sessions: 200, entries: 500, bytes: 4 * 1024 * 1024 } as const;
/** The lease of a process that indexes, ms. A process that was killed holds the others up for this time. */
export const leaseMs = 5000;

/**
 * The index of search. `search_messages` has the words of each message of a turn, and of each title, with seq 0. It is built
 * when the first search asks for it.
 *
 * Each commit that writes the row of a session also writes `is_indexed = false` in it. The row is rewritten anyway, and only
 * the first commit after the session was indexed changes an index by that. The transaction that wrote an entry (`xmin`) says
 * which turns of a changed session are new.
 *
 * - `due_messages` takes or renews the lease of the one process that indexes, and returns sessions that are not indexed with
 *   their new turns. With a key it returns those behind it, and leaves the lease: the process reads them while `put_words`
 *   writes those before.
 * - `put_words` writes their words, deletes those of turns that are no more, and marks the sessions.
 *
 * Races:
 * - A session changes between the two calls: it is not marked, and the next step looks at it again. Its rows stay, so writers
 *   that never rest do not keep their messages out of the index.
 * - A session is removed meanwhile: its rows are not written, or they are deleted. A share lock on its key, which appends do not
 *   wait for, keeps the removal from committing before the rows are; the removal then deletes them with the logs.
 * - `put_words` waits for no row of a session: a session whose row is locked is not marked.
 * - Another process takes over a lease that has ended: `put_words` writes nothing. Until it is done no process takes over.
 */
export function messageIndex(schema: string): string {
  return `
create function ${schema}.forget_messages() returns void language plpgsql ${planOnce}
as ${quoteBody(forgetMessages(schema))};`;
}

/** The functions that a step of the index calls, and `put_messages`, which programs of schema step 14 call in place of `put_words`. */
export function stepOfIndex(schema: string): string {
  return `
create function ${schema}.due_messages(_holder text, _after_tenant text default null, _after_id text default null)
returns json language plpgsql ${planOnce}
as ${quoteBody(dueMessages(schema))};
create function ${schema}.put_words(
  _holder text, _sessions json, _logs json, _place int[], _log int[], _seq bigint[], _message int[], _at bigint[], _xid bigint[],
  _words text, _isLast boolean
) returns int language plpgsql ${planOnce}
  set lock_timeout = '5s'
as ${quoteBody(putWords(schema))};
create function ${schema}.put_messages(_sessions json, _messages json, _isLast boolean) returns int language plpgsql ${planOnce}
as ${quoteBody(putMessages(schema))};`;
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
  _isWhole boolean;
  _isLast boolean := true;
  _left bigint;
begin
  if _after_id is null then
    select count(*) into _left from (
      select from ${schema}.sessions session where not session.is_indexed limit 100000
    ) found;
    if _left = 0 then return null; end if;
    if exists (select from ${schema}.search_state state where state.id = 1) then
      perform from ${schema}.search_state state where state.id = 1 and (state.holder = _holder or state.until <= _now)
      for no key update skip locked;
      if not found then return json_build_object('left', _left); end if;
      update ${schema}.search_state state set holder = _holder, until = _now + ${leaseMs} where state.id = 1;
    else
      insert into ${schema}.search_state (id, holder, until) values (1, _holder, _now + ${leaseMs}) on conflict do nothing;
      if not found then return json_build_object('left', _left); end if;
    end if;
  end if;

  for _session in
    select session.tenant, session.id, session.logs, session.version, session.commit_id, session.title, session.created_at
    from ${schema}.sessions session
    where not session.is_indexed and (session.tenant, session.id) > (coalesce(_after_tenant, ''), coalesce(_after_id, ''))
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
    _isWhole := _fresh.count <= _entries and _fresh.bytes < _bytes;
    if not _isWhole then
      _isLast := false;
      -- A session that does not fit behind others begins the next step, so it is not read in two parts.
      exit when cardinality(_due) > 0;
    end if;
    _due := _due || json_build_object(
      'tenant', _session.tenant, 'id', _session.id, 'logs', _session.logs::text, 'version', _session.version,
      'commit_id', _session.commit_id, 'title', _session.title, 'titleMark', ${titleMark("_session.title")}::text,
      'createdAt', _session.created_at, 'turns', coalesce(_fresh.turns, '[]'), 'isWhole', _isWhole
    );
    _entries := _entries - _fresh.count;
    _bytes := _bytes - _fresh.bytes;
  end loop;
  return json_build_object('left', _left, 'isLast', _isLast, 'sessions', array_to_json(_due));
end`;

/** The given sessions, as the caller read them. */
const given = `rows from (
      json_to_recordset(_sessions) as (tenant text, id text, logs bigint, version bigint, commit_id text, is_whole boolean)
    ) with ordinality as given(tenant, id, logs, version, commit_id, is_whole, place)`;

/** The condition that a row of the index has no turn or title of a session any more; `logs` and `titleMark` are those of the session. */
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

/** Separates the words of a row from those of the next one. No word has it. */
export const wordsSeparator = ",";

/**
 * A parameter has the values of a column for all rows, which the server splits in a third of the time that JSON takes: `_place` is
 * that of the session in `_sessions`, and `_log` that of the log in `_logs`, both from 1. The sessions are looked up one by one and
 * their rows changed by their places, because the planner cannot turn such a join around.
 */
const putWords = (schema: string): string => `
declare
  _tenants text[];
  _ids text[];
  _numbers bigint[];
  _all_logs text[] := array(select json_array_elements_text(_logs));
  _each_words text[] := string_to_array(_words, '${wordsSeparator}');
  _marked bigint[];
  _other record;
begin
  perform from ${schema}.search_state state where state.id = 1 and state.holder = _holder for no key update;
  if not found then return -1; end if;
  select array_agg(given.tenant order by given.place), array_agg(given.id order by given.place),
    array_agg(session.logs order by given.place)
  into _tenants, _ids, _numbers
  from ${given}
  left join lateral (
    select found.logs from ${schema}.sessions found
    where found.tenant = given.tenant and found.id = given.id and found.logs = given.logs limit 1
  ) session on true;

  delete from ${schema}.search_messages message where message.ctid = any (array(
    select gone.ctid from ${given}
    left join lateral (
      select found.logs, found.title from ${schema}.sessions found where found.tenant = given.tenant and found.id = given.id limit 1
    ) session on true
    cross join lateral (
      select message.ctid from ${schema}.search_messages message
      where message.tenant = given.tenant and message.session = given.id
        and ${isGone(schema, "coalesce(session.logs, -1)", titleMark("session.title"))}
      offset 0
    ) gone
  ));
  if _isLast then perform set_config('gin_pending_list_limit', '${pendingKb}', true); end if;
  begin
    ${insertWords(schema)};
  exception when unique_violation then
    -- This call is a retry of one that was committed.
    ${insertWords(schema)}
    on conflict do nothing;
  end;
  with locked as materialized (
    select given.place, session.ctid as at from ${given}
    cross join lateral (
      select found.ctid from ${schema}.sessions found
      where found.tenant = given.tenant and found.id = given.id and found.version = given.version
        and found.commit_id = given.commit_id and given.is_whole
      limit 1 for no key update skip locked
    ) session
  ), marked as (
    update ${schema}.sessions session set is_indexed = true
    from locked
    where session.ctid = locked.at and session.tenant is not distinct from _tenants[locked.place]
      and session.id is not distinct from _ids[locked.place]
    returning locked.place
  )
  select coalesce(array_agg(marked.place), '{}') into _marked from marked;
  if cardinality(_marked) < cardinality(_ids) then
    for _other in select * from ${given} where given.place <> all (_marked) loop
      perform from ${schema}.sessions session
      where session.tenant = _other.tenant and session.id = _other.id and session.logs = _other.logs
      for key share skip locked;
      if not found then
        delete from ${schema}.search_messages message
        where message.tenant = _other.tenant and message.session = _other.id and message.logs = _other.logs;
      end if;
    end loop;
  end if;
  if _isLast then update ${schema}.search_state state set until = 0 where state.id = 1; end if;
  return cardinality(_marked);
end`;

/**
 * Without `on conflict` the server looks for each row once, not twice. A title is given with each change of its session, and usually
 * its row stands already. The scalar subquery, unlike `exists`, is always a lookup by the key.
 */
const insertWords = (
  schema: string,
): string => `insert into ${schema}.search_messages (tenant, session, logs, log, seq, message, at, xid, words)
    select _tenants[added.place], _ids[added.place], _numbers[added.place], _all_logs[added.log], added.seq, added.message,
      added.at, added.xid, array_to_tsvector(string_to_array(coalesce(added.words, ''), ' '))
    from unnest(_place, _log, _seq, _message, _at, _xid, _each_words) as added(place, log, seq, message, at, xid, words)
    where _numbers[added.place] is not null and (added.seq > 0 or added.xid is distinct from (
      select titled.xid from ${schema}.search_messages titled
      where titled.tenant = _tenants[added.place] and titled.session = _ids[added.place] and titled.logs = _numbers[added.place]
        and titled.log = _all_logs[added.log] and titled.seq = added.seq and titled.message = added.message
    ))`;

/** Programs of schema step 14 send each row as JSON. */
const putMessages = (schema: string): string => `
begin
  return (
    select ${schema}.put_words(
      (select state.holder from ${schema}.search_state state where state.id = 1), _sessions, json_agg(added.log order by added.n),
      array_agg(added.place order by added.n), array_agg(added.n order by added.n), array_agg(added.seq order by added.n),
      array_agg(added.message order by added.n), array_agg(added.at order by added.n), array_agg(added.xid order by added.n),
      string_agg(added.words, '${wordsSeparator}' order by added.n), _isLast
    )
    from (
      select given.place::int, sent.log, sent.seq, sent.message, sent.at, sent.xid, sent.words,
        row_number() over (order by sent.n)::int as n
      from rows from (
        json_to_recordset(_messages)
          as (tenant text, id text, logs bigint, log text, seq bigint, message int, at bigint, xid bigint, words text)
      ) with ordinality as sent(tenant, id, logs, log, seq, message, at, xid, words, n)
      join ${given} on given.tenant = sent.tenant and given.id = sent.id and given.logs = sent.logs
    ) added
  );
end`;

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
