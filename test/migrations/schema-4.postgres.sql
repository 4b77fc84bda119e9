-- 1: sessions, entries, instances, lanes, views
do $body2$
begin
  if current_setting('server_version_num')::integer < 140000 then
    raise feature_not_supported using message = 'Perdure needs PostgreSQL 14 or newer';
  end if;
  if current_setting('server_encoding') <> 'UTF8' then
    raise feature_not_supported using message = 'Perdure needs a database with the encoding UTF8';
  end if;
  perform pg_advisory_xact_lock(hashtextextended($body$perdure "perdure"$body$, 0));
  if to_regnamespace($body$"perdure"$body$) is null then
    create schema "perdure";
  end if;
  if to_regclass($body$"perdure".migrations$body$) is null then
    create table "perdure".migrations (
      version integer primary key,
      title text not null,
      breaking boolean not null,
      applied_at timestamptz not null default now()
    );
  end if;
  if exists (select from "perdure".migrations where version >= 1) then
    return;
  end if;

create table "perdure".sessions (
  tenant text collate "C" not null,
  id text collate "C" not null,
  agent text collate "C" not null,
  user_id text collate "C",
  state text collate "C" not null,
  created_at bigint not null,
  state_since bigint not null,
  sweep_at bigint not null,
  active_minute bigint not null,
  version bigint not null,
  last_activity_at bigint not null,
  expires_at bigint not null,
  data text collate "C" not null,
  primary key (tenant, id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
create index sessions_recent on "perdure".sessions (tenant, active_minute desc, id);
create index sessions_of_user on "perdure".sessions (tenant, user_id, active_minute desc, id) where user_id is not null;
create index sessions_due on "perdure".sessions (sweep_at, tenant, id) where state in ('active', 'inactive');
create index sessions_settled on "perdure".sessions (state_since, tenant, id) where state not in ('active', 'inactive');

create table "perdure".entries (
  tenant text collate "C" not null,
  session text collate "C" not null,
  log text collate "C" not null,
  seq bigint not null,
  key text collate "C",
  at bigint not null,
  data text collate "C" not null,
  primary key (tenant, session, log, seq)
);
create unique index entries_by_key on "perdure".entries (tenant, session, log, key) where key is not null;


create table "perdure".instances (
  id text collate "C" primary key,
  host text collate "C" not null,
  pid bigint not null,
  machine text collate "C" not null,
  started_at text collate "C" not null,
  seen_at bigint not null
) with (fillfactor = 50);

create table "perdure".lanes (
  id uuid primary key,
  number bigint not null,
  refused integer[],
  born_at timestamptz not null default now(),
  used_at timestamptz not null
) with (fillfactor = 50);
create index lanes_by_birth on "perdure".lanes (born_at);

create function "perdure".refusals(_refused int[], _updates json, _creates json, _removals json, _claims json)
returns json language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
begin
  return json_build_object(
    'duplicates', (
      select json_agg(json_build_object('n', claim.n, 'entry',
        json_build_object('seq', entry.seq, 'key', entry.key, 'at', entry.at, 'data', entry.data)) order by claim.place)
      from json_to_recordset(_claims) as claim(n int, place int, tenant text, id text, log text, key text)
      cross join lateral (
        select found.* from "perdure".entries found
        where found.tenant = claim.tenant and found.session = claim.id and found.log = claim.log and found.key = claim.key
        limit 1
      ) entry
      where claim.n = any (_refused)
    ),
    'conflicts', (
      select json_agg(json_build_object(
        'n', change.n,
        'fits', coalesce(session.version, 0) = change.expected,
        'current', case when session.id is not null then json_build_object('tenant', session.tenant, 'id', session.id, 'version', session.version, 'state', session.state, 'agent', session.agent, 'user', session.user_id, 'createdAt', session.created_at, 'lastActivityAt', session.last_activity_at, 'activeMinute', session.active_minute, 'stateSince', session.state_since, 'expiresAt', session.expires_at, 'sweepAt', session.sweep_at, 'data', session.data) end
      ) order by change.n, change.place)
      from (
        select * from json_to_recordset(_updates) as change(n int, place int, tenant text, id text, expected bigint)
        union all
        select * from json_to_recordset(_creates) as change(n int, place int, tenant text, id text, expected bigint)
        union all
        select * from json_to_recordset(_removals) as change(n int, place int, tenant text, id text, expected bigint)
      ) change
      left join lateral (
        select found.* from "perdure".sessions found where found.tenant = change.tenant and found.id = change.id limit 1
      ) session on true
      where change.n = any (_refused)
    )
  );
end$body$;

create function "perdure".commit_batch(
  _lane uuid, _number bigint,
  _updates json, _creates json, _removals json, _splices json, _entries json, _claims json, _locks boolean
) returns json language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set lock_timeout = '5s'
as $body$
declare
  _refused int[] := '{}';
  _change record;
begin
  insert into "perdure".lanes as lane (id, number, used_at) values (_lane, _number, now())
  on conflict (id) do update set number = excluded.number, refused = null, used_at = excluded.used_at
  where lane.number < excluded.number;
  if not found then
    return (
      select json_build_object('settled', coalesce(lane.refused, '{}')) from "perdure".lanes lane where lane.id = _lane
    );
  end if;
  if _number = 1 then
    delete from "perdure".lanes lane where lane.id in (
      select old.id from "perdure".lanes old
      where old.born_at < now() - interval '1 day' and old.used_at < now() - interval '1 day'
      order by old.born_at limit 4 for update skip locked
    );
  end if;
  if _claims is not null then
    select coalesce(array_agg(claim.n), '{}') into _refused
    from json_to_recordset(_claims) as claim(n int, place int, tenant text, id text, log text, key text)
    cross join lateral (
      select found.* from "perdure".entries found
      where found.tenant = claim.tenant and found.session = claim.id and found.log = claim.log and found.key = claim.key
      limit 1
    ) entry;
  end if;

  if _locks then
    for _change in
      select change.tenant, change.id from (
        select * from json_to_recordset(_updates) as change(n int, place int, tenant text, id text, expected bigint)
        union all
        select * from json_to_recordset(_removals) as change(n int, place int, tenant text, id text, expected bigint)
      ) change
      order by change.tenant collate "C", change.id collate "C"
    loop
      perform from "perdure".sessions session
      where session.tenant = _change.tenant and session.id = _change.id for update;
    end loop;

    select _refused || coalesce(array_agg(change.n), '{}') into _refused
    from (
      select * from json_to_recordset(_updates) as change(n int, place int, tenant text, id text, expected bigint)
      union all
      select * from json_to_recordset(_creates) as change(n int, place int, tenant text, id text, expected bigint)
      union all
      select * from json_to_recordset(_removals) as change(n int, place int, tenant text, id text, expected bigint)
    ) change
    left join lateral (
      select found.* from "perdure".sessions found where found.tenant = change.tenant and found.id = change.id limit 1
    ) session on true
    where coalesce(session.version, 0) <> change.expected;
  end if;

  if _updates is not null then
    for _change in select * from json_to_recordset(_updates) as change(n int, place int, tenant text, id text, expected bigint, version bigint, state text, agent text, user_id text, created_at bigint, last_activity_at bigint,
      active_minute bigint, state_since bigint, expires_at bigint, sweep_at bigint, data text) loop
      continue when _change.n = any (_refused);
      update "perdure".sessions session set
        version = _change.version, state = _change.state, agent = _change.agent, user_id = _change.user_id,
        created_at = _change.created_at, last_activity_at = _change.last_activity_at,
        active_minute = _change.active_minute, state_since = _change.state_since, expires_at = _change.expires_at,
        sweep_at = _change.sweep_at, data = _change.data
      where session.tenant = _change.tenant and session.id = _change.id and session.version = _change.expected;
      if not found then _refused := _refused || _change.n; end if;
    end loop;
  end if;

  if _creates is not null then
    for _change in select * from json_to_recordset(_creates) as change(n int, place int, tenant text, id text, expected bigint, version bigint, state text, agent text, user_id text, created_at bigint, last_activity_at bigint,
      active_minute bigint, state_since bigint, expires_at bigint, sweep_at bigint, data text) loop
      continue when _change.n = any (_refused);
      insert into "perdure".sessions (
        tenant, id, version, state, agent, user_id, created_at, last_activity_at, active_minute, state_since,
        expires_at, sweep_at, data
      ) values (
        _change.tenant, _change.id, _change.version, _change.state, _change.agent, _change.user_id, _change.created_at,
        _change.last_activity_at, _change.active_minute, _change.state_since, _change.expires_at, _change.sweep_at,
        _change.data
      ) on conflict do nothing;
      if not found then
        -- What its transaction has changed already must not stand: the batch is tried again and finds the other's session.
        if _locks then raise serialization_failure using message = 'a session was created meanwhile'; end if;
        _refused := _refused || _change.n;
      end if;
    end loop;
  end if;

  if _removals is not null then
    for _change in select * from json_to_recordset(_removals) as change(n int, place int, tenant text, id text, expected bigint) loop
      continue when _change.n = any (_refused);
      delete from "perdure".sessions session where session.tenant = _change.tenant and session.id = _change.id;
      delete from "perdure".entries entry where entry.tenant = _change.tenant and entry.session = _change.id;
    end loop;
  end if;

  if _splices is not null then
    for _change in
      select splice.* from json_to_recordset(_splices) as splice(n int, tenant text, id text, log text, "from" bigint)
      cross join lateral (
        select from "perdure".entries entry
        where entry.tenant = splice.tenant and entry.session = splice.id and entry.log = splice.log
          and entry.seq >= splice."from"
        limit 1
      ) standing
      where splice.n <> all (_refused)
    loop
      delete from "perdure".entries entry
      where entry.tenant = _change.tenant and entry.session = _change.id and entry.log = _change.log
        and entry.seq >= _change."from";
    end loop;
  end if;
  if _entries is not null then
    insert into "perdure".entries (tenant, session, log, seq, key, at, data)
    select entry.tenant, entry.id, entry.log, entry.seq, entry.key, entry.at, entry.data
    from json_to_recordset(_entries)
      as entry(n int, tenant text, id text, log text, seq bigint, key text, at bigint, data text)
    where entry.n <> all (_refused);
  end if;

  if cardinality(_refused) = 0 then return null; end if;
  update "perdure".lanes lane set refused = _refused where lane.id = _lane;
  return "perdure".refusals(_refused, _updates, _creates, _removals, _claims);
end$body$;

create function "perdure".commit_change(
  _lane uuid, _number bigint, _tenant text, _id text, _expected bigint,
  _version bigint, _state text, _agent text, _user_id text, _created_at bigint, _last_activity_at bigint,
  _active_minute bigint, _state_since bigint, _expires_at bigint, _sweep_at bigint, _data text,
  _log text, _from bigint, _key text, _at bigint, _entry text, _claim text
) returns json language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set lock_timeout = '5s'
as $body$
declare
  _refused boolean := false;
begin
  insert into "perdure".lanes as lane (id, number, used_at) values (_lane, _number, now())
  on conflict (id) do update set number = excluded.number, refused = null, used_at = excluded.used_at
  where lane.number < excluded.number;
  if not found then
    return (
      select json_build_object('settled', coalesce(lane.refused, '{}')) from "perdure".lanes lane where lane.id = _lane
    );
  end if;
  if _number = 1 then
    delete from "perdure".lanes lane where lane.id in (
      select old.id from "perdure".lanes old
      where old.born_at < now() - interval '1 day' and old.used_at < now() - interval '1 day'
      order by old.born_at limit 4 for update skip locked
    );
  end if;
  if _claim is not null then
    _refused := exists (
      select from "perdure".entries entry
      where entry.tenant = _tenant and entry.session = _id and entry.log = _log and entry.key = _claim
    );
  end if;

  if not _refused then
    update "perdure".sessions session set
      version = _version, state = _state, agent = _agent, user_id = _user_id, created_at = _created_at,
      last_activity_at = _last_activity_at, active_minute = _active_minute, state_since = _state_since,
      expires_at = _expires_at, sweep_at = _sweep_at, data = _data
    where session.tenant = _tenant and session.id = _id and session.version = _expected;
    _refused := not found;
  end if;

  if _refused then
    update "perdure".lanes lane set refused = '{0}' where lane.id = _lane;
    return "perdure".refusals(
      '{0}',
      json_build_array(json_build_object('n', 0, 'place', 0, 'tenant', _tenant, 'id', _id, 'expected', _expected)),
      null, null,
      case when _claim is not null then
        json_build_array(json_build_object('n', 0, 'place', 0, 'tenant', _tenant, 'id', _id, 'log', _log, 'key', _claim))
      end
    );
  end if;

  if _log is not null then
    delete from "perdure".entries entry
    where entry.tenant = _tenant and entry.session = _id and entry.log = _log and entry.seq >= _from;
    if _entry is not null then
      insert into "perdure".entries (tenant, session, log, seq, key, at, data)
      values (_tenant, _id, _log, _from, _key, _at, _entry);
    end if;
  end if;
  return null;
end$body$;

create function "perdure".load_sessions(_sessions json, _tails json)
returns table (request int, tail int, seq bigint, key text, at bigint, data text)
language plpgsql stable 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
begin
  return query
    select wanted.request, null::int, null::bigint, null::text, floor(extract(epoch from clock_timestamp()) * 1000)::bigint, json_build_object('tenant', session.tenant, 'id', session.id, 'version', session.version, 'state', session.state, 'agent', session.agent, 'user', session.user_id, 'createdAt', session.created_at, 'lastActivityAt', session.last_activity_at, 'activeMinute', session.active_minute, 'stateSince', session.state_since, 'expiresAt', session.expires_at, 'sweepAt', session.sweep_at, 'data', session.data)::text
    from json_to_recordset(_sessions) as wanted(request int, tenant text, id text)
    cross join lateral (
      select found.* from "perdure".sessions found where found.tenant = wanted.tenant and found.id = wanted.id limit 1
    ) session
    union all
    select wanted.request, wanted.tail, entry.seq, entry.key, entry.at, entry.data
    from json_to_recordset(_tails) as wanted(request int, tail int, tenant text, id text, log text, last bigint)
    cross join lateral (
      select last.seq, last.key, last.at, last.data from "perdure".entries last
      where last.tenant = wanted.tenant and last.session = wanted.id and last.log = wanted.log
      order by last.seq desc limit wanted.last
    ) entry;
end$body$;

create function "perdure".readable(_data text) returns jsonb language sql immutable strict parallel safe
as $body$
  select case
    when _data ~ '\\u(0000|d[89a-f])'
    then regexp_replace(_data, '(?<!\\)((?:\\\\)*)\\u(?:0000|d[89a-f][0-9a-f]{2})', '\1\\ufffd', 'g')
    else _data
  end::jsonb$body$;

create function "perdure".instant(_ms bigint) returns timestamptz language sql immutable strict parallel safe
as $body$select to_timestamp(least(_ms, 253402300799999) / 1000.0)$body$;

create view "perdure".readable_sessions as
select tenant, id, agent, user_id, state, "perdure".instant(created_at) as created_at,
  "perdure".instant(last_activity_at) as last_activity_at, "perdure".instant(expires_at) as expires_at,
  data -> 'metadata' as metadata,
  (data #>> '{counters,turns}')::bigint as turns, (data #>> '{counters,messages}')::bigint as messages,
  (data #>> '{counters,requests}')::bigint as requests,
  (data #>> '{counters,inputTokens}')::bigint as input_tokens,
  (data #>> '{counters,outputTokens}')::bigint as output_tokens,
  (data #>> '{counters,totalTokens}')::bigint as total_tokens,
  (data #>> '{counters,durationMs}')::bigint as duration_ms,
  data #>> '{lease,instance}' as held_by, version
from (
  select tenant, id, agent, user_id, state, created_at, last_activity_at, expires_at, version,
    "perdure".readable(data) as data
  from "perdure".sessions
) session;

create view "perdure".readable_turns as
select tenant, session, seq, key, "perdure".instant(at) as at, data ->> 'status' as status, data ->> 'agent' as agent,
  data ->> 'model' as model, data -> 'input' as input, data -> 'output' as output,
  (data ->> 'requests')::bigint as requests, (data #>> '{usage,inputTokens}')::bigint as input_tokens,
  (data #>> '{usage,outputTokens}')::bigint as output_tokens, (data #>> '{usage,totalTokens}')::bigint as total_tokens,
  coalesce((data #>> '{usage,estimated}')::boolean, false) as estimated,
  (data ->> 'durationMs')::bigint as duration_ms, data #>> '{error,code}' as error_code,
  data #>> '{error,message}' as error_message
from (
  select tenant, session, seq, key, at, "perdure".readable(data) as data from "perdure".entries where log = 'turns'
) turn;

create view "perdure".readable_messages as
select turn.tenant, turn.session, turn.seq as turn, message.part, message.place, turn.at, turn.agent,
  message.value ->> 'role' as role, message.value -> 'content' as content,
  case jsonb_typeof(message.value -> 'content') when 'string' then message.value ->> 'content' end as text,
  message.value -> 'tool_calls' as tool_calls, message.value ->> 'tool_call_id' as tool_call_id,
  message.value as message
from "perdure".readable_turns turn
cross join lateral (
  select 'input' as part, place, value from jsonb_array_elements(turn.input) with ordinality as input(value, place)
  union all
  select 'output', place, value from jsonb_array_elements(turn.output) with ordinality as output(value, place)
) message;

create view "perdure".usage_by_day as
select tenant, (at at time zone 'UTC')::date as day, agent, count(*) as turns, sum(requests) as requests,
  sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens, sum(total_tokens) as total_tokens,
  count(*) filter (where estimated) as estimated_turns, sum(duration_ms) as duration_ms
from "perdure".readable_turns
group by tenant, day, agent;
  insert into "perdure".migrations (version, title, breaking) values (1, $body$sessions, entries, instances, lanes, views$body$, true);
end$body2$;

-- 2: events by time
do $body2$
begin
  if current_setting('server_version_num')::integer < 140000 then
    raise feature_not_supported using message = 'Perdure needs PostgreSQL 14 or newer';
  end if;
  if current_setting('server_encoding') <> 'UTF8' then
    raise feature_not_supported using message = 'Perdure needs a database with the encoding UTF8';
  end if;
  perform pg_advisory_xact_lock(hashtextextended($body$perdure "perdure"$body$, 0));
  if to_regnamespace($body$"perdure"$body$) is null then
    create schema "perdure";
  end if;
  if to_regclass($body$"perdure".migrations$body$) is null then
    create table "perdure".migrations (
      version integer primary key,
      title text not null,
      breaking boolean not null,
      applied_at timestamptz not null default now()
    );
  end if;
  if exists (select from "perdure".migrations where version >= 2) then
    return;
  end if;

create index entries_of_events on "perdure".entries (tenant, at, session, seq) where log = 'events';

create view "perdure".readable_events as
select tenant, session, seq, "perdure".instant(at) as at, data ->> 'type' as type, data ->> 'correlation' as correlation,
  data - 'type' - 'correlation' as data
from (
  select tenant, session, seq, at, "perdure".readable(data) as data from "perdure".entries where log = 'events'
) event;
  insert into "perdure".migrations (version, title, breaking) values (2, $body$events by time$body$, false);
end$body2$;

-- 3: addresses of hosts
do $body2$
begin
  if current_setting('server_version_num')::integer < 140000 then
    raise feature_not_supported using message = 'Perdure needs PostgreSQL 14 or newer';
  end if;
  if current_setting('server_encoding') <> 'UTF8' then
    raise feature_not_supported using message = 'Perdure needs a database with the encoding UTF8';
  end if;
  perform pg_advisory_xact_lock(hashtextextended($body$perdure "perdure"$body$, 0));
  if to_regnamespace($body$"perdure"$body$) is null then
    create schema "perdure";
  end if;
  if to_regclass($body$"perdure".migrations$body$) is null then
    create table "perdure".migrations (
      version integer primary key,
      title text not null,
      breaking boolean not null,
      applied_at timestamptz not null default now()
    );
  end if;
  if exists (select from "perdure".migrations where version >= 3) then
    return;
  end if;
alter table "perdure".instances add column address text collate "C";
  insert into "perdure".migrations (version, title, breaking) values (3, $body$addresses of hosts$body$, false);
end$body2$;

-- 4: archives as bytes
do $body2$
begin
  if current_setting('server_version_num')::integer < 140000 then
    raise feature_not_supported using message = 'Perdure needs PostgreSQL 14 or newer';
  end if;
  if current_setting('server_encoding') <> 'UTF8' then
    raise feature_not_supported using message = 'Perdure needs a database with the encoding UTF8';
  end if;
  perform pg_advisory_xact_lock(hashtextextended($body$perdure "perdure"$body$, 0));
  if to_regnamespace($body$"perdure"$body$) is null then
    create schema "perdure";
  end if;
  if to_regclass($body$"perdure".migrations$body$) is null then
    create table "perdure".migrations (
      version integer primary key,
      title text not null,
      breaking boolean not null,
      applied_at timestamptz not null default now()
    );
  end if;
  if exists (select from "perdure".migrations where version >= 4) then
    return;
  end if;

alter table "perdure".entries add column bytes bytea;

create function "perdure".entry_text(_data text, _bytes bytea) returns text language sql immutable parallel safe
as $body$select case when _bytes is null then _data
  else '{"$type":"bytes","value":"' || translate(encode(_bytes, 'base64'), E'\n', '') || '"}' end$body$;
create function "perdure".keep_bytes() returns trigger language plpgsql
as $body$
begin
  begin
    new.bytes := decode(substr(new.data, 27, length(new.data) - 28), 'base64');
  exception when data_exception then
    new.bytes := null; -- no bytes after all
  end;
  if "perdure".entry_text(null, new.bytes) = new.data then
    new.data := '{}';
  else
    new.bytes := null;
  end if;
  return new;
end$body$;
create trigger keep_bytes before insert on "perdure".entries for each row
when (new.log = 'archive' and new.key is null and starts_with(new.data, '{"$type":"bytes","value":"'))
execute function "perdure".keep_bytes();

create or replace function "perdure".load_sessions(_sessions json, _tails json)
returns table (request int, tail int, seq bigint, key text, at bigint, data text)
language plpgsql stable 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
begin
  return query
    select wanted.request, null::int, null::bigint, null::text, floor(extract(epoch from clock_timestamp()) * 1000)::bigint, json_build_object('tenant', session.tenant, 'id', session.id, 'version', session.version, 'state', session.state, 'agent', session.agent, 'user', session.user_id, 'createdAt', session.created_at, 'lastActivityAt', session.last_activity_at, 'activeMinute', session.active_minute, 'stateSince', session.state_since, 'expiresAt', session.expires_at, 'sweepAt', session.sweep_at, 'data', session.data)::text
    from json_to_recordset(_sessions) as wanted(request int, tenant text, id text)
    cross join lateral (
      select found.* from "perdure".sessions found where found.tenant = wanted.tenant and found.id = wanted.id limit 1
    ) session
    union all
    select wanted.request, wanted.tail, entry.seq, entry.key, entry.at, entry.data
    from json_to_recordset(_tails) as wanted(request int, tail int, tenant text, id text, log text, last bigint)
    cross join lateral (
      select last.seq, last.key, last.at, "perdure".entry_text(last.data, last.bytes) as data from "perdure".entries last
      where last.tenant = wanted.tenant and last.session = wanted.id and last.log = wanted.log
      order by last.seq desc limit wanted.last
    ) entry;
end$body$;
  insert into "perdure".migrations (version, title, breaking) values (4, $body$archives as bytes$body$, false);
end$body2$;

insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data) values ('default', 'touched', 'assistant', null, 'active', 1795974586695, 1795974586695, 3372774586695, 29932909, 1795974586699, 1795974586699, 3372774586699, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1795974586695,"mark":"hn1j06j8zvxbcdqf.11","counters":{"turns":1,"messages":2,"requests":1,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"events":1,"turns":1},"turnsVersion":1795974586696,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[]}');
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data) values ('default', 'cut', 'assistant', null, 'active', 1795974586740, 1795974586740, 3372774586740, 29932909, 1795974586743, 1795974586747, 3372774586747, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1795974586740,"mark":"hn1j06j8zvxbcdqf.24","counters":{"turns":1,"messages":2,"requests":2,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"events":1,"turns":1,"spent":1},"turnsVersion":1795974586743,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[]}');
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data) values ('default', 'archived', 'assistant', null, 'archived', 1795974586712, 1795974586738, 3372774586712, 29932909, 1795974586715, 1795974586714, 3372774586714, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1795974586712,"mark":"hn1j06j8zvxbcdqf.20","counters":{"turns":2,"messages":4,"requests":2,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"events":2,"archive":1,"spent":1},"turnsVersion":1795974586714,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[],"archive":{"state":"active","heads":{"turns":2},"spent":1,"bytes":377,"packedBytes":76,"parts":[{"ranges":[{"log":"turns","from":1,"to":2}],"sha256":"bcde3bd5a5c671b7d3be5a0f4cc77706efd327e9dde8f76f23f22b661836cd2f"}]}}');
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data) values ('default', 'plain', 'assistant', 'ada', 'active', 1795974586670, 1795974586670, 3372774586670, 29932909, 1795974586675, 1795974586694, 3372774586694, '{"metadata":{"plan":"pro","since":{"$type":"date","value":"1970-01-01T00:00:00.000Z"},"\u0000":"\"maxAgeFrom\":1,\"mark\":\"not this one\""},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1795974586670,"mark":"hn1j06j8zvxbcdqf.6","counters":{"turns":3,"messages":6,"requests":3,"inputTokens":6,"outputTokens":3,"totalTokens":9,"durationMs":0,"longestMs":0},"heads":{"instructions":1,"events":3,"turns":3},"turnsVersion":1795974586673,"openTurn":null,"cancel":null,"floor":{"agent":"assistant","lockedAt":1795974586694,"expiresAt":3372774586694,"note":"The customer waits."},"fence":0,"lease":null,"waiters":[],"hold":{"reason":"case 1","at":1795974586693}}');
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data) values ('default', 'parent', 'assistant', null, 'active', 1795974586700, 1795974586700, 3372774586700, 29932909, 1795974586703, 1795974586701, 3372774586701, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1795974586700,"mark":"hn1j06j8zvxbcdqf.15","counters":{"turns":2,"messages":4,"requests":2,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"events":1,"turns":2,"forks":1},"turnsVersion":1795974586702,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[],"forkedAt":1}');
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data) values ('default', 'fork', 'assistant', null, 'active', 1795974586709, 1795974586709, 3372774586709, 29932909, 1795974586710, 1795974586711, 3372774586711, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1795974586709,"mark":"hn1j06j8zvxbcdqf.16","counters":{"turns":2,"messages":4,"requests":1,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"turns":2,"events":2},"turnsVersion":1795974586710,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[],"parent":{"id":"parent","at":1,"born":1795974586700},"inherited":1}');
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data) values ('defaultdevices', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 'perdure', null, 'active', 1795974586749, 1795974586749, 1827510586749, 29932909, 1795974586749, 1795974586749, 1827510586749, '{"metadata":{"kind":"own","session":"device_770b12f5e2411717fb6e461a811923ab4caa9651"},"ttlMs":31536000000,"maxAgeMs":null,"maxAgeFrom":1795974586749,"mark":"hn1j06j8zvxbcdqf.25","counters":{"turns":0,"messages":0,"requests":0,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{},"turnsVersion":1795974586749,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[]}');
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data) values ('default', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 'assistant', null, 'active', 1795974586749, 1795974586749, 3372774586749, 29932909, 1795974586751, 1795974586750, 3372774586750, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1795974586749,"mark":"hn1j06j8zvxbcdqf.28","counters":{"turns":1,"messages":2,"requests":1,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"events":2,"turns":1},"turnsVersion":1795974586750,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[]}');
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data) values ('defaultdevices', 'device_04cd9a6080618e9a36f7ccf68fbb46c44d5e21c3', 'perdure', null, 'active', 1795974586758, 1795974586758, 1827510586758, 29932909, 1795974586758, 1795974586758, 1827510586758, '{"metadata":{"kind":"linked","session":"device_770b12f5e2411717fb6e461a811923ab4caa9651"},"ttlMs":31536000000,"maxAgeMs":null,"maxAgeFrom":1795974586758,"mark":"hn1j06j8zvxbcdqf.28","counters":{"turns":0,"messages":0,"requests":0,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{},"turnsVersion":1795974586758,"openTurn":null,"cancel":null,"floor":null,"fence":0,"lease":null,"waiters":[]}');
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data) values ('default', 'leased', 'assistant', null, 'active', 1795974586764, 1795974586764, 3372774586764, 29932909, 1795974586766, 1795974586765, 3372774586765, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1795974586764,"mark":"hn1j06j8zvxbcdqf.31","counters":{"turns":1,"messages":2,"requests":1,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"events":1,"turns":1},"turnsVersion":1795974586765,"openTurn":null,"cancel":null,"floor":null,"fence":1795974586766,"lease":{"instance":"i_01m8m6tr9dtd2mxn4zwfs4n6wc","fence":1795974586766,"acquiredAt":1795974586767,"expiresAt":null},"waiters":[]}');
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data) values ('default', 'open', 'assistant', null, 'active', 1795974586768, 1795974586768, 3372774586768, 29932909, 1795974586770, 1795974587021, 3372774587021, '{"metadata":{},"ttlMs":1576800000000,"maxAgeMs":null,"maxAgeFrom":1795974586768,"mark":"hn1j06j8zvxbcdqf.34","counters":{"turns":1,"messages":1,"requests":0,"inputTokens":0,"outputTokens":0,"totalTokens":0,"durationMs":0,"longestMs":0},"heads":{"events":1,"turns":1,"chunks":1},"turnsVersion":1795974586769,"openTurn":1,"cancel":null,"floor":null,"fence":1795974586769,"lease":{"instance":"i_01m8m6tr9dtd2mxn4zwfs4n6wc","fence":1795974586769,"acquiredAt":1795974586769,"expiresAt":null},"waiters":[]}');

insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'plain', 'instructions', 1, null, 1795974586670, '"Be brief."', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'plain', 'events', 1, null, 1795974586670, '{"type":"created","agent":"assistant","user":"ada"}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'plain', 'turns', 1, 'key one', 1795974586687, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'plain', 'turns', 2, 'key two', 1795974586690, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":2,"input":[{"role":"user","content":"two"}],"output":[{"role":"assistant","content":"two!"}]}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'plain', 'turns', 3, 'key three', 1795974586691, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":4,"input":[{"role":"user","content":"three"}],"output":[{"role":"assistant","content":"three!"}]}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'plain', 'events', 2, null, 1795974586693, '{"type":"held","reason":"case 1"}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'plain', 'events', 3, null, 1795974586694, '{"type":"handed_off","agent":"assistant","from":null,"ttlMs":1576800000000,"note":"The customer waits.","heldMs":null}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'touched', 'events', 1, null, 1795974586695, '{"type":"created","agent":"assistant","user":null}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'touched', 'turns', 1, null, 1795974586696, '{"status":"done","agent":"assistant","requests":1,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'parent', 'events', 1, null, 1795974586700, '{"type":"created","agent":"assistant","user":null}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'parent', 'turns', 1, null, 1795974586700, '{"status":"done","agent":"assistant","requests":1,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'parent', 'turns', 2, null, 1795974586701, '{"status":"done","agent":"assistant","requests":1,"messagesBefore":2,"input":[{"role":"user","content":"two"}],"output":[{"role":"assistant","content":"two!"}]}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'fork', 'events', 1, null, 1795974586709, '{"type":"created","agent":"assistant","user":null}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'fork', 'events', 2, null, 1795974586709, '{"type":"forked","from":"parent","turn":1}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'parent', 'forks', 1, null, 1795974586709, '{"session":"fork","at":1}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'fork', 'turns', 2, null, 1795974586711, '{"status":"done","agent":"assistant","requests":1,"messagesBefore":2,"input":[{"role":"user","content":"other two"}],"output":[{"role":"assistant","content":"other two!"}]}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'archived', 'events', 1, null, 1795974586712, '{"type":"created","agent":"assistant","user":null}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'archived', 'archive', 1, null, 1795974586738, '{}', '\x01811780ca9160e348dfc2bda8f2ad8cce0dc6e6a635efdc427472df120cb9059651bba4d45aa291e6290b4949a2a189ff54fbd3cfb90e5a1aff86bc52b0cf72e240ba32e8cafe1633e34607');
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'archived', 'spent', 1, null, 1795971600000, '{"agent":"assistant","usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0},"requests":2,"durationMs":0,"longestMs":0,"turns":2,"failed":0,"interrupted":0,"estimated":0}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'archived', 'events', 2, null, 1795974586738, '{"type":"archived","of":null}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'cut', 'events', 1, null, 1795974586740, '{"type":"created","agent":"assistant","user":null}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'cut', 'turns', 1, null, 1795974586741, '{"status":"done","agent":"assistant","requests":1,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'cut', 'spent', 1, null, 1795971600000, '{"agent":"assistant","usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0},"requests":1,"durationMs":0,"longestMs":0,"turns":1,"failed":0,"interrupted":0,"estimated":0}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 'events', 1, null, 1795974586749, '{"type":"created","agent":"assistant","user":null}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 'turns', 1, null, 1795974586750, '{"status":"done","agent":"assistant","requests":1,"messagesBefore":0,"input":[{"role":"user","content":"hello"}],"output":[{"role":"assistant","content":"hello!"}]}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 'events', 2, null, 1795974586758, '{"type":"device_linked"}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'leased', 'events', 1, null, 1795974586764, '{"type":"created","agent":"assistant","user":null}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'leased', 'turns', 1, null, 1795974586765, '{"status":"done","agent":"assistant","requests":1,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'open', 'events', 1, null, 1795974586768, '{"type":"created","agent":"assistant","user":null}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'open', 'turns', 1, null, 1795974586769, '{"status":"open","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"a question"}],"output":[]}', null);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes) values ('default', 'open', 'chunks', 1, null, 1795974587021, '{"text":"half an answer"}', null);

insert into perdure.instances (id, host, pid, machine, started_at, seen_at, address) values ('i_01m8m6tr9dtd2mxn4zwfs4n6wc', 'host', 32429, 'machine', '453660', 1795974586767, null);
