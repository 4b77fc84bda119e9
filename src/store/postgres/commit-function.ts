import { quoteBody } from "./names.ts";
import { recordJson } from "./record-json.ts";

/**
 * Settings of the functions that hot statements call. Each part of them is planned once per connection, without a named
 * statement, so it works behind any pooler; the plan must then fit a session of any length and a batch of any size, also
 * where it was made while the tables were small: an index lookup for each row of the batch. A plain join leaves the
 * planner free to turn it around, so rows are looked up one by one, by a loop or by a lateral part with a limit.
 */
export const planOnce = `
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off`;

/**
 * `commit_batch` applies a batch of transactions, numbered by `n`, in one statement of the caller and one transaction of
 * the server. Within it every step sees what was committed before the step began, so what is judged after a row was
 * locked is judged on that row's newest version.
 *
 * A lane numbers its batches and sends the next one only when it knows what became of the last. The row of the lane
 * says which number was taken last, so a batch that comes twice, because its answer was lost, lands once: the second
 * waits for the first, changes nothing and is told what the first one did, however far the sessions have moved since.
 *
 * Races with other writers of a session:
 * - an update finds another version, also when it had to wait for the row: it is refused, and its log entries with it;
 * - an insert finds that somebody else was faster: refused likewise;
 * - entries are only ever written by who has the session's row, so they race with nobody.
 * Changes come sorted by key, and rows that stand are locked before new ones are inserted, so that two batches never
 * wait for each other. Where all depends on several rows at once (`_locks`), they are locked before anything is judged.
 */
export function commitFunction(schema: string): string {
  return `
create function ${schema}.commit_batch(
  _lane uuid, _number bigint,
  _updates json, _creates json, _removals json, _splices json, _entries json, _claims json, _locks boolean
) returns json language plpgsql ${planOnce}
  set lock_timeout = '5s'
as ${quoteBody(commitBody(schema))};`;
}

const change = "n int, place int, tenant text, id text, expected bigint";
const claim = "n int, place int, tenant text, id text, log text, key text";
const row = `version bigint, state text, agent text, user_id text, created_at bigint, last_activity_at bigint,
      active_minute bigint, state_since bigint, expires_at bigint, sweep_at bigint, data text`;

const commitBody = (schema: string): string => `
declare
  _refused int[] := '{}';
  _change record;
begin
  insert into ${schema}.lanes as lane (id, number, used_at) values (_lane, _number, now())
  on conflict (id) do update set number = excluded.number, refused = null, used_at = excluded.used_at
  where lane.number < excluded.number;
  if not found then
    return (
      select json_build_object('settled', coalesce(lane.refused, '{}')) from ${schema}.lanes lane where lane.id = _lane
    );
  end if;

  if _claims is not null then
    select coalesce(array_agg(claim.n), '{}') into _refused
    from json_to_recordset(_claims) as claim(${claim})
    cross join lateral (
      select found.* from ${schema}.entries found
      where found.tenant = claim.tenant and found.session = claim.id and found.log = claim.log and found.key = claim.key
      limit 1
    ) entry;
  end if;

  if _locks then
    for _change in
      select change.tenant, change.id from (
        select * from json_to_recordset(_updates) as change(${change})
        union all
        select * from json_to_recordset(_removals) as change(${change})
      ) change
      order by change.tenant collate "C", change.id collate "C"
    loop
      perform from ${schema}.sessions session
      where session.tenant = _change.tenant and session.id = _change.id for update;
    end loop;

    select _refused || coalesce(array_agg(change.n), '{}') into _refused
    from (
      select * from json_to_recordset(_updates) as change(${change})
      union all
      select * from json_to_recordset(_creates) as change(${change})
      union all
      select * from json_to_recordset(_removals) as change(${change})
    ) change
    left join lateral (
      select found.* from ${schema}.sessions found where found.tenant = change.tenant and found.id = change.id limit 1
    ) session on true
    where coalesce(session.version, 0) <> change.expected;
  end if;

  for _change in select * from json_to_recordset(_updates) as change(${change}, ${row}) loop
    continue when _change.n = any (_refused);
    update ${schema}.sessions session set
      version = _change.version, state = _change.state, agent = _change.agent, user_id = _change.user_id,
      created_at = _change.created_at, last_activity_at = _change.last_activity_at,
      active_minute = _change.active_minute, state_since = _change.state_since, expires_at = _change.expires_at,
      sweep_at = _change.sweep_at, data = _change.data
    where session.tenant = _change.tenant and session.id = _change.id and session.version = _change.expected;
    if not found then _refused := _refused || _change.n; end if;
  end loop;

  for _change in select * from json_to_recordset(_creates) as change(${change}, ${row}) loop
    continue when _change.n = any (_refused);
    insert into ${schema}.sessions (
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

  for _change in select * from json_to_recordset(_removals) as change(${change}) loop
    continue when _change.n = any (_refused);
    delete from ${schema}.sessions session where session.tenant = _change.tenant and session.id = _change.id;
    delete from ${schema}.entries entry where entry.tenant = _change.tenant and entry.session = _change.id;
  end loop;

  for _change in
    select splice.* from json_to_recordset(_splices) as splice(n int, tenant text, id text, log text, "from" bigint)
    cross join lateral (
      select from ${schema}.entries entry
      where entry.tenant = splice.tenant and entry.session = splice.id and entry.log = splice.log
        and entry.seq >= splice."from"
      limit 1
    ) standing
    where splice.n <> all (_refused)
  loop
    delete from ${schema}.entries entry
    where entry.tenant = _change.tenant and entry.session = _change.id and entry.log = _change.log
      and entry.seq >= _change."from";
  end loop;
  if _entries is not null then
    insert into ${schema}.entries (tenant, session, log, seq, key, at, data)
    select entry.tenant, entry.id, entry.log, entry.seq, entry.key, entry.at, entry.data
    from json_to_recordset(_entries)
      as entry(n int, tenant text, id text, log text, seq bigint, key text, at bigint, data text)
    where entry.n <> all (_refused);
  end if;

  -- A lane begins: some that ended long ago are forgotten, at most as fast as new ones come, so their number stays bounded.
  if _number = 1 then
    delete from ${schema}.lanes lane where lane.id in (
      select old.id from ${schema}.lanes old
      where old.born_at < now() - interval '1 day' and old.used_at < now() - interval '1 day'
      order by old.born_at limit 4 for update skip locked
    );
  end if;

  if cardinality(_refused) = 0 then return null; end if;
  update ${schema}.lanes lane set refused = _refused where lane.id = _lane;
  return json_build_object(
    'duplicates', (
      select json_agg(json_build_object('n', claim.n, 'entry',
        json_build_object('seq', entry.seq, 'key', entry.key, 'at', entry.at, 'data', entry.data)) order by claim.place)
      from json_to_recordset(_claims) as claim(${claim})
      cross join lateral (
        select found.* from ${schema}.entries found
        where found.tenant = claim.tenant and found.session = claim.id and found.log = claim.log and found.key = claim.key
        limit 1
      ) entry
      where claim.n = any (_refused)
    ),
    'conflicts', (
      select json_agg(json_build_object(
        'n', change.n,
        'fits', coalesce(session.version, 0) = change.expected,
        'current', case when session.id is not null then ${recordJson("session")} end
      ) order by change.n, change.place)
      from (
        select * from json_to_recordset(_updates) as change(${change})
        union all
        select * from json_to_recordset(_creates) as change(${change})
        union all
        select * from json_to_recordset(_removals) as change(${change})
      ) change
      left join lateral (
        select found.* from ${schema}.sessions found where found.tenant = change.tenant and found.id = change.id limit 1
      ) session on true
      where change.n = any (_refused)
    )
  );
end`;
