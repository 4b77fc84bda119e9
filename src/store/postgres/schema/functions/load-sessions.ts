import { quoteBody } from "../../connection/names.ts";
import { recordJson } from "../../connection/record-json.ts";
import { withLogs, planOnce } from "./parts.ts";

/** The time of the server, epoch ms. */
export const nowMs = "floor(extract(epoch from clock_timestamp()) * 1000)::bigint";

/** The bytes of the texts up to this row. The size of a text is in its header, so no text is read. */
export function bytesUpTo(column: string, order: string): string {
  return `sum(octet_length(${column})) over (${order} rows between unbounded preceding and current row)`;
}

/**
 * `load_one` is `load_many` for the most frequent load: one session with the end of at most one log, without a bound of
 * bytes, which costs the server a third less. The first row has the time of the store in `at`, and the columns of the record in
 * `data`, or null for a missing session. The entries follow, from the last one on.
 */
export function loadSession(schema: string): string {
  const body = `
declare
  _session ${schema}.sessions;
begin
  select * into _session from ${schema}.sessions session where session.tenant = _tenant and session.id = _id;
  return query select null::bigint, null::text, ${nowMs},
    case when _session.id is not null then ${recordJson("_session")}::text end;
  if _session.id is not null and _log is not null then
    return query
      select entry.seq, entry.key, entry.at, ${schema}.entry_text(entry.data, entry.bytes) from ${schema}.entries entry
      where entry.tenant = _tenant and entry.session = _id and entry.logs = _session.logs and entry.log = _log
      order by entry.seq desc limit _last;
  end if;
end`;
  return `
create function ${schema}.load_one(_tenant text, _id text, _log text, _last bigint)
returns table (seq bigint, key text, at bigint, data text)
language plpgsql stable ${planOnce}
as ${quoteBody(body)};`;
}

/**
 * `load_many` returns the time of the store, the requested records, and the last entries of each log, all from one
 * snapshot: the function is stable, so it has that of the calling statement. A row without `request` has the time; a row
 * without `tail` has the columns of a record in `data`.
 */
export function loadSessions(schema: string): string {
  const bySeq = "order by last.seq desc";
  const body = `
begin
  return query
    select null::int, null::int, null::bigint, null::text, ${nowMs}, null::text
    union all
    select wanted.request, null::int, null::bigint, null::text, null::bigint, ${recordJson("session")}::text
    from json_to_recordset(_sessions) as wanted(request int, tenant text, id text)
    cross join lateral (
      select found.* from ${schema}.sessions found where found.tenant = wanted.tenant and found.id = wanted.id limit 1
    ) session
    union all
    select wanted.request, wanted.tail, entry.seq, entry.key, entry.at, entry.data
    from json_to_recordset(_tails)
      as wanted(request int, tail int, tenant text, id text, log text, last bigint, bytes_max bigint)
    ${withLogs(schema, "wanted")}
    cross join lateral (
      select sized.seq, sized.key, sized.at, ${schema}.entry_text(sized.data, sized.bytes) as data from (
        select last.*, ${bytesUpTo("last.data", bySeq)} as up_to from ${schema}.entries last
        where last.tenant = wanted.tenant and last.session = wanted.id and last.logs = session.logs
          and last.log = wanted.log
        ${bySeq} limit wanted.last
      ) sized
      where wanted.bytes_max is null or sized.up_to <= wanted.bytes_max or sized.up_to = octet_length(sized.data)
    ) entry;
end`;
  return `
create function ${schema}.load_many(_sessions json, _tails json)
returns table (request int, tail int, seq bigint, key text, at bigint, data text)
language plpgsql stable ${planOnce}
as ${quoteBody(body)};`;
}
