import { quoteBody } from "../../connection/names.ts";
import { laneRow, lockLane, readLane } from "./parts.ts";

/**
 * `bar_commit` settles a batch whose answer was lost: it returns the transactions that the batch refused where it was
 * committed, and null where it was not. In that case it takes the batch's number, so a try that arrives later changes
 * nothing. It waits for a try that runs.
 */
export function barCommit(schema: string): string {
  return `
create function ${schema}.bar_commit(_lane uuid, _number bigint) returns json language plpgsql
  set lock_timeout = '5s'
as ${quoteBody(body(schema))};`;
}

const body = (schema: string): string => `
declare
  ${laneRow}
begin
${lockLane}
${readLane(schema)}
  if _last.number = _number then return to_json(coalesce(_last.refused, '{}')); end if;
  insert into ${schema}.lanes as lane (id, number, used_at) values (_lane, _number + 1, now())
  on conflict (id) do update set number = excluded.number, refused = null, used_at = excluded.used_at
  where lane.number < _number;
  return null;
end`;
