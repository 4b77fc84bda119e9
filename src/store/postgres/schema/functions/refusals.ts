import { quoteBody } from "../../connection/names.ts";
import { recordJson } from "../../connection/record-json.ts";
import { change, claim, withLogs, planOnce, unfit } from "./parts.ts";

/**
 * `refusal_reasons` returns the reasons of refused transactions: the entries with claimed keys, and for each change whether it
 * fits and the stored record. It reads the newest rows, which may be newer than those of the refusal. The answer also has
 * whether removed logs have entries left.
 */
export function refusals(schema: string): string {
  return `
create or replace function ${schema}.refusal_reasons(_refused int[], _updates json, _creates json, _removals json, _claims json, _left boolean)
returns json language plpgsql ${planOnce}
as ${quoteBody(body(schema))};`;
}

const body = (schema: string): string => `
begin
  return json_build_object(
    'duplicates', (
      select json_agg(json_build_object('n', claim.n, 'entry',
        json_build_object('seq', entry.seq, 'key', entry.key, 'at', entry.at, 'data', entry.data)) order by claim.place)
      from json_to_recordset(_claims) as claim(${claim})
      ${withLogs(schema, "claim")}
      cross join lateral (
        select found.* from ${schema}.entries found
        where found.tenant = claim.tenant and found.session = claim.id and found.logs = session.logs
          and found.log = claim.log and found.key = claim.key
        limit 1
      ) entry
      where claim.n = any (_refused)
    ),
    'conflicts', (
      select json_agg(json_build_object(
        'n', change.n,
        'fits', not (${unfit}),
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
    ),
    'left', _left
  );
end`;
