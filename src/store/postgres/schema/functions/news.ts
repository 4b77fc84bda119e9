import { newsDeletedMax, newsKeptMs, renewedAfterMs, subscriptionMs } from "../../../news.ts";
import { quoteBody } from "../../connection/names.ts";
import { recordJson } from "../../connection/record-json.ts";
import { nowMs } from "./load-sessions.ts";
import { planOnce } from "./parts.ts";

/** How long before its end a reader no longer renews a subscription, ms: longer than any commit that may see the old end. */
const expiryMarginMs = 120_000;

/** True if commits have to note news of the tenants that the condition selects. */
export function isFollowed(schema: string, condition: string): string {
  return `exists (
    select from ${schema}.news_subscriptions subscription where ${condition} and subscription.expires_at > ${nowMs}
  )`;
}

/** The tenant whose news have the records of a scope: that of a stream's scope, else the scope itself. */
export function newsTenant(scope: string): string {
  return `split_part(${scope}, chr(1) || 'streams', 1)`;
}

/** The values of `tenant, kind, scope, id` for a session. */
export function notedSession(tenant: string, id: string): string {
  return `${newsTenant(tenant)}, 'session', case when ${newsTenant(tenant)} = ${tenant} then '' else ${tenant} end, ${id}`;
}

/** Notes the sessions and documents of a batch, where `_isFollowed`. */
export function noteBatch(schema: string, { documents }: { readonly documents: boolean }): string {
  const ofDocuments = `
    union all
    select change.n, change.tenant, 'document', change.scope, change.key
    from json_to_recordset(_documents) as change(n int, tenant text, scope text, key text, kind text)
    where change.kind <> 'touch'`;
  return `
  if _isFollowed then
    insert into ${schema}.news (tenant, kind, scope, id)
    select noted.tenant, noted.kind, noted.scope, noted.id
    from (
      select change.n, ${notedSession("change.tenant", "change.id")}
      from (
        select * from json_to_recordset(_updates) as change(n int, tenant text, id text)
        union all
        select * from json_to_recordset(_creates) as change(n int, tenant text, id text)
        union all
        select * from json_to_recordset(_removals) as change(n int, tenant text, id text)
      ) change${documents ? ofDocuments : ""}
    ) noted(n, tenant, kind, scope, id)
    where noted.n <> all (_refused) and ${isFollowed(schema, "subscription.tenant = noted.tenant")};
  end if;`;
}

/**
 * `read_news` begins or renews the subscription of a tenant, deletes some old news, and returns the news that a snapshot does
 * not have: null until they are complete.
 *
 * A row of news has the transaction that wrote it. A cursor is a snapshot, so a reader gets each row that became visible
 * since, also that of a transaction that was begun long ago. A page that is limited continues within a second snapshot, after
 * a place in it.
 *
 * Races:
 * - A commit looks for the subscription after it has locked the tables of sessions or documents. The commits that hold such a
 *   lock after the subscription is committed may not see it, and no page is returned until they have ended (`awaits`).
 * - A commit may see the end of a subscription before its renewal. A reader begins another one if the end is near.
 * - A server that crashed may give ids again that were those of rolled back transactions, which an earlier snapshot takes for
 *   ended ones. A snapshot from before the start of the server has no row that was noted after it.
 * - News are deleted up to the oldest transaction that ran at a time in the past. A later snapshot has all of them.
 */
export function readNews(schema: string): string {
  return `
create function ${schema}.read_news(
  _tenant text, _id text, _from pg_snapshot, _made_at bigint, _until pg_snapshot, _xid xid8, _no bigint, _limit int,
  _bytes_max bigint
) returns json language plpgsql ${planOnce}
as ${quoteBody(body(schema))};`;
}

/** News within the bounds and behind the place of the page, the first of them. */
const onPage = `pg_visible_in_snapshot(news.xid, bounds.until) and (news.xid, news.no) > (_xid, _no)
          order by news.xid, news.no limit _limit`;

const oldest = "pg_snapshot_xmin(pg_current_snapshot())";

const oidOf = (schema: string, table: string): string => `${quoteBody(`${schema}.${table}`)}::regclass`;

const body = (schema: string): string => `
declare
  _now bigint := ${nowMs};
  _standing record;
  _awaits text[];
  -- The news of transactions that began after the snapshot are behind this place. The index takes one place as its bound.
  _later_xid xid8 := case when _xid >= pg_snapshot_xmax(_from) then _xid else pg_snapshot_xmax(_from) end;
  _later_no bigint := case when _xid >= pg_snapshot_xmax(_from) then _no else 0 end;
  _started timestamptz := pg_postmaster_start_time();
  _isOfEarlierStart boolean := coalesce(_made_at < floor(extract(epoch from _started) * 1000), false);
begin
  select * into _standing from ${schema}.news_subscriptions subscription where subscription.tenant = _tenant;
  if _standing.id is null or _standing.expires_at <= _now + ${expiryMarginMs} then
    insert into ${schema}.news_subscriptions as subscription (tenant, id, expires_at, deleted, mark, marked_at)
    values (_tenant, gen_random_uuid()::text, _now + ${subscriptionMs}, ${oldest}, ${oldest}, _now)
    on conflict (tenant) do update set id = excluded.id, expires_at = excluded.expires_at, awaits = null,
      deleted = excluded.deleted, mark = excluded.mark, marked_at = excluded.marked_at
    where subscription.expires_at <= _now + ${expiryMarginMs};
    return null;
  end if;

  if _standing.awaits is null or cardinality(_standing.awaits) > 0 then
    select coalesce(array_agg(distinct held.virtualtransaction), '{}') into _awaits from pg_locks held
    where held.locktype = 'relation' and held.mode = 'RowExclusiveLock'
      and held.database = (select oid from pg_database where datname = current_database())
      and held.relation in (${oidOf(schema, "sessions")}, ${oidOf(schema, "documents")})
      and (_standing.awaits is null or held.virtualtransaction = any (_standing.awaits));
    update ${schema}.news_subscriptions subscription set awaits = _awaits
    where subscription.tenant = _tenant and subscription.id = _standing.id
      and subscription.awaits is not distinct from _standing.awaits;
    if cardinality(_awaits) > 0 then return null; end if;
  end if;

  if _standing.expires_at < _now + ${subscriptionMs - renewedAfterMs} then
    update ${schema}.news_subscriptions subscription set expires_at = _now + ${subscriptionMs}
    where subscription.tenant = _tenant and subscription.id = _standing.id
      and subscription.expires_at = _standing.expires_at;
  end if;
  if _standing.marked_at <= _now - ${newsKeptMs} then
    update ${schema}.news_subscriptions subscription set deleted = subscription.mark, mark = ${oldest}, marked_at = _now
    where subscription.tenant = _tenant and subscription.id = _standing.id
      and subscription.marked_at = _standing.marked_at;
  end if;
  delete from ${schema}.news news where (news.tenant, news.xid, news.no) in (
    select old.tenant, old.xid, old.no from ${schema}.news old
    where old.tenant = _tenant and old.xid < _standing.deleted
    order by old.xid, old.no limit ${newsDeletedMax} for update skip locked
  );

  return (
    with bounds as (
      select subscription.id, judged.fits,
        case when judged.fits then coalesce(_until, pg_current_snapshot()) else pg_current_snapshot() end as until
      from ${schema}.news_subscriptions subscription
      cross join lateral (
        select coalesce(subscription.id = _id and pg_snapshot_xmin(_from) >= subscription.deleted
          and (_isOfEarlierStart or pg_snapshot_xmax(coalesce(_until, _from)) <= pg_snapshot_xmax(pg_current_snapshot())),
          false) as fits
      ) judged
      where subscription.tenant = _tenant and subscription.id = _standing.id
    ), noted as materialized (
      select found.* from (
        select later.* from bounds cross join lateral (
          select news.* from ${schema}.news news
          where news.tenant = _tenant and pg_visible_in_snapshot(news.xid, bounds.until)
            and (news.xid, news.no) > (_later_xid, _later_no)
          order by news.xid, news.no limit _limit
        ) later
        where bounds.fits
        union all
        select late.* from bounds cross join pg_snapshot_xip(_from) as running(xid) cross join lateral (
          select news.* from ${schema}.news news
          where news.tenant = _tenant and news.xid = running.xid and ${onPage}
        ) late
        where bounds.fits
        union all
        select restarted.* from bounds cross join lateral (
          select news.* from ${schema}.news news
          where news.tenant = _tenant and news.xid < pg_snapshot_xmax(_from) and news.noted_at >= _started and ${onPage}
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
        select ${recordJson("session")} as record, octet_length(session.data) as bytes from ${schema}.sessions session
        where changed.kind = 'session' and session.id = changed.id
          and session.tenant = case when changed.scope = '' then _tenant else changed.scope end
        limit 1
      ) session on true
      left join lateral (
        select document.version from ${schema}.documents document
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
end`;
