-- 1: sessions, entries, instances, lanes
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
  insert into "perdure".migrations (version, title, breaking) values (1, $body$sessions, entries, instances, lanes$body$, true);
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
  insert into "perdure".migrations (version, title, breaking) values (4, $body$archives as bytes$body$, false);
end$body2$;

-- 5: tails within bytes
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
  if exists (select from "perdure".migrations where version >= 5) then
    return;
  end if;

  insert into "perdure".migrations (version, title, breaking) values (5, $body$tails within bytes$body$, false);
end$body2$;

-- 6: how long an instance may be silent
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
  if exists (select from "perdure".migrations where version >= 6) then
    return;
  end if;
alter table "perdure".instances add column stale_after_ms bigint;
  insert into "perdure".migrations (version, title, breaking) values (6, $body$how long an instance may be silent$body$, false);
end$body2$;

-- 7: commit ids, removed logs, views
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
  if exists (select from "perdure".migrations where version >= 7) then
    return;
  end if;

drop function if exists "perdure".commit_batch, "perdure".commit_change, "perdure".refusals, "perdure".load_sessions;
alter table "perdure".sessions add column commit_id text collate "C" not null default '';
update "perdure".sessions set commit_id = coalesce(substring(data from '"maxAgeFrom":[0-9]+,"mark":"([^"]*)"'), '');
alter table "perdure".sessions add column logs bigint not null default 0;
alter table "perdure".entries add column logs bigint not null default 0;
alter table "perdure".entries drop constraint entries_pkey;
alter table "perdure".entries add constraint entries_pkey primary key (tenant, session, logs, log, seq);
drop index "perdure".entries_by_key;
create unique index entries_by_key on "perdure".entries (tenant, session, logs, log, key) where key is not null;
create table "perdure".removed (
  tenant text collate "C" not null,
  session text collate "C" not null,
  logs bigint not null,
  after_log text collate "C" not null default '',
  after_seq bigint not null default 0,
  noted_at timestamptz not null default now(),
  due_at timestamptz not null default now(),
  primary key (tenant, session, logs)
);
create table "perdure".usage_sums (
  tenant text collate "C" not null,
  name text collate "C" not null,
  part integer not null,
  tokens bigint not null,
  turns bigint not null,
  until bigint not null,
  primary key (tenant, name, part)
) with (fillfactor = 50);
create index usage_sums_by_end on "perdure".usage_sums (until);

create function "perdure".copy_logs(
  _tenant text, _session text, _logs bigint, _from_tenant text, _from_id text, _cuts json, _after_log text, _after_seq bigint,
  out last_log text, out last_seq bigint
) language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
declare
  _given bigint;
  _isLast boolean;
begin
  if _after_log = '' then
    insert into "perdure".removed (tenant, session, logs, due_at)
    values (_tenant, _session, _logs, clock_timestamp() + interval '1 minute')
    on conflict do nothing;
  end if;
  update "perdure".removed removed set due_at = clock_timestamp() + interval '1 minute'
  where removed.tenant = _tenant and removed.session = _session and removed.logs = _logs
    and removed.due_at > clock_timestamp() and removed.after_log = '';
  if not found then raise serialization_failure using message = 'the copy of the logs was not continued in time'; end if;
  select session.logs into _given from "perdure".sessions session
  where session.tenant = _from_tenant and session.id = _from_id;
  select counted.log, counted.seq, counted.count = counted.place into last_log, last_seq, _isLast
  from (
    select next.log, next.seq, row_number() over up_to as place, count(*) over () as count,
      sum(octet_length(next.data) + coalesce(octet_length(next.bytes), 0)) over up_to as size
    from (
      select entry.* from "perdure".entries entry
      where entry.tenant = _from_tenant and entry.session = _from_id and entry.logs = _given
        and (entry.log, entry.seq) > (_after_log, _after_seq)
      order by entry.log, entry.seq limit 2001
    ) next
    window up_to as (order by next.log, next.seq rows between unbounded preceding and current row)
  ) counted
  where counted.place = 1 or (counted.place <= 2000 and counted.size <= 16777216)
  order by counted.place desc limit 1;
  if not found then return; end if;
  insert into "perdure".entries (tenant, session, logs, log, seq, key, at, data, bytes)
  select _tenant, _session, _logs, entry.log, entry.seq, entry.key, entry.at, entry.data, entry.bytes
  from "perdure".entries entry
  where entry.tenant = _from_tenant and entry.session = _from_id and entry.logs = _given
    and (entry.log, entry.seq) > (_after_log, _after_seq) and (entry.log, entry.seq) <= (last_log, last_seq)
    and not exists (
      select from json_to_recordset(_cuts) as cut(log text, "from" bigint)
      where cut.log = entry.log and cut."from" <= entry.seq
    )
  on conflict do nothing;
  if _isLast then
    last_log := null;
    last_seq := null;
  end if;
end$body$;
create function "perdure".take_copy(_tenant text, _session text, _logs bigint) returns void language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
begin
  delete from "perdure".removed removed
  where removed.tenant = _tenant and removed.session = _session and removed.logs = _logs
    and removed.due_at > clock_timestamp() and removed.after_log = '';
  if not found then raise serialization_failure using message = 'the copy of the logs was not continued in time'; end if;
  update "perdure".sessions session set logs = _logs where session.tenant = _tenant and session.id = _session;
end$body$;
create function "perdure".is_long_cut(_tenant text, _session text, _logs bigint, _log text, _from bigint) returns boolean
language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
begin
  return (
    select count(*) > 50000
      or coalesce(sum(octet_length(cut.data) + coalesce(octet_length(cut.bytes), 0)), 0) > 268435456
    from (
      select entry.* from "perdure".entries entry
      where entry.tenant = _tenant and entry.session = _session and entry.logs = _logs and entry.log = _log
        and entry.seq >= _from
      order by entry.seq limit 50001
    ) cut
  );
end$body$;
create function "perdure".cut_log(_tenant text, _session text, _logs bigint, _log text, _from bigint) returns void
language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
begin
  if "perdure".is_long_cut(_tenant, _session, _logs, _log, _from) then
    raise exception using errcode = 'PDCUT', message = 'a commit cuts many entries of a log';
  end if;
  delete from "perdure".entries entry
  where entry.tenant = _tenant and entry.session = _session and entry.logs = _logs and entry.log = _log
    and entry.seq >= _from;
end$body$;
create function "perdure".long_cuts(_splices json) returns setof int language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
begin
  return query
    select splice.place from json_to_recordset(_splices) as splice(place int, tenant text, id text, log text, "from" bigint)
    cross join lateral (
      select found.logs from "perdure".sessions found where found.tenant = splice.tenant and found.id = splice.id limit 1
    ) session
    where "perdure".is_long_cut(splice.tenant, splice.id, session.logs, splice.log, splice."from");
end$body$;

create function "perdure".bar_commit(_lane uuid, _number bigint) returns json language plpgsql
  set lock_timeout = '5s'
as $body$
declare
  _last record;
begin
  perform pg_advisory_xact_lock(uuid_hash_extended(_lane, 0));
  select lane.number, lane.refused into _last from "perdure".lanes lane where lane.id = _lane;
  if _last.number = _number then return to_json(coalesce(_last.refused, '{}')); end if;
  insert into "perdure".lanes as lane (id, number, used_at) values (_lane, _number + 1, now())
  on conflict (id) do update set number = excluded.number, refused = null, used_at = excluded.used_at
  where lane.number < _number;
  return null;
end$body$;
  insert into "perdure".migrations (version, title, breaking) values (7, $body$commit ids, removed logs, views$body$, true);
end$body2$;

-- 8: texts that are read alike under each setting of the server, documents, titles, labels
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
  if exists (select from "perdure".migrations where version >= 8) then
    return;
  end if;


create or replace function "perdure".readable(_data text) returns jsonb language sql immutable strict parallel safe
as $body$
  select case
    when _data ~ E'\\\\u(0000|d[89a-f])'
    then regexp_replace(_data, E'(?<!\\\\)((?:\\\\\\\\)*)\\\\u(?:0000|d[89a-f][0-9a-f]{2})', E'\\1\\\\ufffd', 'g')
    else _data
  end::jsonb$body$;
create table "perdure".documents (
  tenant text collate "C" not null,
  scope text collate "C" not null,
  key text collate "C" not null,
  version bigint not null,
  user_id text collate "C",
  created_at bigint not null,
  updated_at bigint not null,
  expires_at bigint,
  data text collate "C" not null,
  primary key (tenant, scope, key)
) with (autovacuum_vacuum_scale_factor = 0.05);
create index documents_due on "perdure".documents (expires_at) where expires_at is not null;
create index documents_of_user on "perdure".documents (tenant, user_id) where user_id is not null;
alter table "perdure".sessions add column title text collate "C";
alter table "perdure".sessions add column labels text collate "C";
create index sessions_created on "perdure".sessions (tenant, created_at, id);
create table "perdure".labels (
  tenant text collate "C" not null,
  session text collate "C" not null,
  name text collate "C" not null,
  value text collate "C" not null,
  created_at bigint not null,
  primary key (tenant, session, name)
);
create index labels_by_value on "perdure".labels (tenant, name, value, created_at, session);

create function "perdure".keep_labels() returns trigger language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
begin
  if tg_op <> 'INSERT' and old.labels is not null then
    delete from "perdure".labels label where label.tenant = old.tenant and label.session = old.id;
  end if;
  if tg_op <> 'DELETE' and new.labels is not null then
    insert into "perdure".labels (tenant, session, name, value, created_at)
    select new.tenant, new.id, label.key, label.value, new.created_at from json_each_text(new.labels::json) label;
  end if;
  return null;
end$body$;
create trigger labels_of_created after insert on "perdure".sessions for each row
when (new.labels is not null) execute function "perdure".keep_labels();
create trigger labels_of_removed after delete on "perdure".sessions for each row
when (old.labels is not null) execute function "perdure".keep_labels();

create or replace function "perdure".refusal_reasons(_refused int[], _updates json, _creates json, _removals json, _claims json, _left boolean)
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
      select found.logs from "perdure".sessions found where found.tenant = claim.tenant and found.id = claim.id limit 1
    ) session
      cross join lateral (
        select found.* from "perdure".entries found
        where found.tenant = claim.tenant and found.session = claim.id and found.logs = session.logs
          and found.log = claim.log and found.key = claim.key
        limit 1
      ) entry
      where claim.n = any (_refused)
    ),
    'conflicts', (
      select json_agg(json_build_object(
        'n', change.n,
        'fits', not ((session.version, session.commit_id) is distinct from (change.expected_version, change.expected_commit)),
        'current', case when session.id is not null then json_build_object('tenant', session.tenant, 'id', session.id, 'version', session.version, 'commitId', session.commit_id, 'state', session.state, 'agent', session.agent, 'user', session.user_id, 'createdAt', session.created_at, 'lastActivityAt', session.last_activity_at, 'activeMinute', session.active_minute, 'stateSince', session.state_since, 'expiresAt', session.expires_at, 'sweepAt', session.sweep_at, 'title', session.title, 'labels', session.labels, 'data', session.data) end
      ) order by change.n, change.place)
      from (
        select * from json_to_recordset(_updates) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text)
        union all
        select * from json_to_recordset(_creates) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text)
        union all
        select * from json_to_recordset(_removals) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text)
      ) change
      left join lateral (
        select found.* from "perdure".sessions found where found.tenant = change.tenant and found.id = change.id limit 1
      ) session on true
      where change.n = any (_refused)
    ),
    'left', _left
  );
end$body$;

create function "perdure".document_refusals(_refused int[], _documents json, _now bigint) returns json
language plpgsql stable 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
begin
  return (
    select json_agg(json_build_object(
      'n', unfit.n, 'tenant', unfit.tenant, 'scope', unfit.scope, 'key', unfit.key, 'version', unfit.version,
      'user', unfit.user_id, 'createdAt', unfit.created_at, 'updatedAt', unfit.updated_at,
      'expiresAt', unfit.expires_at, 'data', unfit.data, 'isLive', unfit.is_live
    ))
    from (
      select distinct on (change.n) change.n, change.tenant, change.scope, change.key, stored.version, stored.user_id,
        stored.created_at, stored.updated_at, stored.expires_at, stored.data,
        coalesce((stored.expires_at is null or stored.expires_at > _now) and stored.version is not null, false) as is_live
      
    from json_to_recordset(_documents) as change(n int, place int, tenant text, scope text, key text, kind text, expected bigint, version bigint,
      user_id text, created_at bigint, updated_at bigint, expires_at bigint, data text)
    left join lateral (
      select found.* from "perdure".documents found where found.tenant = change.tenant and found.scope = change.scope and found.key = change.key limit 1
    ) stored on true
      where change.n = any (_refused) and ((change.expected = 0 and coalesce((stored.expires_at is null or stored.expires_at > _now) and stored.version is not null, false))
      or (change.expected = -1 and not coalesce((stored.expires_at is null or stored.expires_at > _now) and stored.version is not null, false))
      or (change.expected > 0 and not (coalesce((stored.expires_at is null or stored.expires_at > _now) and stored.version is not null, false) and stored.version = change.expected))
      or coalesce(change.version <= stored.version, false)) is true
      order by change.n, change.place
    ) unfit
  );
end$body$;
  insert into "perdure".migrations (version, title, breaking) values (8, $body$texts that are read alike under each setting of the server, documents, titles, labels$body$, false);
end$body2$;

-- 9: functions that read logs and append to many sessions, sessions by agent, news, views
do $body3$
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
  if exists (select from "perdure".migrations where version >= 9) then
    return;
  end if;


create function "perdure".read_by_seq(
  _tenant text, _session text, _log text, _from bigint, _to bigint, _descending boolean, _limit bigint, _bytes_max bigint
) returns table (seq bigint, key text, at bigint, data text) language plpgsql stable 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
begin
  if _descending then
    return query
      select entry.seq, entry.key, entry.at, "perdure".entry_text(entry.data, entry.bytes)
      from (
        select found.*, sum(octet_length(found.data)) over (order by found.seq desc rows between unbounded preceding and current row) as up_to
        from "perdure".entries found
        where found.tenant = _tenant and found.session = _session and found.log = _log
        and found.logs = (
          select session.logs from "perdure".sessions session where session.tenant = _tenant and session.id = _session
        )
        and found.seq between _from and _to
        order by found.seq desc limit _limit
      ) entry
      where _bytes_max is null or entry.up_to <= _bytes_max or entry.up_to = octet_length(entry.data)
      order by entry.seq desc;
  else
    return query
      select entry.seq, entry.key, entry.at, "perdure".entry_text(entry.data, entry.bytes)
      from (
        select found.*, sum(octet_length(found.data)) over (order by found.seq asc rows between unbounded preceding and current row) as up_to
        from "perdure".entries found
        where found.tenant = _tenant and found.session = _session and found.log = _log
        and found.logs = (
          select session.logs from "perdure".sessions session where session.tenant = _tenant and session.id = _session
        )
        and found.seq between _from and _to
        order by found.seq asc limit _limit
      ) entry
      where _bytes_max is null or entry.up_to <= _bytes_max or entry.up_to = octet_length(entry.data)
      order by entry.seq asc;
  end if;
end$body$;
create function "perdure".read_by_key(
  _tenant text, _session text, _log text, _from text, _to text, _descending boolean, _limit bigint, _bytes_max bigint
) returns table (seq bigint, key text, at bigint, data text) language plpgsql stable 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
begin
  if _descending then
    return query
      select entry.seq, entry.key, entry.at, "perdure".entry_text(entry.data, entry.bytes)
      from (
        select found.*, sum(octet_length(found.data)) over (order by found.key desc rows between unbounded preceding and current row) as up_to
        from "perdure".entries found
        where found.tenant = _tenant and found.session = _session and found.log = _log
        and found.logs = (
          select session.logs from "perdure".sessions session where session.tenant = _tenant and session.id = _session
        )
        and found.key >= _from and found.key < _to
        order by found.key desc limit _limit
      ) entry
      where _bytes_max is null or entry.up_to <= _bytes_max or entry.up_to = octet_length(entry.data)
      order by entry.key desc;
  else
    return query
      select entry.seq, entry.key, entry.at, "perdure".entry_text(entry.data, entry.bytes)
      from (
        select found.*, sum(octet_length(found.data)) over (order by found.key asc rows between unbounded preceding and current row) as up_to
        from "perdure".entries found
        where found.tenant = _tenant and found.session = _session and found.log = _log
        and found.logs = (
          select session.logs from "perdure".sessions session where session.tenant = _tenant and session.id = _session
        )
        and found.key >= _from and found.key < _to
        order by found.key asc limit _limit
      ) entry
      where _bytes_max is null or entry.up_to <= _bytes_max or entry.up_to = octet_length(entry.data)
      order by entry.key asc;
  end if;
end$body$;
create function "perdure".read_keys(_tenant text, _session text, _log text, _keys json) returns table (seq bigint, key text, at bigint, data text) language plpgsql stable 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
begin
  return query
    select entry.seq, entry.key, entry.at, entry.data
    from json_array_elements_text(_keys) as wanted(key)
    cross join lateral (
      select found.seq, found.key, found.at, "perdure".entry_text(found.data, found.bytes) as data
      from "perdure".entries found
      where found.tenant = _tenant and found.session = _session and found.log = _log
        and found.logs = (
          select session.logs from "perdure".sessions session where session.tenant = _tenant and session.id = _session
        )
        and found.key = wanted.key
      limit 1
    ) entry
    order by entry.seq;
end$body$;
create index sessions_of_agent on "perdure".sessions (tenant, agent, created_at, id);
create table "perdure".news_subscriptions (
  tenant text collate "C" primary key,
  id text collate "C" not null,
  expires_at bigint not null,
  awaits text[],
  deleted xid8 not null,
  mark xid8 not null,
  marked_at bigint not null
) with (fillfactor = 50);
create table "perdure".news (
  tenant text collate "C" not null,
  xid xid8 not null default pg_current_xact_id(),
  no bigint generated always as identity,
  noted_at timestamptz not null default now(),
  kind text collate "C" not null,
  scope text collate "C" not null,
  id text collate "C" not null,
  primary key (tenant, xid, no)
) with (autovacuum_vacuum_scale_factor = 0.05);

create function "perdure".read_news(
  _tenant text, _id text, _from pg_snapshot, _made_at bigint, _until pg_snapshot, _xid xid8, _no bigint, _limit int,
  _bytes_max bigint
) returns json language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body2$
declare
  _now bigint := floor(extract(epoch from clock_timestamp()) * 1000)::bigint;
  _standing record;
  _awaits text[];
  -- The news of transactions that began after the snapshot are behind this place. The index takes one place as its bound.
  _later_xid xid8 := case when _xid >= pg_snapshot_xmax(_from) then _xid else pg_snapshot_xmax(_from) end;
  _later_no bigint := case when _xid >= pg_snapshot_xmax(_from) then _no else 0 end;
  _started timestamptz := pg_postmaster_start_time();
  _isOfEarlierStart boolean := coalesce(_made_at < floor(extract(epoch from _started) * 1000), false);
begin
  select * into _standing from "perdure".news_subscriptions subscription where subscription.tenant = _tenant;
  if _standing.id is null or _standing.expires_at <= _now + 120000 then
    insert into "perdure".news_subscriptions as subscription (tenant, id, expires_at, deleted, mark, marked_at)
    values (_tenant, gen_random_uuid()::text, _now + 900000, pg_snapshot_xmin(pg_current_snapshot()), pg_snapshot_xmin(pg_current_snapshot()), _now)
    on conflict (tenant) do update set id = excluded.id, expires_at = excluded.expires_at, awaits = null,
      deleted = excluded.deleted, mark = excluded.mark, marked_at = excluded.marked_at
    where subscription.expires_at <= _now + 120000;
    return null;
  end if;

  if _standing.awaits is null or cardinality(_standing.awaits) > 0 then
    select coalesce(array_agg(distinct held.virtualtransaction), '{}') into _awaits from pg_locks held
    where held.locktype = 'relation' and held.mode = 'RowExclusiveLock'
      and held.database = (select oid from pg_database where datname = current_database())
      and held.relation in ($body$"perdure".sessions$body$::regclass, $body$"perdure".documents$body$::regclass)
      and (_standing.awaits is null or held.virtualtransaction = any (_standing.awaits));
    update "perdure".news_subscriptions subscription set awaits = _awaits
    where subscription.tenant = _tenant and subscription.id = _standing.id
      and subscription.awaits is not distinct from _standing.awaits;
    if cardinality(_awaits) > 0 then return null; end if;
  end if;

  if _standing.expires_at < _now + 840000 then
    update "perdure".news_subscriptions subscription set expires_at = _now + 900000
    where subscription.tenant = _tenant and subscription.id = _standing.id
      and subscription.expires_at = _standing.expires_at;
  end if;
  if _standing.marked_at <= _now - 720000 then
    update "perdure".news_subscriptions subscription set deleted = subscription.mark, mark = pg_snapshot_xmin(pg_current_snapshot()), marked_at = _now
    where subscription.tenant = _tenant and subscription.id = _standing.id
      and subscription.marked_at = _standing.marked_at;
  end if;
  delete from "perdure".news news where (news.tenant, news.xid, news.no) in (
    select old.tenant, old.xid, old.no from "perdure".news old
    where old.tenant = _tenant and old.xid < _standing.deleted
    order by old.xid, old.no limit 2000 for update skip locked
  );

  return (
    with bounds as (
      select subscription.id, judged.fits,
        case when judged.fits then coalesce(_until, pg_current_snapshot()) else pg_current_snapshot() end as until
      from "perdure".news_subscriptions subscription
      cross join lateral (
        select coalesce(subscription.id = _id and pg_snapshot_xmin(_from) >= subscription.deleted
          and (_isOfEarlierStart or pg_snapshot_xmax(coalesce(_until, _from)) <= pg_snapshot_xmax(pg_current_snapshot())),
          false) as fits
      ) judged
      where subscription.tenant = _tenant and subscription.id = _standing.id
    ), noted as materialized (
      select found.* from (
        select later.* from bounds cross join lateral (
          select news.* from "perdure".news news
          where news.tenant = _tenant and pg_visible_in_snapshot(news.xid, bounds.until)
            and (news.xid, news.no) > (_later_xid, _later_no)
          order by news.xid, news.no limit _limit
        ) later
        where bounds.fits
        union all
        select late.* from bounds cross join pg_snapshot_xip(_from) as running(xid) cross join lateral (
          select news.* from "perdure".news news
          where news.tenant = _tenant and news.xid = running.xid and pg_visible_in_snapshot(news.xid, bounds.until) and (news.xid, news.no) > (_xid, _no)
          order by news.xid, news.no limit _limit
        ) late
        where bounds.fits
        union all
        select restarted.* from bounds cross join lateral (
          select news.* from "perdure".news news
          where news.tenant = _tenant and news.xid < pg_snapshot_xmax(_from) and news.noted_at >= _started and pg_visible_in_snapshot(news.xid, bounds.until) and (news.xid, news.no) > (_xid, _no)
          order by news.xid, news.no limit _limit
        ) restarted
        where bounds.fits and _isOfEarlierStart
      ) found
      order by found.xid, found.no limit _limit
    ), changed as (
      select distinct on (noted.kind, noted.scope, noted.id) noted.* from noted
      order by noted.kind, noted.scope, noted.id, noted.xid, noted.no
    ), stored as (
      select changed.*, session.record, document.version, row_number() over by_place as place,
        sum(coalesce(session.bytes, 0)) over by_place as bytes_up_to
      from changed
      left join lateral (
        select json_build_object('tenant', session.tenant, 'id', session.id, 'version', session.version, 'commitId', session.commit_id, 'state', session.state, 'agent', session.agent, 'user', session.user_id, 'createdAt', session.created_at, 'lastActivityAt', session.last_activity_at, 'activeMinute', session.active_minute, 'stateSince', session.state_since, 'expiresAt', session.expires_at, 'sweepAt', session.sweep_at, 'title', session.title, 'labels', session.labels, 'data', session.data) as record, octet_length(session.data) as bytes from "perdure".sessions session
        where changed.kind = 'session' and session.id = changed.id
          and session.tenant = case when changed.scope = '' then _tenant else changed.scope end
        limit 1
      ) session on true
      left join lateral (
        select document.version from "perdure".documents document
        where changed.kind = 'document' and document.tenant = _tenant and document.scope = changed.scope
          and document.key = changed.id and (document.expires_at is null or document.expires_at > _now)
        limit 1
      ) document on true
      window by_place as (order by changed.xid, changed.no)
    )
    select json_build_object(
      'id', bounds.id, 'until', bounds.until::text, 'now', _now, 'fits', bounds.fits,
      'count', (select count(*) from noted),
      'last', (
        select json_build_array(noted.xid::text, noted.no) from noted order by noted.xid desc, noted.no desc limit 1
      ),
      'changes', (
        select json_agg(json_build_object(
          'place', json_build_array(stored.xid::text, stored.no),
          'kind', stored.kind, 'scope', stored.scope, 'id', stored.id, 'version', stored.version,
          'isBehind', stored.place > 1 and stored.bytes_up_to > _bytes_max,
          'record', case when stored.place = 1 or stored.bytes_up_to <= _bytes_max then stored.record end
        ) order by stored.place)
        from stored
      )
    )
    from bounds
  );
end$body2$;
  insert into "perdure".migrations (version, title, breaking) values (9, $body$functions that read logs and append to many sessions, sessions by agent, news, views$body$, false);
end$body3$;

-- 10: appends and loads that cost less
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
  if exists (select from "perdure".migrations where version >= 10) then
    return;
  end if;

drop trigger if exists keep_bytes on "perdure".entries;
drop function if exists "perdure".keep_bytes;
drop trigger if exists labels_of_changed on "perdure".sessions;

create function "perdure".text_bytes(_data text) returns bytea language plpgsql immutable
as $body$
declare
  _bytes bytea;
begin
  if not starts_with(_data, '{"$type":"bytes","value":"') then return null; end if;
  _bytes := decode(substr(_data, 27, length(_data) - 28), 'base64');
  return case when "perdure".entry_text(null, _bytes) = _data then _bytes end;
exception when data_exception then
  return null; -- no bytes after all
end$body$;

create trigger labels_of_changed after update of labels, created_at on "perdure".sessions for each row
when (old.labels is distinct from new.labels or (new.labels is not null and old.created_at <> new.created_at))
execute function "perdure".keep_labels();
  insert into "perdure".migrations (version, title, breaking) values (10, $body$appends and loads that cost less$body$, false);
end$body2$;

-- 11: writes of several logs that cost less, shorter records
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
  if exists (select from "perdure".migrations where version >= 11) then
    return;
  end if;

drop function if exists "perdure".commit_transactions, "perdure".commit_update, "perdure".commit_session, "perdure".commit_append,
  "perdure".commit_appends, "perdure".commit_sessions, "perdure".commit_with_documents, "perdure".load_session, "perdure".load_records;

create function "perdure".load_one(_tenant text, _id text, _log text, _last bigint)
returns table (seq bigint, key text, at bigint, data text)
language plpgsql stable 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
declare
  _session "perdure".sessions;
begin
  select * into _session from "perdure".sessions session where session.tenant = _tenant and session.id = _id;
  return query select null::bigint, null::text, floor(extract(epoch from clock_timestamp()) * 1000)::bigint,
    case when _session.id is not null then json_build_object('tenant', _session.tenant, 'id', _session.id, 'version', _session.version, 'commitId', _session.commit_id, 'state', _session.state, 'agent', _session.agent, 'user', _session.user_id, 'createdAt', _session.created_at, 'lastActivityAt', _session.last_activity_at, 'activeMinute', _session.active_minute, 'stateSince', _session.state_since, 'expiresAt', _session.expires_at, 'sweepAt', _session.sweep_at, 'title', _session.title, 'labels', _session.labels, 'data', _session.data)::text end;
  if _session.id is not null and _log is not null then
    return query
      select entry.seq, entry.key, entry.at, "perdure".entry_text(entry.data, entry.bytes) from "perdure".entries entry
      where entry.tenant = _tenant and entry.session = _id and entry.logs = _session.logs and entry.log = _log
      order by entry.seq desc limit _last;
  end if;
end$body$;

create function "perdure".load_many(_sessions json, _tails json)
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
    select null::int, null::int, null::bigint, null::text, floor(extract(epoch from clock_timestamp()) * 1000)::bigint, null::text
    union all
    select wanted.request, null::int, null::bigint, null::text, null::bigint, json_build_object('tenant', session.tenant, 'id', session.id, 'version', session.version, 'commitId', session.commit_id, 'state', session.state, 'agent', session.agent, 'user', session.user_id, 'createdAt', session.created_at, 'lastActivityAt', session.last_activity_at, 'activeMinute', session.active_minute, 'stateSince', session.state_since, 'expiresAt', session.expires_at, 'sweepAt', session.sweep_at, 'title', session.title, 'labels', session.labels, 'data', session.data)::text
    from json_to_recordset(_sessions) as wanted(request int, tenant text, id text)
    cross join lateral (
      select found.* from "perdure".sessions found where found.tenant = wanted.tenant and found.id = wanted.id limit 1
    ) session
    union all
    select wanted.request, wanted.tail, entry.seq, entry.key, entry.at, entry.data
    from json_to_recordset(_tails)
      as wanted(request int, tail int, tenant text, id text, log text, last bigint, bytes_max bigint)
    cross join lateral (
      select found.logs from "perdure".sessions found where found.tenant = wanted.tenant and found.id = wanted.id limit 1
    ) session
    cross join lateral (
      select sized.seq, sized.key, sized.at, "perdure".entry_text(sized.data, sized.bytes) as data from (
        select last.*, sum(octet_length(last.data)) over (order by last.seq desc rows between unbounded preceding and current row) as up_to from "perdure".entries last
        where last.tenant = wanted.tenant and last.session = wanted.id and last.logs = session.logs
          and last.log = wanted.log
        order by last.seq desc limit wanted.last
      ) sized
      where wanted.bytes_max is null or sized.up_to <= wanted.bytes_max or sized.up_to = octet_length(sized.data)
    ) entry;
end$body$;

create or replace function "perdure".readable_or_null(_data text) returns jsonb language plpgsql immutable strict
as $body$
begin
  return "perdure".readable(_data);
exception when data_exception or program_limit_exceeded then
  return null;
end$body$;

create or replace function "perdure".whole_number(_value jsonb) returns bigint language sql immutable strict parallel safe
as $body$
  select case jsonb_typeof(_value) when 'number' then
    case when _value::numeric between -9223372036854775808 and 9223372036854775807 then _value::numeric::bigint end
  end$body$;

create or replace function "perdure".instant(_ms bigint) returns timestamptz language sql immutable strict parallel safe
as $body$select case when _ms >= -62135596800000 then to_timestamp(least(_ms, 253402300799999) / 1000.0) end$body$;

create or replace view "perdure".readable_sessions as
select tenant, id, agent, user_id, state, "perdure".instant(created_at) as created_at,
  "perdure".instant(last_activity_at) as last_activity_at, "perdure".instant(expires_at) as expires_at,
  data -> 'metadata' as metadata,
  "perdure".whole_number(coalesce(data #> '{counters,turns}', data #> '{counters,0}')) as turns,
  "perdure".whole_number(coalesce(data #> '{counters,messages}', data #> '{counters,1}')) as messages,
  "perdure".whole_number(coalesce(data #> '{counters,requests}', data #> '{counters,2}')) as requests,
  "perdure".whole_number(coalesce(data #> '{counters,inputTokens}', data #> '{counters,3}')) as input_tokens,
  "perdure".whole_number(coalesce(data #> '{counters,outputTokens}', data #> '{counters,4}')) as output_tokens,
  "perdure".whole_number(coalesce(data #> '{counters,totalTokens}', data #> '{counters,5}')) as total_tokens,
  "perdure".whole_number(coalesce(data #> '{counters,durationMs}', data #> '{counters,6}')) as duration_ms,
  data #>> '{lease,instance}' as held_by, version, title, "perdure".readable_or_null(labels) as labels,
  case when active_until > now() then data #>> '{floor,agent}' end as active_agent,
  case when active_until > now() then "perdure".instant("perdure".whole_number(data #> '{floor,lockedAt}')) end as active_since,
  case when active_until > now() then active_until end as active_until,
  "perdure".instant("perdure".whole_number(data #> '{lease,acquiredAt}')) as held_since
from (select *, "perdure".instant("perdure".whole_number(data #> '{floor,expiresAt}')) as active_until from (
  select tenant, id, agent, user_id, state, created_at, last_activity_at, expires_at, version, title,
    labels, "perdure".readable_or_null(data) as data
  from "perdure".sessions where position(chr(1) in tenant) = 0
) stored) session;

create or replace view "perdure".readable_turns as
select tenant, session, seq, key, "perdure".instant(at) as at, data ->> 'status' as status, data ->> 'agent' as agent,
  data ->> 'model' as model, data -> 'input' as input, data -> 'output' as output,
  "perdure".whole_number(data -> 'requests') as requests,
  "perdure".whole_number(data #> '{usage,inputTokens}') as input_tokens,
  "perdure".whole_number(data #> '{usage,outputTokens}') as output_tokens,
  "perdure".whole_number(data #> '{usage,totalTokens}') as total_tokens,
  coalesce(data #> '{usage,estimated}' = 'true', false) as estimated,
  "perdure".whole_number(data -> 'durationMs') as duration_ms, data #>> '{error,code}' as error_code,
  data #>> '{error,message}' as error_message, data ->> 'finish' as finish_reason,
  "perdure".whole_number(data #> '{usage,cachedTokens}') as cached_tokens,
  "perdure".whole_number(data #> '{usage,reasoningTokens}') as reasoning_tokens,
  "perdure".whole_number(data -> 'waitedMs') as waited_ms
from (
  select record.tenant, record.id as session, entry.seq + segment.before as seq, entry.key, entry.at,
    "perdure".readable_or_null(entry.data) as data
  from "perdure".sessions record
  cross join lateral (
    select case when own.number is not distinct from own.root then 'turns' else 'turns#' || own.number end as log,
      own.until - own.before as last, own.before
    from (
      select segment.value ->> 0 as number, made.branches ->> 'root' as root, "perdure".whole_number(segment.value -> 1) as until,
        coalesce(lag("perdure".whole_number(segment.value -> 1)) over (order by segment.place), 0) as before
      from (
        select case when position('"branches":{' in record.data) > 0 then "perdure".readable_or_null(record.data) -> 'branches' end as branches
        offset 0
      ) made
      cross join lateral jsonb_array_elements(
        case jsonb_typeof(made.branches) when 'object' then
          case jsonb_typeof(made.branches -> 'path') when 'array' then made.branches -> 'path' else '[]' end
            || jsonb_build_array(jsonb_build_array(made.branches -> 'current', 9007199254740991))
        else '[[null, 9007199254740991]]' end
      ) with ordinality as segment(value, place)
    ) own
    offset 0) segment
  join "perdure".entries entry on entry.tenant = record.tenant and entry.session = record.id and entry.logs = record.logs
    and entry.log = segment.log and entry.seq <= segment.last
  where position(chr(1) in record.tenant) = 0
) turn;

create or replace view "perdure".readable_messages as
select turn.tenant, turn.session, turn.seq as turn, message.part, message.place, turn.at, turn.agent,
  message.value ->> 'role' as role, message.value -> 'content' as content,
  case jsonb_typeof(message.value -> 'content') when 'string' then message.value ->> 'content' end as text,
  message.value -> 'tool_calls' as tool_calls, message.value ->> 'tool_call_id' as tool_call_id,
  message.value as message
from "perdure".readable_turns turn
cross join lateral (
  select 'input' as part, place, value from jsonb_array_elements(case jsonb_typeof(turn.input) when 'array' then turn.input end) with ordinality as input(value, place)
  union all
  select 'output', place, value from jsonb_array_elements(case jsonb_typeof(turn.output) when 'array' then turn.output end) with ordinality as output(value, place)
) message;

create or replace view "perdure".usage_by_day as
select tenant, (at at time zone 'UTC')::date as day, agent, count(*) as turns, sum(requests) as requests,
  sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens, sum(total_tokens) as total_tokens,
  count(*) filter (where estimated) as estimated_turns, sum(duration_ms) as duration_ms,
  sum(cached_tokens) as cached_tokens
from (
  select tenant, session, seq, key, "perdure".instant(at) as at, data ->> 'status' as status, data ->> 'agent' as agent,
  data ->> 'model' as model, data -> 'input' as input, data -> 'output' as output,
  "perdure".whole_number(data -> 'requests') as requests,
  "perdure".whole_number(data #> '{usage,inputTokens}') as input_tokens,
  "perdure".whole_number(data #> '{usage,outputTokens}') as output_tokens,
  "perdure".whole_number(data #> '{usage,totalTokens}') as total_tokens,
  coalesce(data #> '{usage,estimated}' = 'true', false) as estimated,
  "perdure".whole_number(data -> 'durationMs') as duration_ms, data #>> '{error,code}' as error_code,
  data #>> '{error,message}' as error_message, data ->> 'finish' as finish_reason,
  "perdure".whole_number(data #> '{usage,cachedTokens}') as cached_tokens,
  "perdure".whole_number(data #> '{usage,reasoningTokens}') as reasoning_tokens,
  "perdure".whole_number(data -> 'waitedMs') as waited_ms
  from (
    select tenant, session, seq, key, at, "perdure".readable_or_null(data) as data from "perdure".entries entry
    where entry.log >= 'turns' and entry.log < 'turns$'
          and (entry.log = 'turns' or entry.log like 'turns#%') and position(chr(1) in tenant) = 0 and not exists (
    select from "perdure".removed removed
    where removed.tenant = entry.tenant and removed.session = entry.session and removed.logs = entry.logs
  )
  ) turn
) turn
group by tenant, day, agent;

create or replace view "perdure".readable_events as
select tenant, session, seq, "perdure".instant(at) as at, case type when 'restarted' then 'reset' when 'terminated' then 'ended' when 'released' then 'handoff_ended' when 'held' then 'legal_hold_set' when 'hold_released' then 'legal_hold_cleared' else type end as type,
  data ->> 'correlation' as correlation,
  case jsonb_typeof(data) when 'object' then data - 'type' - 'correlation' else data end as data,
  case when type in ('created', 'restarted', 'archived', 'reassigned', 'expired', 'revived', 'terminated', 'activated', 'passivated', 'failed', 'unarchived', 'held', 'hold_released', 'forked', 'conflicted', 'attachment_lost') then 'lifecycle'
    when type in ('recovered', 'taken_over') then 'lease'
    when type in ('handed_off', 'released') then 'handoff'
    when type in ('claimed', 'superseded', 'device_linked') then 'device'
    when type in ('turn_waiting', 'turn_resumed', 'calls_decided', 'wait_ended') then 'waiting'
    when type like 'app.%' then 'app' else case when type like 'app.%' then 'app' end end as category,
  case when type in ('created', 'restarted', 'archived', 'reassigned', 'expired', 'revived', 'terminated', 'activated', 'passivated', 'handed_off', 'released', 'claimed', 'superseded', 'device_linked', 'unarchived', 'held', 'hold_released', 'forked', 'turn_waiting', 'turn_resumed', 'calls_decided') then 'info'
    when type in ('recovered', 'taken_over', 'wait_ended', 'conflicted', 'attachment_lost') then 'warning'
    when type in ('failed') then 'error' else data ->> 'severity' end as severity,
  case when type in ('created', 'restarted', 'archived', 'reassigned', 'expired', 'revived', 'terminated', 'recovered', 'taken_over', 'activated', 'passivated', 'handed_off', 'released', 'claimed', 'superseded', 'device_linked', 'unarchived', 'held', 'hold_released', 'forked', 'turn_waiting', 'turn_resumed', 'calls_decided', 'wait_ended', 'conflicted', 'attachment_lost') then 'ok'
    when type in ('failed') then 'failed'
    when type like 'app.%' then 'ok' else case when type like 'app.%' then 'ok' end end as status,
  case type when 'handed_off' then data ->> 'from' when 'released' then data ->> 'agent' end as previous_agent,
  "perdure".whole_number(data -> 'heldMs') as previous_active_ms
from (select *, data ->> 'type' as type from (
  select tenant, session, seq, at, "perdure".readable_or_null(data) as data from "perdure".entries entry
  where log = 'events' and position(chr(1) in tenant) = 0 and not exists (
    select from "perdure".removed removed
    where removed.tenant = entry.tenant and removed.session = entry.session and removed.logs = entry.logs
  )
) stored) event;
  insert into "perdure".migrations (version, title, breaking) values (11, $body$writes of several logs that cost less, shorter records$body$, true);
end$body2$;

-- 12: words of messages
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
  if exists (select from "perdure".migrations where version >= 12) then
    return;
  end if;

alter table "perdure".sessions add column is_indexed boolean not null default false;
create index sessions_unindexed on "perdure".sessions (tenant, id) where not is_indexed;
create table "perdure".search_state (
  id integer primary key,
  holder text collate "C" not null,
  until bigint not null
) with (fillfactor = 50);
create table "perdure".search_messages (
  tenant text collate "C" not null,
  session text collate "C" not null,
  logs bigint not null,
  log text collate "C" not null,
  seq bigint not null,
  message integer not null,
  at bigint not null,
  xid bigint not null,
  words tsvector not null,
  primary key (tenant, session, logs, log, seq, message)
) with (autovacuum_vacuum_scale_factor = 0.05);
create index search_messages_words on "perdure".search_messages using gin (words);
create index search_messages_by_time on "perdure".search_messages (tenant, at desc, session desc, log desc, seq desc, message desc);
drop function if exists "perdure".commit_batch, "perdure".commit_batch_with_documents, "perdure".commit_session,
  "perdure".commit_entry, "perdure".commit_two_entries, "perdure".commit_append_batch, "perdure".delete_entries, "perdure".remove_logs,
  "perdure".delete_removed;

create function "perdure".delete_entries(
  _tenant text, _session text, _logs bigint, _after_log text, _after_seq bigint, out last_log text, out last_seq bigint
) language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
declare
  _isLast boolean;
begin
  select counted.log, counted.seq, counted.count = counted.place into last_log, last_seq, _isLast
  from (
    select next.log, next.seq, row_number() over up_to as place, count(*) over () as count,
      sum(octet_length(next.data) + coalesce(octet_length(next.bytes), 0)) over up_to as size
    from (
      select entry.* from "perdure".entries entry
      where entry.tenant = _tenant and entry.session = _session and entry.logs = _logs
        and (entry.log, entry.seq) > (_after_log, _after_seq)
      order by entry.log, entry.seq limit 2001
    ) next
    window up_to as (order by next.log, next.seq rows between unbounded preceding and current row)
  ) counted
  where counted.place = 1 or (counted.place <= 2000 and counted.size <= 16777216)
  order by counted.place desc limit 1;
  if not found then return; end if;
  delete from "perdure".entries entry
  where entry.tenant = _tenant and entry.session = _session and entry.logs = _logs
    and (entry.log, entry.seq) > (_after_log, _after_seq) and (entry.log, entry.seq) <= (last_log, last_seq);
  if _isLast then
    last_log := null;
    last_seq := null;
  end if;
end$body$;
create function "perdure".remove_logs(_tenant text, _session text, _logs bigint) returns boolean language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
declare
  _last record;
begin
  _last := "perdure".delete_entries(_tenant, _session, _logs, '', 0);
  if _last.last_log is null then
    delete from "perdure".search_messages message
    where message.tenant = _tenant and message.session = _session and message.logs = _logs;
    return false;
  end if;
  insert into "perdure".removed (tenant, session, logs, after_log, after_seq)
  values (_tenant, _session, _logs, _last.last_log, _last.last_seq);
  return true;
end$body$;
create function "perdure".delete_removed(_skipped int) returns boolean language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
declare
  _next record;
  _last record;
begin
  select removed.* into _next from "perdure".removed removed where removed.due_at <= now()
  order by removed.tenant, removed.session, removed.logs offset _skipped limit 1 for update skip locked;
  if not found then return false; end if;
  _last := "perdure".delete_entries(_next.tenant, _next.session, _next.logs, _next.after_log, _next.after_seq);
  if _last.last_log is null then
    delete from "perdure".search_messages message
    where message.tenant = _next.tenant and message.session = _next.session and message.logs = _next.logs;
    delete from "perdure".removed removed
    where removed.tenant = _next.tenant and removed.session = _next.session and removed.logs = _next.logs;
  else
    update "perdure".removed removed set after_log = _last.last_log, after_seq = _last.last_seq
    where removed.tenant = _next.tenant and removed.session = _next.session and removed.logs = _next.logs;
  end if;
  return true;
end$body$;

create function "perdure".commit_batch(
  _lane uuid, _number bigint,
  _updates json, _creates json, _removals json, _moves json, _splices json, _entries json, _claims json, _additions json,
  _locks boolean
) returns json language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set lock_timeout = '5s'
as $body$
declare
  _last record;
  _left boolean := false;
  _isFollowed boolean := false;
  _refused int[] := '{}';
  _change record;
  _logs bigint;
  _isRelabelled boolean;
begin
  perform pg_advisory_xact_lock(uuid_hash_extended(_lane, 0));
  if _claims is not null then
    select coalesce(array_agg(claim.n), '{}') into _refused
    from json_to_recordset(_claims) as claim(n int, place int, tenant text, id text, log text, key text)
    cross join lateral (
      select found.logs from "perdure".sessions found where found.tenant = claim.tenant and found.id = claim.id limit 1
    ) session
    cross join lateral (
      select from "perdure".entries found
      where found.tenant = claim.tenant and found.session = claim.id and found.logs = session.logs
        and found.log = claim.log and found.key = claim.key
      limit 1
    ) entry;
  end if;

  if _locks then
    for _change in
      select change.tenant, change.id from (
        select * from json_to_recordset(_updates) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text)
        union all
        select * from json_to_recordset(_removals) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text)
      ) change
      order by change.tenant collate "C", change.id collate "C"
    loop
      perform from "perdure".sessions session
      where session.tenant = _change.tenant and session.id = _change.id for update;
    end loop;

    select _refused || coalesce(array_agg(change.n), '{}') into _refused
    from (
      select * from json_to_recordset(_updates) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text)
      union all
      select * from json_to_recordset(_creates) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text)
      union all
      select * from json_to_recordset(_removals) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text)
    ) change
    left join lateral (
      select found.* from "perdure".sessions found where found.tenant = change.tenant and found.id = change.id limit 1
    ) session on true
    where (session.version, session.commit_id) is distinct from (change.expected_version, change.expected_commit);
  end if;

  if _updates is not null then
    for _change in select * from json_to_recordset(_updates) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text, version bigint, commit_id text, state text, agent text, user_id text, created_at bigint, last_activity_at bigint,
      active_minute bigint, state_since bigint, expires_at bigint, sweep_at bigint, data text, title text, labels text) loop
      continue when _change.n = any (_refused);
      update "perdure".sessions session set
        version = _change.version, commit_id = _change.commit_id, state = _change.state, agent = _change.agent,
        user_id = _change.user_id, last_activity_at = _change.last_activity_at, active_minute = _change.active_minute,
        state_since = _change.state_since, expires_at = _change.expires_at, sweep_at = _change.sweep_at,
        data = _change.data, title = _change.title, is_indexed = false
      where session.tenant = _change.tenant and session.id = _change.id
        and session.version = _change.expected_version and session.commit_id = _change.expected_commit
      returning (session.created_at, session.labels) is distinct from (_change.created_at, _change.labels) into _isRelabelled;
      if not found then
        _refused := _refused || _change.n;
      elsif _isRelabelled then
        update "perdure".sessions session set created_at = _change.created_at, labels = _change.labels
      where session.tenant = _change.tenant and session.id = _change.id;
      end if;
    end loop;
  end if;

  if _creates is not null then
    for _change in select * from json_to_recordset(_creates) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text, version bigint, commit_id text, state text, agent text, user_id text, created_at bigint, last_activity_at bigint,
      active_minute bigint, state_since bigint, expires_at bigint, sweep_at bigint, data text, title text, labels text, logs bigint) loop
      continue when _change.n = any (_refused);
      insert into "perdure".sessions (
        tenant, id, version, commit_id, state, agent, user_id, created_at, last_activity_at, active_minute, state_since,
        expires_at, sweep_at, data, logs, title, labels
      ) values (
        _change.tenant, _change.id, _change.version, _change.commit_id, _change.state, _change.agent, _change.user_id,
        _change.created_at, _change.last_activity_at, _change.active_minute, _change.state_since, _change.expires_at, _change.sweep_at,
        _change.data, _change.logs, _change.title, _change.labels
      ) on conflict do nothing;
      if not found then
        -- The transaction may have changed other rows: all is undone, and the next try finds the other writer's session.
        if _locks then raise serialization_failure using message = 'a session was created meanwhile'; end if;
        _refused := _refused || _change.n;
      end if;
    end loop;
  end if;

  if _moves is not null then
    -- Both sessions are locked, because the rows of both change in this transaction.
    for _change in
      select move.*, session.logs as replaced, giver.logs as given
      from json_to_recordset(_moves)
        as move(n int, tenant text, id text, logs bigint, copied boolean, from_tenant text, from_id text, from_logs bigint)
      cross join lateral (
      select found.logs from "perdure".sessions found where found.tenant = move.tenant and found.id = move.id limit 1
    ) session
      cross join lateral (
        select found.logs from "perdure".sessions found
        where found.tenant = move.from_tenant and found.id = move.from_id limit 1
      ) giver
      where move.n <> all (_refused)
    loop
      if _change.copied then
        perform "perdure".take_copy(_change.tenant, _change.id, _change.logs);
        if (_change.from_tenant, _change.from_id) <> (_change.tenant, _change.id) then
          update "perdure".sessions session set logs = _change.from_logs
          where session.tenant = _change.from_tenant and session.id = _change.from_id;
          _left := "perdure".remove_logs(_change.from_tenant, _change.from_id, _change.given) or _left;
        end if;
      else
        update "perdure".sessions session set logs = _change.logs
        where session.tenant = _change.tenant and session.id = _change.id;
        update "perdure".entries entry set tenant = _change.tenant, session = _change.id, logs = _change.logs
        where entry.tenant = _change.from_tenant and entry.session = _change.from_id and entry.logs = _change.given;
      end if;
      _left := "perdure".remove_logs(_change.tenant, _change.id, _change.replaced) or _left;
    end loop;
  end if;

  if _removals is not null then
    for _change in select * from json_to_recordset(_removals) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text) loop
      continue when _change.n = any (_refused);
      delete from "perdure".sessions session where session.tenant = _change.tenant and session.id = _change.id
      returning session.logs into _logs;
      _left := "perdure".remove_logs(_change.tenant, _change.id, _logs) or _left;
    end loop;
  end if;

  if _splices is not null then
    for _change in
      select splice.*, session.logs
      from json_to_recordset(_splices) as splice(n int, tenant text, id text, log text, "from" bigint)
      cross join lateral (
      select found.logs from "perdure".sessions found where found.tenant = splice.tenant and found.id = splice.id limit 1
    ) session
      cross join lateral (
        select from "perdure".entries entry
        where entry.tenant = splice.tenant and entry.session = splice.id and entry.logs = session.logs
          and entry.log = splice.log and entry.seq >= splice."from"
        limit 1
      ) standing
      where splice.n <> all (_refused)
    loop
      perform "perdure".cut_log(_change.tenant, _change.id, _change.logs, _change.log, _change."from");
    end loop;
  end if;
  if _entries is not null then
    insert into "perdure".entries (tenant, session, logs, log, seq, key, at, data, bytes)
    select entry.tenant, entry.id, session.logs, entry.log, entry.seq, entry.key, entry.at,
      case when kept.bytes is null then entry.data else '{}' end, kept.bytes
    from json_to_recordset(_entries)
      as entry(n int, tenant text, id text, log text, seq bigint, key text, at bigint, data text)
    cross join lateral (
      select found.logs from "perdure".sessions found where found.tenant = entry.tenant and found.id = entry.id limit 1
    ) session
    cross join lateral (
      select case when entry.log = 'archive' and entry.key is null then "perdure".text_bytes(entry.data) end as bytes
      offset 0
    ) kept
    where entry.n <> all (_refused);
  end if;

  if _additions is not null then
    -- The last rows that are locked, in order. A sum has parts, so that lanes which add to it at the same time rarely wait.
    insert into "perdure".usage_sums as usage_sum (tenant, name, part, tokens, turns, until)
    select addition.tenant, addition.name, (uuid_hash_extended(_lane, 0) & 7)::int,
      sum(addition.tokens), sum(addition.turns), max(addition.until)
    from json_to_recordset(_additions)
      as addition(n int, tenant text, name text, tokens bigint, turns bigint, until bigint)
    where addition.n <> all (_refused)
    group by addition.tenant, addition.name
    order by addition.tenant collate "C", addition.name collate "C"
    on conflict (tenant, name, part) do update set tokens = usage_sum.tokens + excluded.tokens,
      turns = usage_sum.turns + excluded.turns, until = greatest(usage_sum.until, excluded.until);
  end if;

  if exists (
    select from (
      select * from json_to_recordset(_updates) as change(n int)
      union all
      select * from json_to_recordset(_creates) as change(n int)
      union all
      select * from json_to_recordset(_removals) as change(n int)
    ) change
    where change.n <> all (_refused)
  ) then
    update "perdure".lanes lane set number = _number, refused = _refused, used_at = now()
    where lane.id = _lane and lane.number < _number
    returning exists (
      select from "perdure".news_subscriptions subscription where true and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
    ) into _isFollowed;
    if not found then
      insert into "perdure".lanes (id, number, refused, used_at) values (_lane, _number, _refused, now())
      on conflict do nothing
      returning exists (
      select from "perdure".news_subscriptions subscription where true and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
    ) into _isFollowed;
      if not found then
        raise exception using errcode = 'PDNUM', message = 'another try settled the batch';
      end if;
      delete from "perdure".lanes lane where lane.id in (
        select old.id from "perdure".lanes old
        where old.born_at < now() - interval '1 day' and old.used_at < now() - interval '1 day'
        order by old.born_at limit 4 for update skip locked
      );
      _left := _left or exists (select from "perdure".removed removed where removed.due_at <= now());
    end if;
  else
    select lane.number, lane.refused into _last from "perdure".lanes lane where lane.id = _lane;
    if _last.number >= _number then return json_build_object('settled', coalesce(_last.refused, '{}')); end if;
  end if;

  if _isFollowed then
    insert into "perdure".news (tenant, kind, scope, id)
    select noted.tenant, noted.kind, noted.scope, noted.id
    from (
      select change.n, split_part(change.tenant, chr(1) || 'streams', 1), 'session', case when split_part(change.tenant, chr(1) || 'streams', 1) = change.tenant then '' else change.tenant end, change.id
      from (
        select * from json_to_recordset(_updates) as change(n int, tenant text, id text)
        union all
        select * from json_to_recordset(_creates) as change(n int, tenant text, id text)
        union all
        select * from json_to_recordset(_removals) as change(n int, tenant text, id text)
      ) change
    ) noted(n, tenant, kind, scope, id)
    where noted.n <> all (_refused) and exists (
    select from "perdure".news_subscriptions subscription where subscription.tenant = noted.tenant and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
  );
  end if;
  if cardinality(_refused) = 0 and not _left then return null; end if;
  return "perdure".refusal_reasons(_refused, _updates, _creates, _removals, _claims, _left);
end$body$;

create function "perdure".commit_session(
  _lane uuid, _number bigint, _tenant text, _id text, _expected_version bigint, _expected_commit text,
  _version bigint, _commit_id text, _state text, _agent text, _user_id text, _created_at bigint, _last_activity_at bigint,
  _active_minute bigint, _state_since bigint, _expires_at bigint, _sweep_at bigint, _data text, _title text, _labels text,
  _cuts json, _entries json, _claims json
) returns json language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set lock_timeout = '5s'
as $body$
declare
  _last record;
  _left boolean := false;
  _isFollowed boolean := false;
  _isClaimed boolean := false;
  _logs bigint;
  _isRelabelled boolean;
  _cut record;
begin
  perform pg_advisory_xact_lock(uuid_hash_extended(_lane, 0));
  if _claims is not null then
    _isClaimed := exists (
      select from json_to_recordset(_claims) as claim(log text, key text)
      cross join lateral (
        select from "perdure".sessions session
        join lateral (
          select from "perdure".entries found
          where found.tenant = _tenant and found.session = _id and found.logs = session.logs and found.log = claim.log
            and found.key = claim.key
          limit 1
        ) entry on true
        where session.tenant = _tenant and session.id = _id
        limit 1
      ) standing
    );
  end if;

  if not _isClaimed then
    update "perdure".sessions session set
      version = _version, commit_id = _commit_id, state = _state, agent = _agent, user_id = _user_id,
      last_activity_at = _last_activity_at, active_minute = _active_minute, state_since = _state_since,
      expires_at = _expires_at, sweep_at = _sweep_at, data = _data, title = _title, is_indexed = false
    where session.tenant = _tenant and session.id = _id
      and session.version = _expected_version and session.commit_id = _expected_commit
    returning session.logs, (session.created_at, session.labels) is distinct from (_created_at, _labels) into _logs, _isRelabelled;
  end if;

  if _isRelabelled is null then
    select lane.number, lane.refused into _last from "perdure".lanes lane where lane.id = _lane;
    if _last.number >= _number then return json_build_object('settled', coalesce(_last.refused, '{}')); end if;
    return "perdure".refusal_reasons(
      '{0}',
      json_build_array(json_build_object('n', 0, 'place', 0, 'tenant', _tenant, 'id', _id,
        'expected_version', _expected_version, 'expected_commit', _expected_commit)),
      null, null,
      (
        select json_agg(json_build_object('n', 0, 'place', claim.place, 'tenant', _tenant, 'id', _id,
          'log', claim.log, 'key', claim.key))
        from (select claim.*, row_number() over () as place from json_to_recordset(_claims) as claim(log text, key text)) claim
      ),
      false
    );
  elsif _isRelabelled then
    update "perdure".sessions session set created_at = _created_at, labels = _labels
      where session.tenant = _tenant and session.id = _id;
  end if;

  if _cuts is not null then
    for _cut in
      select cut.log, cut."from" from json_to_recordset(_cuts) as cut(log text, "from" bigint)
      cross join lateral (
        select from "perdure".entries entry
        where entry.tenant = _tenant and entry.session = _id and entry.logs = _logs and entry.log = cut.log
          and entry.seq >= cut."from"
        limit 1
      ) standing
    loop
      perform "perdure".cut_log(_tenant, _id, _logs, _cut.log, _cut."from");
    end loop;
  end if;
  if _entries is not null then
    insert into "perdure".entries (tenant, session, logs, log, seq, key, at, data, bytes)
    select _tenant, _id, _logs, entry.log, entry.seq, entry.key, entry.at, case when kept.bytes is null then entry.data else '{}' end, kept.bytes
    from json_to_recordset(_entries) as entry(log text, seq bigint, key text, at bigint, data text)
    cross join lateral (
      select case when entry.log = 'archive' and entry.key is null then "perdure".text_bytes(entry.data) end as bytes
      offset 0
    ) kept;
  end if;
  update "perdure".lanes lane set number = _number, refused = null, used_at = now()
  where lane.id = _lane and lane.number < _number
  returning exists (
    select from "perdure".news_subscriptions subscription where subscription.tenant = split_part(_tenant, chr(1) || 'streams', 1) and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
  ) into _isFollowed;
  if not found then
    insert into "perdure".lanes (id, number, refused, used_at) values (_lane, _number, null, now())
    on conflict do nothing
    returning exists (
    select from "perdure".news_subscriptions subscription where subscription.tenant = split_part(_tenant, chr(1) || 'streams', 1) and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
  ) into _isFollowed;
    if not found then
      raise exception using errcode = 'PDNUM', message = 'another try settled the batch';
    end if;
    delete from "perdure".lanes lane where lane.id in (
      select old.id from "perdure".lanes old
      where old.born_at < now() - interval '1 day' and old.used_at < now() - interval '1 day'
      order by old.born_at limit 4 for update skip locked
    );
    _left := _left or exists (select from "perdure".removed removed where removed.due_at <= now());
  end if;
  if _isFollowed then
    insert into "perdure".news (tenant, kind, scope, id) values (split_part(_tenant, chr(1) || 'streams', 1), 'session', case when split_part(_tenant, chr(1) || 'streams', 1) = _tenant then '' else _tenant end, _id);
  end if;
  return case when _left then json_build_object('left', true) end;
end$body$;

create function "perdure".commit_entry(
  _lane uuid, _number bigint, _tenant text, _id text, _expected_version bigint, _expected_commit text,
  _version bigint, _commit_id text, _state text, _agent text, _user_id text, _created_at bigint, _last_activity_at bigint,
  _active_minute bigint, _state_since bigint, _expires_at bigint, _sweep_at bigint, _data text, _title text, _labels text,
  _log_1 text, _seq_1 bigint, _key_1 text, _at_1 bigint, _entry_1 text
) returns json language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set lock_timeout = '5s'
as $body$
declare
  _last record;
  _left boolean := false;
  _isFollowed boolean := false;
  _isClaimed boolean := false;
  _logs bigint;
  _isRelabelled boolean;
begin
  perform pg_advisory_xact_lock(uuid_hash_extended(_lane, 0));
  if _key_1 is not null and not _isClaimed then
    _isClaimed := exists (
      select from "perdure".entries found
      where found.tenant = _tenant and found.session = _id and found.log = _log_1 and found.key = _key_1
        and found.logs = (
          select session.logs from "perdure".sessions session where session.tenant = _tenant and session.id = _id
        )
    );
  end if;

  if not _isClaimed then
    update "perdure".sessions session set
      version = _version, commit_id = _commit_id, state = _state, agent = _agent, user_id = _user_id,
      last_activity_at = _last_activity_at, active_minute = _active_minute, state_since = _state_since,
      expires_at = _expires_at, sweep_at = _sweep_at, data = _data, title = _title, is_indexed = false
    where session.tenant = _tenant and session.id = _id
      and session.version = _expected_version and session.commit_id = _expected_commit
    returning session.logs, (session.created_at, session.labels) is distinct from (_created_at, _labels) into _logs, _isRelabelled;
  end if;

  if _isRelabelled is null then
    select lane.number, lane.refused into _last from "perdure".lanes lane where lane.id = _lane;
    if _last.number >= _number then return json_build_object('settled', coalesce(_last.refused, '{}')); end if;
    return "perdure".refusal_reasons(
      '{0}',
      json_build_array(json_build_object('n', 0, 'place', 0, 'tenant', _tenant, 'id', _id,
        'expected_version', _expected_version, 'expected_commit', _expected_commit)),
      null, null,
      (
        select json_agg(json_build_object('n', 0, 'place', claim.place, 'tenant', _tenant, 'id', _id,
          'log', claim.log, 'key', claim.key))
        from (select claim.*, row_number() over () as place from (values (_log_1, _key_1)) as claim(log, key)) claim
      ),
      false
    );
  elsif _isRelabelled then
    update "perdure".sessions session set created_at = _created_at, labels = _labels
      where session.tenant = _tenant and session.id = _id;
  end if;

  insert into "perdure".entries (tenant, session, logs, log, seq, key, at, data)
  values (_tenant, _id, _logs, _log_1, _seq_1, _key_1, _at_1, _entry_1);
  update "perdure".lanes lane set number = _number, refused = null, used_at = now()
  where lane.id = _lane and lane.number < _number
  returning exists (
    select from "perdure".news_subscriptions subscription where subscription.tenant = split_part(_tenant, chr(1) || 'streams', 1) and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
  ) into _isFollowed;
  if not found then
    insert into "perdure".lanes (id, number, refused, used_at) values (_lane, _number, null, now())
    on conflict do nothing
    returning exists (
    select from "perdure".news_subscriptions subscription where subscription.tenant = split_part(_tenant, chr(1) || 'streams', 1) and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
  ) into _isFollowed;
    if not found then
      raise exception using errcode = 'PDNUM', message = 'another try settled the batch';
    end if;
    delete from "perdure".lanes lane where lane.id in (
      select old.id from "perdure".lanes old
      where old.born_at < now() - interval '1 day' and old.used_at < now() - interval '1 day'
      order by old.born_at limit 4 for update skip locked
    );
    _left := _left or exists (select from "perdure".removed removed where removed.due_at <= now());
  end if;
  if _isFollowed then
    insert into "perdure".news (tenant, kind, scope, id) values (split_part(_tenant, chr(1) || 'streams', 1), 'session', case when split_part(_tenant, chr(1) || 'streams', 1) = _tenant then '' else _tenant end, _id);
  end if;
  return case when _left then json_build_object('left', true) end;
end$body$;
create function "perdure".commit_two_entries(
  _lane uuid, _number bigint, _tenant text, _id text, _expected_version bigint, _expected_commit text,
  _version bigint, _commit_id text, _state text, _agent text, _user_id text, _created_at bigint, _last_activity_at bigint,
  _active_minute bigint, _state_since bigint, _expires_at bigint, _sweep_at bigint, _data text, _title text, _labels text,
  _log_1 text, _seq_1 bigint, _key_1 text, _at_1 bigint, _entry_1 text, _log_2 text, _seq_2 bigint, _key_2 text, _at_2 bigint, _entry_2 text
) returns json language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set lock_timeout = '5s'
as $body$
declare
  _last record;
  _left boolean := false;
  _isFollowed boolean := false;
  _isClaimed boolean := false;
  _logs bigint;
  _isRelabelled boolean;
begin
  perform pg_advisory_xact_lock(uuid_hash_extended(_lane, 0));
  if _key_1 is not null and not _isClaimed then
    _isClaimed := exists (
      select from "perdure".entries found
      where found.tenant = _tenant and found.session = _id and found.log = _log_1 and found.key = _key_1
        and found.logs = (
          select session.logs from "perdure".sessions session where session.tenant = _tenant and session.id = _id
        )
    );
  end if;
  if _key_2 is not null and not _isClaimed then
    _isClaimed := exists (
      select from "perdure".entries found
      where found.tenant = _tenant and found.session = _id and found.log = _log_2 and found.key = _key_2
        and found.logs = (
          select session.logs from "perdure".sessions session where session.tenant = _tenant and session.id = _id
        )
    );
  end if;

  if not _isClaimed then
    update "perdure".sessions session set
      version = _version, commit_id = _commit_id, state = _state, agent = _agent, user_id = _user_id,
      last_activity_at = _last_activity_at, active_minute = _active_minute, state_since = _state_since,
      expires_at = _expires_at, sweep_at = _sweep_at, data = _data, title = _title, is_indexed = false
    where session.tenant = _tenant and session.id = _id
      and session.version = _expected_version and session.commit_id = _expected_commit
    returning session.logs, (session.created_at, session.labels) is distinct from (_created_at, _labels) into _logs, _isRelabelled;
  end if;

  if _isRelabelled is null then
    select lane.number, lane.refused into _last from "perdure".lanes lane where lane.id = _lane;
    if _last.number >= _number then return json_build_object('settled', coalesce(_last.refused, '{}')); end if;
    return "perdure".refusal_reasons(
      '{0}',
      json_build_array(json_build_object('n', 0, 'place', 0, 'tenant', _tenant, 'id', _id,
        'expected_version', _expected_version, 'expected_commit', _expected_commit)),
      null, null,
      (
        select json_agg(json_build_object('n', 0, 'place', claim.place, 'tenant', _tenant, 'id', _id,
          'log', claim.log, 'key', claim.key))
        from (select claim.*, row_number() over () as place from (values (_log_1, _key_1), (_log_2, _key_2)) as claim(log, key)) claim
      ),
      false
    );
  elsif _isRelabelled then
    update "perdure".sessions session set created_at = _created_at, labels = _labels
      where session.tenant = _tenant and session.id = _id;
  end if;

  insert into "perdure".entries (tenant, session, logs, log, seq, key, at, data)
  values (_tenant, _id, _logs, _log_1, _seq_1, _key_1, _at_1, _entry_1),
    (_tenant, _id, _logs, _log_2, _seq_2, _key_2, _at_2, _entry_2);
  update "perdure".lanes lane set number = _number, refused = null, used_at = now()
  where lane.id = _lane and lane.number < _number
  returning exists (
    select from "perdure".news_subscriptions subscription where subscription.tenant = split_part(_tenant, chr(1) || 'streams', 1) and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
  ) into _isFollowed;
  if not found then
    insert into "perdure".lanes (id, number, refused, used_at) values (_lane, _number, null, now())
    on conflict do nothing
    returning exists (
    select from "perdure".news_subscriptions subscription where subscription.tenant = split_part(_tenant, chr(1) || 'streams', 1) and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
  ) into _isFollowed;
    if not found then
      raise exception using errcode = 'PDNUM', message = 'another try settled the batch';
    end if;
    delete from "perdure".lanes lane where lane.id in (
      select old.id from "perdure".lanes old
      where old.born_at < now() - interval '1 day' and old.used_at < now() - interval '1 day'
      order by old.born_at limit 4 for update skip locked
    );
    _left := _left or exists (select from "perdure".removed removed where removed.due_at <= now());
  end if;
  if _isFollowed then
    insert into "perdure".news (tenant, kind, scope, id) values (split_part(_tenant, chr(1) || 'streams', 1), 'session', case when split_part(_tenant, chr(1) || 'streams', 1) = _tenant then '' else _tenant end, _id);
  end if;
  return case when _left then json_build_object('left', true) end;
end$body$;

create function "perdure".commit_append_batch(
  _lane uuid, _number bigint, _n text, _tenant text, _id text, _expected_version text, _expected_commit text, _version text, _commit_id text, _state text, _agent text, _user_id text, _created_at text, _last_activity_at text, _active_minute text, _state_since text, _expires_at text, _sweep_at text, _data text, _title text, _labels text, _log text, _seq text, _key text, _at text, _entry text
) returns json language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set lock_timeout = '5s'
as $body$
declare
  _last record;
  _left boolean := false;
  _isFollowed boolean := false;
  _each_n int[] := string_to_array(_n, e'\x1e', e'\x1f')::int[];
  _each_tenant text[] := string_to_array(_tenant, e'\x1e', e'\x1f');
  _each_id text[] := string_to_array(_id, e'\x1e', e'\x1f');
  _each_expected_version bigint[] := string_to_array(_expected_version, e'\x1e', e'\x1f')::bigint[];
  _each_expected_commit text[] := string_to_array(_expected_commit, e'\x1e', e'\x1f');
  _each_version bigint[] := string_to_array(_version, e'\x1e', e'\x1f')::bigint[];
  _each_commit_id text[] := string_to_array(_commit_id, e'\x1e', e'\x1f');
  _each_state text[] := string_to_array(_state, e'\x1e', e'\x1f');
  _each_agent text[] := string_to_array(_agent, e'\x1e', e'\x1f');
  _each_user_id text[] := string_to_array(_user_id, e'\x1e', e'\x1f');
  _each_created_at bigint[] := string_to_array(_created_at, e'\x1e', e'\x1f')::bigint[];
  _each_last_activity_at bigint[] := string_to_array(_last_activity_at, e'\x1e', e'\x1f')::bigint[];
  _each_active_minute bigint[] := string_to_array(_active_minute, e'\x1e', e'\x1f')::bigint[];
  _each_state_since bigint[] := string_to_array(_state_since, e'\x1e', e'\x1f')::bigint[];
  _each_expires_at bigint[] := string_to_array(_expires_at, e'\x1e', e'\x1f')::bigint[];
  _each_sweep_at bigint[] := string_to_array(_sweep_at, e'\x1e', e'\x1f')::bigint[];
  _each_data text[] := string_to_array(_data, e'\x1e', e'\x1f');
  _each_title text[] := string_to_array(_title, e'\x1e', e'\x1f');
  _each_labels text[] := string_to_array(_labels, e'\x1e', e'\x1f');
  _each_log text[] := string_to_array(_log, e'\x1e', e'\x1f');
  _each_seq bigint[] := string_to_array(_seq, e'\x1e', e'\x1f')::bigint[];
  _each_key text[] := string_to_array(_key, e'\x1e', e'\x1f');
  _each_at bigint[] := string_to_array(_at, e'\x1e', e'\x1f')::bigint[];
  _each_entry text[] := string_to_array(_entry, e'\x1e', e'\x1f');
  _moved int[];
  _relabelled int[];
  _refused int[] := '{}';
  _place int;
begin
  perform pg_advisory_xact_lock(uuid_hash_extended(_lane, 0));
  with given as materialized (
    select change.place, session.at
    from generate_subscripts(_each_id, 1) as change(place)
    cross join lateral (
      select found.ctid as at from "perdure".sessions found
      where found.tenant = _each_tenant[change.place] and found.id = _each_id[change.place] limit 1
    ) session
  ), moved as (
    update "perdure".sessions session set version = _each_version[given.place], commit_id = _each_commit_id[given.place], state = _each_state[given.place], agent = _each_agent[given.place], user_id = _each_user_id[given.place], last_activity_at = _each_last_activity_at[given.place], active_minute = _each_active_minute[given.place], state_since = _each_state_since[given.place], expires_at = _each_expires_at[given.place], sweep_at = _each_sweep_at[given.place], data = _each_data[given.place], title = _each_title[given.place],
      is_indexed = false
    from given
    where session.ctid = given.at and session.version = _each_expected_version[given.place]
      and session.commit_id = _each_expected_commit[given.place]
      and session.tenant is not distinct from _each_tenant[given.place] and session.id is not distinct from _each_id[given.place]
    returning given.place, session.logs, (session.created_at, session.labels) is distinct from (_each_created_at[given.place], _each_labels[given.place]) as relabelled
  ), added as (
    insert into "perdure".entries (tenant, session, logs, log, seq, key, at, data)
    select _each_tenant[moved.place], _each_id[moved.place], moved.logs, _each_log[moved.place], _each_seq[moved.place], _each_key[moved.place], _each_at[moved.place],
      _each_entry[moved.place]
    from moved
  )
  select array_agg(moved.place), array_agg(moved.place) filter (where moved.relabelled) into _moved, _relabelled from moved;

  if coalesce(cardinality(_moved), 0) < cardinality(_each_id) then
    select array_agg(_each_n[place]) into _refused
    from generate_subscripts(_each_id, 1) as place
    where _moved is null or place <> all (_moved);
  end if;
  if _relabelled is not null then
    foreach _place in array _relabelled loop
      update "perdure".sessions session set created_at = _each_created_at[_place], labels = _each_labels[_place]
      where session.tenant = _each_tenant[_place] and session.id = _each_id[_place];
    end loop;
  end if;
  if _moved is null then
    select lane.number, lane.refused into _last from "perdure".lanes lane where lane.id = _lane;
    if _last.number >= _number then return json_build_object('settled', coalesce(_last.refused, '{}')); end if;
  else
    update "perdure".lanes lane set number = _number, refused = _refused, used_at = now()
    where lane.id = _lane and lane.number < _number
    returning exists (
      select from "perdure".news_subscriptions subscription where true and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
    ) into _isFollowed;
    if not found then
      insert into "perdure".lanes (id, number, refused, used_at) values (_lane, _number, _refused, now())
      on conflict do nothing
      returning exists (
      select from "perdure".news_subscriptions subscription where true and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
    ) into _isFollowed;
      if not found then
        raise exception using errcode = 'PDNUM', message = 'another try settled the batch';
      end if;
      delete from "perdure".lanes lane where lane.id in (
        select old.id from "perdure".lanes old
        where old.born_at < now() - interval '1 day' and old.used_at < now() - interval '1 day'
        order by old.born_at limit 4 for update skip locked
      );
      _left := _left or exists (select from "perdure".removed removed where removed.due_at <= now());
    end if;
  end if;
  if _isFollowed then
    insert into "perdure".news (tenant, kind, scope, id)
    select split_part(_each_tenant[moved.place], chr(1) || 'streams', 1), 'session', case when split_part(_each_tenant[moved.place], chr(1) || 'streams', 1) = _each_tenant[moved.place] then '' else _each_tenant[moved.place] end, _each_id[moved.place]
    from unnest(_moved) as moved(place)
    where exists (
    select from "perdure".news_subscriptions subscription where subscription.tenant = split_part(_each_tenant[moved.place], chr(1) || 'streams', 1) and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
  );
  end if;
  if cardinality(_refused) = 0 and not _left then return null; end if;
  return "perdure".refusal_reasons(
    _refused,
    (
      select json_agg(json_build_object('n', _each_n[place], 'place', 0, 'tenant', _each_tenant[place],
        'id', _each_id[place], 'expected_version', _each_expected_version[place],
        'expected_commit', _each_expected_commit[place]))
      from generate_subscripts(_each_id, 1) as place
      where _each_n[place] = any (_refused)
    ),
    null, null, null, _left
  );
end$body$;

create function "perdure".forget_messages() returns void language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
declare
  _session record;
begin
  if not exists (select from "perdure".search_messages limit 1) then return; end if;
  for _session in
    select session.tenant, session.id, session.logs, session.title from "perdure".sessions session
    where not session.is_indexed
  loop
    delete from "perdure".search_messages message
    where message.tenant = _session.tenant and message.session = _session.id
      and (
      message.logs <> _session.logs
      or (message.seq = 0 and message.xid is distinct from hashtextextended(_session.title, 0))
      or (message.seq > 0 and not exists (
        select from "perdure".entries entry
        where entry.tenant = message.tenant and entry.session = message.session and entry.logs = message.logs
          and entry.log = message.log and entry.seq = message.seq and entry.xmin::text::bigint = message.xid
      ))
    );
  end loop;
end$body$;
  insert into "perdure".migrations (version, title, breaking) values (12, $body$words of messages$body$, false);
end$body2$;

-- 13: views of the current branch, words that cost less
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
  if exists (select from "perdure".migrations where version >= 13) then
    return;
  end if;

  insert into "perdure".migrations (version, title, breaking) values (13, $body$views of the current branch, words that cost less$body$, false);
end$body2$;

-- 14: updates of documents keep the time of expiry
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
  if exists (select from "perdure".migrations where version >= 14) then
    return;
  end if;

drop function if exists "perdure".commit_batch_with_documents;

create function "perdure".commit_batch_with_documents(
  _lane uuid, _number bigint,
  _updates json, _creates json, _removals json, _moves json, _splices json, _entries json, _claims json, _additions json,
  _locks boolean, _documents json
) returns json language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set lock_timeout = '5s'
as $body$
declare
  _last record;
  _left boolean := false;
  _isFollowed boolean := false;
  _refused int[] := '{}';
  _change record;
  _logs bigint;
  _isRelabelled boolean;
  _document record;
  _now bigint;
begin
  perform pg_advisory_xact_lock(uuid_hash_extended(_lane, 0));
  if _claims is not null then
    select coalesce(array_agg(claim.n), '{}') into _refused
    from json_to_recordset(_claims) as claim(n int, place int, tenant text, id text, log text, key text)
    cross join lateral (
      select found.logs from "perdure".sessions found where found.tenant = claim.tenant and found.id = claim.id limit 1
    ) session
    cross join lateral (
      select from "perdure".entries found
      where found.tenant = claim.tenant and found.session = claim.id and found.logs = session.logs
        and found.log = claim.log and found.key = claim.key
      limit 1
    ) entry;
  end if;

  if _locks then
    for _change in
      select change.tenant, change.id from (
        select * from json_to_recordset(_updates) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text)
        union all
        select * from json_to_recordset(_removals) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text)
      ) change
      order by change.tenant collate "C", change.id collate "C"
    loop
      perform from "perdure".sessions session
      where session.tenant = _change.tenant and session.id = _change.id for update;
    end loop;

    select _refused || coalesce(array_agg(change.n), '{}') into _refused
    from (
      select * from json_to_recordset(_updates) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text)
      union all
      select * from json_to_recordset(_creates) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text)
      union all
      select * from json_to_recordset(_removals) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text)
    ) change
    left join lateral (
      select found.* from "perdure".sessions found where found.tenant = change.tenant and found.id = change.id limit 1
    ) session on true
    where (session.version, session.commit_id) is distinct from (change.expected_version, change.expected_commit);
  end if;

  for _document in
    select change.tenant, change.scope, change.key from json_to_recordset(_documents) as change(n int, place int, tenant text, scope text, key text, kind text, expected bigint, version bigint,
      user_id text, created_at bigint, updated_at bigint, expires_at bigint, data text) order by change.tenant collate "C", change.scope collate "C", change.key collate "C"
  loop
    perform from "perdure".documents found where found.tenant = _document.tenant and found.scope = _document.scope and found.key = _document.key for update;
  end loop;
  _now := floor(extract(epoch from clock_timestamp()) * 1000)::bigint;
  select _refused || coalesce(array_agg(change.n), '{}') into _refused
  
    from json_to_recordset(_documents) as change(n int, place int, tenant text, scope text, key text, kind text, expected bigint, version bigint,
      user_id text, created_at bigint, updated_at bigint, expires_at bigint, data text)
    left join lateral (
      select found.* from "perdure".documents found where found.tenant = change.tenant and found.scope = change.scope and found.key = change.key limit 1
    ) stored on true
  where ((change.expected = 0 and coalesce((stored.expires_at is null or stored.expires_at > _now) and stored.version is not null, false))
      or (change.expected = -1 and not coalesce((stored.expires_at is null or stored.expires_at > _now) and stored.version is not null, false))
      or (change.expected > 0 and not (coalesce((stored.expires_at is null or stored.expires_at > _now) and stored.version is not null, false) and stored.version = change.expected))
      or coalesce(change.version <= stored.version, false)) is true;

  if _updates is not null then
    for _change in select * from json_to_recordset(_updates) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text, version bigint, commit_id text, state text, agent text, user_id text, created_at bigint, last_activity_at bigint,
      active_minute bigint, state_since bigint, expires_at bigint, sweep_at bigint, data text, title text, labels text) loop
      continue when _change.n = any (_refused);
      update "perdure".sessions session set
        version = _change.version, commit_id = _change.commit_id, state = _change.state, agent = _change.agent,
        user_id = _change.user_id, last_activity_at = _change.last_activity_at, active_minute = _change.active_minute,
        state_since = _change.state_since, expires_at = _change.expires_at, sweep_at = _change.sweep_at,
        data = _change.data, title = _change.title, is_indexed = false
      where session.tenant = _change.tenant and session.id = _change.id
        and session.version = _change.expected_version and session.commit_id = _change.expected_commit
      returning (session.created_at, session.labels) is distinct from (_change.created_at, _change.labels) into _isRelabelled;
      if not found then
        _refused := _refused || _change.n;
      elsif _isRelabelled then
        update "perdure".sessions session set created_at = _change.created_at, labels = _change.labels
      where session.tenant = _change.tenant and session.id = _change.id;
      end if;
    end loop;
  end if;

  if _creates is not null then
    for _change in select * from json_to_recordset(_creates) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text, version bigint, commit_id text, state text, agent text, user_id text, created_at bigint, last_activity_at bigint,
      active_minute bigint, state_since bigint, expires_at bigint, sweep_at bigint, data text, title text, labels text, logs bigint) loop
      continue when _change.n = any (_refused);
      insert into "perdure".sessions (
        tenant, id, version, commit_id, state, agent, user_id, created_at, last_activity_at, active_minute, state_since,
        expires_at, sweep_at, data, logs, title, labels
      ) values (
        _change.tenant, _change.id, _change.version, _change.commit_id, _change.state, _change.agent, _change.user_id,
        _change.created_at, _change.last_activity_at, _change.active_minute, _change.state_since, _change.expires_at, _change.sweep_at,
        _change.data, _change.logs, _change.title, _change.labels
      ) on conflict do nothing;
      if not found then
        -- The transaction may have changed other rows: all is undone, and the next try finds the other writer's session.
        if _locks then raise serialization_failure using message = 'a session was created meanwhile'; end if;
        _refused := _refused || _change.n;
      end if;
    end loop;
  end if;

  if _moves is not null then
    -- Both sessions are locked, because the rows of both change in this transaction.
    for _change in
      select move.*, session.logs as replaced, giver.logs as given
      from json_to_recordset(_moves)
        as move(n int, tenant text, id text, logs bigint, copied boolean, from_tenant text, from_id text, from_logs bigint)
      cross join lateral (
      select found.logs from "perdure".sessions found where found.tenant = move.tenant and found.id = move.id limit 1
    ) session
      cross join lateral (
        select found.logs from "perdure".sessions found
        where found.tenant = move.from_tenant and found.id = move.from_id limit 1
      ) giver
      where move.n <> all (_refused)
    loop
      if _change.copied then
        perform "perdure".take_copy(_change.tenant, _change.id, _change.logs);
        if (_change.from_tenant, _change.from_id) <> (_change.tenant, _change.id) then
          update "perdure".sessions session set logs = _change.from_logs
          where session.tenant = _change.from_tenant and session.id = _change.from_id;
          _left := "perdure".remove_logs(_change.from_tenant, _change.from_id, _change.given) or _left;
        end if;
      else
        update "perdure".sessions session set logs = _change.logs
        where session.tenant = _change.tenant and session.id = _change.id;
        update "perdure".entries entry set tenant = _change.tenant, session = _change.id, logs = _change.logs
        where entry.tenant = _change.from_tenant and entry.session = _change.from_id and entry.logs = _change.given;
      end if;
      _left := "perdure".remove_logs(_change.tenant, _change.id, _change.replaced) or _left;
    end loop;
  end if;

  if _removals is not null then
    for _change in select * from json_to_recordset(_removals) as change(n int, place int, tenant text, id text, expected_version bigint, expected_commit text) loop
      continue when _change.n = any (_refused);
      delete from "perdure".sessions session where session.tenant = _change.tenant and session.id = _change.id
      returning session.logs into _logs;
      _left := "perdure".remove_logs(_change.tenant, _change.id, _logs) or _left;
    end loop;
  end if;

  if _splices is not null then
    for _change in
      select splice.*, session.logs
      from json_to_recordset(_splices) as splice(n int, tenant text, id text, log text, "from" bigint)
      cross join lateral (
      select found.logs from "perdure".sessions found where found.tenant = splice.tenant and found.id = splice.id limit 1
    ) session
      cross join lateral (
        select from "perdure".entries entry
        where entry.tenant = splice.tenant and entry.session = splice.id and entry.logs = session.logs
          and entry.log = splice.log and entry.seq >= splice."from"
        limit 1
      ) standing
      where splice.n <> all (_refused)
    loop
      perform "perdure".cut_log(_change.tenant, _change.id, _change.logs, _change.log, _change."from");
    end loop;
  end if;
  if _entries is not null then
    insert into "perdure".entries (tenant, session, logs, log, seq, key, at, data, bytes)
    select entry.tenant, entry.id, session.logs, entry.log, entry.seq, entry.key, entry.at,
      case when kept.bytes is null then entry.data else '{}' end, kept.bytes
    from json_to_recordset(_entries)
      as entry(n int, tenant text, id text, log text, seq bigint, key text, at bigint, data text)
    cross join lateral (
      select found.logs from "perdure".sessions found where found.tenant = entry.tenant and found.id = entry.id limit 1
    ) session
    cross join lateral (
      select case when entry.log = 'archive' and entry.key is null then "perdure".text_bytes(entry.data) end as bytes
      offset 0
    ) kept
    where entry.n <> all (_refused);
  end if;

  for _document in
    select change.* from json_to_recordset(_documents) as change(n int, place int, tenant text, scope text, key text, kind text, expected bigint, version bigint,
      user_id text, created_at bigint, updated_at bigint, expires_at bigint, data text, keeps_expiry boolean)
    where change.n <> all (_refused) order by change.tenant collate "C", change.scope collate "C", change.key collate "C"
  loop
    if _document.kind = 'touch' then
      update "perdure".documents document set expires_at = _document.expires_at where document.tenant = _document.tenant and document.scope = _document.scope and document.key = _document.key;
      continue;
    end if;
    update "perdure".documents document set
      version = _document.version, user_id = _document.user_id, data = _document.data,
      created_at = case when (document.expires_at is null or document.expires_at > _now) then document.created_at else _document.created_at end,
      updated_at = _document.updated_at,
      expires_at = case
        when _document.kind = 'remove' then 0
        when _document.keeps_expiry and (document.expires_at is null or document.expires_at > _now) then document.expires_at
        else _document.expires_at
      end
    where document.tenant = _document.tenant and document.scope = _document.scope and document.key = _document.key and not (((_document.expected = 0 and coalesce((document.expires_at is null or document.expires_at > _now) and document.version is not null, false))
      or (_document.expected = -1 and not coalesce((document.expires_at is null or document.expires_at > _now) and document.version is not null, false))
      or (_document.expected > 0 and not (coalesce((document.expires_at is null or document.expires_at > _now) and document.version is not null, false) and document.version = _document.expected))
      or coalesce(_document.version <= document.version, false)) is true);
    continue when found or _document.kind = 'remove';
    insert into "perdure".documents (
      tenant, scope, key, version, user_id, created_at, updated_at, expires_at, data
    ) values (
      _document.tenant, _document.scope, _document.key, _document.version, _document.user_id, _document.created_at,
      _document.updated_at, _document.expires_at, _document.data
    ) on conflict do nothing;
    if not found then raise serialization_failure using message = 'a document was created meanwhile'; end if;
  end loop;

  if _additions is not null then
    -- The last rows that are locked, in order. A sum has parts, so that lanes which add to it at the same time rarely wait.
    insert into "perdure".usage_sums as usage_sum (tenant, name, part, tokens, turns, until)
    select addition.tenant, addition.name, (uuid_hash_extended(_lane, 0) & 7)::int,
      sum(addition.tokens), sum(addition.turns), max(addition.until)
    from json_to_recordset(_additions)
      as addition(n int, tenant text, name text, tokens bigint, turns bigint, until bigint)
    where addition.n <> all (_refused)
    group by addition.tenant, addition.name
    order by addition.tenant collate "C", addition.name collate "C"
    on conflict (tenant, name, part) do update set tokens = usage_sum.tokens + excluded.tokens,
      turns = usage_sum.turns + excluded.turns, until = greatest(usage_sum.until, excluded.until);
  end if;

  if exists (
    select from (
      select * from json_to_recordset(_updates) as change(n int)
      union all
      select * from json_to_recordset(_creates) as change(n int)
      union all
      select * from json_to_recordset(_removals) as change(n int)
      union all
      select * from json_to_recordset(_documents) as change(n int)
    ) change
    where change.n <> all (_refused)
  ) then
    update "perdure".lanes lane set number = _number, refused = _refused, used_at = now()
    where lane.id = _lane and lane.number < _number
    returning exists (
      select from "perdure".news_subscriptions subscription where true and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
    ) into _isFollowed;
    if not found then
      insert into "perdure".lanes (id, number, refused, used_at) values (_lane, _number, _refused, now())
      on conflict do nothing
      returning exists (
      select from "perdure".news_subscriptions subscription where true and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
    ) into _isFollowed;
      if not found then
        raise exception using errcode = 'PDNUM', message = 'another try settled the batch';
      end if;
      delete from "perdure".lanes lane where lane.id in (
        select old.id from "perdure".lanes old
        where old.born_at < now() - interval '1 day' and old.used_at < now() - interval '1 day'
        order by old.born_at limit 4 for update skip locked
      );
      _left := _left or exists (select from "perdure".removed removed where removed.due_at <= now());
    end if;
  else
    select lane.number, lane.refused into _last from "perdure".lanes lane where lane.id = _lane;
    if _last.number >= _number then return json_build_object('settled', coalesce(_last.refused, '{}')); end if;
  end if;

  if _isFollowed then
    insert into "perdure".news (tenant, kind, scope, id)
    select noted.tenant, noted.kind, noted.scope, noted.id
    from (
      select change.n, split_part(change.tenant, chr(1) || 'streams', 1), 'session', case when split_part(change.tenant, chr(1) || 'streams', 1) = change.tenant then '' else change.tenant end, change.id
      from (
        select * from json_to_recordset(_updates) as change(n int, tenant text, id text)
        union all
        select * from json_to_recordset(_creates) as change(n int, tenant text, id text)
        union all
        select * from json_to_recordset(_removals) as change(n int, tenant text, id text)
      ) change
    union all
    select change.n, change.tenant, 'document', change.scope, change.key
    from json_to_recordset(_documents) as change(n int, tenant text, scope text, key text, kind text)
    where change.kind <> 'touch'
    ) noted(n, tenant, kind, scope, id)
    where noted.n <> all (_refused) and exists (
    select from "perdure".news_subscriptions subscription where subscription.tenant = noted.tenant and subscription.expires_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint
  );
  end if;
  if cardinality(_refused) = 0 and not _left then return null; end if;
  return json_build_object(
    'sessions', "perdure".refusal_reasons(_refused, _updates, _creates, _removals, _claims, _left),
    'documents', "perdure".document_refusals(_refused, _documents, _now)
  );
end$body$;
  insert into "perdure".migrations (version, title, breaking) values (14, $body$updates of documents keep the time of expiry$body$, false);
end$body2$;

-- 15: an index of search that costs less
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
  if exists (select from "perdure".migrations where version >= 15) then
    return;
  end if;

drop function if exists "perdure".due_messages, "perdure".put_messages;

create function "perdure".due_messages(_holder text, _after_tenant text default null, _after_id text default null)
returns json language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
declare
  _now bigint := floor(extract(epoch from clock_timestamp()) * 1000)::bigint;
  _session record;
  _fresh record;
  _due json[] := '{}';
  _entries int := 500;
  _bytes bigint := 4194304;
  _isWhole boolean;
  _isLast boolean := true;
  _left bigint;
begin
  if _after_id is null then
    select count(*) into _left from (
      select from "perdure".sessions session where not session.is_indexed limit 100000
    ) found;
    if _left = 0 then return null; end if;
    if exists (select from "perdure".search_state state where state.id = 1) then
      perform from "perdure".search_state state where state.id = 1 and (state.holder = _holder or state.until <= _now)
      for no key update skip locked;
      if not found then return json_build_object('left', _left); end if;
      update "perdure".search_state state set holder = _holder, until = _now + 5000 where state.id = 1;
    else
      insert into "perdure".search_state (id, holder, until) values (1, _holder, _now + 5000) on conflict do nothing;
      if not found then return json_build_object('left', _left); end if;
    end if;
  end if;

  for _session in
    select session.tenant, session.id, session.logs, session.version, session.commit_id, session.title, session.created_at
    from "perdure".sessions session
    where not session.is_indexed and (session.tenant, session.id) > (coalesce(_after_tenant, ''), coalesce(_after_id, ''))
    order by session.tenant, session.id limit 201
  loop
    if cardinality(_due) = 200 or _entries <= 0 or _bytes <= 0 then
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
        from "perdure".entries entry
        where entry.tenant = _session.tenant and entry.session = _session.id and entry.logs = _session.logs
          and entry.log >= 'turns' and entry.log < 'turns$'
          and (entry.log = 'turns' or entry.log like 'turns#%') and not exists (
            select from "perdure".search_messages message
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
      'commit_id', _session.commit_id, 'title', _session.title, 'titleMark', hashtextextended(_session.title, 0)::text,
      'createdAt', _session.created_at, 'turns', coalesce(_fresh.turns, '[]'), 'isWhole', _isWhole
    );
    _entries := _entries - _fresh.count;
    _bytes := _bytes - _fresh.bytes;
  end loop;
  return json_build_object('left', _left, 'isLast', _isLast, 'sessions', array_to_json(_due));
end$body$;
create function "perdure".put_words(
  _holder text, _sessions json, _logs json, _place int[], _log int[], _seq bigint[], _message int[], _at bigint[], _xid bigint[],
  _words text, _isLast boolean
) returns int language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set lock_timeout = '5s'
as $body$
declare
  _tenants text[];
  _ids text[];
  _numbers bigint[];
  _all_logs text[] := array(select json_array_elements_text(_logs));
  _each_words text[] := string_to_array(_words, ',');
  _marked bigint[];
  _other record;
begin
  perform from "perdure".search_state state where state.id = 1 and state.holder = _holder for no key update;
  if not found then return -1; end if;
  select array_agg(given.tenant order by given.place), array_agg(given.id order by given.place),
    array_agg(session.logs order by given.place)
  into _tenants, _ids, _numbers
  from rows from (
      json_to_recordset(_sessions) as (tenant text, id text, logs bigint, version bigint, commit_id text, is_whole boolean)
    ) with ordinality as given(tenant, id, logs, version, commit_id, is_whole, place)
  left join lateral (
    select found.logs from "perdure".sessions found
    where found.tenant = given.tenant and found.id = given.id and found.logs = given.logs limit 1
  ) session on true;

  delete from "perdure".search_messages message where message.ctid = any (array(
    select gone.ctid from rows from (
      json_to_recordset(_sessions) as (tenant text, id text, logs bigint, version bigint, commit_id text, is_whole boolean)
    ) with ordinality as given(tenant, id, logs, version, commit_id, is_whole, place)
    left join lateral (
      select found.logs, found.title from "perdure".sessions found where found.tenant = given.tenant and found.id = given.id limit 1
    ) session on true
    cross join lateral (
      select message.ctid from "perdure".search_messages message
      where message.tenant = given.tenant and message.session = given.id
        and (
      message.logs <> coalesce(session.logs, -1)
      or (message.seq = 0 and message.xid is distinct from hashtextextended(session.title, 0))
      or (message.seq > 0 and not exists (
        select from "perdure".entries entry
        where entry.tenant = message.tenant and entry.session = message.session and entry.logs = message.logs
          and entry.log = message.log and entry.seq = message.seq and entry.xmin::text::bigint = message.xid
      ))
    )
      offset 0
    ) gone
  ));
  if _isLast then perform set_config('gin_pending_list_limit', '256', true); end if;
  begin
    insert into "perdure".search_messages (tenant, session, logs, log, seq, message, at, xid, words)
    select _tenants[added.place], _ids[added.place], _numbers[added.place], _all_logs[added.log], added.seq, added.message,
      added.at, added.xid, array_to_tsvector(string_to_array(coalesce(added.words, ''), ' '))
    from unnest(_place, _log, _seq, _message, _at, _xid, _each_words) as added(place, log, seq, message, at, xid, words)
    where _numbers[added.place] is not null and (added.seq > 0 or added.xid is distinct from (
      select titled.xid from "perdure".search_messages titled
      where titled.tenant = _tenants[added.place] and titled.session = _ids[added.place] and titled.logs = _numbers[added.place]
        and titled.log = _all_logs[added.log] and titled.seq = added.seq and titled.message = added.message
    ));
  exception when unique_violation then
    -- This call is a retry of one that was committed.
    insert into "perdure".search_messages (tenant, session, logs, log, seq, message, at, xid, words)
    select _tenants[added.place], _ids[added.place], _numbers[added.place], _all_logs[added.log], added.seq, added.message,
      added.at, added.xid, array_to_tsvector(string_to_array(coalesce(added.words, ''), ' '))
    from unnest(_place, _log, _seq, _message, _at, _xid, _each_words) as added(place, log, seq, message, at, xid, words)
    where _numbers[added.place] is not null and (added.seq > 0 or added.xid is distinct from (
      select titled.xid from "perdure".search_messages titled
      where titled.tenant = _tenants[added.place] and titled.session = _ids[added.place] and titled.logs = _numbers[added.place]
        and titled.log = _all_logs[added.log] and titled.seq = added.seq and titled.message = added.message
    ))
    on conflict do nothing;
  end;
  with locked as materialized (
    select given.place, session.ctid as at from rows from (
      json_to_recordset(_sessions) as (tenant text, id text, logs bigint, version bigint, commit_id text, is_whole boolean)
    ) with ordinality as given(tenant, id, logs, version, commit_id, is_whole, place)
    cross join lateral (
      select found.ctid from "perdure".sessions found
      where found.tenant = given.tenant and found.id = given.id and found.version = given.version
        and found.commit_id = given.commit_id and given.is_whole
      limit 1 for no key update skip locked
    ) session
  ), marked as (
    update "perdure".sessions session set is_indexed = true
    from locked
    where session.ctid = locked.at and session.tenant is not distinct from _tenants[locked.place]
      and session.id is not distinct from _ids[locked.place]
    returning locked.place
  )
  select coalesce(array_agg(marked.place), '{}') into _marked from marked;
  if cardinality(_marked) < cardinality(_ids) then
    for _other in select * from rows from (
      json_to_recordset(_sessions) as (tenant text, id text, logs bigint, version bigint, commit_id text, is_whole boolean)
    ) with ordinality as given(tenant, id, logs, version, commit_id, is_whole, place) where given.place <> all (_marked) loop
      perform from "perdure".sessions session
      where session.tenant = _other.tenant and session.id = _other.id and session.logs = _other.logs
      for key share skip locked;
      if not found then
        delete from "perdure".search_messages message
        where message.tenant = _other.tenant and message.session = _other.id and message.logs = _other.logs;
      end if;
    end loop;
  end if;
  if _isLast then update "perdure".search_state state set until = 0 where state.id = 1; end if;
  return cardinality(_marked);
end$body$;
create function "perdure".put_messages(_sessions json, _messages json, _isLast boolean) returns int language plpgsql 
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
as $body$
begin
  return (
    select "perdure".put_words(
      (select state.holder from "perdure".search_state state where state.id = 1), _sessions, json_agg(added.log order by added.n),
      array_agg(added.place order by added.n), array_agg(added.n order by added.n), array_agg(added.seq order by added.n),
      array_agg(added.message order by added.n), array_agg(added.at order by added.n), array_agg(added.xid order by added.n),
      string_agg(added.words, ',' order by added.n), _isLast
    )
    from (
      select given.place::int, sent.log, sent.seq, sent.message, sent.at, sent.xid, sent.words,
        row_number() over (order by sent.n)::int as n
      from rows from (
        json_to_recordset(_messages)
          as (tenant text, id text, logs bigint, log text, seq bigint, message int, at bigint, xid bigint, words text)
      ) with ordinality as sent(tenant, id, logs, log, seq, message, at, xid, words, n)
      join rows from (
      json_to_recordset(_sessions) as (tenant text, id text, logs bigint, version bigint, commit_id text, is_whole boolean)
    ) with ordinality as given(tenant, id, logs, version, commit_id, is_whole, place) on given.tenant = sent.tenant and given.id = sent.id and given.logs = sent.logs
    ) added
  );
end$body$;
alter table "perdure".search_messages alter column words set statistics 0;
alter table "perdure".search_messages alter column tenant set statistics 10;
alter table "perdure".search_messages alter column session set statistics 10;
alter table "perdure".search_messages alter column logs set statistics 10;
alter table "perdure".search_messages alter column log set statistics 10;
alter table "perdure".search_messages alter column seq set statistics 10;
alter table "perdure".search_messages alter column message set statistics 10;
alter table "perdure".search_messages alter column at set statistics 10;
alter table "perdure".search_messages alter column xid set statistics 10;
  insert into "perdure".migrations (version, title, breaking) values (15, $body$an index of search that costs less$body$, false);
end$body2$;

-- 16: sessions are found by their key, also where the tables were nearly empty; the view of events
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
  if exists (select from "perdure".migrations where version >= 16) then
    return;
  end if;

create unique index sessions_by_key on "perdure".sessions (tenant, id);
alter table "perdure".sessions drop constraint sessions_pkey,
  add constraint sessions_pkey primary key using index sessions_by_key;

create or replace function "perdure".readable_or_null(_data text) returns jsonb language plpgsql immutable strict
as $body$
begin
  return "perdure".readable(_data);
exception when data_exception or program_limit_exceeded then
  return null;
end$body$;

create or replace function "perdure".whole_number(_value jsonb) returns bigint language sql immutable strict parallel safe
as $body$
  select case jsonb_typeof(_value) when 'number' then
    case when _value::numeric between -9223372036854775808 and 9223372036854775807 then _value::numeric::bigint end
  end$body$;

create or replace function "perdure".instant(_ms bigint) returns timestamptz language sql immutable strict parallel safe
as $body$select case when _ms >= -62135596800000 then to_timestamp(least(_ms, 253402300799999) / 1000.0) end$body$;

create or replace view "perdure".readable_sessions as
select tenant, id, agent, user_id, state, "perdure".instant(created_at) as created_at,
  "perdure".instant(last_activity_at) as last_activity_at, "perdure".instant(expires_at) as expires_at,
  data -> 'metadata' as metadata,
  "perdure".whole_number(coalesce(data #> '{counters,turns}', data #> '{counters,0}')) as turns,
  "perdure".whole_number(coalesce(data #> '{counters,messages}', data #> '{counters,1}')) as messages,
  "perdure".whole_number(coalesce(data #> '{counters,requests}', data #> '{counters,2}')) as requests,
  "perdure".whole_number(coalesce(data #> '{counters,inputTokens}', data #> '{counters,3}')) as input_tokens,
  "perdure".whole_number(coalesce(data #> '{counters,outputTokens}', data #> '{counters,4}')) as output_tokens,
  "perdure".whole_number(coalesce(data #> '{counters,totalTokens}', data #> '{counters,5}')) as total_tokens,
  "perdure".whole_number(coalesce(data #> '{counters,durationMs}', data #> '{counters,6}')) as duration_ms,
  data #>> '{lease,instance}' as held_by, version, title, "perdure".readable_or_null(labels) as labels,
  case when active_until > now() then data #>> '{floor,agent}' end as active_agent,
  case when active_until > now() then "perdure".instant("perdure".whole_number(data #> '{floor,lockedAt}')) end as active_since,
  case when active_until > now() then active_until end as active_until,
  "perdure".instant("perdure".whole_number(data #> '{lease,acquiredAt}')) as held_since
from (select *, "perdure".instant("perdure".whole_number(data #> '{floor,expiresAt}')) as active_until from (
  select tenant, id, agent, user_id, state, created_at, last_activity_at, expires_at, version, title,
    labels, "perdure".readable_or_null(data) as data
  from "perdure".sessions where position(chr(1) in tenant) = 0
) stored) session;

create or replace view "perdure".readable_turns as
select tenant, session, seq, key, "perdure".instant(at) as at, data ->> 'status' as status, data ->> 'agent' as agent,
  data ->> 'model' as model, data -> 'input' as input, data -> 'output' as output,
  "perdure".whole_number(data -> 'requests') as requests,
  "perdure".whole_number(data #> '{usage,inputTokens}') as input_tokens,
  "perdure".whole_number(data #> '{usage,outputTokens}') as output_tokens,
  "perdure".whole_number(data #> '{usage,totalTokens}') as total_tokens,
  coalesce(data #> '{usage,estimated}' = 'true', false) as estimated,
  "perdure".whole_number(data -> 'durationMs') as duration_ms, data #>> '{error,code}' as error_code,
  data #>> '{error,message}' as error_message, data ->> 'finish' as finish_reason,
  "perdure".whole_number(data #> '{usage,cachedTokens}') as cached_tokens,
  "perdure".whole_number(data #> '{usage,reasoningTokens}') as reasoning_tokens,
  "perdure".whole_number(data -> 'waitedMs') as waited_ms
from (
  select record.tenant, record.id as session, entry.seq + segment.before as seq, entry.key, entry.at,
    "perdure".readable_or_null(entry.data) as data
  from "perdure".sessions record
  cross join lateral (
    select case when own.number is not distinct from own.root then 'turns' else 'turns#' || own.number end as log,
      own.until - own.before as last, own.before
    from (
      select segment.value ->> 0 as number, made.branches ->> 'root' as root, "perdure".whole_number(segment.value -> 1) as until,
        coalesce(lag("perdure".whole_number(segment.value -> 1)) over (order by segment.place), 0) as before
      from (
        select case when position('"branches":{' in record.data) > 0 then "perdure".readable_or_null(record.data) -> 'branches' end as branches
        offset 0
      ) made
      cross join lateral jsonb_array_elements(
        case jsonb_typeof(made.branches) when 'object' then
          case jsonb_typeof(made.branches -> 'path') when 'array' then made.branches -> 'path' else '[]' end
            || jsonb_build_array(jsonb_build_array(made.branches -> 'current', 9007199254740991))
        else '[[null, 9007199254740991]]' end
      ) with ordinality as segment(value, place)
    ) own
    offset 0) segment
  join "perdure".entries entry on entry.tenant = record.tenant and entry.session = record.id and entry.logs = record.logs
    and entry.log = segment.log and entry.seq <= segment.last
  where position(chr(1) in record.tenant) = 0
) turn;

create or replace view "perdure".readable_messages as
select turn.tenant, turn.session, turn.seq as turn, message.part, message.place, turn.at, turn.agent,
  message.value ->> 'role' as role, message.value -> 'content' as content,
  case jsonb_typeof(message.value -> 'content') when 'string' then message.value ->> 'content' end as text,
  message.value -> 'tool_calls' as tool_calls, message.value ->> 'tool_call_id' as tool_call_id,
  message.value as message
from "perdure".readable_turns turn
cross join lateral (
  select 'input' as part, place, value from jsonb_array_elements(case jsonb_typeof(turn.input) when 'array' then turn.input end) with ordinality as input(value, place)
  union all
  select 'output', place, value from jsonb_array_elements(case jsonb_typeof(turn.output) when 'array' then turn.output end) with ordinality as output(value, place)
) message;

create or replace view "perdure".usage_by_day as
select tenant, (at at time zone 'UTC')::date as day, agent, count(*) as turns, sum(requests) as requests,
  sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens, sum(total_tokens) as total_tokens,
  count(*) filter (where estimated) as estimated_turns, sum(duration_ms) as duration_ms,
  sum(cached_tokens) as cached_tokens
from (
  select tenant, session, seq, key, "perdure".instant(at) as at, data ->> 'status' as status, data ->> 'agent' as agent,
  data ->> 'model' as model, data -> 'input' as input, data -> 'output' as output,
  "perdure".whole_number(data -> 'requests') as requests,
  "perdure".whole_number(data #> '{usage,inputTokens}') as input_tokens,
  "perdure".whole_number(data #> '{usage,outputTokens}') as output_tokens,
  "perdure".whole_number(data #> '{usage,totalTokens}') as total_tokens,
  coalesce(data #> '{usage,estimated}' = 'true', false) as estimated,
  "perdure".whole_number(data -> 'durationMs') as duration_ms, data #>> '{error,code}' as error_code,
  data #>> '{error,message}' as error_message, data ->> 'finish' as finish_reason,
  "perdure".whole_number(data #> '{usage,cachedTokens}') as cached_tokens,
  "perdure".whole_number(data #> '{usage,reasoningTokens}') as reasoning_tokens,
  "perdure".whole_number(data -> 'waitedMs') as waited_ms
  from (
    select tenant, session, seq, key, at, "perdure".readable_or_null(data) as data from "perdure".entries entry
    where entry.log >= 'turns' and entry.log < 'turns$'
          and (entry.log = 'turns' or entry.log like 'turns#%') and position(chr(1) in tenant) = 0 and not exists (
    select from "perdure".removed removed
    where removed.tenant = entry.tenant and removed.session = entry.session and removed.logs = entry.logs
  )
  ) turn
) turn
group by tenant, day, agent;

create or replace view "perdure".readable_events as
select tenant, session, seq, "perdure".instant(at) as at, case type when 'restarted' then 'reset' when 'terminated' then 'ended' when 'released' then 'handoff_ended' when 'held' then 'legal_hold_set' when 'hold_released' then 'legal_hold_cleared' else type end as type,
  data ->> 'correlation' as correlation,
  case jsonb_typeof(data) when 'object' then data - 'type' - 'correlation' else data end as data,
  case when type in ('created', 'restarted', 'archived', 'reassigned', 'expired', 'revived', 'terminated', 'activated', 'passivated', 'failed', 'unarchived', 'held', 'hold_released', 'forked', 'conflicted', 'attachment_lost') then 'lifecycle'
    when type in ('recovered', 'taken_over') then 'lease'
    when type in ('handed_off', 'released') then 'handoff'
    when type in ('claimed', 'superseded', 'device_linked') then 'device'
    when type in ('turn_waiting', 'turn_resumed', 'calls_decided', 'wait_ended') then 'waiting'
    when type like 'app.%' then 'app' else case when type like 'app.%' then 'app' end end as category,
  case when type in ('created', 'restarted', 'archived', 'reassigned', 'expired', 'revived', 'terminated', 'activated', 'passivated', 'handed_off', 'released', 'claimed', 'superseded', 'device_linked', 'unarchived', 'held', 'hold_released', 'forked', 'turn_waiting', 'turn_resumed', 'calls_decided') then 'info'
    when type in ('recovered', 'taken_over', 'wait_ended', 'conflicted', 'attachment_lost') then 'warning'
    when type in ('failed') then 'error' else data ->> 'severity' end as severity,
  case when type in ('created', 'restarted', 'archived', 'reassigned', 'expired', 'revived', 'terminated', 'recovered', 'taken_over', 'activated', 'passivated', 'handed_off', 'released', 'claimed', 'superseded', 'device_linked', 'unarchived', 'held', 'hold_released', 'forked', 'turn_waiting', 'turn_resumed', 'calls_decided', 'wait_ended', 'conflicted', 'attachment_lost') then 'ok'
    when type in ('failed') then 'failed'
    when type like 'app.%' then 'ok' else case when type like 'app.%' then 'ok' end end as status,
  case type when 'handed_off' then data ->> 'from' when 'released' then data ->> 'agent' end as previous_agent,
  "perdure".whole_number(data -> 'heldMs') as previous_active_ms
from (select *, data ->> 'type' as type from (
  select tenant, session, seq, at, "perdure".readable_or_null(data) as data from "perdure".entries entry
  where log = 'events' and position(chr(1) in tenant) = 0 and not exists (
    select from "perdure".removed removed
    where removed.tenant = entry.tenant and removed.session = entry.session and removed.logs = entry.logs
  )
) stored) event;
  insert into "perdure".migrations (version, title, breaking) values (16, $body$sessions are found by their key, also where the tables were nearly empty; the view of events$body$, false);
end$body2$;

insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data, commit_id, logs, title, labels, is_indexed) values ('secret', 'check', 'perdure', null, 'active', 1796102070276, 1796102070276, 4949702070276, 29935034, 1796102070276421, 1796102070276, 4949702070276, '{"metadata":{"check":"ff6075023e07576fb47eea5775424448f0345753ed7b542f816fcbcc3d0279db","first":"ff607502","rotated":false},"ttlMs":3153600000000,"counters":[0,0,0,0,0,0,0,0],"heads":{}}', '0xz6xvz2fjwj6w7s.1', 6601147219681508000, null, null, false);
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data, commit_id, logs, title, labels, is_indexed) values ('default', 'plain', 'assistant', 'ada', 'active', 1796102070282, 1796102070282, 3372902070282, 29935034, 1796102070282796, 1796102070312, 3372902070312, '{"metadata":{"plan":"pro","since":{"$type":"date","value":"1970-01-01T00:00:00.000Z"},"\u0000":"\"maxAgeFrom\":1,\"mark\":\"not this one\""},"ttlMs":1576800000000,"counters":[3,6,3,6,3,9,0,0],"heads":{"instructions":1,"events":3,"turns":3},"turnsVersion":1796102070282794,"floor":{"agent":"assistant","expiresAt":3372902070312,"note":"The customer waits.","noteFrom":"application","lockedAt":1796102070312},"turnsCommitId":"0xz6xvz2fjwj6w7s.5","hold":{"reason":"case 1","at":1796102070311}}', '0xz6xvz2fjwj6w7s.7', 1260697949731155000, null, null, false);
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data, commit_id, logs, title, labels, is_indexed) values ('default', 'touched', 'assistant', null, 'active', 1796102070313, 1796102070313, 3372902070313, 29935034, 1796102070313047, 1796102070340, 3372902070340, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,2,0,0,0,0,0,0],"heads":{"events":1,"turns":1},"turnsVersion":1796102070313044,"turnsCommitId":"0xz6xvz2fjwj6w7s.9"}', '0xz6xvz2fjwj6w7s.12', 2547420962146171000, null, null, false);
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data, commit_id, logs, title, labels, is_indexed) values ('default', 'parent', 'assistant', null, 'active', 1796102070342, 1796102070342, 3372902070342, 29935034, 1796102070342334, 1796102070345, 3372902070345, '{"metadata":{},"ttlMs":1576800000000,"counters":[2,4,0,0,0,0,0,0],"heads":{"events":1,"turns":2,"forks":1},"turnsVersion":1796102070342333,"turnsCommitId":"0xz6xvz2fjwj6w7s.15","forkedAt":1}', '0xz6xvz2fjwj6w7s.16', 9022644418003370000, null, null, false);
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data, commit_id, logs, title, labels, is_indexed) values ('default', 'fork', 'assistant', null, 'active', 1796102070354, 1796102070354, 3372902070354, 29935034, 1796102070354975, 1796102070369, 3372902070369, '{"metadata":{},"ttlMs":1576800000000,"counters":[2,4,0,0,0,0,0,0],"heads":{"turns":2,"events":2},"parent":{"id":"parent","at":1,"born":1796102070342},"inherited":1}', '0xz6xvz2fjwj6w7s.17', 1262543816364631000, null, null, false);
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data, commit_id, logs, title, labels, is_indexed) values ('default', 'archived', 'assistant', null, 'archived', 1796102070381, 1796102070438, 3372902070381, 29935034, 1796102070381179, 1796102070393, 3372902070393, '{"metadata":{},"ttlMs":1576800000000,"counters":[2,4,0,0,0,0,0,0],"heads":{"events":2,"archive":1,"spent":1},"turnsVersion":1796102070381178,"turnsCommitId":"0xz6xvz2fjwj6w7s.20","archive":{"state":"active","heads":{"turns":2},"bytes":377,"packedBytes":82,"parts":[{"ranges":[{"log":"turns","from":1,"to":2}],"sha256":"1134f5564504b6bfea53fb928292017ebf190cc7139b08347d015f1d93b56f67"}],"spent":1}}', '0xz6xvz2fjwj6w7s.21', 1001560625481462900, null, null, false);
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data, commit_id, logs, title, labels, is_indexed) values ('default', 'cut', 'assistant', null, 'active', 1796102070506, 1796102070506, 3372902070506, 29935034, 1796102070506383, 1796102070546, 3372902070546, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,2,0,0,0,0,0,0],"heads":{"events":1,"turns":1,"spent":1}}', '0xz6xvz2fjwj6w7s.25', 4851177807800608000, null, null, false);
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data, commit_id, logs, title, labels, is_indexed) values ('default', 'branched', 'assistant', null, 'active', 1796102070561, 1796102070561, 3372902070561, 29935034, 1796102070561338, 1796102070589, 3372902070589, '{"metadata":{},"ttlMs":1576800000000,"counters":[2,3,0,0,0,0,0,0],"heads":{"events":1,"turns":2,"turns#1":2,"#branches":1},"branches":{"root":1,"current":2,"path":[[1,1]],"made":2,"shared":1}}', '0xz6xvz2fjwj6w7s.30', 3415757834061445600, null, null, false);
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data, commit_id, logs, title, labels, is_indexed) values ('defaultdevices', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 'perdure', null, 'active', 1796102070600, 1796102070600, 1827638070600, 29935034, 1796102070600999, 1796102070600, 1827638070600, '{"metadata":{"kind":"own","session":"device_770b12f5e2411717fb6e461a811923ab4caa9651","secret":"ff607502"},"ttlMs":31536000000,"counters":[0,0,0,0,0,0,0,0],"heads":{}}', '0xz6xvz2fjwj6w7s.31', 1125597157399244400, null, null, false);
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data, commit_id, logs, title, labels, is_indexed) values ('default', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 'assistant', null, 'active', 1796102070600, 1796102070600, 3372902070600, 29935034, 1796102070600503, 1796102070615, 3372902070615, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,2,0,0,0,0,0,0],"heads":{"events":2,"turns":1},"turnsVersion":1796102070600502,"turnsCommitId":"0xz6xvz2fjwj6w7s.32"}', '0xz6xvz2fjwj6w7s.34', 3158944030327678500, null, null, false);
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data, commit_id, logs, title, labels, is_indexed) values ('defaultdevices', 'device_04cd9a6080618e9a36f7ccf68fbb46c44d5e21c3', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', null, 'active', 1796102070691, 1796102070691, 1827638070691, 29935034, 1796102070691262, 1796102070691, 1827638070691, '{"metadata":{"kind":"linked","session":"device_770b12f5e2411717fb6e461a811923ab4caa9651","born":1796102070600,"from":2,"secret":"ff607502"},"ttlMs":31536000000,"counters":[0,0,0,0,0,0,0,0],"heads":{}}', '0xz6xvz2fjwj6w7s.34', 1787068604581759700, null, null, false);
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data, commit_id, logs, title, labels, is_indexed) values ('default', 'leased', 'assistant', null, 'active', 1796102070715, 1796102070715, 3372902070715, 29935034, 1796102070715029, 1796102070731, 3372902070731, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,2,0,0,0,0,0,0],"heads":{"events":1,"turns":1},"turnsVersion":1796102070715028,"fence":1796102070715029,"lease":{"instance":"i_01m8r0d7zbyv1yefq6vfgmkd9m","fence":1796102070715029,"commitId":"0xz6xvz2fjwj6w7s.37","acquiredAt":1796102070747,"expiresAt":null},"turnsCommitId":"0xz6xvz2fjwj6w7s.36"}', '0xz6xvz2fjwj6w7s.37', 2972707227803351000, null, null, false);
insert into perdure.sessions (tenant, id, agent, user_id, state, created_at, state_since, sweep_at, active_minute, version, last_activity_at, expires_at, data, commit_id, logs, title, labels, is_indexed) values ('default', 'open', 'assistant', null, 'active', 1796102070754, 1796102070754, 3372902070754, 29935034, 1796102070754107, 1796102070814, 3372902070814, '{"metadata":{},"ttlMs":1576800000000,"counters":[1,1,0,0,0,0,0,0],"heads":{"events":1,"turns":1,"chunks":1},"turnsVersion":1796102070754106,"openTurn":1,"fence":1796102070754106,"lease":{"instance":"i_01m8r0d7zbyv1yefq6vfgmkd9m","fence":1796102070754106,"commitId":"0xz6xvz2fjwj6w7s.39","acquiredAt":1796102070760,"expiresAt":null},"turnsCommitId":"0xz6xvz2fjwj6w7s.39"}', '0xz6xvz2fjwj6w7s.40', 4614304301888270000, null, null, false);

insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'plain', 'instructions', 1, null, 1796102070282, '"Be brief."', null, 1260697949731155000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'plain', 'events', 1, null, 1796102070282, '{"type":"created","agent":"assistant","user":"ada"}', null, 1260697949731155000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'plain', 'turns', 1, 'key one', 1796102070296, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null, 1260697949731155000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'plain', 'turns', 2, 'key two', 1796102070302, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":2,"input":[{"role":"user","content":"two"}],"output":[{"role":"assistant","content":"two!"}]}', null, 1260697949731155000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'plain', 'turns', 3, 'key three', 1796102070304, '{"status":"done","agent":"assistant","model":"m","usage":{"inputTokens":2,"outputTokens":1,"totalTokens":3},"requests":1,"messagesBefore":4,"input":[{"role":"user","content":"three"}],"output":[{"role":"assistant","content":"three!"}]}', null, 1260697949731155000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'plain', 'events', 2, null, 1796102070311, '{"type":"held","reason":"case 1"}', null, 1260697949731155000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'plain', 'events', 3, null, 1796102070312, '{"type":"handed_off","agent":"assistant","from":null,"ttlMs":1576800000000,"note":"The customer waits.","noteFrom":"application","heldMs":null}', null, 1260697949731155000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'touched', 'events', 1, null, 1796102070313, '{"type":"created","agent":"assistant","user":null}', null, 2547420962146171000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'touched', 'turns', 1, null, 1796102070319, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null, 2547420962146171000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'parent', 'events', 1, null, 1796102070342, '{"type":"created","agent":"assistant","user":null}', null, 9022644418003370000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'parent', 'turns', 1, null, 1796102070344, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null, 9022644418003370000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'parent', 'turns', 2, null, 1796102070345, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":2,"input":[{"role":"user","content":"two"}],"output":[{"role":"assistant","content":"two!"}]}', null, 9022644418003370000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'fork', 'events', 1, null, 1796102070354, '{"type":"created","agent":"assistant","user":null}', null, 1262543816364631000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'fork', 'events', 2, null, 1796102070354, '{"type":"forked","from":"parent","turn":1}', null, 1262543816364631000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'parent', 'forks', 1, null, 1796102070354, '{"session":"fork","at":1}', null, 9022644418003370000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'fork', 'turns', 2, null, 1796102070369, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":2,"input":[{"role":"user","content":"other two"}],"output":[{"role":"assistant","content":"other two!"}]}', null, 1262543816364631000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'archived', 'events', 1, null, 1796102070381, '{"type":"created","agent":"assistant","user":null}', null, 1001560625481462900);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'archived', 'archive', 1, null, 1796102070397, '{}', '\x01811700ce9960c7ae988c2de3c8cbb7323a701b9eef54b0aadcee3244644e2727173bf21758486d8147d6024e03d360636c6d730435c87ea2c20cd9345ab272e22765df5bb9230145027464fb836cbfe301', 1001560625481462900);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'archived', 'spent', 1, null, 1796101200000, '{"agent":"assistant","usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0},"requests":0,"durationMs":0,"longestMs":0,"turns":2,"failed":0,"interrupted":0,"estimated":0}', null, 1001560625481462900);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'archived', 'events', 2, null, 1796102070438, '{"type":"archived","of":null}', null, 1001560625481462900);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'cut', 'events', 1, null, 1796102070506, '{"type":"created","agent":"assistant","user":null}', null, 4851177807800608000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'cut', 'turns', 1, null, 1796102070511, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null, 4851177807800608000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'cut', 'spent', 1, null, 1796101200000, '{"agent":"assistant","usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0},"requests":0,"durationMs":0,"longestMs":0,"turns":1,"failed":0,"interrupted":0,"estimated":0}', null, 4851177807800608000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'branched', 'events', 1, null, 1796102070561, '{"type":"created","agent":"assistant","user":null}', null, 3415757834061445600);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'branched', 'turns', 1, null, 1796102070563, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null, 3415757834061445600);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'branched', 'turns', 2, null, 1796102070567, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":2,"input":[{"role":"user","content":"two"}],"output":[{"role":"assistant","content":"two!"}]}', null, 3415757834061445600);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'branched', 'turns', 3, null, 1796102070570, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":4,"input":[{"role":"user","content":"three"}],"output":[{"role":"assistant","content":"three!"}]}', null, 3415757834061445600);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'branched', '#branches', 1, null, 1796102070589, '{"current":2,"kept":[[1,2,2,1796102070589,6]]}', null, 3415757834061445600);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'branched', 'turns#2', 1, null, 1796102070589, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":2,"input":[{"role":"user","content":"other two"}],"output":[]}', null, 3415757834061445600);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 'events', 1, null, 1796102070600, '{"type":"created","agent":"assistant","user":null}', null, 3158944030327678500);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 'turns', 1, null, 1796102070615, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"hello"}],"output":[{"role":"assistant","content":"hello!"}]}', null, 3158944030327678500);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'device_770b12f5e2411717fb6e461a811923ab4caa9651', 'events', 2, null, 1796102070691, '{"type":"device_linked"}', null, 3158944030327678500);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'leased', 'events', 1, null, 1796102070715, '{"type":"created","agent":"assistant","user":null}', null, 2972707227803351000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'leased', 'turns', 1, null, 1796102070731, '{"status":"done","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"one"}],"output":[{"role":"assistant","content":"one!"}]}', null, 2972707227803351000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'open', 'events', 1, null, 1796102070754, '{"type":"created","agent":"assistant","user":null}', null, 4614304301888270000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'open', 'turns', 1, null, 1796102070760, '{"status":"open","agent":"assistant","requests":0,"messagesBefore":0,"input":[{"role":"user","content":"a question"}],"output":[]}', null, 4614304301888270000);
insert into perdure.entries (tenant, session, log, seq, key, at, data, bytes, logs) values ('default', 'open', 'chunks', 1, null, 1796102070814, '{"text":"half an answer"}', null, 4614304301888270000);

insert into perdure.instances (id, host, pid, machine, started_at, seen_at, address, stale_after_ms) values ('i_01m8r0d7zbyv1yefq6vfgmkd9m', 'host', 30922, 'machine', '3989995', 1796102070739, null, 10000);
