import { quoteBody } from "../../connection/names.ts";
import { bytesUpTo } from "./load-sessions.ts";
import { planOnce } from "./parts.ts";

/**
 * The functions that read a log. A statement of the client would be parsed and planned at each call, which takes longer than to
 * read a page of entries.
 *
 * - `read_by_seq` returns entries by a range of their numbers, bounds included, in the order of the numbers.
 * - `read_by_key` returns entries by a range of their keys, without the upper bound, in the order of the keys.
 * - `read_keys` returns the entries with these keys, in the order of the numbers.
 *
 * The first two stop at `_limit` entries or `_bytes_max` bytes, and return one entry whatever its size.
 */
export function readEntries(schema: string): string {
  return `
create function ${schema}.read_by_seq(
  _tenant text, _session text, _log text, _from bigint, _to bigint, _descending boolean, _limit bigint, _bytes_max bigint
) ${returns}
as ${quoteBody(inEitherOrder(schema, { column: "seq", within: "found.seq between _from and _to" }))};
create function ${schema}.read_by_key(
  _tenant text, _session text, _log text, _from text, _to text, _descending boolean, _limit bigint, _bytes_max bigint
) ${returns}
as ${quoteBody(inEitherOrder(schema, { column: "key", within: "found.key >= _from and found.key < _to" }))};
create function ${schema}.read_keys(_tenant text, _session text, _log text, _keys json) ${returns}
as ${quoteBody(byKeys(schema))};`;
}

const returns = `returns table (seq bigint, key text, at bigint, data text) language plpgsql stable ${planOnce}`;

function ofLog(schema: string): string {
  return `found.tenant = _tenant and found.session = _session and found.log = _log
        and found.logs = (
          select session.logs from ${schema}.sessions session where session.tenant = _tenant and session.id = _session
        )`;
}

interface Range {
  readonly column: "seq" | "key";
  readonly within: string;
}

/** A statement for each order, because the plan is made once. */
function inEitherOrder(schema: string, range: Range): string {
  return `
begin
  if _descending then${inOrder(schema, range, "desc")}
  else${inOrder(schema, range, "asc")}
  end if;
end`;
}

function inOrder(schema: string, { column, within }: Range, direction: "asc" | "desc"): string {
  const order = `order by found.${column} ${direction}`;
  return `
    return query
      select entry.seq, entry.key, entry.at, ${schema}.entry_text(entry.data, entry.bytes)
      from (
        select found.*, ${bytesUpTo("found.data", order)} as up_to
        from ${schema}.entries found
        where ${ofLog(schema)}
        and ${within}
        ${order} limit _limit
      ) entry
      where _bytes_max is null or entry.up_to <= _bytes_max or entry.up_to = octet_length(entry.data)
      order by entry.${column} ${direction};`;
}

/** Key by key: for all keys at once, in order, the server may read the whole log. */
function byKeys(schema: string): string {
  return `
begin
  return query
    select entry.seq, entry.key, entry.at, entry.data
    from json_array_elements_text(_keys) as wanted(key)
    cross join lateral (
      select found.seq, found.key, found.at, ${schema}.entry_text(found.data, found.bytes) as data
      from ${schema}.entries found
      where ${ofLog(schema)}
        and found.key = wanted.key
      limit 1
    ) entry
    order by entry.seq;
end`;
}
