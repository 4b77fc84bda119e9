import { quoteBody } from "../names.ts";
import { recordJson } from "../record-json.ts";
import { planOnce } from "./parts.ts";

/** The server's time as Perdure counts it: epoch ms. */
export const nowMs = "floor(extract(epoch from clock_timestamp()) * 1000)::bigint";

/**
 * `load_sessions` gives the records asked for, and for each log the last entries, all from one snapshot: that of the
 * statement that calls it, for the function is stable. A record comes as a row without `tail`, its columns in `data`.
 */
export function loadSessions(schema: string): string {
  return `
create function ${definition(schema, "last.data")}`;
}

/** The same once entries may be bytes. */
export function loadSessionsWithBytes(schema: string): string {
  return `
create or replace function ${definition(schema, `${schema}.entry_text(last.data, last.bytes) as data`)}`;
}

function definition(schema: string, data: string): string {
  const body = `
begin
  return query
    select wanted.request, null::int, null::bigint, null::text, ${nowMs}, ${recordJson("session")}::text
    from json_to_recordset(_sessions) as wanted(request int, tenant text, id text)
    cross join lateral (
      select found.* from ${schema}.sessions found where found.tenant = wanted.tenant and found.id = wanted.id limit 1
    ) session
    union all
    select wanted.request, wanted.tail, entry.seq, entry.key, entry.at, entry.data
    from json_to_recordset(_tails) as wanted(request int, tail int, tenant text, id text, log text, last bigint)
    cross join lateral (
      select last.seq, last.key, last.at, ${data} from ${schema}.entries last
      where last.tenant = wanted.tenant and last.session = wanted.id and last.log = wanted.log
      order by last.seq desc limit wanted.last
    ) entry;
end`;
  return `${schema}.load_sessions(_sessions json, _tails json)
returns table (request int, tail int, seq bigint, key text, at bigint, data text)
language plpgsql stable ${planOnce}
as ${quoteBody(body)};`;
}
